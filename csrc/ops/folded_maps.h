// Feature maps with the feature part of every layer multiplied in: sampling is linear, so
// W · sample(F) = sample(W · F). A texel is folded once, when the first point near it is asked for, and
// every point then blends four texels instead of multiplying all its features at every layer. Folding is in
// float32; in bf16 and int8 its results are rounded to bf16, which halves the memory that folded texels take.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/precision.h"
#include "core/tensor.h"
#include "ops/skip_mlp.h"

namespace jiff {

// The columns for map features of the layers of one or several MLPs, below each other. Every layer's rows
// are padded to the outputs of the kernel.
class FeaturePart {
  public:
    struct Mlp {
        const std::vector<HeadLayer>* layers;
        std::int64_t num_start;
    };

    // The first `num_channels` raw channels of each MLP are those of the maps.
    FeaturePart(const LayerKernel& kernel, Precision precision, const std::vector<Mlp>& mlps,
                std::int64_t num_channels);

    const LayerKernel& kernel() const { return *kernel_; }
    // Whether folded texels are kept in bf16.
    bool is_rounded() const { return is_rounded_; }
    std::int64_t num_channels() const { return num_channels_; }
    std::int64_t num_rows() const { return static_cast<std::int64_t>(biases_.size()); }
    float weight(std::int64_t row, std::int64_t channel) const {
        return weights_[row * num_channels_ + channel];
    }
    const float* biases() const { return biases_.data(); }

  private:
    const LayerKernel* kernel_;
    bool is_rounded_;
    std::int64_t num_channels_;
    std::vector<float> weights_;  // [num_rows, num_channels]
    std::vector<float> biases_;   // [num_rows]
};

// The maps of one image, for one implicit function; made by its fold(). Borrows both. Thread-safe.
class FoldedMaps {
  public:
    // Throws Error(kInvalidArgument) unless `maps` are feature maps [1, C, H, W] of together
    // part.num_channels() channels.
    FoldedMaps(const FeaturePart& part, const std::vector<TensorView>& maps);
    ~FoldedMaps();
    FoldedMaps(FoldedMaps&&) noexcept;
    FoldedMaps& operator=(FoldedMaps&&) noexcept;

    const FeaturePart& part() const;

    // Folds the texels around `points` [N, 3] that are not folded yet.
    void prepare(const float* points, std::int64_t num_points) const;

  private:
    friend class PointColumns;
    struct State;
    std::unique_ptr<State> state_;
};

// The feature part of every layer at a block of points, blended once for each pixel column: the camera is
// orthographic, so consecutive points with equal x and y share it. Memory of one thread, kept between blocks.
class PointColumns : public LayerSource {
  public:
    // `points` [num_points, 3] have been prepared.
    void assign(const FoldedMaps& maps, const float* points, std::int64_t num_points);
    LayerAddends addends(std::int64_t first_row, std::int64_t num_rows) const override;

  private:
    struct Column {
        std::int32_t first_texel, num_texels;
    };

    const FeaturePart* part_ = nullptr;
    std::vector<Column> columns_;
    std::vector<const float*> texels_;  // rows of folded texels, by column; rounded:
    std::vector<const Bf16*> rounded_texels_;
    std::vector<float> weights_;
    std::vector<std::int32_t> column_of_point_;
    mutable std::vector<const float*> blend_of_point_;
    mutable AlignedBuffer blends_;  // of one layer, by column
};

}  // namespace jiff
