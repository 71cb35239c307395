// Marching cubes over the entered cells of a sparse lattice, block by block.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ops/sparse_lattice.h"

namespace jiff {

struct CellMesh {
    std::vector<std::array<float, 3>> vertices;  // lattice coordinates, one on each crossed lattice edge
    std::vector<std::array<std::int32_t, 3>> faces;
    std::vector<std::array<float, 2>> edge_values;  // at the ends of each vertex's edge, where asked for
};

// The cells must be all that share a crossed edge, as following leaves them, and their points known.
// Vertices and faces come by blocks in the order (z, y, x), whatever way the cells were found.
CellMesh mesh_cells(const SparseLattice& lattice, float iso, bool with_edge_values);

}  // namespace jiff
