// The joint implicit function of the face: MLP(2-D) ⊕ MLP(3-D) → MLP (paper Sec. 4.3 and 4.4). The 2-D
// branch reads pixel-aligned features and depth, the 3-D branch samples of a face volume; the joint MLP
// starts from the last activations of both and sees both kinds of raw features at every layer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/precision.h"
#include "core/tensor.h"
#include "ops/folded_maps.h"
#include "ops/skip_mlp.h"
#include "ops/volume_sampling.h"

namespace jiff {

// Raw channels of branch_2d: those of the feature maps, those given with each point, depth. Of branch_3d:
// those of the volume. Of joint: both, in this order. The branches have hidden layers only.
struct JointHeadConfig {
    std::vector<HeadLayer> branch_2d, branch_3d, joint;
    float depth_scale = 1.0f;
    HeadActivation activation = HeadActivation::kSigmoid;
    std::int64_t num_point_features = 0;
};

class JointQuery {
  public:
    // Checks the shapes and packs the weights, in bf16 as ImplicitQuery does, samples of the volume being
    // features of points. Throws Error(kInvalidArgument) naming MLP and layer.
    explicit JointQuery(const JointHeadConfig& config, Precision precision = Precision::kFp32);
    ~JointQuery();
    JointQuery(JointQuery&&) noexcept;
    JointQuery& operator=(JointQuery&&) noexcept;

    std::int64_t num_feature_channels() const;  // of the maps
    std::int64_t num_point_features() const;
    std::int64_t num_volume_channels() const;
    std::int64_t num_outputs() const;

    // Makes the feature maps of one image ready, as ImplicitQuery::fold does.
    FoldedMaps fold(const std::vector<TensorView>& maps) const;

    // Evaluates `num_points` points as ImplicitQuery::query does. `volume` is sampled where `frame` puts
    // the points. Throws Error(kInvalidArgument) when maps, point features or volume do not fit.
    void query(const FoldedMaps& maps, const float* point_features, const VolumeSampler& volume,
               const VolumeFrame& frame, const float* points, std::int64_t num_points, float* values) const;

  private:
    struct Packed;
    std::unique_ptr<Packed> packed_;
};

}  // namespace jiff
