// Between the lattice, the view and the world of one frame (docs/conventions.md, "Coordinates").
#pragma once

#include <array>

#include "pipeline/triangle_mesh.h"
#include "preprocess/image_warp.h"

namespace jiff {

// Lattice points of `resolution` cells to the view.
Points view_from_lattice(const Points& lattice, int resolution);

// `size_m` is the metric side of the frame.
Points world_from_view(const Points& view, double size_m);
Points view_from_world(const Points& world, double size_m);

// The triangles of a surface of the view, seen from outside in the world: turning y up mirrors them.
Triangles world_triangles(const Triangles& view);

// Row-major 4 × 4, from homogeneous world points to (photo.x, photo.y, view.z, 1).
std::array<double, 16> image_from_world(const Box& frame, double size_m);

}  // namespace jiff
