// CUDA twins of feature_sampling.h, farthest_point_sampling.h, voxel_pooling.h and mesh_distance.h: pointers
// in device memory, everything only enqueued. Values must be finite where the CPU's twins demand it; that is
// not checked here.
#pragma once

#include <cstdint>

#include "core/cuda.h"
#include "ops/head_query.h"
#include "ops/mesh_distance.h"

namespace jiff::cuda {

// Channels of `map` [1, C, H, W] at `xy` [N, 2]: `samples` [N, C].
void sample_features(const DeviceView& map, const float* xy, std::int64_t num_points, float* samples,
                     const Stream& stream);

// `indices` [num_samples] of points [N, 3], as jiff::farthest_point_sampling.
void farthest_point_sampling(const float* points, std::int64_t num_points, std::int64_t num_samples,
                             std::int32_t* indices, const Stream& stream);

// Points by the voxel that holds them.
class DeviceVoxelGroups {
  public:
    // `voxels` [N] from 0 to num_voxels - 1.
    DeviceVoxelGroups(const std::int32_t* voxels, std::int64_t num_points, std::int64_t num_voxels,
                      const Stream& stream);

    // As VoxelGroups::max and mean: sums run over the points in ascending order, whatever the threads do.
    void max(const float* codes, std::int64_t num_channels, float* pooled) const;
    void mean(const float* codes, std::int64_t num_channels, float* volume) const;

  private:
    const Stream* stream_;
    std::int64_t num_points_, num_voxels_;
    Buffer<unsigned long long> keys_;  // voxel · 2³² + point, ascending
};

// The tree of a MeshDistance on the device.
class DeviceMeshDistance {
  public:
    DeviceMeshDistance(const MeshDistance& mesh, const Stream& stream);  // waits

    // Distances of points [N, 3], times `scale`; with `count`, where it is not null, of the first so many.
    void query(const float* points, std::int64_t num_points, const std::int64_t* count, float scale,
               float* distances, const Stream& stream) const;

  private:
    Buffer<TreeNode> nodes_;
    Buffer<TreeTriangle> triangles_;
};

}  // namespace jiff::cuda
