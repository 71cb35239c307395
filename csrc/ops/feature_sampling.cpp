#include "ops/feature_sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/status.h"

namespace jiff {
namespace {

// The two texels of one axis around a coordinate. A texel outside the map has weight zero and the
// index of a texel inside, so that reading it is safe.
struct AxisTexels {
    std::int64_t first = 0, second = 0;
    float first_weight = 0.0f, second_weight = 0.0f;
};

AxisTexels axis_texels(float view, std::int64_t size) {
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

}  // namespace

PointTexels point_texels(float view_x, float view_y, std::int64_t height, std::int64_t width) {
    const AxisTexels x = axis_texels(view_x, width);
    const AxisTexels y = axis_texels(view_y, height);
    PointTexels texels{{y.first * width + x.first, y.first * width + x.second, y.second * width + x.first,
                        y.second * width + x.second},
                       {y.first_weight * x.first_weight, y.first_weight * x.second_weight,
                        y.second_weight * x.first_weight, y.second_weight * x.second_weight},
                       true,
                       0.0f};
    const bool not_a_number = std::isnan(view_x) || std::isnan(view_y);
    if (not_a_number) texels.otherwise = std::numeric_limits<float>::quiet_NaN();
    texels.inside =
        !not_a_number && x.first_weight + x.second_weight > 0.0f && y.first_weight + y.second_weight > 0.0f;
    return texels;
}

void check_feature_map(const TensorView& map) {
    const bool fits =
        map.shape.size() == 4 && map.shape[0] == 1 &&
        std::all_of(map.shape.begin(), map.shape.end(), [](std::int64_t side) { return side >= 1; });
    if (!fits || !map.data) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "a feature map must have shape [1, C, H, W] with no empty axis, got " + to_string(map.shape));
    }
}

void sample_features(const TensorView& map, const float* xy, std::int64_t num_points, float* samples,
                     std::int64_t point_stride, std::int64_t channel_stride) {
    const std::int64_t num_channels = map.shape[1], height = map.shape[2], width = map.shape[3];
    constexpr std::int64_t kGroup = 64;  // points whose texels are kept while all channels pass
    PointTexels group[kGroup];
    for (std::int64_t begin = 0; begin < num_points; begin += kGroup) {
        const std::int64_t count = std::min(kGroup, num_points - begin);
        for (std::int64_t i = 0; i < count; ++i) {
            group[i] = point_texels(xy[2 * (begin + i)], xy[2 * (begin + i) + 1], height, width);
        }
        // Channels outside, points inside: neighbouring points read neighbouring texels of one plane.
        for (std::int64_t c = 0; c < num_channels; ++c) {
            const float* plane = map.data + c * height * width;
            float* out = samples + begin * point_stride + c * channel_stride;
            for (std::int64_t i = 0; i < count; ++i) {
                const PointTexels& t = group[i];
                const float sum = plane[t.offset[0]] * t.weight[0] + plane[t.offset[1]] * t.weight[1] +
                                  plane[t.offset[2]] * t.weight[2] + plane[t.offset[3]] * t.weight[3];
                out[i * point_stride] = t.inside ? sum : t.otherwise;
            }
        }
    }
}

}  // namespace jiff
