// Where following a surface starts: a coarse grid tells where surface is, and its crossed edges are halved
// down to cells of the finest level.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/progress.h"
#include "ops/sparse_lattice.h"
#include "ops/surface_extraction.h"

namespace jiff {

// Throws Error(kInvalidArgument) on options that cannot be used.
void check_extraction_options(const ExtractionOptions& options);

// The options', or where they leave it open a 32nd of the side: about the width of a forearm in a frame that
// holds a person.
int coarse_stride(const ExtractionOptions& options);

inline LatticePoint moved(LatticePoint point, int axis, int distance) {
    (axis == 0 ? point.x : axis == 1 ? point.y : point.z) += distance;
    return point;
}

// The cells of the finest level that meet in the points; a cell may come more than once.
std::vector<LatticePoint> cells_at(const std::vector<LatticePoint>& points, int resolution);

// For each set of inside corners of a cell the faces that the surface crosses: bit 2 axis + side.
const std::array<std::uint8_t, 256>& crossed_faces();

// Crossed cells of the finest level, some more than once; what was asked for is in `lattice`, which was
// empty. Throws as extract_surface.
std::vector<LatticePoint> find_surface_seeds(const LatticeField& field, const ExtractionOptions& options,
                                             const ProgressCallback& progress, SparseLattice& lattice);

}  // namespace jiff
