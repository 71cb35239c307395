// Trilinear sampling of a face volume: voxel centres at (i + 0.5) / R, zero outside
// (docs/conventions.md, "Face volume").
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace jiff {

// From view coordinates into the unit cube of a volume: cube = scale · view + offset, by axis.
struct VolumeFrame {
    std::array<float, 3> scale, offset;
};

// Writes the cube coordinates of `points` [N, 3], clamped: below 0 to 0, from 1 on to 0.999. NaN stays.
void cube_coordinates(const VolumeFrame& frame, const float* points, std::int64_t num_points,
                      float* coordinates);

// Throws Error(kInvalidArgument) unless `volume` is [1, C, D, H, W], no axis empty, and has data.
void check_volume(const TensorView& volume);

// Writes sample(point i, channel c) to samples[i * point_stride + c * channel_stride].
// `volume` is [1, C, D, H, W] and already checked; `coordinates` [N, 3] are x, y, z in the unit cube, along
// W, H, D. A NaN coordinate gives NaN.
void sample_volume(const TensorView& volume, const float* coordinates, std::int64_t num_points,
                   float* samples, std::int64_t point_stride, std::int64_t channel_stride);

}  // namespace jiff
