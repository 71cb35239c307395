// The CUDA twin of image_warp.h.
#pragma once

#include <cstdint>

#include "core/cuda.h"
#include "preprocess/image_warp.h"

namespace jiff::cuda {

// As jiff::warp_image; the pixels of `image` and `values` [num_channels, height_px, width_px] lie in device
// memory. Only enqueues.
void warp_image(const ImageView& image, const Box& box, int width_px, int height_px, float* values,
                const Stream& stream);

// The same for jiff::warp_premultiplied: `values` [4, height_px, width_px].
void warp_premultiplied(const ImageView& rgb, const ImageView& alpha, const Box& box, int width_px,
                        int height_px, float* values, const Stream& stream);

}  // namespace jiff::cuda
