#include "ops/feature_sampling.h"

#include <algorithm>

#include "core/status.h"

namespace jiff {

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
                out[i * point_stride] = sample_plane(plane, group[i]);
            }
        }
    }
}

}  // namespace jiff
