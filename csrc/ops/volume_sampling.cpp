#include "ops/volume_sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/status.h"
#include "core/threads.h"

namespace jiff {
namespace {

// The two voxels of one axis around a coordinate. A voxel outside has weight zero and the index of a
// voxel inside, so that reading it is safe.
struct AxisVoxels {
    std::int64_t index[2] = {0, 0};
    float weight[2] = {0.0f, 0.0f};

    bool inside() const { return weight[0] + weight[1] > 0.0f; }
};

AxisVoxels axis_voxels(float coordinate, std::int64_t size) {
    const float position = coordinate * static_cast<float>(size) - 0.5f;
    AxisVoxels axis;
    if (!(position > -1.0f && position < static_cast<float>(size))) return axis;  // both outside
    const float floor = std::floor(position);
    const auto first = static_cast<std::int64_t>(floor);
    const float fraction = position - floor;
    if (first >= 0) {
        axis.index[0] = first;
        axis.weight[0] = 1.0f - fraction;
    }
    if (first + 1 < size) {
        axis.index[1] = first + 1;
        axis.weight[1] = fraction;
    }
    return axis;
}

// The eight voxels of a point, and what it samples to when none of them is inside the volume.
struct PointVoxels {
    std::int64_t offset[8];
    float weight[8];
    bool inside;
    float otherwise;
};

PointVoxels point_voxels(const float* coordinates, const Shape& shape) {
    const AxisVoxels x = axis_voxels(coordinates[0], shape[4]), y = axis_voxels(coordinates[1], shape[3]),
                     z = axis_voxels(coordinates[2], shape[2]);
    PointVoxels voxels;
    for (int corner = 0; corner < 8; ++corner) {
        const int i = corner & 1, j = corner >> 1 & 1, k = corner >> 2;
        voxels.offset[corner] = (z.index[k] * shape[3] + y.index[j]) * shape[4] + x.index[i];
        voxels.weight[corner] = z.weight[k] * y.weight[j] * x.weight[i];
    }
    const bool not_a_number =
        std::isnan(coordinates[0]) || std::isnan(coordinates[1]) || std::isnan(coordinates[2]);
    voxels.otherwise = not_a_number ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
    voxels.inside = !not_a_number && x.inside() && y.inside() && z.inside();
    return voxels;
}

}  // namespace

void cube_coordinates(const VolumeFrame& frame, const float* points, std::int64_t num_points,
                      float* coordinates) {
    for (std::int64_t i = 0; i < 3 * num_points; ++i) {
        const float cube = points[i] * frame.scale[i % 3] + frame.offset[i % 3];
        coordinates[i] = cube >= 1.0f ? 0.999f : cube < 0.0f ? 0.0f : cube;
    }
}

void check_volume(const TensorView& volume) {
    const bool fits =
        volume.shape.size() == 5 && volume.shape[0] == 1 &&
        std::all_of(volume.shape.begin(), volume.shape.end(), [](std::int64_t side) { return side >= 1; });
    if (!fits || !volume.data) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "a volume must have shape [1, C, D, H, W] with no empty axis, got " + to_string(volume.shape));
    }
}

void sample_volume(const TensorView& volume, const float* coordinates, std::int64_t num_points,
                   float* samples, std::int64_t point_stride, std::int64_t channel_stride) {
    const std::int64_t num_channels = volume.shape[1];
    const std::int64_t num_voxels = volume.shape[2] * volume.shape[3] * volume.shape[4];
    constexpr std::int64_t kGroup = 64;  // points whose voxels are kept while all channels pass
    parallel_for((num_points + kGroup - 1) / kGroup, [&](std::int64_t chunk) {
        PointVoxels group[kGroup];
        const std::int64_t begin = chunk * kGroup, count = std::min(kGroup, num_points - begin);
        for (std::int64_t i = 0; i < count; ++i) {
            group[i] = point_voxels(coordinates + 3 * (begin + i), volume.shape);
        }
        for (std::int64_t c = 0; c < num_channels; ++c) {
            const float* values = volume.data + c * num_voxels;
            float* out = samples + begin * point_stride + c * channel_stride;
            for (std::int64_t i = 0; i < count; ++i) {
                const PointVoxels& v = group[i];
                float sum = 0.0f;
                for (int corner = 0; corner < 8; ++corner) {
                    sum += values[v.offset[corner]] * v.weight[corner];
                }
                out[i * point_stride] = v.inside ? sum : v.otherwise;
            }
        }
    });
}

}  // namespace jiff
