// Whole files into memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace jiff {

// The bytes of the file at `path`. Throws Error(kBundle) naming the file when it cannot be read.
std::vector<std::uint8_t> read_file(const std::string& path);

}  // namespace jiff
