// Bilinear sampling of feature maps at view coordinates: align_corners=True, zero outside the map
// (docs/conventions.md, "Sampling").
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
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

// The two texels of one axis around a coordinate.
struct AxisTexels {
    std::int64_t first = 0, second = 0;
    float first_weight = 0.0f, second_weight = 0.0f;
};

JIFF_HOST_DEVICE inline AxisTexels axis_texels(float view, std::int64_t size) {
    const float texel = (view + 1.0f) * 0.5f * static_cast<float>(size - 1);
    AxisTexels axis;
    if (!(texel > -1.0f && texel < static_cast<float>(size))) return axis;  // both outside
    const float floor = std::floor(texel);
    const float fraction = texel - floor;
    const auto index = static_cast<std::int64_t>(floor);
    const bool first_inside = index >= 0;
    const bool second_inside = index + 1 < size;
    axis.first = first_inside ? index : 0;
    axis.second = second_inside ? index + 1 : size - 1;
    axis.first_weight = first_inside ? 1.0f - fraction : 0.0f;
    axis.second_weight = second_inside ? fraction : 0.0f;
    return axis;
}

JIFF_HOST_DEVICE inline PointTexels point_texels(float view_x, float view_y, std::int64_t height,
                                                 std::int64_t width) {
    const AxisTexels x = axis_texels(view_x, width);
    const AxisTexels y = axis_texels(view_y, height);
    PointTexels texels{{y.first * width + x.first, y.first * width + x.second, y.second * width + x.first,
                        y.second * width + x.second},
                       {y.first_weight * x.first_weight, y.first_weight * x.second_weight,
                        y.second_weight * x.first_weight, y.second_weight * x.second_weight},
                       true,
                       0.0f};
    const bool not_a_number = std::isnan(view_x) || std::isnan(view_y);
    if (not_a_number) texels.otherwise = NAN;
    texels.inside =
        !not_a_number && x.first_weight + x.second_weight > 0.0f && y.first_weight + y.second_weight > 0.0f;
    return texels;
}

// One channel at a point, from its plane.
JIFF_HOST_DEVICE inline float sample_plane(const float* plane, const PointTexels& t) {
    const float sum = plane[t.offset[0]] * t.weight[0] + plane[t.offset[1]] * t.weight[1] +
                      plane[t.offset[2]] * t.weight[2] + plane[t.offset[3]] * t.weight[3];
    return t.inside ? sum : t.otherwise;
}

// Throws Error(kInvalidArgument) unless `map` is [1, C, H, W] with C, H, W at least 1 and has data.
void check_feature_map(const TensorView& map);

// Writes sample(point i, channel c) to samples[i * point_stride + c * channel_stride].
// `map` is [1, C, H, W] and already checked; `xy` is [N, 2] in view coordinates. A NaN coordinate gives NaN.
void sample_features(const TensorView& map, const float* xy, std::int64_t num_points, float* samples,
                     std::int64_t point_stride, std::int64_t channel_stride);

}  // namespace jiff
