// Where the face head answers instead of the body head, and how the two join (paper Sec. 4.5).
#pragma once

#include <cstdint>

namespace jiff {

// A rectangle of the view, borders included; y points down, so top ≤ bottom.
struct FaceRegion {
    float left = 0.0f, right = 0.0f, top = 0.0f, bottom = 0.0f;

    // Whether a point of the view projects into the region. False for NaN.
    bool contains(float view_x, float view_y) const {
        return view_x >= left && view_x <= right && view_y >= top && view_y <= bottom;
    }
};

// The face's share at a distance from the face mesh in centimetres: exp(-0.03 d²) with d the distance over
// √3, as published; 1 on the mesh, 0.37 at 10 cm.
float face_blend_weight(float distance_cm);

// Replaces `answers` [N, C], which are the body's, for the points [N, 3] of the view in the region:
// without distances by `face` [N, C] (the paper's hard switch), with distances_cm [N] by
// weight · face + (1 - weight) · body. `distances_cm` may be null. Rows of `face` outside of the region are
// not read. Throws Error(kInvalidArgument) if a border is NaN, left > right, top > bottom, or the distance
// of a point in the region is negative or not finite.
void blend_face(const FaceRegion& region, const float* points, std::int64_t num_points,
                std::int64_t num_channels, const float* face, const float* distances_cm, float* answers);

}  // namespace jiff
