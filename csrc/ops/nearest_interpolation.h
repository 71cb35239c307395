// Values carried from few points to many, as PointNet++ propagates its features.
#pragma once

#include <cstdint>

namespace jiff {

// Writes to `out` [N, C] at each of `targets` [N, 3] the mean of the values [M, C] of its three nearest
// `sources` [M, 3], weighted by 1 / (squared distance + 1e-8); of equally near sources the first.
// Throws Error(kInvalidArgument) if M is below 3 or a coordinate is not finite.
void interpolate_nearest(const float* values, const float* sources, std::int64_t num_sources,
                         std::int64_t num_channels, const float* targets, std::int64_t num_targets,
                         float* out);

}  // namespace jiff
