// Cuts a box out of an image and resamples it: area-weighted where it shrinks, bilinear where it grows.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace jiff {

// Borrowed pixels, row-major: values[(row · width_px + column) · num_channels + channel].
struct ImageView {
    const std::uint8_t* values = nullptr;
    int width_px = 0;
    int height_px = 0;
    int num_channels = 0;
};

// In pixels of an image; may reach beyond it.
struct Box {
    double left_px = 0.0;
    double top_px = 0.0;
    double width_px = 0.0;
    double height_px = 0.0;
};

// One source pixel's share in an output pixel, and the shares along one axis of every output pixel: `num_out`
// pixels share [start, start + length) of `num_source` source pixels.
struct Tap {
    int source = 0;
    float weight = 0.0f;
};
using AxisTaps = std::vector<std::vector<Tap>>;
AxisTaps axis_taps(double start, double length, int num_source, int num_out);

// `box` of `image` as [num_channels, height_px, width_px] in [0, 1]. Outside the image values are 0.
Tensor warp_image(const ImageView& image, const Box& box, int width_px, int height_px);

// The same for RGB under an alpha mask of its size: [4, height_px, width_px], colours premultiplied by
// alpha before they are resampled (so that no background bleeds in), then alpha.
Tensor warp_premultiplied(const ImageView& rgb, const ImageView& alpha, const Box& box, int width_px,
                          int height_px);

}  // namespace jiff
