// Encoding what of a picture is not ground alone. Far from the figure and from the borders all columns of an
// encoder's map are one, and all rows: a picture without most of them has the same map, but for those
// (docs/bundle.md, Cut pictures).
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/bundle.h"
#include "pipeline/loaded_graph.h"

namespace jiff {

// One side of the picture, cut: which texels are left, and where each texel of the whole map is in the map of
// what is left.
struct CutSide {
    std::int64_t begin = 0, end = 0;
    std::vector<std::int64_t> sources;
};

// Of a side of `size` texels with a figure from `first` to `last`. Whole where there is no room after the
// figure: what was cut off counts as the last texel that is left, which must be one of the ground.
CutSide cut_side(const CutSpec& spec, std::int64_t size, std::int64_t first, std::int64_t last);

// "features" of `image` [1, C, H, W], whose ground is zero, in their whole size, from a run on a part of it.
// `encoder` must take cut pictures.
Tensor encode_figure(const LoadedGraph& encoder, const Tensor& image);

}  // namespace jiff
