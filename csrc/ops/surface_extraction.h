// The iso-surface of an occupancy field on an R³-cell lattice: coarse-to-fine seeds, surface
// following at the finest level, marching cubes on the crossed cells only.
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

struct ExtractionOptions {
    int resolution = 256;  // R, cells along a side
    float iso = 0.5f;
    int coarse_stride = 0;  // spacing of the first level, in cells; a power of two, 0: by the resolution
    // A coarse cell that shows no crossing is refined if a corner is this close to iso and not farther than
    // the slope of its corners reaches. The band shrinks with the stride.
    float uncertain_band = 0.4f;
    bool dense = false;  // evaluate the whole lattice: the reference that sparse must equal
    // (R + 1)² flags [y][x], nonzero where the column may hold surface; empty: everywhere.
    std::vector<std::uint8_t> columns;
};

struct Surface {
    std::vector<std::array<float, 3>> vertices;  // lattice coordinates
    std::vector<std::array<std::int32_t, 3>>
        faces;  // counter-clockwise from outside in a right-handed lattice
    std::int64_t num_queries_asked = 0;
    std::int64_t num_queries_ideal = 0;
};

// An empty field gives an empty surface. Throws Error(kInvalidField) on NaN, naming the lattice point,
// and Error(kInvalidArgument) on options that cannot be used.
Surface extract_surface(const LatticeField& field, const ExtractionOptions& options,
                        const ProgressCallback& progress = {});

// Keeps the connected component with the most faces.
Surface largest_component(const Surface& surface);

}  // namespace jiff
