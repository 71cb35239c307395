#include "pipeline/head_encoder.h"

#include <algorithm>
#include <vector>

#include "core/threads.h"
#include "ops/feature_sampling.h"
#include "preprocess/framing.h"

namespace jiff {
namespace {

// Beside a person the body's map believes anything; in half sides of the cube.
constexpr float kDepthLimit = 2.0f;

// From -1 to 1 in the head's frame, in pixels of the photo.
Box picture_box(const HeadFrame& frame, const Box& crop) {
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

// The texels of a map of `size` in the view, [size, size, 2]; those beyond it are moved to its border.
std::vector<float> texels_in_view(const HeadFrame& frame, std::int64_t size) {
    std::vector<float> places;
    const auto place = [&](std::int64_t texel, int axis) {
        const float head = 2.0f * static_cast<float>(texel) / static_cast<float>(size - 1) - 1.0f;
        places.push_back(std::clamp((head - frame.offset[axis]) / frame.scale[axis], -1.0f, 1.0f));
    };
    for (std::int64_t y = 0; y < size; ++y) {
        for (std::int64_t x = 0; x < size; ++x) {
            place(x, 0);
            place(y, 1);
        }
    }
    return places;
}

}  // namespace

HeadEncoder::HeadEncoder(const HeadEncoderSpec& spec, Engine& engine)
    : graph_("head_encoder", spec.graph, engine),
      reach_(spec.reach),
      body_depth_scale_(spec.body_depth_scale),
      depth_scale_(spec.depth_scale) {}

HeadInputs HeadEncoder::inputs(const ImageView& rgb, const ImageView& mask, const Box& crop,
                               const HeadFrame& frame, const TensorView& map) const {
    const auto& shapes = graph_.spec().inputs;
    const Shape& picture = shapes.at("picture");
    const int size_px = static_cast<int>(picture[2]);
    HeadInputs inputs;
    inputs["picture"] =
        encoder_input(frame_image(rgb, mask, picture_box(frame, crop), size_px), picture[1], size_px);
    Tensor& body = inputs["body"] = Tensor(shapes.at("body"));
    const std::int64_t size = body.shape()[2], num_texels = size * size;
    const std::vector<float> places = texels_in_view(frame, size);
    parallel_for(size, [&](std::int64_t row) {
        sample_features(map, places.data() + 2 * row * size, size, body.data() + row * size, 1, num_texels);
    });
    Tensor& believed = inputs["believed"] = Tensor(shapes.at("believed"));
    std::transform(body.data(), body.data() + believed.size(), believed.data(), [&](float depth) {
        const float own = depth / body_depth_scale_ * frame.scale[2] + frame.offset[2];
        return std::clamp(own, -kDepthLimit, kDepthLimit) * depth_scale_;
    });
    return inputs;
}

Tensor HeadEncoder::encode(const HeadInputs& inputs) const {
    NamedViews views;
    for (const auto& [name, tensor] : inputs) views.emplace(name, tensor.view());
    return graph_.run(views, "features");
}

}  // namespace jiff
