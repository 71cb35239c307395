#include "pipeline/head_frame.h"

namespace jiff {

HeadFrame head_frame(const VolumeFrame& cube, float reach) {
    HeadFrame frame;
    for (int axis = 0; axis < 3; ++axis) {
        const float side = axis < 2 ? reach : 1.0f;
        frame.scale[axis] = 2.0f * cube.scale[axis] / side;
        frame.offset[axis] = (2.0f * cube.offset[axis] - 1.0f) / side;
    }
    return frame;
}

VolumeFrame cube_in_head(float reach) { return {{reach / 2.0f, reach / 2.0f, 0.5f}, {0.5f, 0.5f, 0.5f}}; }

}  // namespace jiff
