// Point codes pooled by the voxel that holds the point (paper Sec. 4.2; Peng et al. 2020).
#pragma once

#include <cstdint>
#include <vector>

namespace jiff {

// R³. Throws Error(kInvalidArgument) if R is not from 1 to 1024.
std::int64_t num_voxels(std::int64_t resolution);

// Voxel x + R (y + R z), with (x, y, z) = floor(R · coordinate), of coordinates [N, 3] in [0, 1).
// Throws Error(kInvalidArgument) if a coordinate is outside or NaN, or R is not from 1 to 1024.
std::vector<std::int32_t> voxel_indices(const float* coordinates, std::int64_t num_points, int resolution);

// The points of each voxel, found once for several poolings. Points are taken in ascending order, so
// results do not depend on threads.
class VoxelGroups {
  public:
    // Throws Error(kInvalidArgument) if a voxel is not from 0 to num_voxels - 1.
    VoxelGroups(const std::int32_t* voxels, std::int64_t num_points, std::int64_t num_voxels);

    // Writes for each point the channel-wise largest code of its voxel; codes and pooled are [N, C].
    // Throws Error(kInvalidArgument) if a code is not finite.
    void max(const float* codes, std::int64_t num_channels, float* pooled) const;

    // Writes the mean code of each voxel, 0 where it is empty, to volume [C, num_voxels].
    // Throws Error(kInvalidArgument) if a code is not finite.
    void mean(const float* codes, std::int64_t num_channels, float* volume) const;

  private:
    std::int64_t num_groups() const { return static_cast<std::int64_t>(voxels_.size()); }

    std::int64_t num_voxels_;
    std::vector<std::int64_t> points_;  // by voxel, then by index
    std::vector<std::int64_t> begins_;  // of each group in points_, and the end
    std::vector<std::int32_t> voxels_;  // of each group, ascending
};

}  // namespace jiff
