// Dense float32 tensors: a view that borrows and a tensor that owns. Row-major, contiguous.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace jiff {

using Shape = std::vector<std::int64_t>;

inline std::int64_t num_elements(const Shape& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
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

    std::int64_t size() const { return num_elements(shape); }
};

class Tensor {
  public:
    Tensor() = default;
    explicit Tensor(Shape shape) : shape_(std::move(shape)), values_(num_elements(shape_)) {}

    const Shape& shape() const { return shape_; }
    std::int64_t size() const { return static_cast<std::int64_t>(values_.size()); }
    float* data() { return values_.data(); }
    const float* data() const { return values_.data(); }
    TensorView view() const { return {values_.data(), shape_}; }

  private:
    Shape shape_;
    std::vector<float> values_;
};

}  // namespace jiff
