// Scratch memory for kernels: numbers on a cache-line boundary that keep their place between uses.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace jiff {

template <typename Element>
class AlignedArray {
  public:
    // At least `size` elements. What was in them before is kept only when nothing had to grow; new
    // memory is zero.
    Element* reserve(std::size_t size) {
        if (size > size_) {
            const std::size_t num_bytes = (size * sizeof(Element) + kAlignment - 1) / kAlignment * kAlignment;
            data_.reset(static_cast<Element*>(std::aligned_alloc(kAlignment, num_bytes)));
            if (!data_) throw std::bad_alloc();
            std::memset(data_.get(), 0, num_bytes);
            size_ = size;
        }
        return data_.get();
    }

    const Element* data() const { return data_.get(); }

  private:
    static constexpr std::size_t kAlignment = 64;
    struct Free {
        void operator()(Element* pointer) const { std::free(pointer); }
    };

    std::unique_ptr<Element, Free> data_;
    std::size_t size_ = 0;
};

using AlignedBuffer = AlignedArray<float>;

}  // namespace jiff
