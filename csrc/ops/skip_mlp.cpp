#include "ops/skip_mlp.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/cpu_features.h"
#include "core/status.h"
#include "core/threads.h"

namespace jiff {

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

std::int64_t block_size(std::int64_t num_points) {
    return std::clamp(round_up(num_points / (2 * num_threads()), kPointsGrain), kPointsGrain,
                      kMaxBlockPoints);
}

SkipMlp::SkipMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers, std::int64_t num_start,
                 std::int64_t num_mapped, std::int64_t first_row)
    : num_start_(num_start), num_own_(layers[0].weight.shape()[1] - num_start - num_mapped) {
    std::int64_t num_hidden = num_start;
    for (const HeadLayer& layer : layers) {
        const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
        const float* weight = layer.weight.data();
        layers_.emplace_back(kernel, num_out, num_hidden + num_own_,
                             [&](std::int64_t output, std::int64_t k) {
                                 return weight[output * num_in + (k < num_hidden ? k : k + num_mapped)];
                             });
        first_rows_.push_back(first_row);
        first_row += padded_outputs(kernel, num_out);
        num_hidden = num_out;
    }
}

std::int64_t SkipMlp::row_size() const {
    std::int64_t size = num_start_ + num_own_;
    for (const PackedMatrix& layer : layers_) {
        size = std::max({size, layer.num_outputs() + num_own_, layer.padded_outputs()});
    }
    // Whole cache lines, but no power of two: rows at such distances would share few places in the cache.
    constexpr std::int64_t kCacheLine = 16;
    return round_up(size, kCacheLine) + (size % 256 == 0 ? kCacheLine : 0);
}

void SkipMlp::evaluate(std::int64_t num_layers, bool rectify_last, const PointBlock& block,
                       const LayerSource& source, float* inputs, float* products, std::int64_t stride,
                       float* results, std::int64_t results_stride) const {
    std::int64_t num_hidden = num_start_;
    for (std::int64_t i = 0; i < num_layers; ++i) {
        const PackedMatrix& layer = layers_[i];
        for (std::int64_t p = 0; p < block.num_points; ++p) {
            std::copy_n(block.own + p * block.own_stride, num_own_, inputs + p * stride + num_hidden);
        }
        const bool is_last = i + 1 == num_layers;
        layer.multiply(inputs, stride, block.num_points,
                       source.addends(first_rows_[i], layer.padded_outputs()), !is_last || rectify_last,
                       is_last ? results : products, is_last ? results_stride : stride);
        std::swap(inputs, products);
        num_hidden = layer.num_outputs();
    }
}

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
