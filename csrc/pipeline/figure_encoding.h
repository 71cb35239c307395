// Encoding what of a picture is not ground alone. Far from the figure and from the borders all columns of an
// encoder's map are one, and all rows: a picture without most of them has the same map, but for those
// (docs/bundle.md, Cut pictures).
#pragma once

#include "core/tensor.h"
#include "pipeline/loaded_graph.h"

namespace jiff {

// "features" of `image` [1, C, H, W], whose ground is zero, in their whole size, from a run on a part of it.
// `encoder` must take cut pictures.
Tensor encode_figure(const LoadedGraph& encoder, const Tensor& image);

}  // namespace jiff
