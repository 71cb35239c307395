// The square that the encoders see: where it lies in the photograph, its pixels, its silhouette.
#pragma once

#include <cstdint>
#include <vector>

#include "core/host_device.h"
#include "core/tensor.h"
#include "preprocess/image_warp.h"

namespace jiff {

// The square crop around a figure whose bounding box is `figure`. `margin`, a share of the figure's
// longer side, is left free around it, but not on a side where the photo's border cuts the figure:
// there, as in the frames that the networks were trained on, the frame cuts it too.
Box frame_figure(const Box& figure, int photo_width_px, int photo_height_px, double margin);

// The crop of a photo under its mask, [4, size_px, size_px]: premultiplied R, G, B and alpha in [0, 1].
Tensor frame_image(const ImageView& rgb, const ImageView& mask, const Box& crop, int size_px);

// What an encoder of three or four channels takes (docs/conventions.md), [1, num_channels, size_px,
// size_px]. `size_px` is the frame's side or a whole fraction of it: blocks of pixels are averaged.
Tensor encoder_input(const Tensor& frame, std::int64_t num_channels, std::int64_t size_px);

// One pixel of it: (colour - 0.5) / 0.5 · alpha, where the frame holds colour · alpha.
JIFF_HOST_DEVICE inline float encoder_value(std::int64_t channel, float value, float alpha) {
    return channel < 3 ? 2.0f * value - alpha : alpha;
}

// Throws Error(kInvalidArgument) unless `size_px` is the frame's side or a whole fraction of it.
void check_encoder_size(std::int64_t frame_px, std::int64_t size_px);

// Alpha [size_px, size_px] of a frame [4, size_px, size_px].
Tensor alpha_of(const Tensor& frame);

// (resolution + 1)² flags [y][x]: the lattice columns whose pixel lies within `dilation_px` rows and
// columns of the silhouette that the frame's alpha [S, S] shows.
std::vector<std::uint8_t> silhouette_columns(const Tensor& alpha, int resolution, int dilation_px);

}  // namespace jiff
