// Where the face head answers instead of the body head, and how the two join (paper Sec. 4.5).
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace jiff {

// A rectangle of the view, borders included; y points down, so top ≤ bottom.
struct FaceRegion {
    float left = 0.0f, right = 0.0f, top = 0.0f, bottom = 0.0f;

    // Whether a point of the view projects into the region. False for NaN.
    JIFF_HOST_DEVICE bool contains(float view_x, float view_y) const {
        return view_x >= left && view_x <= right && view_y >= top && view_y <= bottom;
    }
};

JIFF_HOST_DEVICE inline float least(float a, float b) { return b < a ? b : a; }

// Along the region's border, over this share of its shorter side, the body's answer passes into the face's:
// the two heads never quite agree, and a hard switch leaves a step there.
inline constexpr float kBorderShare = 0.1f;
inline constexpr float kLeastProbability = 1e-6f;

// The face's share at a point of the region: 0 on its border, 1 from the border zone on inwards.
JIFF_HOST_DEVICE inline float border_share(const FaceRegion& region, float x, float y) {
    const float zone = kBorderShare * least(region.right - region.left, region.bottom - region.top);
    const float inwards =
        least(least(x - region.left, region.right - x), least(y - region.top, region.bottom - y));
    return inwards < zone ? inwards / zone : 1.0f;
}

JIFF_HOST_DEVICE inline float logit(float probability) {
    constexpr float kMost = 1.0f - kLeastProbability;
    const float bounded = probability < kLeastProbability ? kLeastProbability
                          : probability > kMost           ? kMost
                                                          : probability;
    return std::isnan(probability) ? probability : std::log(bounded / (1.0f - bounded));
}

// Colours mix as they are. Of occupancies the logits do, since they fall about linearly across a surface:
// so the surface itself moves from the one place to the other.
JIFF_HOST_DEVICE inline float mixed(float body, float face, float share, bool is_occupancy) {
    if (!is_occupancy) return body + share * (face - body);
    const float start = logit(body);
    return 1.0f / (1.0f + std::exp(-(start + share * (logit(face) - start))));
}

// The face's share at a distance from the face mesh in centimetres: exp(-0.03 d²) with d the distance over
// √3, as published; 1 on the mesh, 0.37 at 10 cm.
JIFF_HOST_DEVICE inline float face_blend_weight(float distance_cm) {
    return std::exp(-0.03f * distance_cm * distance_cm / 3.0f);
}

// Replaces `answers` [N, C], which are the body's, for the points [N, 3] of the view in the region:
// without distances by `face` [N, C] (the paper's hard switch), with distances_cm [N] by
// weight · face + (1 - weight) · body. `distances_cm` may be null. Rows of `face` outside of the region are
// not read. Throws Error(kInvalidArgument) if a border is NaN, left > right, top > bottom, or the distance
// of a point in the region is negative or not finite.
void blend_face(const FaceRegion& region, const float* points, std::int64_t num_points,
                std::int64_t num_channels, const float* face, const float* distances_cm, float* answers);

}  // namespace jiff
