// When a cell of a coarse grid must be looked into. Shared by the CPU and the GPU.
#pragma once

#include <cmath>

#include "core/host_device.h"

namespace jiff {

// How far from iso a hidden crossing is sought, in parts of the difference between a cell's corners. On
// the fields of trained networks smaller values miss pieces one column wide and larger ones find no more.
constexpr float kReachOfSlope = 0.6f;

// Whether a cell with these eight corners could hold surface that they do not show: some corner is close to
// iso, both in itself, at most `band`, and for the slope that the corners show. A soft field is close to iso
// far from its surface, but there its slope is small too. `explained` has a bit for each corner that does not
// count.
JIFF_HOST_DEVICE inline bool may_hide_surface(const float* corners, float iso, float band, int explained) {
    float nearest = HUGE_VALF, lowest = corners[0], highest = corners[0];
    for (int c = 0; c < 8; ++c) {
        if ((explained >> c & 1) == 0) nearest = fminf(nearest, fabsf(corners[c] - iso));
        lowest = fminf(lowest, corners[c]);
        highest = fmaxf(highest, corners[c]);
    }
    return nearest <= fminf(band, kReachOfSlope * (highest - lowest));
}

}  // namespace jiff
