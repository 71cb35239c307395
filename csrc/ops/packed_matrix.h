// A weight matrix packed for a LayerKernel, and its blocked product with rows of points.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/aligned_buffer.h"
#include "core/bfloat16.h"
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

// Numbers that stand together in a strip: bf16 goes by pairs.
template <typename Element>
inline constexpr std::int64_t kTogether = std::is_same_v<Element, Bf16> ? 2 : 1;

// What is taken of rows is a multiple of it.
template <typename Element>
std::int64_t depth_grain(const LayerKernel& kernel) {
    return std::is_same_v<Element, Bf16> ? kernel.bf16_depth_grain : 1;
}

// `Element` is float or Bf16, of weights and inputs.
template <typename Element>
class PackedMatrix {
  public:
    PackedMatrix() = default;

    // value(output, k), a float, is read once for each of num_outputs × depth. Inputs beyond the depth, up
    // to the grain, are multiplied by zero, so they must be numbers.
    template <typename Value>
    PackedMatrix(const LayerKernel& kernel, std::int64_t num_outputs, std::int64_t depth, const Value& value)
        : kernel_(&kernel), num_outputs_(num_outputs), depth_(round_up(depth, depth_grain<Element>(kernel))) {
        const std::int64_t num_blocks = (depth_ + kMostBlockDepth - 1) / kMostBlockDepth;
        block_depth_ = (depth_ + num_blocks - 1) / num_blocks;
        Element* packed = strips_.reserve(padded_outputs() * depth_);
        for (std::int64_t begin = 0; begin < depth_; begin += block_depth_) {
            const std::int64_t end = std::min(depth_, begin + block_depth_);
            for (std::int64_t strip = 0; strip < padded_outputs(); strip += kernel.num_outputs) {
                for (std::int64_t first = begin; first < end; first += kTogether<Element>) {
                    for (std::int64_t output = strip; output < strip + kernel.num_outputs; ++output) {
                        for (std::int64_t k = first; k < first + kTogether<Element>; ++k) {
                            *packed++ = element(output < num_outputs && k < depth ? value(output, k) : 0.0f);
                        }
                    }
                }
            }
        }
    }

    std::int64_t num_outputs() const { return num_outputs_; }
    std::int64_t padded_outputs() const { return jiff::padded_outputs(*kernel_, num_outputs_); }

    // Row p of `products` = row p of the addends + matrix · row p of `inputs`, then leaky ReLU 0.01 if
    // `rectify`; of Bf16 the product may be float. Rows stand input_stride and product_stride elements apart;
    // padded_outputs() of each are written, of num_points rows rounded up to kPointsGrain. Sums run in the
    // order of the depth, so a point's result does not depend on its row.
    template <typename Product>
    void multiply(const Element* inputs, std::int64_t input_stride, std::int64_t num_points,
                  LayerAddends addends, bool rectify, Product* products, std::int64_t product_stride) const {
        if constexpr (std::is_same_v<Element, float>) {
            multiply_blocks(inputs, input_stride, num_points, addends, rectify, products, product_stride);
        } else {
            const Bf16Products to = as_products(products, product_stride);
            for (std::int64_t output = 0; output < padded_outputs(); output += kernel_->num_outputs) {
                kernel_->multiply_bf16(num_points, depth_, inputs, input_stride,
                                       strips_.data() + output * depth_,
                                       {addends.rows, addends.offset + output}, rectify,
                                       {to.rounded ? to.rounded + output : nullptr,
                                        to.sums ? to.sums + output : nullptr, to.stride});
            }
        }
    }

  private:
    static Bf16Products as_products(Bf16* rounded, std::int64_t stride) { return {rounded, nullptr, stride}; }
    static Bf16Products as_products(float* sums, std::int64_t stride) { return {nullptr, sums, stride}; }

    void multiply_blocks(const float* inputs, std::int64_t input_stride, std::int64_t num_points,
                         LayerAddends addends, bool rectify, float* products,
                         std::int64_t product_stride) const {
        const std::int64_t outputs = kernel_->num_outputs, points = kernel_->num_points;
        for (std::int64_t begin = 0; begin < depth_; begin += block_depth_) {
            const std::int64_t block_depth = std::min(block_depth_, depth_ - begin);
            const float* block = strips_.data() + begin * padded_outputs();
            const bool is_first = begin == 0, is_last = begin + block_depth == depth_;
            // The block of a strip stays in the nearest caches while every point passes it.
            for (std::int64_t output = 0; output < padded_outputs(); output += outputs) {
                for (std::int64_t p = 0; p < num_points; p += points) {
                    const LayerAddends start{is_first ? addends.rows + p : nullptr, addends.offset + output};
                    kernel_->multiply(block_depth, inputs + p * input_stride + begin, input_stride,
                                      block + output * block_depth, start, is_last && rectify,
                                      products + p * product_stride + output, product_stride);
                }
            }
        }
    }

    // A strip block of 272 × 16 floats fills half a first-level cache. Sums of bf16 products stay in
    // registers over the whole depth: they could only be put down rounded.
    static constexpr std::int64_t kMostBlockDepth =
        std::is_same_v<Element, float> ? 272 : std::numeric_limits<std::int32_t>::max();

    static Element element(float value) {
        if constexpr (std::is_same_v<Element, float>) {
            return value;
        } else {
            return to_bf16(value);
        }
    }

    const LayerKernel* kernel_ = nullptr;
    std::int64_t num_outputs_ = 0;
    std::int64_t depth_ = 0;
    std::int64_t block_depth_ = 0;
    AlignedArray<Element> strips_;
};

}  // namespace jiff
