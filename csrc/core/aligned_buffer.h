// Scratch memory for kernels: floats on a cache-line boundary that keep their place between uses.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace jiff {

class AlignedBuffer {
  public:
    // At least `size` floats. What was in them before is kept only when nothing had to grow; new
    // memory is zero.
    float* reserve(std::size_t size) {
        if (size > size_) {
            const std::size_t num_bytes = (size * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
            data_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, num_bytes)));
            if (!data_) throw std::bad_alloc();
            std::memset(data_.get(), 0, num_bytes);
            size_ = size;
        }
        return data_.get();
    }

    const float* data() const { return data_.get(); }

  private:
    static constexpr std::size_t kAlignment = 64;
    struct Free {
        void operator()(float* pointer) const { std::free(pointer); }
    };

    std::unique_ptr<float, Free> data_;
    std::size_t size_ = 0;
};

}  // namespace jiff
