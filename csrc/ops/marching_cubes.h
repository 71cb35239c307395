// Marching cubes (Lorensen and Cline 1987) with a case table made from first principles, so that every
// surface is closed, consistently oriented and manifold.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/host_device.h"

namespace jiff {

// Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2). Edge 4 a + k runs along axis a; k counts its
// position on the other two axes, the lower of them first.
struct CellEdge {
    int axis;
    int first_corner, second_corner;  // ascending along the axis
};
const std::array<CellEdge, 12>& cell_edges();

// For each of the 256 sets of inside corners (bit c: corner c is inside) the triangles, as cell edges,
// counter-clockwise from outside in a right-handed lattice.
using CellTriangles = std::vector<std::array<std::int8_t, 3>>;
const std::array<CellTriangles, 256>& marching_cubes_table();

// Where between 0 and 1 the straight line from `first` to `second` takes the value `iso`, kept off the ends
// so that no two vertices meet in a corner.
JIFF_HOST_DEVICE inline float crossing_parameter(float first, float second, float iso) {
    const float parameter = (iso - first) / (second - first);
    if (!(parameter > 0.001f)) return 0.001f;  // also where infinite values leave no number
    return parameter > 0.999f ? 0.999f : parameter;
}

// Grows a surface cell by cell. The crossing of a lattice edge becomes one vertex, shared by its cells.
class SurfaceBuilder {
  public:
    // For cells 0 ≤ x < size_x and 0 ≤ y < size_y. A corner is inside if its value is above `iso`.
    SurfaceBuilder(int size_x, int size_y, float iso);

    // Cells must come in ascending order of z. `corners` in the order of CellEdge's corners, without NaN.
    void add_cell(int x, int y, int z, const std::array<float, 8>& corners);

    std::vector<std::array<float, 3>> vertices;  // lattice coordinates
    std::vector<std::array<std::int32_t, 3>> faces;

  private:
    std::int32_t vertex_on(const CellEdge& edge, int x, int y, int z, const std::array<float, 8>& corners);

    int row_length_;  // lattice points along x
    float iso_;
    int layer_ = -1;                         // z of the cells that come now
    std::int32_t layer_begin_ = 0;           // first vertex made by this layer of cells
    std::int32_t previous_layer_begin_ = 0;  // and by the layer below
    // The last vertex of each edge position: along x and y on even and odd planes, along z between them.
    // One older than the layers that can share it belongs to another z.
    std::array<std::vector<std::int32_t>, 2> plane_x_, plane_y_;
    std::vector<std::int32_t> between_;
};

}  // namespace jiff
