#include "ops/cell_mesh.h"

#include <algorithm>
#include <bitset>

#include "core/threads.h"
#include "ops/marching_cubes.h"

namespace jiff {
namespace {

constexpr int kSide = SparseLattice::kSide;
constexpr std::int64_t kBlocksPerChunk = 64;

using Block = SparseLattice::Block;
using Neighborhood = SparseLattice::Neighborhood;
using Slices = SparseLattice::Slices;

std::int32_t num_bits(std::uint64_t word) { return static_cast<std::int32_t>(std::bitset<64>(word).count()); }

int lowest_bit(std::uint64_t word) { return __builtin_ctzll(word); }

// The crossed edges of a block's cells that begin in the cell's own point: each crossed edge of the
// surface is such an edge of one cell. Their vertices are numbered by axis, then slice, then bit.
struct BlockEdges {
    const Block* block = nullptr;
    std::array<Slices, 3> crossed{};                              // by axis
    std::array<std::array<std::int32_t, kSide>, 3> num_before{};  // vertices of this block before a slice
    std::int32_t num_vertices = 0, num_faces = 0;
    std::int32_t first_vertex = 0, first_face = 0;

    std::int32_t vertex(int axis, int slice, int bit) const {
        const std::uint64_t lower = crossed[axis][slice] & ((std::uint64_t{1} << bit) - 1);
        return first_vertex + num_before[axis][slice] + num_bits(lower);
    }
};

// The inside bits of a block and of the points next to it: row [z][y], bit x, each 0 … 8.
class InsideRows {
  public:
    explicit InsideRows(const Neighborhood& blocks) {
        for (int z = 0; z <= kSide; ++z) {
            for (int y = 0; y <= kSide; ++y) {
                const int c = (z / kSide) << 2 | (y / kSide) << 1;
                const auto row_of = [&](const Block* block) {
                    return block ? block->inside[z % kSide] >> kSide * (y % kSide) & 0xff : 0;
                };
                rows_[z][y] =
                    static_cast<std::uint16_t>(row_of(blocks[c]) | (row_of(blocks[c | 1]) & 1) << kSide);
            }
        }
    }

    int operator()(int y, int z) const { return rows_[z][y]; }

  private:
    std::array<std::array<std::uint16_t, kSide + 1>, kSide + 1> rows_;
};

template <typename Visit>  // visit(x, y, z) within the block
void for_each_bit(const Slices& slices, const Visit& visit) {
    for (int z = 0; z < kSide; ++z) {
        for (std::uint64_t rest = slices[z]; rest != 0; rest &= rest - 1) {
            const int bit = lowest_bit(rest);
            visit(bit % kSide, bit / kSide, z);
        }
    }
}

class Mesher {
  public:
    Mesher(const SparseLattice& lattice, float iso) : lattice_(lattice), iso_(iso) {
        for (const Block* block : lattice.blocks_with_cells()) blocks_.emplace_back().block = block;
        row_of_block_.resize(lattice.num_blocks(), -1);
        for (std::size_t i = 0; i < blocks_.size(); ++i)
            row_of_block_[blocks_[i].block->number] = static_cast<std::int32_t>(i);
    }

    CellMesh run(bool with_edge_values) {
        for_each_block([&](BlockEdges& edges) { find_edges(edges); });
        std::int32_t num_vertices = 0, num_faces = 0;
        for (BlockEdges& edges : blocks_) {
            edges.first_vertex = num_vertices;
            edges.first_face = num_faces;
            num_vertices += edges.num_vertices;
            num_faces += edges.num_faces;
        }
        CellMesh mesh;
        mesh.vertices.resize(num_vertices);
        mesh.faces.resize(num_faces);
        if (with_edge_values) mesh.edge_values.resize(num_vertices);
        for_each_block([&](const BlockEdges& edges) {
            const Neighborhood upper = lattice_.upper_neighborhood(*edges.block);
            make_vertices(edges, upper, mesh);
            make_faces(edges, upper, mesh);
        });
        return mesh;
    }

