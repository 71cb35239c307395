// The frame of a head: what its own map and the joint shape head see of the view (docs/conventions.md,
// "Head").
#pragma once

#include "core/host_device.h"
#include "ops/volume_sampling.h"

namespace jiff {

// From the view into what the head's map and joint head see: head = scale · view + offset, by axis. The map
// spans -1 to 1 in x and y; depth is that of the cube of the face's volume, from -1 to 1.
struct HeadFrame {
    float scale[3] = {1.0f, 1.0f, 1.0f}, offset[3] = {0.0f, 0.0f, 0.0f};

    JIFF_HOST_DEVICE void place(const float* view, float* head) const {
        for (int axis = 0; axis < 3; ++axis) head[axis] = view[axis] * scale[axis] + offset[axis];
    }
};

// Where a head is whose face has its volume in `cube`. `reach` is half the side of the map, in half sides of
// the cube.
HeadFrame head_frame(const VolumeFrame& cube, float reach);

// The same cube for points of the head's frame.
VolumeFrame cube_in_head(float reach);

}  // namespace jiff
