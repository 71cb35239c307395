// The points around centres, as PointNet++ groups them.
#pragma once

#include <cstdint>
#include <vector>

namespace jiff {

// For each of `centers` [M, 3] the first `group_size` of `points` [N, 3], by index, whose distance is at
// most `radius`; [M, group_size]. A group that is not full repeats its first point.
// Throws Error(kInvalidArgument) if a coordinate is not finite, the radius is negative or not finite,
// group_size is below 1, or a centre has no point in reach (the centres should be among the points).
std::vector<std::int32_t> ball_query(const float* points, std::int64_t num_points, const float* centers,
                                     std::int64_t num_centers, float radius, std::int64_t group_size);

}  // namespace jiff