  private:
    template <typename Run>
    void for_each_block(const Run& run) {
        const auto num_blocks = static_cast<std::int64_t>(blocks_.size());
        parallel_for((num_blocks + kBlocksPerChunk - 1) / kBlocksPerChunk, [&](std::int64_t chunk) {
            const std::int64_t end = std::min(num_blocks, (chunk + 1) * kBlocksPerChunk);
            for (std::int64_t i = chunk * kBlocksPerChunk; i < end; ++i) run(blocks_[i]);
        });
    }

    void find_edges(BlockEdges& edges) const {
        const InsideRows inside(lattice_.upper_neighborhood(*edges.block));
        const auto& table = marching_cubes_table();
        const Slices& cells = edges.block->cells;
        for_each_bit(cells, [&](int x, int y, int z) {
            edges.num_faces += static_cast<std::int32_t>(table[corners_inside(inside, x, y, z)].size());
        });
        for (int axis = 0; axis < 3; ++axis) {
            for (int z = 0; z < kSide; ++z) {
                edges.crossed[axis][z] = crossed_edges(inside, cells[z], z, axis);
                edges.num_before[axis][z] = edges.num_vertices;
                edges.num_vertices += num_bits(edges.crossed[axis][z]);
            }
        }
    }

    void make_vertices(const BlockEdges& edges, const Neighborhood& upper, CellMesh& mesh) const {
        const Block& block = *edges.block;
        std::int32_t vertex = edges.first_vertex;
        for (int axis = 0; axis < 3; ++axis) {
            for_each_bit(edges.crossed[axis], [&](int x, int y, int z) {
                std::array<int, 3> end = {x, y, z};
                const bool leaves_block = ++end[axis] == kSide;
                const Block* end_block = leaves_block ? upper[1 << axis] : &block;
                const float first = block.values[SparseLattice::point_index(x, y, z)];
                const float second =  // a point in no block is fixed
                    end_block ? end_block->values[SparseLattice::point_index(end[0], end[1], end[2])] : 0.0f;
                std::array<float, 3>& position = mesh.vertices[vertex];
                position = {static_cast<float>(block.origin.x + x), static_cast<float>(block.origin.y + y),
                            static_cast<float>(block.origin.z + z)};
                position[axis] += crossing_parameter(first, second, iso_);
                if (!mesh.edge_values.empty()) mesh.edge_values[vertex] = {first, second};
                ++vertex;
            });
        }
    }

    void make_faces(const BlockEdges& edges, const Neighborhood& upper, CellMesh& mesh) const {
        const InsideRows inside(upper);
        std::array<const BlockEdges*, 8> owners{};
        for (int c = 0; c < 8; ++c) {
            const std::int32_t row = upper[c] ? row_of_block_[upper[c]->number] : -1;
            if (row >= 0) owners[c] = &blocks_[row];
        }
        const auto& table = marching_cubes_table();
        const auto& cell_edge = cell_edges();
        std::int32_t face = edges.first_face;
        for_each_bit(edges.block->cells, [&](int x, int y, int z) {
            for (const auto& triangle : table[corners_inside(inside, x, y, z)]) {
                for (int i = 0; i < 3; ++i) {
                    const CellEdge& edge = cell_edge[triangle[i]];
                    const int px = x + (edge.first_corner & 1), py = y + (edge.first_corner >> 1 & 1),
                              pz = z + (edge.first_corner >> 2);
                    const BlockEdges& owner = *owners[px / kSide | py / kSide << 1 | pz / kSide << 2];
                    mesh.faces[face][i] =
                        owner.vertex(edge.axis, pz % kSide, py % kSide * kSide + px % kSide);
                }
                ++face;
            }
        });
    }

    const SparseLattice& lattice_;
    const float iso_;
    std::vector<BlockEdges> blocks_;
    std::vector<std::int32_t> row_of_block_;  // by the block's number, -1: it has no cells
};

}  // namespace

CellMesh mesh_cells(const SparseLattice& lattice, float iso, bool with_edge_values) {
    return Mesher(lattice, iso).run(with_edge_values);
}

}  // namespace jiff
