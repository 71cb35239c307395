// A weight matrix of whole numbers of eight bits, packed for a LayerKernel, and its product with rows of
// such. Each output has a scale of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/aligned_buffer.h"
#include "ops/layer_kernel.h"
#include "ops/packed_matrix.h"

namespace jiff {

// Rows of whole numbers, one a point, `stride` apart; a multiple of kPointsGrain are there.
struct QuantizedRows {
    const std::uint8_t* levels;
    std::int64_t stride;
    const QuantizedRow* rows;
};

class QuantizedMatrix {
  public:
    // value(output, k) is the weight of input k, of_depth(output) that of the point's depth, which is not
    // rounded.
    template <typename Value, typename OfDepth>
    QuantizedMatrix(const LayerKernel& kernel, std::int64_t num_outputs, std::int64_t depth,
                    const Value& value, const OfDepth& of_depth)
        : kernel_(&kernel), num_outputs_(num_outputs), depth_(round_up(depth, kernel.int8_depth_grain)) {
        scales_.resize(padded_outputs(), 0.0f);
        sums_.resize(padded_outputs(), 0.0f);
        depth_weights_.resize(padded_outputs(), 0.0f);
        std::int8_t* strips = strips_.reserve(padded_outputs() * depth_);
        for (std::int64_t output = 0; output < num_outputs; ++output) {
            float greatest = 0.0f, zero = 0.0f;  // a weight that is no number reaches the scale
            for (std::int64_t k = 0; k < depth; ++k) {
                greatest = std::max(greatest, std::abs(value(output, k)));
                zero += value(output, k) * 0.0f;
            }
            const bool is_finite = zero == 0.0f;
            const float scale = greatest / 127.0f;
            const float to_level = is_finite && scale > 1e-30f ? 1.0f / scale : 0.0f;
            std::int64_t sum = 0;
            for (std::int64_t k = 0; k < depth; ++k) {
                const float level = to_level == 0.0f ? 0.0f : std::rint(value(output, k) * to_level);
                const auto whole = static_cast<std::int8_t>(std::clamp(level, -127.0f, 127.0f));
                strips[place(output, k)] = whole;
                sum += whole;
            }
            scales_[output] = is_finite ? scale : std::numeric_limits<float>::quiet_NaN();
            sums_[output] = scales_[output] * static_cast<float>(sum);
            depth_weights_[output] = of_depth(output);
        }
    }

    std::int64_t num_outputs() const { return num_outputs_; }
    std::int64_t padded_outputs() const { return jiff::padded_outputs(*kernel_, num_outputs_); }

    // Row p of `products` = row p of the addends, or, where addends.rows is null, of what `products` hold,
    // + matrix · row p of the inputs + its depth times the depth's weights; then leaky ReLU 0.01 if
    // `rectify`. What is written is padded as PackedMatrix::multiply pads it.
    void multiply(const QuantizedRows& inputs, std::int64_t num_points, LayerAddends addends, bool rectify,
                  float* products, std::int64_t product_stride) const {
        for (std::int64_t output = 0; output < padded_outputs(); output += kernel_->num_outputs) {
            kernel_->multiply_int8(
                num_points, depth_, inputs.levels, inputs.stride, inputs.rows,
                strips_.data() + output * depth_,
                {scales_.data() + output, sums_.data() + output, depth_weights_.data() + output},
                {addends.rows, addends.offset + output}, rectify, products + output, product_stride);
        }
    }

  private:
    std::int64_t place(std::int64_t output, std::int64_t k) const {
        const std::int64_t strip = output / kernel_->num_outputs, lane = output % kernel_->num_outputs;
        constexpr std::int64_t kTogether = 4;
        return strip * kernel_->num_outputs * depth_ +
               (k / kTogether * kernel_->num_outputs + lane) * kTogether + k % kTogether;
    }

    const LayerKernel* kernel_;
    std::int64_t num_outputs_, depth_;
    AlignedArray<std::int8_t> strips_;
    std::vector<float> scales_, sums_, depth_weights_;  // of each output
};

}  // namespace jiff
