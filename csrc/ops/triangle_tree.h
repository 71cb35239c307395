// A tree of boxes over triangles, and the distance of a point from them. Shared by the CPU and the GPU.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace jiff {

struct TreeVector {
    double at[3];

    JIFF_HOST_DEVICE double operator[](int axis) const { return at[axis]; }
    JIFF_HOST_DEVICE double& operator[](int axis) { return at[axis]; }
};

struct TreeTriangle {
    TreeVector corner[3];
};

// Children of an inner node: the node that follows it, and `second_child`. A leaf has triangles.
struct TreeNode {
    TreeVector low, high;
    std::int64_t second_child = 0;
    std::int64_t begin = 0, end = 0;
};

JIFF_HOST_DEVICE inline TreeVector operator-(const TreeVector& a, const TreeVector& b) {
    return {{a[0] - b[0], a[1] - b[1], a[2] - b[2]}};
}

JIFF_HOST_DEVICE inline double dot(const TreeVector& a, const TreeVector& b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

JIFF_HOST_DEVICE inline TreeVector cross(const TreeVector& a, const TreeVector& b) {
    return {{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]}};
}

JIFF_HOST_DEVICE inline double squared_distance_to_segment(const TreeVector& point, const TreeVector& a,
                                                           const TreeVector& b) {
    const TreeVector along = b - a, from_a = point - a;
    const double length = dot(along, along), parameter = dot(from_a, along) / length;
    const double t = !(length > 0.0) || parameter < 0.0 ? 0.0 : parameter > 1.0 ? 1.0 : parameter;
    const TreeVector off = {{from_a[0] - t * along[0], from_a[1] - t * along[1], from_a[2] - t * along[2]}};
    return dot(off, off);
}

JIFF_HOST_DEVICE inline double squared_distance(const TreeVector& point, const TreeNode& node) {
    double sum = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
        const double below = node.low[axis] - point[axis], above = point[axis] - node.high[axis];
        const double off = below > 0.0 ? below : above > 0.0 ? above : 0.0;
        sum += off * off;
    }
    return sum;
}

JIFF_HOST_DEVICE inline double squared_distance(const TreeVector& point, const TreeTriangle& triangle) {
    const TreeVector &a = triangle.corner[0], &b = triangle.corner[1], &c = triangle.corner[2];
    const TreeVector ab = b - a, ac = c - a, ap = point - a;
    const TreeVector normal = cross(ab, ac);
    const double area = dot(normal, normal);
    // The normal of a triangle thinner than this is rounding; its edges are all there is.
    if (area > 1e-24 * dot(ab, ab) * dot(ac, ac)) {
        const double v = dot(cross(ap, ac), normal), w = dot(cross(ab, ap), normal);
        if (v >= 0.0 && w >= 0.0 && v + w <= area) {
            const double off = dot(ap, normal);
            return off * off / area;
        }
    }
    const double to_ab = squared_distance_to_segment(point, a, b),
                 to_bc = squared_distance_to_segment(point, b, c),
                 to_ca = squared_distance_to_segment(point, c, a);
    const double least = to_ab < to_bc ? to_ab : to_bc;
    return least < to_ca ? least : to_ca;
}

// The least distance over all triangles, near nodes first. least_of(node, best) gives that of a leaf's
// triangles and `best`; bounds_of(first, second, bounds) those of two nodes.
template <typename Least, typename Bounds>
JIFF_HOST_DEVICE double least_in_tree(const TreeNode* nodes, const Least& least_of, const Bounds& bounds_of) {
    struct Visit {
        std::int64_t node;
        double bound;
    };
    // The tree halves its triangles at each level, and each level leaves one node behind: more than fit
    // memory.
    Visit stack[64];
    int height = 0;
    stack[height++] = {0, 0.0};
    double best = HUGE_VAL;
    while (height > 0) {
        const Visit visit = stack[--height];
        if (visit.bound >= best) continue;
        const TreeNode& node = nodes[visit.node];
        if (node.second_child == 0) {
            best = least_of(node, best);
            continue;
        }
        double bounds[2];
        bounds_of(nodes[visit.node + 1], nodes[node.second_child], bounds);
        const Visit first{visit.node + 1, bounds[0]}, second{node.second_child, bounds[1]};
        const bool is_second_near = second.bound < first.bound;
        stack[height++] = is_second_near ? first : second;
        stack[height++] = is_second_near ? second : first;
    }
    return best;
}

// The nearest of all triangles.
JIFF_HOST_DEVICE inline double squared_distance(const TreeVector& point, const TreeNode* nodes,
                                                const TreeTriangle* triangles) {
    return least_in_tree(
        nodes,
        [&](const TreeNode& leaf, double best) {
            for (std::int64_t i = leaf.begin; i < leaf.end; ++i) {
                const double distance = squared_distance(point, triangles[i]);
                best = distance < best ? distance : best;
            }
            return best;
        },
        [&](const TreeNode& first, const TreeNode& second, double(&bounds)[2]) {
            bounds[0] = squared_distance(point, first);
            bounds[1] = squared_distance(point, second);
        });
}

}  // namespace jiff
