// A weight matrix packed for a LayerKernel, and its blocked product with panels of points.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/aligned_buffer.h"
#include "ops/layer_kernel.h"

namespace jiff {

class PackedMatrix {
  public:
    PackedMatrix() = default;

    // element(row, column) is read once for each of num_rows × depth.
    template <typename Element>
    PackedMatrix(const LayerKernel& kernel, std::int64_t num_rows, std::int64_t depth, const Element& element)
        : kernel_(&kernel), num_rows_(num_rows), depth_(depth) {
        const std::int64_t num_blocks = (depth + kMaxBlockDepth - 1) / kMaxBlockDepth;
        block_depth_ = (depth + num_blocks - 1) / num_blocks;
        float* packed = strips_.reserve(padded_rows() * depth);
        for (std::int64_t begin = 0; begin < depth; begin += block_depth_) {
            const std::int64_t end = std::min(depth, begin + block_depth_);
            for (std::int64_t strip = 0; strip < padded_rows(); strip += kernel.num_rows) {
                for (std::int64_t k = begin; k < end; ++k) {
                    for (int row = 0; row < kernel.num_rows; ++row) {
                        *packed++ = strip + row < num_rows ? element(strip + row, k) : 0.0f;
                    }
                }
            }
        }
    }

    std::int64_t num_rows() const { return num_rows_; }
    std::int64_t padded_rows() const {
        return (num_rows_ + kernel_->num_rows - 1) / kernel_->num_rows * kernel_->num_rows;
    }

    // products(panel p) = matrix · inputs(panel p) for num_panels panels, whose starts lie input_stride and
    // product_stride floats apart; padded_rows() rows of products are written. As soon as some rows are
    // final, finish(panel, first_row, num_rows, products_of_first_row) is called, without padding rows.
    // Sums run in the order of the depth, so a point's result does not depend on its panel or lane.
    template <typename Finish>
    void multiply(const float* inputs, std::int64_t input_stride, float* products,
                  std::int64_t product_stride, std::int64_t num_panels, const Finish& finish) const {
        const std::int64_t lanes = kernel_->num_lanes, strip_rows = kernel_->num_rows;
        for (std::int64_t begin = 0; begin < depth_; begin += block_depth_) {
            const std::int64_t block_depth = std::min(block_depth_, depth_ - begin);
            const float* block = strips_.data() + begin * padded_rows();
            const bool is_last = begin + block_depth == depth_;
            // A group of strips stays in the second-level cache while every panel passes it; the block
            // of a panel stays in the first-level cache while the group passes.
            for (std::int64_t group = 0; group < padded_rows(); group += kGroupRows) {
                const std::int64_t group_end = std::min(padded_rows(), group + kGroupRows);
                for (std::int64_t panel = 0; panel < num_panels; ++panel) {
                    const float* input = inputs + panel * input_stride + begin * lanes;
                    for (std::int64_t row = group; row < group_end; row += strip_rows) {
                        float* out = products + panel * product_stride + row * lanes;
                        kernel_->multiply(block_depth, block + row * block_depth, input, out, begin > 0);
                        if (is_last) finish(panel, row, std::min(strip_rows, num_rows_ - row), out);
                    }
                }
            }
        }
    }

  private:
    // A panel block of 272 × 32 floats fills two thirds of a first-level cache, a group of 240 strip
    // rows 272 deep a fifth to a half of a second-level cache. 240 is a multiple of every strip height.
    static constexpr std::int64_t kMaxBlockDepth = 272;
    static constexpr std::int64_t kGroupRows = 240;

    const LayerKernel* kernel_ = nullptr;
    std::int64_t num_rows_ = 0;
    std::int64_t depth_ = 0;
    std::int64_t block_depth_ = 0;
    AlignedBuffer strips_;
};

}  // namespace jiff
