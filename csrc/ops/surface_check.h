// Compares the surface that is followed with the one of the whole lattice.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ops/surface_extraction.h"

namespace jiff {

struct MissedComponent {
    std::int64_t num_faces = 0;
    std::array<float, 3> lowest{}, highest{};  // its box, lattice coordinates
};

struct SurfaceCheck {
    Surface followed, dense;
    int num_components = 0;               // of the dense surface
    std::vector<MissedComponent> missed;  // which the followed surface lacks, the largest first
    bool is_rest_identical = false;       // whether the followed surface is the rest, triangle for triangle
};

// Extracts twice, whatever `options.dense` says. Throws as extract_surface.
SurfaceCheck check_surface(const LatticeField& field, ExtractionOptions options);

}  // namespace jiff
