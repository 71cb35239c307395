// Which pixels of a photograph are the person: a matte network's input and output, and the choice of
// one person among several.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "preprocess/image_warp.h"

namespace jiff {

// Where the mask's values come from decides what an empty one means.
enum class MaskSource { kNetwork, kCaller };

struct PersonMask {
    std::vector<std::uint8_t> values;  // [height, width] of the photo, 0 … 255: one person, soft edges kept
    Box box;                           // of the values above one half
    std::vector<std::string> warnings;
};

// The photo stretched to the network's size, [1, 3, height_px, width_px] in [-1, 1].
Tensor segmentation_input(const ImageView& rgb, int width_px, int height_px);

// A matte [1, 1, height, width] in [0, 1] back at the photo's size, 0 … 255.
std::vector<std::uint8_t> matte_to_photo(const TensorView& matte, int photo_width_px, int photo_height_px);

// Keeps the largest connected part above one half, with the soft edge that belongs to it, and warns
// when another part is at least 15 % as large. Throws Error(kNoPerson) when a network's mask holds no
// part of 0.5 % of the photo, Error(kInvalidMask) when a caller's mask is empty or a mere speck.
PersonMask choose_person(const ImageView& mask, MaskSource source);

}  // namespace jiff
