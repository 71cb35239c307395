// Colours where the camera sees nothing. A colour network knows a pixel and a depth, so that the back of a
// head shows its face again, and sides show streaks along the line of sight. Regions' hues are right more
// often than their details: colours of hidden vertices keep what is wider than a length, and pass into those
// of seen ones.
#pragma once

#include <cstdint>
#include <vector>

namespace jiff {

// For both twins of smooth_hidden_colors: what is left of the difference from the solution, and how many
// neighbours a vertex has, mostly.
inline constexpr double kSmoothingRest = 0.01, kUsualNeighbors = 6.0;

// 1 for the vertices [num_vertices, 3] of a mesh that a camera sees which looks along -z, orthographic, in
// pictures of `pixel` a side: those whose normal has at least `least_facing` of its length in z, and in front
// of which nothing lies. `faces` [num_faces, 3] are counter-clockwise from outside. Throws
// Error(kInvalidArgument) on a vertex that is not finite, a face that names none, or a pixel of no size.
std::vector<std::uint8_t> seen_vertices(const float* vertices, std::int64_t num_vertices,
                                        const std::int32_t* faces, std::int64_t num_faces, double pixel,
                                        double least_facing);

// Changes `colors` [num_vertices, 3], in [0, 1], of the vertices that are not `seen`: the result x makes
// Σ (h / length)² (x_i - color_i)², over these, + Σ (x_i - x_j)², over the edges that touch them, least,
// where h is the mean length of an edge; up to a hundredth of the change. Throws Error(kInvalidArgument)
// as above, or unless length is above zero.
void smooth_hidden_colors(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                          std::int64_t num_faces, const std::uint8_t* seen, double length, float* colors);

}  // namespace jiff
