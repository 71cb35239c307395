#include "ops/skip_mlp.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/bfloat16.h"
#include "core/cpu_features.h"
#include "core/status.h"
#include "core/threads.h"

namespace jiff {

const LayerKernel& choose_layer_kernel() {
    const SimdLevel level = choose_simd_level();
#if defined(JIFF_HAVE_AMX)
    if (level == SimdLevel::kAmxBf16) return kAmxBf16LayerKernel;
#endif
#if defined(JIFF_HAVE_X86_KERNELS)
    if (level == SimdLevel::kAvx512Bf16) return kAvx512Bf16LayerKernel;
    if (level == SimdLevel::kAvx512Vnni) return kAvx512VnniLayerKernel;
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

std::int64_t block_size(std::int64_t num_points) {
    return std::clamp(round_up(num_points / (2 * num_threads()), kPointsGrain), kPointsGrain,
                      kMaxBlockPoints);
}

template <typename Element>
SkipMlp<Element>::SkipMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers,
                          std::int64_t num_start, std::int64_t num_mapped, std::int64_t depth_channel,
                          std::int64_t first_row)
    : num_own_(layers[0].weight.shape()[1] - num_start - num_mapped),
      depth_channel_(std::is_same_v<Element, Bf16> ? depth_channel : -1),
      num_mapped_(num_mapped),
      hidden_offset_(round_up(num_own_ + (depth_channel_ < 0 ? 0 : 2), depth_grain<Element>(kernel))),
      num_start_(num_start),
      padded_start_(round_up(num_start, depth_grain<Element>(kernel))) {
    std::int64_t num_hidden = num_start;
    for (const HeadLayer& layer : layers) {
        const std::int64_t num_out = layer.weight.shape()[0];
        layers_.emplace_back(kernel, num_out, hidden_offset_ + num_hidden,
                             [&](std::int64_t output, std::int64_t column) {
                                 return weight(layer, output, num_hidden, column);
                             });
        first_rows_.push_back(first_row);
        first_row += padded_outputs(kernel, num_out);
        num_hidden = num_out;
    }
}

// Of a layer that takes [hidden, mapped, own], by the column of a row of activations.
template <typename Element>
float SkipMlp<Element>::weight(const HeadLayer& layer, std::int64_t output, std::int64_t num_hidden,
                               std::int64_t column) const {
    const float* weights = layer.weight.data() + output * layer.weight.shape()[1];
    const float* own = weights + num_hidden + num_mapped_;
    if (column >= hidden_offset_) return weights[column - hidden_offset_];
    if (column < num_own_) return own[column];
    if (depth_channel_ < 0 || column > num_own_ + 1) return 0.0f;
    const float of_depth = own[depth_channel_];
    return column == num_own_ ? of_depth : of_depth - to_float(to_bf16(of_depth));
}

template <typename Element>
void SkipMlp<Element>::write_own(const float* own, Element* row) const {
    if constexpr (std::is_same_v<Element, float>) {
        std::copy_n(own, num_own_, row);
    } else {
        for (std::int64_t c = 0; c < num_own_; ++c) row[c] = to_bf16(own[c]);
        std::fill(row + num_own_, row + hidden_offset_, Bf16{0});
        if (depth_channel_ < 0) return;
        const float rounded = to_float(row[depth_channel_]);
        if (!std::isfinite(rounded)) return;
        row[num_own_] = to_bf16(own[depth_channel_] - rounded);
        row[num_own_ + 1] = row[depth_channel_];
    }
}

template <typename Element>
std::int64_t SkipMlp<Element>::row_size() const {
    std::int64_t size = hidden_offset_ + padded_start_;
    for (const auto& layer : layers_) size = std::max(size, hidden_offset_ + layer.padded_outputs());
    return spread_row_size<Element>(size);
}

template <typename Element>
template <typename Result>
void SkipMlp<Element>::evaluate(std::int64_t num_layers, bool rectify_last, const PointBlock& block,
                                const LayerSource& source, Element* inputs, Element* products,
                                std::int64_t stride, Result* results, std::int64_t results_stride) const {
    for (std::int64_t p = 0; p < block.num_points; ++p) {
        Element* row = inputs + p * stride;
        write_own(block.own + p * block.own_stride, row);
        std::copy_n(row, hidden_offset_, products + p * stride);
        std::fill(row + hidden_offset_ + num_start_, row + hidden_offset_ + padded_start_, Element{});
    }
    for (std::int64_t i = 0; i < num_layers; ++i) {
        const PackedMatrix<Element>& layer = layers_[i];
        const LayerAddends addends = source.addends(first_rows_[i], layer.padded_outputs());
        if (i + 1 == num_layers) {
            layer.multiply(inputs, stride, block.num_points, addends, rectify_last, results, results_stride);
        } else {
            layer.multiply(inputs, stride, block.num_points, addends, true, products + hidden_offset_,
                           stride);
        }
        std::swap(inputs, products);
    }
}

template class SkipMlp<float>;
template class SkipMlp<Bf16>;
template void SkipMlp<float>::evaluate(std::int64_t, bool, const PointBlock&, const LayerSource&, float*,
                                       float*, std::int64_t, float*, std::int64_t) const;
template void SkipMlp<Bf16>::evaluate(std::int64_t, bool, const PointBlock&, const LayerSource&, Bf16*, Bf16*,
                                      std::int64_t, float*, std::int64_t) const;
template void SkipMlp<Bf16>::evaluate(std::int64_t, bool, const PointBlock&, const LayerSource&, Bf16*, Bf16*,
                                      std::int64_t, Bf16*, std::int64_t) const;

void write_own(const float* point_features, std::int64_t num_point_features, const float* points,
               std::int64_t num_points, float depth_scale, float* rows, std::int64_t stride) {
    for (std::int64_t p = 0; p < num_points; ++p) {
        float* row = rows + p * stride;
        if (num_point_features > 0) {
            std::copy_n(point_features + p * num_point_features, num_point_features, row);
        }
        row[num_point_features] = points[3 * p + 2] * depth_scale;
    }
}

BiasSource::BiasSource(const LayerKernel& kernel, const std::vector<HeadLayer>& layers) {
    for (const HeadLayer& layer : layers) {
        biases_.insert(biases_.end(), layer.bias.data(), layer.bias.data() + layer.bias.size());
        biases_.resize(padded_outputs(kernel, static_cast<std::int64_t>(biases_.size())), 0.0f);
    }
    points_.assign(kMaxBlockPoints, biases_.data());
}

LayerAddends BiasSource::addends(std::int64_t first_row, std::int64_t) const {
    return {points_.data(), first_row};
}

void write_values(const float* rows, std::int64_t stride, const float* points, std::int64_t num_points,
                  std::int64_t num_channels, const HeadActivation* activation, float* values) {
    for (std::int64_t p = 0; p < num_points; ++p, rows += stride, points += 3, values += num_channels) {
        const PointPlace place = place_of(points);
        if (place == PointPlace::kNowhere) {
            std::fill_n(values, num_channels, std::numeric_limits<float>::quiet_NaN());
        } else if (place == PointPlace::kBeside) {
            std::fill_n(values, num_channels, 0.0f);
        } else {
            for (std::int64_t c = 0; c < num_channels; ++c) {
                values[c] = activation ? activate(*activation, rows[c]) : rows[c];
            }
        }
    }
}

}  // namespace jiff
