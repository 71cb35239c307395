#include "ops/quantized_mlp.h"

#include <algorithm>

namespace jiff {

// Memory of one thread: the rows of one product's inputs.
struct QuantizedMlp::Scratch {
    AlignedArray<std::uint8_t> levels;
    QuantizedRow rows[kMaxBlockPoints];
    std::int64_t stride = 0;

    // `numbers` are rows `number_stride` apart, of which `group` counts; `depths` are one a row, or null.
    void quantize(const LayerKernel& kernel, const float* numbers, std::int64_t number_stride, Group group,
                  const float* depths, std::int64_t depth_stride, std::int64_t num_points) {
        // An odd number of cache lines: rows at distances of a power of two share few places in the cache.
        constexpr std::int64_t kCacheLine = 64;
        stride = kCacheLine * (round_up(group.size, kCacheLine) / kCacheLine | 1);
        std::uint8_t* to = levels.reserve(kMaxBlockPoints * stride);
        for (std::int64_t p = 0; p < num_points; ++p, to += stride) {
            kernel.quantize_row(group.size, numbers + p * number_stride + group.first, to, &rows[p]);
            std::fill(to + group.size, to + round_up(group.size, kernel.int8_depth_grain), std::uint8_t{0});
            rows[p].depth = depths ? depths[p * depth_stride] : 0.0f;
        }
    }
    QuantizedRows view() const { return {levels.data(), stride, rows}; }
};

QuantizedMlp::QuantizedMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers,
                           std::int64_t num_start, std::int64_t num_mapped, std::int64_t depth_channel,
                           std::int64_t first_row)
    : kernel_(&kernel), num_start_(num_start), depth_channel_(depth_channel) {
    // What stands before the depth and what stands after it come from different places.
    const std::int64_t num_own = layers[0].weight.shape()[1] - num_start - num_mapped;
    const std::int64_t end_before = depth_channel < 0 ? 0 : depth_channel;
    if (end_before > 0) own_groups_.push_back({0, end_before});
    if (num_own > depth_channel + 1) own_groups_.push_back({depth_channel + 1, num_own - depth_channel - 1});

    std::int64_t num_hidden = num_start;
    for (const HeadLayer& layer : layers) {
        const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
        const float* weights = layer.weight.data();
        const std::int64_t first_own = num_hidden + num_mapped;
        std::vector<QuantizedMatrix> matrices;
        // The depth goes with the first product.
        const auto add = [&](Group group) {
            const bool has_depth = matrices.empty() && depth_channel >= 0;
            matrices.emplace_back(
                kernel, num_out, group.size,
                [&](std::int64_t output, std::int64_t k) {
                    return weights[output * num_in + group.first + k];
                },
                [&](std::int64_t output) {
                    return has_depth ? weights[output * num_in + first_own + depth_channel] : 0.0f;
                });
        };
        if (num_hidden > 0) add({0, num_hidden});
        for (const Group& group : own_groups_) add({first_own + group.first, group.size});
        if (matrices.empty()) add({0, 0});
        layers_.push_back(std::move(matrices));
        first_rows_.push_back(first_row);
        first_row += padded_outputs(kernel, num_out);
        num_hidden = num_out;
    }
}

std::int64_t QuantizedMlp::row_size() const {
    std::int64_t size = num_start_;
    for (const auto& matrices : layers_) size = std::max(size, matrices.front().padded_outputs());
    return spread_row_size<float>(size);
}

void QuantizedMlp::evaluate(std::int64_t num_layers, bool rectify_last, const PointBlock& block,
                            const LayerSource& source, float* inputs, float* products, std::int64_t stride,
                            float* results, std::int64_t results_stride) const {
    thread_local Scratch hidden_scratch, own_scratch[2];
    const float* depths = depth_channel_ < 0 ? nullptr : block.own + depth_channel_;
    for (std::size_t g = 0; g < own_groups_.size(); ++g) {
        own_scratch[g].quantize(*kernel_, block.own, block.own_stride, own_groups_[g], depths,
                                block.own_stride, block.num_points);
    }
    for (std::int64_t i = 0; i < num_layers; ++i) {
        const std::vector<QuantizedMatrix>& matrices = layers_[i];
        const bool is_last = i + 1 == num_layers;
        const std::int64_t num_hidden = i == 0 ? num_start_ : num_outputs(i);
        const std::size_t first_own = matrices.size() - own_groups_.size();
        if (first_own > 0) {
            hidden_scratch.quantize(*kernel_, inputs, stride, {0, num_hidden}, depths, block.own_stride,
                                    block.num_points);
        }
        float* to = is_last ? results : products;
        const std::int64_t to_stride = is_last ? results_stride : stride;
        LayerAddends addends = source.addends(first_rows_[i], matrices.front().padded_outputs());
        for (std::size_t m = 0; m < matrices.size(); ++m) {
            const Scratch& from = m < first_own ? hidden_scratch : own_scratch[m - first_own];
            const bool rectify = m + 1 == matrices.size() && (!is_last || rectify_last);
            matrices[m].multiply(from.view(), block.num_points, addends, rectify, to, to_stride);
            addends = {nullptr, 0};
        }
        std::swap(inputs, products);
    }
}

}  // namespace jiff
