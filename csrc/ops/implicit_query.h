// The implicit function: pixel-aligned features and depth through a skip-concatenated MLP
// (paper Sec. 3.1 and Eq. 1). Both sampling and the feature part of every layer are linear and the
// camera is orthographic, so consecutive points of one pixel column share both.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace jiff {

enum class HeadActivation { kSigmoid, kTanh01 };  // kTanh01: (tanh(v) + 1) / 2

struct HeadLayer {
    Tensor weight;  // [out, in]; in = previous out + raw input channels (raw input only for the first)
    Tensor bias;    // [out]
};

struct HeadConfig {
    std::vector<HeadLayer> layers;
    float depth_scale = 1.0f;
    HeadActivation activation = HeadActivation::kSigmoid;
};

class ImplicitQuery {
  public:
    // Checks the shapes and packs the weights. Throws Error(kInvalidArgument).
    explicit ImplicitQuery(const HeadConfig& config);
    ~ImplicitQuery();
    ImplicitQuery(ImplicitQuery&&) noexcept;
    ImplicitQuery& operator=(ImplicitQuery&&) noexcept;

    std::int64_t num_feature_channels() const;
    std::int64_t num_outputs() const;

    // Evaluates `num_points` points. `maps` are the feature maps, each [1, C, H, W], concatenated along
    // channels in order; `points` is [N, 3] in view coordinates; `values` receives [N, num_outputs].
    // Points with |x| or |y| > 1 give 0. Results do not depend on order, batching or thread count.
    // Fast when equal (x, y) stand next to each other. Thread-safe.
    void query(const std::vector<TensorView>& maps, const float* points, std::int64_t num_points,
               float* values) const;

  private:
    struct Packed;
    std::unique_ptr<Packed> packed_;
};

}  // namespace jiff
