// Structures of the C API across versions of the library: each tells its size in its first field.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "core/status.h"
#include "jiff/jiff.h"

namespace jiff::api {

// No structure will ever be larger; a size above it was never set.
inline constexpr std::size_t kMostStructBytes = 4096;

// Throws Error(kInvalidArgument) when the size at `structure` cannot be that of a structure which had
// `first_bytes` in its first version and has `known_bytes` now. In between no version ended: a field would be
// cut.
std::size_t checked_struct_size(const void* structure, std::size_t first_bytes, std::size_t known_bytes,
                                const char* name);

// Throws Error(kInvalidArgument) when any of the bytes is not zero: a field that a newer header knows.
void check_unknown_fields(const void* structure, std::size_t known_bytes, std::size_t given_bytes,
                          const char* name);

// Bytes that a structure has had from its first version on.
template <typename Structure>
inline constexpr std::size_t kFirstBytes = sizeof(Structure);
template <>
inline constexpr std::size_t kFirstBytes<jiff_reconstructor_options> = offsetof(jiff_reconstructor_options,
                                                                                heads);
template <>
inline constexpr std::size_t kFirstBytes<jiff_reconstruct_options> = offsetof(jiff_reconstruct_options,
                                                                              keep_hidden_colors);

// What the caller gave, the defaults where the caller's structure is older or null. `initial` is the INIT
// macro's value.
template <typename Structure>
Structure read_structure(const Structure* given, const Structure& initial, const char* name) {
    Structure known = initial;
    if (given == nullptr) return known;
    const std::size_t given_bytes =
        checked_struct_size(given, kFirstBytes<Structure>, sizeof(Structure), name);
    if (given_bytes > sizeof(Structure)) check_unknown_fields(given, sizeof(Structure), given_bytes, name);
    std::memcpy(&known, given, std::min(given_bytes, sizeof(Structure)));
    return known;
}

// Gives the caller as much as its structure takes, and zeros in fields that this library does not know.
template <typename Structure>
void write_structure(Structure value, Structure* target, const char* name) {
    const std::size_t target_bytes = checked_struct_size(target, sizeof(Structure), sizeof(Structure), name);
    value.struct_size = target_bytes;
    std::memcpy(static_cast<void*>(target), &value, sizeof(Structure));
    std::memset(reinterpret_cast<char*>(target) + sizeof(Structure), 0, target_bytes - sizeof(Structure));
}

}  // namespace jiff::api
