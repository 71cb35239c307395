// Triangle meshes as the pipeline passes them around.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace jiff {

using Points = std::vector<std::array<float, 3>>;
using Triangles = std::vector<std::array<std::int32_t, 3>>;

struct Mesh {
    Points vertices;                           // world, metres
    Triangles faces;                           // counter-clockwise from outside
    std::vector<std::array<float, 3>> colors;  // one a vertex, sRGB in [0, 1]
};

// Unit normals at the vertices: the mean of the adjacent triangles' weighted by area, zero where no triangle
// meets. Triangles name vertices that are there.
std::vector<std::array<double, 3>> vertex_normals(const Points& vertices, const Triangles& triangles);

}  // namespace jiff
