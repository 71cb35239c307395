// The GPU: whether there is one that serves, streams, and memory that belongs to a stream. Names no CUDA
// type, so that any C++ file may include it; only builds with CUDA have what it declares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace jiff::cuda {

struct Device {
    std::string name;
    int compute_capability = 0;  // 75 for 7.5
    int num_multiprocessors = 0;
    std::int64_t memory_bytes = 0;
    std::int64_t shared_bytes_per_block = 0;  // the most that a kernel may ask for
};

// The current GPU. Throws Error(kDevice) where there is none, its driver is too old for this build, or the
// GPU is older than compute capability 7.5; the message names the remedy. Other threads may use others.
Device require_device();

// The current GPU of this thread, for another thread that works for it.
int current_device_index();
void use_device(int index);

// Bytes free and in all on the current GPU.
std::pair<std::int64_t, std::int64_t> memory();

// Until all that was enqueued on the current GPU, by whomever, is done.
void wait_for_device();

class Event;

// A queue of work on the current device. Waiting is always explicit.
class Stream {
  public:
    Stream();  // throws as require_device
    ~Stream();
    Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Stream& operator=(Stream&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }

    void* handle() const { return handle_; }  // a cudaStream_t
    // Throws Error(kDevice) when something that was enqueued failed.
    void synchronize() const;
    // What is enqueued from here on begins after what `event` was recorded behind.
    void wait_for(const Event& event) const;

  private:
    void* handle_ = nullptr;
};

// A place in the queue of a stream, that others can wait for.
class Event {
  public:
    Event();
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    // Behind what is enqueued now.
    void record(const Stream& stream) const;
    void* handle() const { return handle_; }  // a cudaEvent_t

  private:
    void* handle_ = nullptr;
};

// Untyped below Buffer. Memory comes from the device's pool and goes back to it in the order of the stream.
// Throws Error(kDevice) when there is too little, which leaves the device usable.
void* allocate(std::size_t num_bytes, const Stream& stream);
void release(void* pointer, const Stream& stream) noexcept;
void copy_to_device(void* device, const void* host, std::size_t num_bytes, const Stream& stream);
void copy_to_host(void* host, const void* device, std::size_t num_bytes, const Stream& stream);
void copy_on_device(void* to, const void* from, std::size_t num_bytes, const Stream& stream);
void set_bytes(void* device, int value, std::size_t num_bytes, const Stream& stream);

// `size` values in device memory. The stream must outlive it.
template <typename T>
class Buffer {
  public:
    Buffer() = default;
    Buffer(std::size_t size, const Stream& stream)
        : stream_(&stream), size_(size), data_(static_cast<T*>(allocate(size * sizeof(T), stream))) {}
    // Copies of host values; the host's memory must stay until the stream has read it.
    Buffer(const T* host, std::size_t size, const Stream& stream) : Buffer(size, stream) {
        copy_to_device(data_, host, size * sizeof(T), stream);
    }
    Buffer(const std::vector<T>& host, const Stream& stream) : Buffer(host.data(), host.size(), stream) {}
    ~Buffer() {
        if (data_) release(data_, *stream_);
    }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }

    T* data() { return data_; }
    const T* data() const { return data_; }
    std::size_t size() const { return size_; }
    void fill_bytes(int value) { set_bytes(data_, value, size_ * sizeof(T), *stream_); }

    // At least `size` values; what was in them is lost when it grows.
    T* reserve(std::size_t size, const Stream& stream) {
        if (size > size_) *this = Buffer(size, stream);
        return data_;
    }

    // These wait for the stream.
    void to_host(T* host, std::size_t size) const {
        copy_to_host(host, data_, size * sizeof(T), *stream_);
        stream_->synchronize();
    }
    std::vector<T> to_host(std::size_t size) const {
        std::vector<T> host(size);
        to_host(host.data(), size);
        return host;
    }
    std::vector<T> to_host() const { return to_host(size_); }

  private:
    void swap(Buffer& other) noexcept {
        std::swap(stream_, other.stream_);
        std::swap(size_, other.size_);
        std::swap(data_, other.data_);
    }

    const Stream* stream_ = nullptr;
    std::size_t size_ = 0;
    T* data_ = nullptr;
};

}  // namespace jiff::cuda
