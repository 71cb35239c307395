// What becomes of memory that the process has freed.
#pragma once

namespace jiff {

// From here on the C library's allocator keeps all of it for the process, which takes it from the system page by
// page otherwise, again and again. Gives false where the C library knows no such thing.
bool keep_freed_memory();

}  // namespace jiff
