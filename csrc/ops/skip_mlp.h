// An MLP whose every layer takes [hidden, raw] (paper Eq. 1 and Sec. 4.3), on panels of points. The raw
// channels are first those that a column of points shares, then those of each point itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "ops/layer_kernel.h"
#include "ops/packed_matrix.h"

namespace jiff {

enum class HeadActivation { kSigmoid, kTanh01 };  // kTanh01: (tanh(v) + 1) / 2

struct HeadLayer {
    Tensor weight;  // [out, in]; in = previous out + raw channels
    Tensor bias;    // [out]
};

float activate(HeadActivation activation, float value);

// The kernel of the level that choose_simd_level() names.
const LayerKernel& choose_layer_kernel();

// Checks that layer 0 takes num_start + num_raw channels and each other layer the outputs of the one
// before + num_raw. Throws Error(kInvalidArgument); `name` stands before the layer in its message.
void check_layers(const std::vector<HeadLayer>& layers, const std::string& name, std::int64_t num_start,
                  std::int64_t num_raw);

// Points of a block at most: a multiple of every panel; their activations stay in cache.
inline constexpr std::int64_t kBlockLanes = 144;

// A block of panels of points, and what enters every layer beside the hidden channels.
struct PanelBlock {
    std::int64_t num_panels;
    const float* own;  // panels of the channels of each point itself
    std::int64_t own_stride;
    const float* shared;                 // W_shared · features + bias of all layers, in panels of columns
    const LaneSegment* segments;         // which lanes take which column
    const std::int32_t* first_segments;  // of each panel, and the end
};

class SkipMlp {
  public:
    // `layers` are checked. `num_start` channels stand for the hidden ones before layer 0. The rows of
    // layer 0 begin at `first_shared_row` of PanelBlock::shared.
    SkipMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers, std::int64_t num_start,
            std::int64_t num_shared, std::int64_t first_shared_row);

    std::int64_t num_layers() const { return static_cast<std::int64_t>(layers_.size()); }
    std::int64_t num_outputs(std::int64_t num_layers) const { return layers_[num_layers - 1].num_rows(); }

    // Rows that a panel of inputs, of products and of results must have room for.
    std::int64_t panel_rows() const;

    // Runs the first `num_layers` layers, with leaky ReLU 0.01 after each, or after all but the last.
    // `inputs` and `products` are panels `stride` floats apart, the start channels already in the first
    // rows of `inputs`; what is in them afterwards has no meaning. `results` must be other memory.
    void evaluate(std::int64_t num_layers, bool rectify_last, const PanelBlock& block, float* inputs,
                  float* products, std::int64_t stride, float* results, std::int64_t results_stride) const;

  private:
    const LayerKernel* kernel_;
    std::int64_t num_start_, num_own_;
    std::vector<PackedMatrix> layers_;      // × (hidden, own)
    std::vector<std::int64_t> first_rows_;  // of each layer in PanelBlock::shared
    AlignedBuffer biases_;                  // without shared channels: a panel of what stands in for shared
};

}  // namespace jiff
