// What is asked of points of the view, and how the face's answers join the body's (paper Sec. 4.5).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "ops/face_blend.h"
#include "ops/mesh_distance.h"
#include "ops/surface_extraction.h"
#include "pipeline/triangle_mesh.h"

namespace jiff {

// Writes the answers [N, C] at `points` [N, 3] of the view. Thread-safe.
using PointFunction = std::function<void(const float* points, std::int64_t num_points, float* answers)>;

// Where a face answers, and how much.
struct FaceArea {
    FaceRegion region;
    std::optional<MeshDistance> mesh;  // of the view; with it the face's share falls with the distance
    double cm_per_unit = 0.0;          // of the view
};

// The box of a face's `vertices` in the view, widened on every side by `margin` of its longer side.
FaceRegion region_around(const Points& vertices, double margin);

// The area of a face, in that region. With `by_distance` its share falls with the distance from the mesh.
// `size_m` is the side of the frame.
FaceArea face_area(const Points& vertices, const Triangles& faces, double margin, bool by_distance,
                   double size_m);

// `face` in the area, `body` elsewhere; both give `num_channels`. `area` must outlive the result.
PointFunction joined(PointFunction body, PointFunction face, const FaceArea& area, std::int64_t num_channels);

// Asked for the points that it was asked for last, it answers from memory. `function` gives `num_channels`.
PointFunction remembered(PointFunction function, std::int64_t num_channels);

// The first answer of `function` at points of a lattice of `resolution` cells; `function` gives one.
LatticeField lattice_field(PointFunction function, int resolution);

}  // namespace jiff
