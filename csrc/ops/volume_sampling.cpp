#include "ops/volume_sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/status.h"
#include "core/threads.h"

namespace jiff {

void cube_coordinates(const VolumeFrame& frame, const float* points, std::int64_t num_points,
                      float* coordinates) {
    for (std::int64_t i = 0; i < 3 * num_points; ++i) {
        coordinates[i] = cube_coordinate(points[i], frame.scale[i % 3], frame.offset[i % 3]);
    }
}

VolumeSampler::VolumeSampler(const TensorView& volume) {
    const bool fits =
        volume.shape.size() == 5 && volume.shape[0] == 1 &&
        std::all_of(volume.shape.begin(), volume.shape.end(), [](std::int64_t side) { return side >= 1; });
    if (!fits || !volume.data) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "a volume must have shape [1, C, D, H, W] with no empty axis, got " + to_string(volume.shape));
    }
    num_channels_ = volume.shape[1];
    sides_ = {volume.shape[4], volume.shape[3], volume.shape[2]};
    voxels_.resize(volume.size());
    const std::int64_t num_rows = sides_[1] * sides_[2], num_voxels = sides_[0] * num_rows;
    parallel_for(num_rows, [&](std::int64_t row) {
        for (std::int64_t c = 0; c < num_channels_; ++c) {
            const float* from = volume.data + c * num_voxels + row * sides_[0];
            float* to = voxels_.data() + row * sides_[0] * num_channels_ + c;
            for (std::int64_t x = 0; x < sides_[0]; ++x) to[x * num_channels_] = from[x];
        }
    });
}

void VolumeSampler::sample_one(const float* coordinates, float* row) const {
    if (std::isnan(coordinates[0]) || std::isnan(coordinates[1]) || std::isnan(coordinates[2])) {
        std::fill(row, row + num_channels_, std::numeric_limits<float>::quiet_NaN());
        return;
    }
    std::fill(row, row + num_channels_, 0.0f);
    const AxisVoxels x = axis_voxels(coordinates[0], sides_[0]), y = axis_voxels(coordinates[1], sides_[1]),
                     z = axis_voxels(coordinates[2], sides_[2]);
    for (int corner = 0; corner < 8; ++corner) {
        const int i = corner & 1, j = corner >> 1 & 1, k = corner >> 2;
        const float weight = z.weight[k] * y.weight[j] * x.weight[i];
        if (weight == 0.0f) continue;  // outside, perhaps
        const float* voxel =
            voxels_.data() + ((z.index[k] * sides_[1] + y.index[j]) * sides_[0] + x.index[i]) * num_channels_;
        for (std::int64_t c = 0; c < num_channels_; ++c) row[c] += voxel[c] * weight;
    }
}

void VolumeSampler::sample(const float* coordinates, std::int64_t num_points, float* samples,
                           std::int64_t row_stride) const {
    constexpr std::int64_t kChunk = 256;
    parallel_for((num_points + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_points, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) {
            sample_one(coordinates + 3 * i, samples + i * row_stride);
        }
    });
}

}  // namespace jiff
