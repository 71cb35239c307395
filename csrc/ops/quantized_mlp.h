// SkipMlp in whole numbers of eight bits. Before a product each row of its inputs is scaled to 256 levels
// between its own least and greatest number, so that nothing has to be known of the activations; weights have
// a scale for each output. What comes from maps, biases, the depth and all sums are in float32.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/quantized_matrix.h"
#include "ops/skip_mlp.h"

namespace jiff {

class QuantizedMlp {
  public:
    using Element = float;  // of activations, between products

    // As of SkipMlp.
    QuantizedMlp(const LayerKernel& kernel, const std::vector<HeadLayer>& layers, std::int64_t num_start,
                 std::int64_t num_mapped, std::int64_t depth_channel, std::int64_t first_row);

    std::int64_t num_layers() const { return static_cast<std::int64_t>(layers_.size()); }
    std::int64_t num_outputs(std::int64_t num_layers) const {
        return layers_[num_layers - 1].front().num_outputs();
    }
    std::int64_t end_row() const { return first_rows_.back() + layers_.back().front().padded_outputs(); }
    std::int64_t row_size() const;
    std::int64_t hidden_offset() const { return 0; }

    void evaluate(std::int64_t num_layers, bool rectify_last, const PointBlock& block,
                  const LayerSource& source, float* inputs, float* products, std::int64_t stride,
                  float* results, std::int64_t results_stride) const;

  private:
    // Channels of a row that share a scale.
    struct Group {
        std::int64_t first, size;
    };
    struct Scratch;

    const LayerKernel* kernel_;
    std::int64_t num_start_, depth_channel_;
    std::vector<Group> own_groups_;                     // of each point's own channels, but for the depth
    std::vector<std::vector<QuantizedMatrix>> layers_;  // of hidden channels, if any, then of each group
    std::vector<std::int64_t> first_rows_;              // of each layer, for the source
};

}  // namespace jiff
