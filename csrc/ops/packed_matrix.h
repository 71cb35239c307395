// A weight matrix packed for a LayerKernel, and its blocked product with rows of points.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/aligned_buffer.h"
#include "ops/layer_kernel.h"

namespace jiff {

// A multiple of every kernel's num_points.
inline constexpr std::int64_t kPointsGrain = 24;

inline std::int64_t round_up(std::int64_t value, std::int64_t step) {
    return (value + step - 1) / step * step;
}

// `num_outputs` rounded up to the strips of the kernel.
inline std::int64_t padded_outputs(const LayerKernel& kernel, std::int64_t num_outputs) {
    return round_up(num_outputs, kernel.num_outputs);
}

class PackedMatrix {
  public:
    PackedMatrix() = default;

    // element(output, k) is read once for each of num_outputs × depth.
    template <typename Element>
    PackedMatrix(const LayerKernel& kernel, std::int64_t num_outputs, std::int64_t depth,
                 const Element& element)
        : kernel_(&kernel), num_outputs_(num_outputs), depth_(depth) {
        const std::int64_t num_blocks = (depth + kMaxBlockDepth - 1) / kMaxBlockDepth;
        block_depth_ = (depth + num_blocks - 1) / num_blocks;
        float* packed = strips_.reserve(padded_outputs() * depth);
        for (std::int64_t begin = 0; begin < depth; begin += block_depth_) {
            const std::int64_t end = std::min(depth, begin + block_depth_);
            for (std::int64_t strip = 0; strip < padded_outputs(); strip += kernel.num_outputs) {
                for (std::int64_t k = begin; k < end; ++k) {
                    for (std::int64_t output = strip; output < strip + kernel.num_outputs; ++output) {
                        *packed++ = output < num_outputs ? element(output, k) : 0.0f;
                    }
                }
            }
        }
    }

    std::int64_t num_outputs() const { return num_outputs_; }
    std::int64_t padded_outputs() const { return jiff::padded_outputs(*kernel_, num_outputs_); }

    // Row p of `products` = row p of the addends + matrix · row p of `inputs`, then leaky ReLU 0.01 if
    // `rectify`. Rows stand input_stride and product_stride floats apart; padded_outputs() of each are
    // written, of num_points rows rounded up to kPointsGrain. Sums run in the order of the depth, so a
    // point's result does not depend on its row.
    void multiply(const float* inputs, std::int64_t input_stride, std::int64_t num_points,
                  LayerAddends addends, bool rectify, float* products, std::int64_t product_stride) const {
        const std::int64_t outputs = kernel_->num_outputs, points = kernel_->num_points;
        for (std::int64_t begin = 0; begin < depth_; begin += block_depth_) {
            const std::int64_t block_depth = std::min(block_depth_, depth_ - begin);
            const float* block = strips_.data() + begin * padded_outputs();
            const bool is_first = begin == 0, is_last = begin + block_depth == depth_;
            // The block of a strip stays in the first-level cache while every point passes it.
            for (std::int64_t output = 0; output < padded_outputs(); output += outputs) {
                for (std::int64_t p = 0; p < num_points; p += points) {
                    kernel_->multiply(block_depth, inputs + p * input_stride + begin, input_stride,
                                      block + output * block_depth,
                                      {is_first ? addends.rows + p : nullptr, addends.offset + output},
                                      is_last && rectify, products + p * product_stride + output,
                                      product_stride);
                }
            }
        }
    }

  private:
    // A strip block of 272 × 16 floats fills half a first-level cache.
    static constexpr std::int64_t kMaxBlockDepth = 272;

    const LayerKernel* kernel_ = nullptr;
    std::int64_t num_outputs_ = 0;
    std::int64_t depth_ = 0;
    std::int64_t block_depth_ = 0;
    AlignedBuffer strips_;
};

}  // namespace jiff
