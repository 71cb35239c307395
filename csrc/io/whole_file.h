// Files that are written whole or not at all.
#pragma once

#include <stdexcept>
#include <string>

namespace jiff {

// A file that could not be written. No jiff::Error: the pipeline never writes, so its codes do not know it.
class OutputError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Writes `content` under another name beside `path`, then renames it: nothing half-written stays.
// Throws OutputError when the file cannot be written; what was at `path` before is untouched.
void write_whole_file(const std::string& path, const std::string& content);

}  // namespace jiff
