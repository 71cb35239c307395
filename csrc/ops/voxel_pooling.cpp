#include "ops/voxel_pooling.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/finite.h"

namespace jiff {
namespace {

constexpr std::int64_t kGroupsPerChunk = 64;

std::int64_t num_chunks(std::int64_t num_groups) {
    return (num_groups + kGroupsPerChunk - 1) / kGroupsPerChunk;
}

}  // namespace

std::int64_t num_voxels(std::int64_t resolution) {
    if (resolution < 1 || resolution > 1024) {
        throw Error(ErrorCode::kInvalidArgument,
                    "resolution must be from 1 to 1024, got " + std::to_string(resolution));
    }
    return resolution * resolution * resolution;
}

std::vector<std::int32_t> voxel_indices(const float* coordinates, std::int64_t num_points, int resolution) {
    num_voxels(resolution);
    std::vector<std::int32_t> voxels(num_points);
    for (std::int64_t i = 0; i < num_points; ++i) {
        std::int32_t cell[3];
        for (int axis = 0; axis < 3; ++axis) {
            const float coordinate = coordinates[3 * i + axis];
            if (!(coordinate >= 0.0f && coordinate < 1.0f)) {
                throw Error(ErrorCode::kInvalidArgument, "coordinates must be in [0, 1), got " +
                                                             std::to_string(coordinate) + " in row " +
                                                             std::to_string(i));
            }
            // The largest float below 1 times R may round to R.
            cell[axis] =
                std::min(resolution - 1, static_cast<int>(coordinate * static_cast<float>(resolution)));
        }
        voxels[i] = cell[0] + resolution * (cell[1] + resolution * cell[2]);
    }
    return voxels;
}

VoxelGroups::VoxelGroups(const std::int32_t* voxels, std::int64_t num_points, std::int64_t num_voxels)
    : num_voxels_(num_voxels), points_(num_points) {
    for (std::int64_t i = 0; i < num_points; ++i) {
        if (voxels[i] < 0 || voxels[i] >= num_voxels) {
            throw Error(ErrorCode::kInvalidArgument,
                        "voxels must be from 0 to " + std::to_string(num_voxels - 1) + ", got " +
                            std::to_string(voxels[i]) + " in row " + std::to_string(i));
        }
    }
    std::iota(points_.begin(), points_.end(), std::int64_t{0});
    std::stable_sort(points_.begin(), points_.end(),
                     [&](std::int64_t a, std::int64_t b) { return voxels[a] < voxels[b]; });
    for (std::int64_t i = 0; i < num_points; ++i) {
        const std::int32_t voxel = voxels[points_[i]];
        if (voxels_.empty() || voxels_.back() != voxel) {
            voxels_.push_back(voxel);
            begins_.push_back(i);
        }
    }
    begins_.push_back(num_points);
}

void VoxelGroups::max(const float* codes, std::int64_t num_channels, float* pooled) const {
    check_finite(codes, static_cast<std::int64_t>(points_.size()), num_channels, "codes");
    parallel_for(num_chunks(num_groups()), [&](std::int64_t chunk) {
        std::vector<float> largest(num_channels);
        const std::int64_t end = std::min(num_groups(), (chunk + 1) * kGroupsPerChunk);
        for (std::int64_t group = chunk * kGroupsPerChunk; group < end; ++group) {
            const float* first = codes + points_[begins_[group]] * num_channels;
            std::copy(first, first + num_channels, largest.begin());
            for (std::int64_t i = begins_[group] + 1; i < begins_[group + 1]; ++i) {
                const float* code = codes + points_[i] * num_channels;
                for (std::int64_t c = 0; c < num_channels; ++c) largest[c] = std::max(largest[c], code[c]);
            }
            for (std::int64_t i = begins_[group]; i < begins_[group + 1]; ++i) {
                std::copy(largest.begin(), largest.end(), pooled + points_[i] * num_channels);
            }
        }
    });
}

void VoxelGroups::mean(const float* codes, std::int64_t num_channels, float* volume) const {
    check_finite(codes, static_cast<std::int64_t>(points_.size()), num_channels, "codes");
    std::fill(volume, volume + num_channels * num_voxels_, 0.0f);
    parallel_for(num_chunks(num_groups()), [&](std::int64_t chunk) {
        std::vector<double> sums(num_channels);
        const std::int64_t end = std::min(num_groups(), (chunk + 1) * kGroupsPerChunk);
        for (std::int64_t group = chunk * kGroupsPerChunk; group < end; ++group) {
            std::fill(sums.begin(), sums.end(), 0.0);
            for (std::int64_t i = begins_[group]; i < begins_[group + 1]; ++i) {
                const float* code = codes + points_[i] * num_channels;
                for (std::int64_t c = 0; c < num_channels; ++c) sums[c] += code[c];
            }
            const auto count = static_cast<double>(begins_[group + 1] - begins_[group]);
            for (std::int64_t c = 0; c < num_channels; ++c) {
                volume[c * num_voxels_ + voxels_[group]] = static_cast<float>(sums[c] / count);
            }
        }
    });
}

}  // namespace jiff
