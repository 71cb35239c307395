#include "pipeline/triangle_mesh.h"

#include <cmath>

namespace jiff {

std::vector<std::array<double, 3>> vertex_normals(const Points& vertices, const Triangles& triangles) {
    std::vector<std::array<double, 3>> normals(vertices.size());
    for (const auto& [a, b, c] : triangles) {
        std::array<double, 3> u, v;
        for (int axis = 0; axis < 3; ++axis) {
            u[axis] = static_cast<double>(vertices[b][axis]) - vertices[a][axis];
            v[axis] = static_cast<double>(vertices[c][axis]) - vertices[a][axis];
        }
        const std::array<double, 3> normal = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
                                              u[0] * v[1] - u[1] * v[0]};
        for (const std::int32_t vertex : {a, b, c}) {
            for (int axis = 0; axis < 3; ++axis) normals[vertex][axis] += normal[axis];
        }
    }
    for (auto& normal : normals) {
        const double length =
            std::sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]);
        if (length > 0.0) {
            for (double& value : normal) value /= length;
        }
    }
    return normals;
}

}  // namespace jiff
