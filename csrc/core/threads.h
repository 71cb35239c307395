// One pool of threads for the whole process. JIFF_NUM_THREADS sets its size, else the number of
// processors this process may run on.
#pragma once

#include <cstdint>
#include <functional>

namespace jiff {

// Threads that work on one parallel_for, the caller included.
// Throws Error(kInvalidArgument) when JIFF_NUM_THREADS is not a number from 1 to 1024.
int num_threads();

// Runs run(0) … run(num_chunks - 1), each once, in any order and on any thread; returns when all are
// done. The caller works too, so calls from several host threads and nested calls make progress.
// After an exception no further chunk starts, and the first one is thrown here.
void parallel_for(std::int64_t num_chunks, const std::function<void(std::int64_t chunk)>& run);

}  // namespace jiff
