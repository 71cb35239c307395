// Dense float32 tensors: a view that borrows and a tensor that owns. Row-major, contiguous.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace jiff {

using Shape = std::vector<std::int64_t>;

inline std::int64_t num_elements(const Shape& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Whether `given` is what is told as `shape`, -1 for a side that may be any.
inline bool is_of_shape(const Shape& given, const Shape& shape) {
    return std::equal(given.begin(), given.end(), shape.begin(), shape.end(),
                      [](std::int64_t side, std::int64_t told) { return told == -1 || side == told; });
}

// "[1, 3, 512, 512]", for messages.
inline std::string to_string(const Shape& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

struct TensorView {
    const float* data = nullptr;
    Shape shape;
    std::shared_ptr<const void> owner = nullptr;  // of the data, if it is known

    std::int64_t size() const { return num_elements(shape); }
};

class Tensor {
  public:
    Tensor() = default;
    explicit Tensor(Shape shape) : shape_(std::move(shape)), values_(zeros(num_elements(shape_))) {}
    // Values that somebody else made, as long as `values` lives.
    Tensor(Shape shape, std::shared_ptr<float> values)
        : shape_(std::move(shape)), values_(std::move(values)) {}
    Tensor(Tensor&&) noexcept = default;
    Tensor& operator=(Tensor&&) noexcept = default;
    // Copies the values, too.
    Tensor(const Tensor& other) : Tensor() { *this = other; }
    Tensor& operator=(const Tensor& other) {
        if (this == &other) return *this;
        std::shared_ptr<float> values = zeros(other.size());
        std::copy_n(other.data(), other.size(), values.get());
        shape_ = other.shape_;
        values_ = std::move(values);
        return *this;
    }
    ~Tensor() = default;

    const Shape& shape() const { return shape_; }
    std::int64_t size() const { return values_ ? num_elements(shape_) : 0; }
    float* data() { return values_.get(); }
    const float* data() const { return values_.get(); }
    TensorView view() const { return {values_.get(), shape_, values_}; }

  private:
    // A large block comes from the system as zero pages, which nobody touches before they are written.
    static std::shared_ptr<float> zeros(std::int64_t num) {
        void* const block =
            std::calloc(static_cast<std::size_t>(std::max<std::int64_t>(num, 1)), sizeof(float));
        if (block == nullptr) throw std::bad_alloc();
        return {static_cast<float*>(block), std::free};
    }

    Shape shape_;
    std::shared_ptr<float> values_;
};

}  // namespace jiff
