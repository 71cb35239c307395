// Bilinear sampling of feature maps at view coordinates: align_corners=True, zero outside the map
// (docs/conventions.md, "Sampling").
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace jiff {

// The texels that a point samples, with their weights. A texel outside the map has weight zero and the
// offset of one inside, so that reading it is safe.
struct PointTexels {
    std::int64_t offset[4];  // within a plane of the map
    float weight[4];
    bool inside;      // whether any texel is in the map
    float otherwise;  // the sample where none is: zero, or NaN at a NaN coordinate
};

PointTexels point_texels(float view_x, float view_y, std::int64_t height, std::int64_t width);

// Throws Error(kInvalidArgument) unless `map` is [1, C, H, W] with C, H, W at least 1 and has data.
void check_feature_map(const TensorView& map);

// Writes sample(point i, channel c) to samples[i * point_stride + c * channel_stride].
// `map` is [1, C, H, W] and already checked; `xy` is [N, 2] in view coordinates. A NaN coordinate gives NaN.
void sample_features(const TensorView& map, const float* xy, std::int64_t num_points, float* samples,
                     std::int64_t point_stride, std::int64_t channel_stride);

}  // namespace jiff
