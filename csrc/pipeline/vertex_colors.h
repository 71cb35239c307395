// Colours of mesh vertices from the colour heads, and from the photograph itself where it sees them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/progress.h"
#include "core/tensor.h"
#include "pipeline/point_function.h"
#include "pipeline/triangle_mesh.h"

namespace jiff {

// RGB in [0, 1] from a head of three outputs, or of four: its last output is then the weight of the frame's
// own pixel. `frame`, [4, S, S] as frame_image gives it, must outlive the result.
PointFunction with_pixels(PointFunction head, std::int64_t num_outputs, const Tensor& frame);

// RGB in [0, 1] at `view`, points in view coordinates, from a function that gives three answers.
std::vector<std::array<float, 3>> colorize_vertices(const PointFunction& color, const Points& view,
                                                    const ProgressCallback& progress = {});

// Details of hidden colours below this are taken out. Longer ones suit clothes, shorter ones hair
// (docs/accuracy.md).
inline constexpr double kHiddenDetailM = 0.03;
// Colours of steeper slopes are hidden as well: they are streaks along the line of sight.
inline constexpr double kLeastFacing = 0.25;

// Of what the camera does not see details are taken out (ops/hidden_colors.h); `cell_m` is the lattice's.
void smooth_hidden_colors(Mesh& mesh, double cell_m);

}  // namespace jiff
