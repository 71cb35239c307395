#include "ops/skip_mlp.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/cpu_features.h"
#include "core/status.h"

namespace jiff {

float activate(HeadActivation activation, float value) {
    return activation == HeadActivation::kSigmoid ? 1.0f / (1.0f + std::exp(-value))
                                                  : (std::tanh(value) + 1.0f) * 0.5f;
}

const LayerKernel& choose_layer_kernel() {
    const SimdLevel level = choose_simd_level();
#if defined(JIFF_HAVE_X86_KERNELS)
    if (level == SimdLevel::kAvx512) return kAvx512LayerKernel;
    if (level == SimdLevel::kAvx2) return kAvx2LayerKernel;
#endif
    (void)level;
    return kPortableLayerKernel;
}

void check_layers(const std::vector<HeadLayer>& layers, const std::string& name, std::int64_t num_start,
                  std::int64_t num_raw) {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    std::int64_t num_hidden = num_start;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Shape& weight = layers[i].weight.shape();
        const Shape& bias = layers[i].bias.shape();
        const std::string layer = name + "layer " + std::to_string(i);
        if (weight.size() != 2 || weight[0] < 1 || weight[1] < 1) {
            fail(layer + ": weight must have shape [out, in], got " + to_string(weight));
        }
        if (weight[1] != num_hidden + num_raw) {
            fail(layer + ": weight must take " + std::to_string(num_hidden) + " hidden and " +
                 std::to_string(num_raw) + " input channels, got " + to_string(weight));
        }
        if (bias != Shape{weight[0]}) {
            fail(layer + ": bias must have shape [" + std::to_string(weight[0]) + "], got " +
                 to_string(bias));
        }
        num_hidden = weight[0];
    }
}

SkipMlp::SkipMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers, std::int64_t num_start,
                 std::int64_t num_shared, std::int64_t first_shared_row)
    : kernel_(&kernel),
      num_start_(num_start),
      num_own_(layers[0].weight.shape()[1] - num_start - num_shared) {
    std::int64_t num_hidden = num_start, first_row = first_shared_row;
    for (const HeadLayer& layer : layers) {
        const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
        const float* weight = layer.weight.data();
        layers_.emplace_back(kernel, num_out, num_hidden + num_own_,
                             [&](std::int64_t row, std::int64_t column) {
                                 const bool is_hidden = column < num_hidden;
                                 return weight[row * num_in + column + (is_hidden ? 0 : num_shared)];
                             });
        first_rows_.push_back(first_row);
        first_row += num_out;
        num_hidden = num_out;
    }
    if (num_shared > 0) return;
    const std::int64_t lanes = kernel.num_lanes;
    float* row = biases_.reserve(first_row * lanes) + first_shared_row * lanes;
    for (const HeadLayer& layer : layers) {
        for (std::int64_t i = 0; i < layer.bias.size(); ++i, row += lanes) {
            std::fill(row, row + lanes, layer.bias.data()[i]);
        }
    }
}

std::int64_t SkipMlp::panel_rows() const {
    std::int64_t num_rows = num_start_ + num_own_;
    for (const PackedMatrix& layer : layers_) num_rows = std::max(num_rows, layer.padded_rows() + num_own_);
    return num_rows;
}

void SkipMlp::evaluate(std::int64_t num_layers, bool rectify_last, const PanelBlock& block, float* inputs,
                       float* products, std::int64_t stride, float* results,
                       std::int64_t results_stride) const {
    const std::int64_t lanes = kernel_->num_lanes;
    constexpr LaneSegment kWholePanel{0, 0};
    std::int64_t num_hidden = num_start_;
    for (std::int64_t i = 0; i < num_layers; ++i) {
        for (std::int64_t panel = 0; panel < block.num_panels; ++panel) {
            std::copy_n(block.own + panel * block.own_stride, num_own_ * lanes,
                        inputs + panel * stride + num_hidden * lanes);
        }
        const bool is_last = i + 1 == num_layers;
        const bool rectify = !is_last || rectify_last;
        const float* shared = (biases_.data() ? biases_.data() : block.shared) + first_rows_[i] * lanes;
        const auto finish = [&](std::int64_t panel, std::int64_t row, std::int64_t num_rows, float* rows) {
            const LaneSegment* segments = &kWholePanel;
            std::int32_t num_segments = 1;
            if (!biases_.data()) {
                segments = block.segments + block.first_segments[panel];
                num_segments = block.first_segments[panel + 1] - block.first_segments[panel];
            }
            kernel_->add_shared(num_rows, shared + row * lanes, segments, num_segments, rectify, rows);
        };
        layers_[i].multiply(inputs, stride, is_last ? results : products, is_last ? results_stride : stride,
                            block.num_panels, finish);
        std::swap(inputs, products);
        num_hidden = layers_[i].num_rows();
    }
}

}  // namespace jiff
