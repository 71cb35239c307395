// For .cu files: starting kernels, and the check of every call of CUDA.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda.h"

namespace jiff::cuda {

// Throws Error(kDevice) with the call, file and line unless `status` is cudaSuccess.
void check(cudaError_t status, const char* call, const char* file, int line);
#define JIFF_CUDA_CHECK(call) ::jiff::cuda::check((call), #call, __FILE__, __LINE__)

inline cudaStream_t handle_of(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle()); }

struct Grid {
    std::int64_t num_blocks;
    int num_threads;  // of a block
    std::size_t shared_bytes = 0;
};

// Blocks of `num_threads` that give each of `size` items a thread.
inline Grid grid_over(std::int64_t size, int num_threads = 256) {
    return {(size + num_threads - 1) / num_threads, num_threads};
}

// Enqueues kernel(arguments …); nothing where there are no blocks.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, const Stream& stream, Arguments&&... arguments) {
    if (grid.num_blocks == 0) return;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(grid.num_blocks));
    config.blockDim = dim3(static_cast<unsigned>(grid.num_threads));
    config.dynamicSmemBytes = grid.shared_bytes;
    config.stream = handle_of(stream);
    JIFF_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Arguments&&>(arguments)...));
}

// The item of this thread under grid_over.
__device__ inline std::int64_t global_thread() {
    return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace jiff::cuda
