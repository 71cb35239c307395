// As much of CUDA's runtime as the kernels use, carried out by the processor: the same .cu files, compiled as
// C++, run here without a GPU. Device memory is host memory, streams do everything at once, and a block's
// threads are fibers that stop at barriers (block.h). Slow, and exact about what a thread may not do: reading
// what another writes without a barrier between gives other results in another order of the threads
// (JIFF_EMULATION_ORDER: forward, reverse or a seed).
#pragma once

#include <math.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "block.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __restrict__
#define __constant__ static
#define __grid_constant__
#define __align__(n) alignas(n)

using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint2 {
    unsigned x, y;
};
struct uint4 {
    unsigned x, y, z, w;
};
struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace emulation {
template <int (*get)()>
struct Coordinate {
    operator unsigned() const { return static_cast<unsigned>(get()); }
};
template <int (*get)()>
struct Coordinates {
    Coordinate<get> x{};
};
inline int block_index() { return current_block().index; }
inline int block_size() { return current_block().num_threads; }
inline int grid_size() { return current_block().num_blocks; }
}  // namespace emulation
constexpr emulation::Coordinates<&emulation::current_thread> threadIdx{};
constexpr emulation::Coordinates<&emulation::block_index> blockIdx{};
constexpr emulation::Coordinates<&emulation::block_size> blockDim{};
constexpr emulation::Coordinates<&emulation::grid_size> gridDim{};

// ---- What threads do --------------------------------------------------------------------------------------
inline void __syncthreads() { emulation::wait_for_block(); }
inline void __syncwarp() { emulation::wait_for_warp(); }
inline int __syncthreads_or(int predicate) { return emulation::any_in_block(predicate != 0) ? 1 : 0; }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return emulation::exchange(value, [&](const T* values, int lane) { return values[lane ^ mask]; });
}
template <typename T>
T __shfl_sync(unsigned, T value, int source) {
    return emulation::exchange(value, [&](const T* values, int) { return values[source]; });
}
template <typename T>
T __shfl_up_sync(unsigned, T value, int distance) {
    return emulation::exchange(
        value, [&](const T* values, int lane) { return values[lane < distance ? lane : lane - distance]; });
}

template <typename T>
T atomicAdd(T* address, T value) {
    const T old = *address;
    *address = old + value;
    return old;
}
template <typename T>
T atomicOr(T* address, T value) {
    const T old = *address;
    *address = old | value;
    return old;
}
template <typename T>
T atomicMin(T* address, T value) {
    const T old = *address;
    *address = std::min(old, value);
    return old;
}
template <typename T>
T atomicMax(T* address, T value) {
    const T old = *address;
    *address = std::max(old, value);
    return old;
}
template <typename T>
T atomicCAS(T* address, T expected, T value) {
    const T old = *address;
    if (old == expected) *address = value;
    return old;
}

inline int __popc(unsigned word) { return __builtin_popcount(word); }
inline int __popcll(unsigned long long word) { return __builtin_popcountll(word); }
inline int __ffsll(long long word) { return __builtin_ffsll(word); }
template <typename T>
T __ldg(const T* address) {
    return *address;
}
inline float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline long long __double_as_longlong(double value) {
    long long bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline void __threadfence() {}

// ---- What the host calls ----------------------------------------------------------------------------------
enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100
};
using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaMemPool_t = struct EmulatedPool*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr {
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor,
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrMaxSharedMemoryPerBlockOptin
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold };
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDisableTiming = 2;
struct cudaDeviceProp {
    char name[256];
    std::size_t totalGlobalMem;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    std::size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
};

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMallocAsync(void** pointer, std::size_t num_bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
const char* cudaGetErrorName(cudaError_t status);
const char* cudaGetErrorString(cudaError_t status);

inline cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t*, int) { return cudaSuccess; }
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = reinterpret_cast<cudaStream_t>(std::malloc(1));
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    std::free(stream);
    return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
// Streams do everything at once, so that events have passed when they are recorded.
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = reinterpret_cast<cudaEvent_t>(std::malloc(1));
    return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
    std::free(event);
    return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t num_bytes, cudaMemcpyKind,
                                   cudaStream_t) {
    std::memmove(to, from, num_bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* pointer, int value, std::size_t num_bytes, cudaStream_t) {
    std::memset(pointer, value, num_bytes);
    return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int) {
    return cudaSuccess;
}
template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
    emulation::run_grid(static_cast<int>(config->gridDim.x), static_cast<int>(config->blockDim.x),
                        config->dynamicSmemBytes, [&] { kernel(static_cast<Parameters>(arguments)...); });
    return cudaSuccess;
}
