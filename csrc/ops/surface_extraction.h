// The iso-surface of an occupancy field on an R³-cell lattice: a coarse grid tells where surface is, its
// crossed edges are halved down to seeds, and from there the surface is followed at the finest level, so
// that hardly a point is asked for that no crossed cell needs.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/progress.h"

namespace jiff {

struct LatticePoint {
    std::int32_t x, y, z;  // 0 … R
};

// Fills values[i] with the occupancy at points[i]. Points come sorted by (y, x, z): columns together.
using LatticeField = std::function<void(const LatticePoint* points, std::int64_t num_points, float* values)>;

// The same between the lattice points: `points` is [N, 3] in lattice coordinates.
using ContinuousField = std::function<void(const float* points, std::int64_t num_points, float* values)>;

struct ExtractionOptions {
    int resolution = 256;  // R, cells along a side
    float iso = 0.5f;
    int coarse_stride = 0;  // spacing of the first level, in cells; a power of two, 0: by the resolution
    // A coarse cell that shows no crossing is refined if a corner is this close to iso and not farther than
    // the slope of its corners reaches; corners next to a crossed edge do not count. The band shrinks with
    // the stride.
    float uncertain_band = 0.4f;
    bool dense = false;  // evaluate the whole lattice: the reference that sparse must equal
    // (R + 1)² flags [y][x], nonzero where the column may hold surface; empty: everywhere.
    std::vector<std::uint8_t> columns;
    // Points close to surface that the coarse level may not see: what crosses a cell at one of them is
    // followed too.
    std::vector<LatticePoint> seeds;
    // Each vertex takes so many secant steps along its lattice edge on `continuous_field`.
    int num_secant_steps = 0;
    ContinuousField continuous_field;
};

struct Surface {
    std::vector<std::array<float, 3>> vertices;  // lattice coordinates
    std::vector<std::array<std::int32_t, 3>>
        faces;                           // counter-clockwise from outside in a right-handed lattice
    std::int64_t num_queries_asked = 0;  // of lattice points
    std::int64_t num_queries_ideal = 0;  // points of crossed cells
};

// An empty field gives an empty surface. The order of vertices and faces depends on the surface alone, not
// on the way it was found. Throws Error(kInvalidField) on NaN, naming the lattice point, and
// Error(kInvalidArgument) on options that cannot be used.
Surface extract_surface(const LatticeField& field, const ExtractionOptions& options,
                        const ProgressCallback& progress = {});

// Keeps the connected component with the most faces.
Surface largest_component(const Surface& surface);

}  // namespace jiff
