// Trilinear sampling of a face volume: voxel centres at (i + 0.5) / R, zero outside
// (docs/conventions.md, "Face volume").
#pragma once

#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/host_device.h"
#include "core/tensor.h"

namespace jiff {

// From view coordinates into the unit cube of a volume: cube = scale · view + offset, by axis.
struct VolumeFrame {
    std::array<float, 3> scale, offset;
};

// Along one axis: below 0 to 0, from 1 on to 0.999. NaN stays.
JIFF_HOST_DEVICE inline float cube_coordinate(float view, float scale, float offset) {
    const float cube = view * scale + offset;
    return cube >= 1.0f ? 0.999f : cube < 0.0f ? 0.0f : cube;
}

// The two voxels of one axis around a coordinate. A voxel outside has weight zero.
struct AxisVoxels {
    std::int64_t index[2] = {0, 0};
    float weight[2] = {0.0f, 0.0f};
};

JIFF_HOST_DEVICE inline AxisVoxels axis_voxels(float coordinate, std::int64_t size) {
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

// Writes the cube coordinates of `points` [N, 3], clamped: below 0 to 0, from 1 on to 0.999. NaN stays.
void cube_coordinates(const VolumeFrame& frame, const float* points, std::int64_t num_points,
                      float* coordinates);

// Holds a volume with its channels side by side, which a sample reads together. A face is a small part of the
// published volume: a row of voxels is put so when the first sample needs it.
class VolumeSampler {
  public:
    // Throws Error(kInvalidArgument) unless `volume` is [1, C, D, H, W], no axis empty. With `appends_ones` a
    // channel of ones comes after its own.
    explicit VolumeSampler(Tensor volume, bool appends_ones = false);

    std::int64_t num_channels() const { return num_channels_; }
    const std::array<std::int64_t, 3>& sides() const { return sides_; }  // along x, y, z
    const Tensor& voxels() const;                                        // [D, H, W, C], all of them

    // Writes the channels at each of `coordinates` [N, 3] to a row of `samples`, rows `row_stride` apart.
    // Coordinates are x, y, z in the unit cube, along W, H, D. A NaN coordinate gives NaN.
    void sample(const float* coordinates, std::int64_t num_points, float* samples,
                std::int64_t row_stride) const;

  private:
    // Which rows are put so already.
    struct Rows {
        explicit Rows(std::int64_t num) : is_ready(new std::atomic<bool>[num] {}) {}
        std::unique_ptr<std::atomic<bool>[]> is_ready;
        std::array<std::mutex, 16> mutexes;  // of those that are not, by z
    };

    void sample_one(const float* coordinates, float* row) const;
    const float* row_of(std::int64_t y, std::int64_t z) const;
    void arrange(std::int64_t row) const;

    std::int64_t num_channels_;
    std::array<std::int64_t, 3> sides_;  // along x, y, z
    Tensor planes_;                      // [1, C, D, H, W]
    mutable Tensor voxels_;              // [D, H, W, C]
    std::unique_ptr<Rows> rows_;
};

}  // namespace jiff
