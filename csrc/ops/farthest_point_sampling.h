// Farthest-point sampling (Eldar et al. 1997), as PointNet++ chooses the centres of its groups.
#pragma once

#include <cstdint>
#include <vector>

namespace jiff {

// Indices of `num_samples` of the points [N, 3]: point 0, then each time the point farthest from all
// chosen ones; of equally far points the first. A point comes again only when every point coincides with
// a chosen one. Throws Error(kInvalidArgument) unless 1 ≤ num_samples ≤ N and every coordinate is finite.
std::vector<std::int32_t> farthest_point_sampling(const float* points, std::int64_t num_points,
                                                  std::int64_t num_samples);

}  // namespace jiff
