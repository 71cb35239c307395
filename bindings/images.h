// Images and boxes at the border between NumPy and the core.
#pragma once

#include <pybind11/numpy.h>

#include <array>
#include <cstdint>

#include "preprocess/image_warp.h"

namespace jiff::bindings {

using ByteArray = pybind11::array_t<std::uint8_t, pybind11::array::c_style>;
using BoxValues = std::array<double, 4>;  // left, top, width, height

inline ImageView image_of(const ByteArray& array) {
    return {array.data(), static_cast<int>(array.shape(1)), static_cast<int>(array.shape(0)),
            array.ndim() == 3 ? static_cast<int>(array.shape(2)) : 1};
}

inline Box box_of(const BoxValues& values) { return {values[0], values[1], values[2], values[3]}; }

inline BoxValues values_of(const Box& box) { return {box.left_px, box.top_px, box.width_px, box.height_px}; }

}  // namespace jiff::bindings
