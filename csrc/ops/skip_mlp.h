// An MLP whose every layer takes [hidden, raw] (paper Eq. 1 and Sec. 4.3), on a block of points. The raw
// channels are first those of the feature maps, then those of each point itself.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/host_device.h"
#include "core/tensor.h"
#include "ops/layer_kernel.h"
#include "ops/packed_matrix.h"

namespace jiff {

enum class HeadActivation { kSigmoid, kTanh01 };  // kTanh01: (tanh(v) + 1) / 2

JIFF_HOST_DEVICE inline float activate(HeadActivation activation, float value) {
    return activation == HeadActivation::kSigmoid ? 1.0f / (1.0f + std::exp(-value))
                                                  : (std::tanh(value) + 1.0f) * 0.5f;
}

// A point with a NaN coordinate has NaN for an answer, one beside the frame 0.
enum class PointPlace { kInFrame, kBeside, kNowhere };

JIFF_HOST_DEVICE inline PointPlace place_of(const float* point) {
    if (std::isnan(point[0]) || std::isnan(point[1]) || std::isnan(point[2])) return PointPlace::kNowhere;
    return std::abs(point[0]) > 1.0f || std::abs(point[1]) > 1.0f ? PointPlace::kBeside
                                                                  : PointPlace::kInFrame;
}

struct HeadLayer {
    Tensor weight;  // [out, in]; in = previous out + raw channels
    Tensor bias;    // [out]
};

// The kernel of the level that choose_simd_level() names.
const LayerKernel& choose_layer_kernel();

// Checks that layer 0 takes num_start + num_raw channels and each other layer the outputs of the one
// before + num_raw. Throws Error(kInvalidArgument); `name` stands before the layer in its message.
void check_layers(const std::vector<HeadLayer>& layers, const std::string& name, std::int64_t num_start,
                  std::int64_t num_raw);

// Where the products of a layer start from, point by point.
class LayerSource {
  public:
    virtual ~LayerSource() = default;
    // What the points take from outputs first_row … first_row + num_rows - 1 of all the layers'; the points
    // are rounded up to kPointsGrain. Valid until the next call.
    virtual LayerAddends addends(std::int64_t first_row, std::int64_t num_rows) const = 0;
};

// Points on their way through the layers, at most kMaxBlockPoints.
struct PointBlock {
    std::int64_t num_points;
    const float* own;  // rows of the channels of each point itself
    std::int64_t own_stride;
};

// Elements of a row that must have room for `size`: whole cache lines, but no power of two, since rows at
// such distances would share few places in the cache.
template <typename Element>
std::int64_t spread_row_size(std::int64_t size) {
    constexpr std::int64_t kCacheLine = 64 / sizeof(Element);
    size = round_up(size, kCacheLine);
    return size + (size % (16 * kCacheLine) == 0 ? kCacheLine : 0);
}

// A block's activations stay in cache.
inline constexpr std::int64_t kMaxBlockPoints = 96;

// Points of a block when there are `num_points` in all: few where every thread would not have one.
std::int64_t block_size(std::int64_t num_points);

// `Element` is what weights and activations are rounded to: float, or Bf16, whose sums are float.
//
// A row of activations holds the points' own channels, then the hidden ones. In bf16 the depth has two more
// of its own: with what it and its weights lose by rounding, so that it keeps sixteen bits. Eight would be
// coarser than the lattice.
template <typename ElementType>
class SkipMlp {
  public:
    using Element = ElementType;

    // `layers` are checked. `num_start` channels stand for the hidden ones before layer 0. The first
    // `num_mapped` raw channels are those of the maps; they and the biases are left to the LayerSource, for
    // which the rows of layer 0 begin at `first_row`. `depth_channel` is the depth's place among the points'
    // own channels, -1 where it is not among them.
    SkipMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers, std::int64_t num_start,
            std::int64_t num_mapped, std::int64_t depth_channel, std::int64_t first_row);

    std::int64_t num_layers() const { return static_cast<std::int64_t>(layers_.size()); }
    std::int64_t num_outputs(std::int64_t num_layers) const { return layers_[num_layers - 1].num_outputs(); }
    std::int64_t end_row() const { return first_rows_.back() + layers_.back().padded_outputs(); }

    // Elements that a row of inputs, of products and of results must have room for.
    std::int64_t row_size() const;
    // Where the hidden channels, and before layer 0 the start channels, begin in a row.
    std::int64_t hidden_offset() const { return hidden_offset_; }

    // Runs the first `num_layers` layers, with leaky ReLU 0.01 after each, or after all but the last.
    // `inputs` and `products` are kMaxBlockPoints rows, `stride` apart, the start channels already in
    // `inputs`; what is in them afterwards has no meaning. `results` must be other memory; a Result is an
    // Element or float.
    template <typename Result>
    void evaluate(std::int64_t num_layers, bool rectify_last, const PointBlock& block,
                  const LayerSource& source, Element* inputs, Element* products, std::int64_t stride,
                  Result* results, std::int64_t results_stride) const;

  private:
    float weight(const HeadLayer& layer, std::int64_t output, std::int64_t num_hidden,
                 std::int64_t column) const;
    void write_own(const float* own, Element* row) const;

    std::int64_t num_own_, depth_channel_, num_mapped_, hidden_offset_;
    std::int64_t num_start_, padded_start_;
    std::vector<PackedMatrix<Element>> layers_;  // × (own, hidden)
    std::vector<std::int64_t> first_rows_;       // of each layer, for the source
};

// The channels of each point itself: its `point_features` [num_points, num_point_features], which are not
// read where there are none, then its depth times `depth_scale`; rows `stride` apart.
void write_own(const float* point_features, std::int64_t num_point_features, const float* points,
               std::int64_t num_points, float depth_scale, float* rows, std::int64_t stride);

// The source of an MLP that takes nothing from maps.
class BiasSource : public LayerSource {
  public:
    BiasSource(const LayerKernel& kernel, const std::vector<HeadLayer>& layers);
    LayerAddends addends(std::int64_t first_row, std::int64_t num_rows) const override;

  private:
    std::vector<float> biases_;         // every layer's padded to the kernel
    std::vector<const float*> points_;  // to the same for each
};

// The first `num_channels` of each row, through `activation` unless that is null, to `values` [num_points,
// num_channels]. A point of `points` [num_points, 3] with |x| or |y| > 1 has zeros, one with a NaN
// coordinate NaN.
void write_values(const float* rows, std::int64_t stride, const float* points, std::int64_t num_points,
                  std::int64_t num_channels, const HeadActivation* activation, float* values);

}  // namespace jiff
