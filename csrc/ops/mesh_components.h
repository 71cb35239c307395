// The connected components of a surface; faces join where they share a vertex.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/surface_extraction.h"

namespace jiff {

// For each vertex the lowest vertex of its component.
std::vector<std::int32_t> component_of_vertices(const Surface& surface);

// The vertices whose flag is set, with the faces on them, in the same order. Components are kept or dropped
// whole: the flags of a face's vertices must be equal.
Surface keep_vertices(const Surface& surface, const std::vector<std::uint8_t>& is_kept);

}  // namespace jiff
