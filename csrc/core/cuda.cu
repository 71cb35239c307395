#include <cuda_runtime.h>

#include <cstring>
#include <string>

#include "core/cuda.h"
#include "core/cuda_launch.h"
#include "core/status.h"

namespace jiff::cuda {
namespace {

constexpr int kLeastCapability = 75;
constexpr const char* kOnCpu = "or take device='cpu'";

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::kDevice, message); }

std::string megabytes(std::size_t num_bytes) {
    return std::to_string((num_bytes + (1 << 20) - 1) >> 20) + " MB";
}

std::string cuda_version(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    JIFF_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, device));
    return value;
}

int current_device() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) cudaGetLastError();  // forgotten: a later call may find a device
    if (status == cudaErrorInsufficientDriver) {
        int driver = 0, runtime = 0;
        cudaDriverGetVersion(&driver);
        cudaRuntimeGetVersion(&runtime);
        if (driver == 0) {
            fail(std::string("no CUDA driver is installed; install NVIDIA's driver for CUDA ") +
                 cuda_version(runtime) + " or later, " + kOnCpu);
        }
        fail("the CUDA driver is for CUDA " + cuda_version(driver) + ", this build needs " +
             cuda_version(runtime) + "; update NVIDIA's driver, " + kOnCpu);
    }
    if (status != cudaSuccess || count == 0) {
        fail(std::string("no CUDA GPU is there (") + cudaGetErrorName(status) +
             "); check nvidia-smi and CUDA_VISIBLE_DEVICES, " + kOnCpu);
    }
    int device = 0;
    JIFF_CUDA_CHECK(cudaGetDevice(&device));
    return device;
}

// Freed memory stays with the process, for the next photograph.
void keep_pool(int device) {
    cudaMemPool_t pool{};
    JIFF_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, device));
    std::uint64_t threshold = ~std::uint64_t{0};
    JIFF_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
}

}  // namespace

void check(cudaError_t status, const char* call, const char* file, int line) {
    if (status == cudaSuccess) return;
    cudaGetLastError();
    const char* name = std::strrchr(file, '/');
    fail(std::string("CUDA: ") + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ") in " +
         call + " at " + (name ? name + 1 : file) + ":" + std::to_string(line));
}

Device require_device() {
    const int index = current_device();
    Device device;
    device.compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, index) +
                                attribute(cudaDevAttrComputeCapabilityMinor, index);
    cudaDeviceProp properties{};
    JIFF_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    device.name = properties.name;
    device.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
    if (device.compute_capability < kLeastCapability) {
        fail("the GPU " + device.name + " has compute capability " +
             std::to_string(device.compute_capability / 10) + "." +
             std::to_string(device.compute_capability % 10) +
             ", 7.5 is needed (Turing, from the GTX 16 and RTX 20 series on); choose another by "
             "CUDA_VISIBLE_DEVICES, " +
             kOnCpu);
    }
    device.num_multiprocessors = attribute(cudaDevAttrMultiProcessorCount, index);
    device.shared_bytes_per_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, index);
    return device;
}

int current_device_index() {
    int index = 0;
    JIFF_CUDA_CHECK(cudaGetDevice(&index));
    return index;
}

void use_device(int index) { JIFF_CUDA_CHECK(cudaSetDevice(index)); }

std::pair<std::int64_t, std::int64_t> memory() {
    std::size_t free = 0, total = 0;
    JIFF_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return {static_cast<std::int64_t>(free), static_cast<std::int64_t>(total)};
}

void wait_for_device() { JIFF_CUDA_CHECK(cudaDeviceSynchronize()); }

Stream::Stream() {
    const int device = current_device();
    require_device();
    keep_pool(device);
    cudaStream_t stream = nullptr;
    JIFF_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    handle_ = stream;
}

Stream::~Stream() {
    if (handle_) cudaStreamDestroy(handle_of(*this));
}

void Stream::synchronize() const { JIFF_CUDA_CHECK(cudaStreamSynchronize(handle_of(*this))); }

void Stream::wait_for(const Event& event) const {
    JIFF_CUDA_CHECK(cudaStreamWaitEvent(handle_of(*this), static_cast<cudaEvent_t>(event.handle()), 0));
}

Event::Event() {
    cudaEvent_t event = nullptr;
    JIFF_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    handle_ = event;
}

Event::~Event() {
    if (handle_) cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
}

void Event::record(const Stream& stream) const {
    JIFF_CUDA_CHECK(cudaEventRecord(static_cast<cudaEvent_t>(handle_), handle_of(stream)));
}

void* allocate(std::size_t num_bytes, const Stream& stream) {
    if (num_bytes == 0) return nullptr;
    void* pointer = nullptr;
    const cudaError_t status = cudaMallocAsync(&pointer, num_bytes, handle_of(stream));
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        std::size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        fail("the GPU is out of memory: " + megabytes(num_bytes) + " asked, " + megabytes(free) + " of " +
             megabytes(total) + " free; close what else uses it, lower the resolution, " + kOnCpu);
    }
    check(status, "cudaMallocAsync", __FILE__, __LINE__);
    return pointer;
}

void release(void* pointer, const Stream& stream) noexcept { cudaFreeAsync(pointer, handle_of(stream)); }

void copy_to_device(void* device, const void* host, std::size_t num_bytes, const Stream& stream) {
    if (num_bytes == 0) return;
    JIFF_CUDA_CHECK(cudaMemcpyAsync(device, host, num_bytes, cudaMemcpyHostToDevice, handle_of(stream)));
}

void copy_to_host(void* host, const void* device, std::size_t num_bytes, const Stream& stream) {
    if (num_bytes == 0) return;
    JIFF_CUDA_CHECK(cudaMemcpyAsync(host, device, num_bytes, cudaMemcpyDeviceToHost, handle_of(stream)));
}

void copy_on_device(void* to, const void* from, std::size_t num_bytes, const Stream& stream) {
    if (num_bytes == 0) return;
    JIFF_CUDA_CHECK(cudaMemcpyAsync(to, from, num_bytes, cudaMemcpyDeviceToDevice, handle_of(stream)));
}

void set_bytes(void* device, int value, std::size_t num_bytes, const Stream& stream) {
    if (num_bytes == 0) return;
    JIFF_CUDA_CHECK(cudaMemsetAsync(device, value, num_bytes, handle_of(stream)));
}

}  // namespace jiff::cuda
