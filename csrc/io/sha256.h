// SHA-256 (FIPS 180-4): tells whether a bundle's file is the one that its manifest lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace jiff {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(const std::uint8_t* bytes, std::size_t num_bytes);

}  // namespace jiff
