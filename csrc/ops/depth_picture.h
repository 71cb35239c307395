// A picture of depths along the line of sight: which pixels a triangle covers, and how deep it lies there.
// Shared by the CPU and the GPU.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "ops/triangle_tree.h"

namespace jiff {

struct PictureGrid {
    double low[2];  // of the first pixel's middle
    double pixel;   // a side
    std::int64_t size[2];

    // Around what lies from `low` to `high`, with one pixel more on each side, so that every point lies
    // between four.
    static PictureGrid around(const double (&low)[2], const double (&high)[2], double pixel) {
        PictureGrid grid{{low[0] - pixel, low[1] - pixel}, pixel, {0, 0}};
        for (int axis = 0; axis < 2; ++axis) {
            const double size = std::ceil((high[axis] - low[axis]) / pixel) + 3;
            grid.size[axis] = size <= kMostPixels ? static_cast<std::int64_t>(size) : 0;
        }
        return grid;
    }
    bool is_too_large() const { return size[0] == 0 || size[1] == 0; }
    std::int64_t num_pixels() const { return size[0] * size[1]; }

    JIFF_HOST_DEVICE double place(float coordinate, int axis) const {
        return (coordinate - low[axis]) / pixel;
    }

    // Calls with each pixel whose middle lies in a triangle, and the depth there. `normal` is the triangle's,
    // of any length.
    template <typename Visit>
    JIFF_HOST_DEVICE void draw(const float* a, const float* b, const float* c, const TreeVector& normal,
                               const Visit& visit) const {
        if (normal[2] == 0.0) return;  // seen from its edge
        double first[2], last[2];
        for (int axis = 0; axis < 2; ++axis) {
            const double at[3] = {place(a[axis], axis), place(b[axis], axis), place(c[axis], axis)};
            const double less = at[0] < at[1] ? at[0] : at[1], more = at[0] < at[1] ? at[1] : at[0];
            first[axis] = std::ceil(less < at[2] ? less : at[2]);
            last[axis] = more > at[2] ? more : at[2];
        }
        for (auto row = static_cast<std::int64_t>(first[1]); static_cast<double>(row) <= last[1]; ++row) {
            for (auto column = static_cast<std::int64_t>(first[0]); static_cast<double>(column) <= last[0];
                 ++column) {
                const double x = low[0] + static_cast<double>(column) * pixel,
                             y = low[1] + static_cast<double>(row) * pixel;
                if (!is_within(a, b, c, normal[2], x, y)) continue;
                visit(row * size[0] + column,
                      a[2] - (normal[0] * (x - a[0]) + normal[1] * (y - a[1])) / normal[2]);
            }
        }
    }

    // The first of the four pixels around a point; the others follow it by 1, size[0] and size[0] + 1.
    JIFF_HOST_DEVICE std::int64_t pixel_before(const float* point) const {
        return static_cast<std::int64_t>(place(point[1], 1)) * size[0] +
               static_cast<std::int64_t>(place(point[0], 0));
    }
    // Of the farthest of these four, at most, where the point is seen: on a slope the others may lie in front
    // of what is seen.
    JIFF_HOST_DEVICE double most_depth(const float* point) const { return point[2] + 0.5 * pixel; }

  private:
    static constexpr double kMostPixels = 16384;

    JIFF_HOST_DEVICE static double side(const float* from, const float* to, double x, double y) {
        return (double{to[0]} - from[0]) * (y - from[1]) - (double{to[1]} - from[1]) * (x - from[0]);
    }
    JIFF_HOST_DEVICE static bool is_within(const float* a, const float* b, const float* c, double area,
                                           double x, double y) {
        const double sign = area > 0.0 ? 1.0 : -1.0;
        return sign * side(a, b, x, y) >= 0.0 && sign * side(b, c, x, y) >= 0.0 &&
               sign * side(c, a, x, y) >= 0.0;
    }
};

// The normal of a triangle, twice its area long.
JIFF_HOST_DEVICE inline TreeVector triangle_normal(const float* a, const float* b, const float* c) {
    const TreeVector first{{a[0], a[1], a[2]}}, second{{b[0], b[1], b[2]}}, third{{c[0], c[1], c[2]}};
    return cross(second - first, third - first);
}

// Whether a surface of this normal, of any length, shows enough of itself to a camera that looks along -z.
JIFF_HOST_DEVICE inline bool is_facing(const TreeVector& normal, double least_facing) {
    return normal[2] > 0.0 && normal[2] >= least_facing * std::sqrt(dot(normal, normal));
}

}  // namespace jiff
