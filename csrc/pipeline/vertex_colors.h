// Colours of mesh vertices from the colour head, and from the photograph itself where it sees them.
#pragma once

#include <array>
#include <vector>

#include "core/tensor.h"
#include "ops/implicit_query.h"

namespace jiff {

// RGB in [0, 1] at `view`, points in view coordinates. A head of four outputs blends: its last output
// is the weight of the frame's own pixel. `frame` is [4, S, S] as frame_image gives it.
std::vector<std::array<float, 3>> colorize_vertices(const ImplicitQuery& head, const FoldedMaps& maps,
                                                    const Tensor& frame,
                                                    const std::vector<std::array<float, 3>>& view);

}  // namespace jiff
