// The picture of a head, encoded anew in the frame of its fitted face: in the picture of a whole figure a
// head is a few texels wide (docs/conventions.md, "Head").
#pragma once

#include "core/tensor.h"
#include "engine/engine.h"
#include "pipeline/bundle.h"
#include "pipeline/head_frame.h"
#include "pipeline/loaded_graph.h"
#include "preprocess/image_warp.h"

namespace jiff {

// What the encoder takes, by name: "picture" [1, 4, S, S], and at the texels of its map the "body"'s features
// [1, D, T, T] and the depths of front and back that these hold, "believed" [1, 2, T, T].
using HeadInputs = NamedTensors;

class HeadEncoder {
  public:
    // Throws what the engine throws, and Error(kBundle) when the graph has other tensors than `spec`.
    HeadEncoder(const HeadEncoderSpec& spec, Engine& engine);

    float reach() const { return reach_; }
    const LoadedGraph& graph() const { return graph_; }

    // The square of the photo that the picture shows, where `crop` is the view.
    static Box picture_box(const HeadFrame& frame, const Box& crop);

    HeadTexels texels(const HeadFrame& frame) const;

    // Of a photo whose square `crop` is the view, and the body's `map` [1, D, H, W] of it.
    HeadInputs inputs(const ImageView& rgb, const ImageView& mask, const Box& crop, const HeadFrame& frame,
                      const TensorView& map) const;

    // "features" [1, C, T, T], on the host.
    Tensor encode(const HeadInputs& inputs) const;

  private:
    LoadedGraph graph_;
    float reach_, body_depth_scale_, depth_scale_;
};

}  // namespace jiff
