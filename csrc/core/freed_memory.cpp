#include "core/freed_memory.h"

#include <limits>

#if defined(__GLIBC__) || __has_include(<gnu/libc-version.h>)
#include <malloc.h>
#define JIFF_HAVE_MALLOPT
#endif

namespace jiff {

bool keep_freed_memory() {
#if defined(JIFF_HAVE_MALLOPT)
    // No mapping of its own for a large block, which goes back when it is freed, and no end of the heap given
    // back.
    return mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max()) == 1;
#else
    return false;
#endif
}

}  // namespace jiff
