// The frame of a head: what its own map and the joint shape head see of the view (docs/conventions.md,
// "Head").
#pragma once

#include <cstdint>

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

// What a head's encoder takes of the body's map at the texels of its own, [size, size] with aligned corners.
struct HeadTexels {
    HeadFrame frame;
    std::int64_t size;
    float body_depth_scale, depth_scale;

    // Where a row or column of texels lies in the view, `axis` 0 for columns; beyond it, at its border.
    JIFF_HOST_DEVICE float in_view(std::int64_t texel, int axis) const {
        const float head = 2.0f * static_cast<float>(texel) / static_cast<float>(size - 1) - 1.0f;
        const float view = (head - frame.offset[axis]) / frame.scale[axis];
        return view < -1.0f ? -1.0f : (view > 1.0f ? 1.0f : view);
    }

    // A depth that the body's map holds, in the head's frame. Beside a person that map believes anything.
    JIFF_HOST_DEVICE float believed(float depth) const {
        constexpr float kLimit = 2.0f;  // half sides of the cube
        const float own = depth / body_depth_scale * frame.scale[2] + frame.offset[2];
        return (own < -kLimit ? -kLimit : (own > kLimit ? kLimit : own)) * depth_scale;
    }
};

}  // namespace jiff
