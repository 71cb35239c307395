#include "ops/marching_cubes.h"

#include <stdexcept>

namespace jiff {

SurfaceBuilder::SurfaceBuilder(int size_x, int size_y, float iso) : row_length_(size_x + 1), iso_(iso) {
    const std::size_t num_positions = static_cast<std::size_t>(size_x + 1) * (size_y + 1);
    for (auto* positions : {&plane_x_[0], &plane_x_[1], &plane_y_[0], &plane_y_[1], &between_}) {
        positions->assign(num_positions, -1);
    }
}

void SurfaceBuilder::add_cell(int x, int y, int z, const std::array<float, 8>& corners) {
    if (z < layer_) throw std::logic_error("SurfaceBuilder: cells must come in ascending order of z");
    if (z > layer_) {
        const auto num_vertices = static_cast<std::int32_t>(vertices.size());
        previous_layer_begin_ = z == layer_ + 1 ? layer_begin_ : num_vertices;
        layer_begin_ = num_vertices;
        layer_ = z;
    }
    int inside = 0;
    for (int c = 0; c < 8; ++c) inside |= (corners[c] > iso_) << c;
    if (inside == 0 || inside == 255) return;
    for (const auto& triangle : marching_cubes_table()[inside]) {
        std::array<std::int32_t, 3> face;
        for (int i = 0; i < 3; ++i) face[i] = vertex_on(cell_edges()[triangle[i]], x, y, z, corners);
        faces.push_back(face);
    }
}

std::int32_t SurfaceBuilder::vertex_on(const CellEdge& edge, int x, int y, int z,
                                       const std::array<float, 8>& corners) {
    const int corner = edge.first_corner;
    const std::array<int, 3> point = {x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2)};
    const int parity = point[2] & 1;
    auto& positions = edge.axis == 0 ? plane_x_[parity] : edge.axis == 1 ? plane_y_[parity] : between_;
    std::int32_t& vertex = positions[static_cast<std::size_t>(point[1]) * row_length_ + point[0]];
    const bool is_on_lower_plane = edge.axis != 2 && point[2] == z;
    if (vertex >= (is_on_lower_plane ? previous_layer_begin_ : layer_begin_)) return vertex;

    std::array<float, 3> position = {static_cast<float>(point[0]), static_cast<float>(point[1]),
                                     static_cast<float>(point[2])};
    position[edge.axis] += crossing_parameter(corners[edge.first_corner], corners[edge.second_corner], iso_);
    vertex = static_cast<std::int32_t>(vertices.size());
    vertices.push_back(position);
    return vertex;
}

}  // namespace jiff
