#include "ops/mesh_distance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/finite.h"

namespace jiff {
namespace {

using Vector = std::array<double, 3>;

constexpr std::int64_t kLeafTriangles = 4;

Vector operator-(const Vector& a, const Vector& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

Vector cross(const Vector& a, const Vector& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double squared_distance_to_segment(const Vector& point, const Vector& a, const Vector& b) {
    const Vector along = b - a, from_a = point - a;
    const double length = dot(along, along);
    const double t = length > 0.0 ? std::clamp(dot(from_a, along) / length, 0.0, 1.0) : 0.0;
    const Vector off = {from_a[0] - t * along[0], from_a[1] - t * along[1], from_a[2] - t * along[2]};
    return dot(off, off);
}

}  // namespace

MeshDistance::MeshDistance(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                           std::int64_t num_faces) {
    if (num_faces < 1) {
        throw Error(ErrorCode::kInvalidArgument, "a distance needs a mesh with at least one face, got none");
    }
    check_finite(vertices, num_vertices, 3, "vertices");
    triangles_.resize(num_faces);
    for (std::int64_t f = 0; f < num_faces; ++f) {
        for (int k = 0; k < 3; ++k) {
            const std::int32_t vertex = faces[3 * f + k];
            if (vertex < 0 || vertex >= num_vertices) {
                throw Error(ErrorCode::kInvalidArgument, "face " + std::to_string(f) + " names vertex " +
                                                             std::to_string(vertex) + " of " +
                                                             std::to_string(num_vertices));
            }
            const float* corner = vertices + 3 * static_cast<std::int64_t>(vertex);
            triangles_[f].corner[k] = {corner[0], corner[1], corner[2]};
        }
    }
    build(0, num_faces);
}

// Splits at the median centre along the longest side of the centres' box: depth is logarithmic whatever
// the mesh.
std::int64_t MeshDistance::build(std::int64_t begin, std::int64_t end) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Node node{{kInfinity, kInfinity, kInfinity}, {-kInfinity, -kInfinity, -kInfinity}};
    Vector center_low = node.low, center_high = node.high;
    const auto center = [](const Triangle& triangle, int axis) {
        return triangle.corner[0][axis] + triangle.corner[1][axis] + triangle.corner[2][axis];
    };
    for (std::int64_t i = begin; i < end; ++i) {
        for (int axis = 0; axis < 3; ++axis) {
            for (const Vector& corner : triangles_[i].corner) {
                node.low[axis] = std::min(node.low[axis], corner[axis]);
                node.high[axis] = std::max(node.high[axis], corner[axis]);
            }
            center_low[axis] = std::min(center_low[axis], center(triangles_[i], axis));
            center_high[axis] = std::max(center_high[axis], center(triangles_[i], axis));
        }
    }
    const auto index = static_cast<std::int64_t>(nodes_.size());
    nodes_.push_back(node);
    if (end - begin <= kLeafTriangles) {
        nodes_[index].begin = begin;
        nodes_[index].end = end;
        return index;
    }
    int axis = 0;
    for (int other = 1; other < 3; ++other) {
        if (center_high[other] - center_low[other] > center_high[axis] - center_low[axis]) axis = other;
    }
    const std::int64_t middle = begin + (end - begin) / 2;
    std::nth_element(triangles_.begin() + begin, triangles_.begin() + middle, triangles_.begin() + end,
                     [&](const Triangle& a, const Triangle& b) { return center(a, axis) < center(b, axis); });
    build(begin, middle);
    const std::int64_t second_child = build(middle, end);
    nodes_[index].second_child = second_child;
    return index;
}

double MeshDistance::squared_distance(const Vector& point, const Node& node) {
    double sum = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
        const double off = std::max({node.low[axis] - point[axis], point[axis] - node.high[axis], 0.0});
        sum += off * off;
    }
    return sum;
}

double MeshDistance::squared_distance(const Vector& point, const Triangle& triangle) {
    const auto& [a, b, c] = triangle.corner;
    const Vector ab = b - a, ac = c - a, ap = point - a;
    const Vector normal = cross(ab, ac);
    const double area = dot(normal, normal);
    // The normal of a triangle thinner than this is rounding; its edges are all there is.
    if (area > 1e-24 * dot(ab, ab) * dot(ac, ac)) {
        const double v = dot(cross(ap, ac), normal), w = dot(cross(ab, ap), normal);
        if (v >= 0.0 && w >= 0.0 && v + w <= area) {
            const double off = dot(ap, normal);
            return off * off / area;
        }
    }
    return std::min({squared_distance_to_segment(point, a, b), squared_distance_to_segment(point, b, c),
                     squared_distance_to_segment(point, c, a)});
}

double MeshDistance::squared_distance(const Vector& point) const {
    struct Visit {
        std::int64_t node;
        double bound;
    };
    // The tree halves its triangles at each level, so this depth holds 2^63 of them.
    std::array<Visit, 128> stack;
    std::size_t height = 0;
    stack[height++] = {0, squared_distance(point, nodes_[0])};
    double best = std::numeric_limits<double>::infinity();
    while (height > 0) {
        const Visit visit = stack[--height];
        if (visit.bound >= best) continue;
        const Node& node = nodes_[visit.node];
        if (node.second_child == 0) {
            for (std::int64_t i = node.begin; i < node.end; ++i) {
                best = std::min(best, squared_distance(point, triangles_[i]));
            }
            continue;
        }
        Visit near{visit.node + 1, squared_distance(point, nodes_[visit.node + 1])};
        Visit far{node.second_child, squared_distance(point, nodes_[node.second_child])};
        if (far.bound < near.bound) std::swap(near, far);
        stack[height++] = far;
        stack[height++] = near;
    }
    return best;
}

void MeshDistance::query(const float* points, std::int64_t num_points, float* distances) const {
    check_finite(points, num_points, 3, "points");
    constexpr std::int64_t kChunk = 256;
    parallel_for((num_points + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_points, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) {
            const Vector point{points[3 * i], points[3 * i + 1], points[3 * i + 2]};
            distances[i] = static_cast<float>(std::sqrt(squared_distance(point)));
        }
    });
}

}  // namespace jiff
