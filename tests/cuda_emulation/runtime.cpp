// The host's side of the emulated runtime. JIFF_EMULATED_GPU says what is there: "none" no GPU, "old_driver",
// "old" one of compute capability 6.1, or a capability, 75 unless it is set. JIFF_EMULATED_MEMORY_MB is its
// memory.
#include <mutex>
#include <string>
#include <unordered_map>

#include "cuda_runtime.h"

namespace {

std::string setting(const char* name, const char* otherwise) {
    const char* text = std::getenv(name);
    return text && *text ? text : otherwise;
}

std::string gpu() { return setting("JIFF_EMULATED_GPU", "75"); }

std::size_t memory_bytes() { return std::stoull(setting("JIFF_EMULATED_MEMORY_MB", "16384")) << 20; }

int capability() { return gpu() == "old" ? 61 : std::stoi(gpu()); }

std::mutex mutex;
std::unordered_map<void*, std::size_t> allocations;
std::size_t used_bytes = 0;

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
    *count = gpu() == "none" ? 0 : 1;
    return gpu() == "none"         ? cudaErrorNoDevice
           : gpu() == "old_driver" ? cudaErrorInsufficientDriver
                                   : cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = 12040;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor:
            *value = capability() / 10;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = capability() % 10;
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = 2;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = capability() == 75   ? 64 << 10
                     : capability() == 80 ? 163 << 10
                     : capability() >= 90 ? 227 << 10
                                          : 99 << 10;
            break;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    std::strcpy(properties->name, "emulated");
    properties->totalGlobalMem = memory_bytes();
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** pointer, std::size_t num_bytes, cudaStream_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (used_bytes + num_bytes > memory_bytes()) return cudaErrorMemoryAllocation;
    *pointer = std::malloc(num_bytes);
    std::memset(*pointer, 0xcd, num_bytes);
    allocations[*pointer] = num_bytes;
    used_bytes += num_bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = allocations.find(pointer);
    if (found == allocations.end()) return cudaErrorInvalidValue;
    used_bytes -= found->second;
    allocations.erase(found);
    std::free(pointer);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    const std::lock_guard<std::mutex> lock(mutex);
    *total = memory_bytes();
    *free = *total - used_bytes;
    return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t status) {
    switch (status) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorNoDevice:
            return "cudaErrorNoDevice";
        case cudaErrorInsufficientDriver:
            return "cudaErrorInsufficientDriver";
        default:
            return "cudaErrorInvalidValue";
    }
}

const char* cudaGetErrorString(cudaError_t status) { return cudaGetErrorName(status); }
