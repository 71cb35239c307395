#include "pipeline/head_encoder.h"

#include <algorithm>
#include <vector>

#include "core/threads.h"
#include "ops/feature_sampling.h"
#include "preprocess/framing.h"

namespace jiff {
HeadEncoder::HeadEncoder(const HeadEncoderSpec& spec, Engine& engine)
    : graph_("head_encoder", spec.graph, engine),
      reach_(spec.reach),
      body_depth_scale_(spec.body_depth_scale),
      depth_scale_(spec.depth_scale) {}

Box HeadEncoder::picture_box(const HeadFrame& frame, const Box& crop) {
    // A coordinate of the head's frame in pixels of the photo.
    const auto pixel = [&](float head, int axis, double start, double side) {
        const double view = (double{head} - frame.offset[axis]) / frame.scale[axis];
        return start + (view + 1.0) / 2.0 * side;
    };
    Box box;
    box.left_px = pixel(-1.0f, 0, crop.left_px, crop.width_px);
    box.top_px = pixel(-1.0f, 1, crop.top_px, crop.height_px);
    box.width_px = pixel(1.0f, 0, crop.left_px, crop.width_px) - box.left_px;
    box.height_px = pixel(1.0f, 1, crop.top_px, crop.height_px) - box.top_px;
    return box;
}

HeadTexels HeadEncoder::texels(const HeadFrame& frame) const {
    return {frame, graph_.spec().inputs.at("body")[2], body_depth_scale_, depth_scale_};
}

HeadInputs HeadEncoder::inputs(const ImageView& rgb, const ImageView& mask, const Box& crop,
                               const HeadFrame& frame, const TensorView& map) const {
    const auto& shapes = graph_.spec().inputs;
    const Shape& picture = shapes.at("picture");
    const int size_px = static_cast<int>(picture[2]);
    HeadInputs inputs;
    inputs["picture"] =
        encoder_input(frame_image(rgb, mask, picture_box(frame, crop), size_px), picture[1], size_px);
    Tensor& body = inputs["body"] = Tensor(shapes.at("body"));
    const HeadTexels at = texels(frame);
    std::vector<float> places(2 * at.size * at.size);
    parallel_for(at.size, [&](std::int64_t row) {
        float* xy = places.data() + 2 * row * at.size;
        for (std::int64_t column = 0; column < at.size; ++column) {
            xy[2 * column] = at.in_view(column, 0);
            xy[2 * column + 1] = at.in_view(row, 1);
        }
        sample_features(map, xy, at.size, body.data() + row * at.size, 1, at.size * at.size);
    });
    Tensor& believed = inputs["believed"] = Tensor(shapes.at("believed"));
    std::transform(body.data(), body.data() + believed.size(), believed.data(),
                   [&](float depth) { return at.believed(depth); });
    return inputs;
}

Tensor HeadEncoder::encode(const HeadInputs& inputs) const {
    NamedViews views;
    for (const auto& [name, tensor] : inputs) views.emplace(name, tensor.view());
    return graph_.run(views, "features");
}

}  // namespace jiff
