// The implicit function: pixel-aligned features and depth through a skip-concatenated MLP
// (paper Sec. 3.1 and Eq. 1).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/precision.h"
#include "core/tensor.h"
#include "ops/folded_maps.h"
#include "ops/skip_mlp.h"

namespace jiff {

// The raw channels of every layer are those of the feature maps, those given with each point, and depth.
struct HeadConfig {
    std::vector<HeadLayer> layers;
    float depth_scale = 1.0f;
    HeadActivation activation = HeadActivation::kSigmoid;
    std::int64_t num_point_features = 0;
};

class ImplicitQuery {
  public:
    // Checks the shapes and packs the weights. In bf16 the weights of all but map features are rounded, and
    // so are folded texels, a point's own features and each layer's activations; sums are float32 and the
    // depth keeps sixteen bits. Throws Error(kInvalidArgument).
    explicit ImplicitQuery(const HeadConfig& config, Precision precision = Precision::kFp32);
    ~ImplicitQuery();
    ImplicitQuery(ImplicitQuery&&) noexcept;
    ImplicitQuery& operator=(ImplicitQuery&&) noexcept;

    std::int64_t num_feature_channels() const;  // of the maps
    std::int64_t num_point_features() const;
    std::int64_t num_outputs() const;

    // Makes the feature maps of one image ready; they and this function must outlive the result. `maps` are
    // each [1, C, H, W], concatenated along channels in order. Throws Error(kInvalidArgument).
    FoldedMaps fold(const std::vector<TensorView>& maps) const;

    // Evaluates `num_points` points on maps that fold() made. `points` is [N, 3] in view coordinates;
    // `values` receives [N, num_outputs]. `point_features` is [N, num_point_features]; none are needed where
    // that is 0. Points with |x| or |y| > 1 give 0. Results do not depend on order, batching or thread
    // count. Fast when equal (x, y) stand next to each other. Thread-safe.
    void query(const FoldedMaps& maps, const float* point_features, const float* points,
               std::int64_t num_points, float* values) const;

    // The hidden activations after the first `num_layers` layers: [N, num_activations(num_layers)].
    // Points outside give 0, as above. The head has no point features and more than num_layers layers.
    void activations(const FoldedMaps& maps, const float* points, std::int64_t num_points,
                     std::int64_t num_layers, float* activations) const;
    // Throws Error(kInvalidArgument) unless num_layers is at least 1 and less than the head's layers.
    std::int64_t num_activations(std::int64_t num_layers) const;

  private:
    struct Packed;
    std::unique_ptr<Packed> packed_;
};

}  // namespace jiff
