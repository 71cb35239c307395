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

constexpr std::int64_t kLeafTriangles = 4;

}  // namespace

MeshDistance::MeshDistance(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                           std::int64_t num_faces) {
    if (num_faces < 1) {
        throw Error(ErrorCode::kInvalidArgument, "a distance needs a mesh with at least one face, got none");
    }
    check_finite(vertices, num_vertices, 3, "vertices");
    check_faces(faces, num_faces, num_vertices);
    triangles_.resize(num_faces);
    for (std::int64_t f = 0; f < num_faces; ++f) {
        for (int k = 0; k < 3; ++k) {
            const std::int32_t vertex = faces[3 * f + k];
            const float* corner = vertices + 3 * static_cast<std::int64_t>(vertex);
            triangles_[f].corner[k] = {{corner[0], corner[1], corner[2]}};
        }
    }
    build(0, num_faces);
}

// Splits at the median centre along the longest side of the centres' box: depth is logarithmic whatever
// the mesh.
std::int64_t MeshDistance::build(std::int64_t begin, std::int64_t end) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    TreeNode node{{{kInfinity, kInfinity, kInfinity}}, {{-kInfinity, -kInfinity, -kInfinity}}};
    TreeVector center_low = node.low, center_high = node.high;
    const auto center = [](const TreeTriangle& triangle, int axis) {
        return triangle.corner[0][axis] + triangle.corner[1][axis] + triangle.corner[2][axis];
    };
    for (std::int64_t i = begin; i < end; ++i) {
        for (int axis = 0; axis < 3; ++axis) {
            for (const TreeVector& corner : triangles_[i].corner) {
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
    std::nth_element(
        triangles_.begin() + begin, triangles_.begin() + middle, triangles_.begin() + end,
        [&](const TreeTriangle& a, const TreeTriangle& b) { return center(a, axis) < center(b, axis); });
    build(begin, middle);
    const std::int64_t second_child = build(middle, end);
    nodes_[index].second_child = second_child;
    return index;
}

void MeshDistance::query(const float* points, std::int64_t num_points, float* distances) const {
    check_finite(points, num_points, 3, "points");
    constexpr std::int64_t kChunk = 256;
    parallel_for((num_points + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_points, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) {
            const TreeVector point{{points[3 * i], points[3 * i + 1], points[3 * i + 2]}};
            distances[i] =
                static_cast<float>(std::sqrt(squared_distance(point, nodes_.data(), triangles_.data())));
        }
    });
}

}  // namespace jiff
