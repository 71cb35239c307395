// Marching cubes over the entered cells of a lattice in device memory.
#pragma once

#include "ops/device_surface.h"

namespace jiff::cuda {

struct LatticeView;

// Vertices and faces in the order of cell_mesh.h. `num_places` is the size of the lattice's table.
void mesh_lattice(const LatticeView& lattice, std::int64_t num_places, DeviceSurface& surface,
                  const Stream& stream);

}  // namespace jiff::cuda
