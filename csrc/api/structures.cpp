#include "api/structures.h"

namespace jiff::api {

std::size_t checked_struct_size(const void* structure, std::size_t first_bytes, std::size_t known_bytes,
                                const char* name) {
    std::size_t num_bytes = 0;
    std::memcpy(&num_bytes, structure, sizeof num_bytes);
    const bool is_a_version = num_bytes == first_bytes || num_bytes >= known_bytes;
    if (!is_a_version || num_bytes > kMostStructBytes) {
        throw Error(ErrorCode::kInvalidArgument, "struct_size of '" + std::string(name) + "' is " +
                                                     std::to_string(num_bytes) + ", this library knows " +
                                                     std::to_string(known_bytes) +
                                                     "; start from the structure's INIT macro");
    }
    return num_bytes;
}

void check_unknown_fields(const void* structure, std::size_t known_bytes, std::size_t given_bytes,
                          const char* name) {
    const auto* bytes = static_cast<const unsigned char*>(structure);
    if (std::any_of(bytes + known_bytes, bytes + given_bytes, [](unsigned char byte) { return byte != 0; })) {
        throw Error(ErrorCode::kInvalidArgument,
                    "'" + std::string(name) +
                        "' sets a field that this version of the library does not know; leave it zero or "
                        "use a newer library");
    }
}

}  // namespace jiff::api
