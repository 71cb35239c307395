// Files that are written whole or not at all.
#pragma once

#include <string>

namespace jiff {

// Writes `content` under another name beside `path`, then renames it: nothing half-written stays.
// Throws Error(kOutput) when the file cannot be written; what was at `path` before is untouched.
void write_whole_file(const std::string& path, const std::string& content);

}  // namespace jiff
