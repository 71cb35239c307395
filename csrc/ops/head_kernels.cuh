// What the kernels of a head take, and what both do with a point.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "ops/feature_sampling.h"
#include "ops/skip_mlp.h"
#include "ops/volume_sampling.h"

namespace jiff::cuda {

constexpr int kMaxMapGroups = 4;  // feature maps of so many sizes

// Folded maps of one size: [height · width, rows].
template <typename T>
struct FoldedGroup {
    const T* texels;
    std::int32_t height, width;
};

template <typename T>
struct FoldedView {
    FoldedGroup<T> groups[kMaxMapGroups];
    std::int32_t num_groups;
    std::int32_t num_rows;
};

struct VolumeView {
    const float* voxels = nullptr;  // [depth, height, width, channels]
    std::int32_t num_channels = 0;
    std::int32_t sides[3] = {0, 0, 0};  // x, y, z
    float scale[3] = {0, 0, 0}, offset[3] = {0, 0, 0};
};

struct PointBatch {
    const float* points;    // [num_points, 3]
    const float* features;  // [num_points, num_features]
    std::int64_t num_points;
    const std::int64_t* count;  // or null: only so many of the points, the first
    std::int64_t least, most;   // another kernel answers where it is less or more
    std::int32_t num_features;
    VolumeView volume;
    float depth_scale;
    HeadActivation activation;
    std::int32_t is_activated;  // else the outputs are answers as they are
    std::int32_t num_outputs;
    float* values;  // [num_points, num_outputs]
};

__device__ __forceinline__ std::int64_t num_asked(const PointBatch& batch) {
    const std::int64_t num = batch.count ? min(batch.num_points, *batch.count) : batch.num_points;
    return num >= batch.least && num <= batch.most ? num : 0;
}

__device__ __forceinline__ float leaky(float value) { return value > 0.0f ? value : value * 0.01f; }

// One channel of the volume at a point of the view.
__device__ inline float sample_volume(const VolumeView& volume, const float* point, int channel) {
    AxisVoxels axes[3];
    for (int axis = 0; axis < 3; ++axis) {
        const float cube = cube_coordinate(point[axis], volume.scale[axis], volume.offset[axis]);
        if (std::isnan(cube)) return NAN;
        axes[axis] = axis_voxels(cube, volume.sides[axis]);
    }
    float sum = 0.0f;
    for (int corner = 0; corner < 8; ++corner) {
        const int i = corner & 1, j = corner >> 1 & 1, k = corner >> 2;
        const float weight = axes[2].weight[k] * axes[1].weight[j] * axes[0].weight[i];
        if (weight == 0.0f) continue;  // outside, perhaps
        const std::int64_t voxel =
            (axes[2].index[k] * volume.sides[1] + axes[1].index[j]) * volume.sides[0] + axes[0].index[i];
        sum += volume.voxels[voxel * volume.num_channels + channel] * weight;
    }
    return sum;
}

// Writes output `output` of point `index`.
__device__ __forceinline__ void answer(const PointBatch& batch, std::int64_t index, int output, float sum) {
    const PointPlace place = place_of(batch.points + 3 * index);
    const float value = batch.is_activated ? activate(batch.activation, sum) : sum;
    batch.values[index * batch.num_outputs + output] = place == PointPlace::kInFrame  ? value
                                                       : place == PointPlace::kBeside ? 0.0f
                                                                                      : NAN;
}

}  // namespace jiff::cuda
