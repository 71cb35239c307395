// Moves the vertices of marching cubes to where the true function takes the iso value.
#pragma once

#include "ops/cell_mesh.h"

namespace jiff {

// Each vertex takes `num_steps` secant steps along its lattice edge, within the bracket of values on both
// sides of `iso` (regula falsi with the Illinois rule, Dowell and Jarratt 1971): each step is one call of
// the field for all vertices, sorted by columns. Topology stays. `mesh` must have its edge values; they are
// used up. Throws Error(kInvalidField) on NaN, naming the point.
void refine_vertices(const ContinuousField& field, float iso, int num_steps, CellMesh& mesh);

}  // namespace jiff
