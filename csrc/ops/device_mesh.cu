#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "core/cuda_launch.h"
#include "ops/device_algorithms.cuh"
#include "ops/device_lattice.cuh"
#include "ops/device_mesh.h"
#include "ops/marching_cubes.h"
#include "ops/tensor_core.h"

namespace jiff::cuda {
namespace {

constexpr int kAxes = 3;
constexpr int kEdgeWords = kAxes * kBlockSide;  // of a block: by axis, then slice

struct EdgeTable {
    std::int8_t axis[12], first_corner[12];
};

// The case table: triangles of a set of inside corners from first[corners] on, each three cell edges.
struct CaseTable {
    const std::int32_t* first;
    const std::int8_t* triangles;
};

__global__ void find_blocks_with_cells(LatticeView lattice, std::int64_t num_places,
                                       std::int32_t* has_cells) {
    const std::int64_t at = global_thread();
    if (at > num_places) return;  // one more, for the total
    bool found = false;
    const LatticeBlock* block = at < num_places ? lattice.block_at_place(static_cast<int>(at)) : nullptr;
    for (int z = 0; block && z < kBlockSide; ++z) found = found || block->cells[z] != 0;
    has_cells[at] = found ? 1 : 0;
}

__global__ void number_blocks(LatticeView lattice, std::int64_t num_places, const std::int32_t* has_cells,
                              const std::int32_t* rows, std::int32_t* number_of_row) {
    const std::int64_t at = global_thread();
    if (at >= num_places || has_cells[at] == 0) return;
    lattice.block_at_place(static_cast<int>(at))->row = rows[at];
    number_of_row[rows[at]] = lattice.table[at];
}

// A thread takes a slice of a block.
__global__ void count_elements(LatticeView lattice, const std::int32_t* number_of_row, std::int32_t num_rows,
                               CaseTable cases, std::uint64_t* crossed, std::int32_t* num_vertices,
                               std::int32_t* num_faces) {
    const std::int64_t i = global_thread();
    if (i > std::int64_t{num_rows} * kBlockSide) return;
    const int row = static_cast<int>(i / kBlockSide), z = static_cast<int>(i % kBlockSide);
    if (row == num_rows) {  // one more, for the total
        num_vertices[std::int64_t{row} * kEdgeWords] = 0;
        num_faces[i] = 0;
        return;
    }
    const LatticeBlock& block = lattice.blocks[number_of_row[row]];
    const InsideRows inside(lattice, block);
    for (int axis = 0; axis < kAxes; ++axis) {
        const std::int64_t at = std::int64_t{row} * kEdgeWords + axis * kBlockSide + z;
        crossed[at] = crossed_edges(inside, block.cells[z], z, axis);
        num_vertices[at] = __popcll(crossed[at]);
    }
    int count = 0;
    for (Word rest = block.cells[z]; rest != 0; rest &= rest - 1) {
        const int bit = __ffsll(static_cast<long long>(rest)) - 1;
        const int corners = corners_inside(inside, bit % kBlockSide, bit / kBlockSide, z);
        count += cases.first[corners + 1] - cases.first[corners];
    }
    num_faces[i] = count;
}

// A thread takes the edges of one axis of a slice.
__global__ void make_vertices(LatticeView lattice, const std::int32_t* number_of_row, std::int32_t num_rows,
                              const std::uint64_t* crossed, const std::int32_t* first_vertex,
                              float* vertices) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{num_rows} * kEdgeWords) return;
    const int axis = static_cast<int>(i / kBlockSide % kAxes), z = static_cast<int>(i % kBlockSide);
    const LatticeBlock& block = lattice.blocks[number_of_row[i / kEdgeWords]];
    int origin[3];
    lattice.origin(block.place, origin);
    std::int64_t vertex = first_vertex[i];
    for (Word rest = crossed[i]; rest != 0; rest &= rest - 1, ++vertex) {
        const int bit = __ffsll(static_cast<long long>(rest)) - 1;
        const int point[3] = {bit % kBlockSide, bit / kBlockSide, z};
        int end[3] = {point[0] + (axis == 0), point[1] + (axis == 1), point[2] + (axis == 2)};
        const LatticeBlock* end_block = &block;
        if (end[axis] == kBlockSide) {
            end_block = lattice.block(origin[0] + end[0], origin[1] + end[1], origin[2] + end[2]);
            end[axis] = 0;
        }
        const float first = block.values[z * kBlockSide * kBlockSide + bit];
        const float second =  // a point in no block is fixed
            end_block ? end_block->values[(end[2] * kBlockSide + end[1]) * kBlockSide + end[0]] : 0.0f;
        const float along = crossing_parameter(first, second, lattice.iso);
        for (int k = 0; k < 3; ++k)
            vertices[3 * vertex + k] = static_cast<float>(origin[k] + point[k]) + (k == axis ? along : 0.0f);
    }
}

// A thread takes the cells of a slice.
__global__ void make_faces(LatticeView lattice, const std::int32_t* number_of_row, std::int32_t num_rows,
                           const __grid_constant__ EdgeTable edges, CaseTable cases,
                           const std::uint64_t* crossed, const std::int32_t* first_vertex,
                           const std::int32_t* first_face, std::int32_t* faces) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{num_rows} * kBlockSide) return;
    const int z = static_cast<int>(i % kBlockSide);
    const LatticeBlock& block = lattice.blocks[number_of_row[i / kBlockSide]];
    const InsideRows inside(lattice, block);
    std::int64_t face = first_face[i];
    for (Word rest = block.cells[z]; rest != 0; rest &= rest - 1) {
        const int bit = __ffsll(static_cast<long long>(rest)) - 1;
        const int x = bit % kBlockSide, y = bit / kBlockSide;
        const int corners = corners_inside(inside, x, y, z);
        for (int triangle = cases.first[corners]; triangle < cases.first[corners + 1]; ++triangle, ++face) {
            for (int k = 0; k < 3; ++k) {
                const int edge = cases.triangles[3 * triangle + k], corner = edges.first_corner[edge];
                const int px = x + (corner & 1), py = y + (corner >> 1 & 1), pz = z + (corner >> 2);
                const LatticeBlock* owner =
                    inside.block(px / kBlockSide | py / kBlockSide << 1 | pz / kBlockSide << 2);
                const std::int64_t at =
                    std::int64_t{owner->row} * kEdgeWords + edges.axis[edge] * kBlockSide + pz % kBlockSide;
                const std::uint64_t lower = crossed[at] & ((std::uint64_t{1} << bit_in_slice(px, py)) - 1);
                faces[3 * face + k] = first_vertex[at] + __popcll(lower);
            }
        }
    }
}

// ---- The largest component --------------------------------------------------------------------------------
// Union-find; the root of a set is its lowest vertex, whatever the order of the threads. Vertices first take
// their lowest neighbours for parents, and paths are halved by whoever walks them: most unions find then that
// they are done (Jaiganesh and Burtscher, "A High-Performance Connected Components Implementation for GPUs").

__device__ std::int32_t root_of(std::int32_t* parent, std::int32_t vertex) {
    // Others may lower parents meanwhile; every parent is lower than its child, and what is written here is
    // further up the same path.
    volatile std::int32_t* now = parent;
    for (;;) {
        const std::int32_t above = now[vertex];
        if (above == vertex) return vertex;
        const std::int32_t next = now[above];
        if (next == above) return above;
        now[vertex] = next;
        vertex = next;
    }
}

__device__ void unite(std::int32_t* parent, std::int32_t a, std::int32_t b) {
    for (;;) {
        a = root_of(parent, a);
        b = root_of(parent, b);
        if (a == b) return;
        const std::int32_t high = max(a, b), low = min(a, b);
        if (atomicCAS(parent + high, high, low) == high) return;
    }
}

__global__ void start_components(std::int32_t* parent, std::int32_t* num_faces, std::int64_t num_vertices) {
    const std::int64_t v = global_thread();
    if (v >= num_vertices) return;
    parent[v] = static_cast<std::int32_t>(v);
    num_faces[v] = 0;
}

__global__ void take_lowest_neighbors(const std::int32_t* faces, std::int64_t num_faces,
                                      std::int32_t* parent) {
    const std::int64_t f = global_thread();
    if (f >= num_faces) return;
    for (int k = 0; k < 3; ++k) {
        const std::int32_t a = faces[3 * f + k], b = faces[3 * f + (k + 1) % 3];
        if (a < b) atomicMin(parent + b, a);  // an edge of a closed surface runs in both directions
    }
}

__global__ void unite_faces(const std::int32_t* faces, std::int64_t num_faces, std::int32_t* parent) {
    const std::int64_t f = global_thread();
    if (f >= num_faces) return;
    unite(parent, faces[3 * f], faces[3 * f + 1]);
    unite(parent, faces[3 * f], faces[3 * f + 2]);
}

__global__ void find_roots(std::int32_t* parent, std::int64_t num_vertices, std::int32_t* roots) {
    const std::int64_t v = global_thread();
    if (v < num_vertices) roots[v] = root_of(parent, static_cast<std::int32_t>(v));
}

__global__ void count_faces(const std::int32_t* faces, std::int64_t num_faces, const std::int32_t* roots,
                            std::int32_t* count_of_root) {
    const std::int64_t f = global_thread();
    const std::int32_t root = f < num_faces ? roots[faces[3 * f]] : -1;
    // Most faces are of one component: a warp's are counted together.
    const std::int32_t common = __shfl_sync(~0U, root, 0);
    int num_common = root == common ? 1 : 0;
    for (int half = kLanes / 2; half > 0; half /= 2) num_common += __shfl_xor_sync(~0U, num_common, half);
    const bool is_first = threadIdx.x % kLanes == 0;
    if (root >= 0 && (is_first || root != common)) atomicAdd(count_of_root + root, is_first ? num_common : 1);
}

// Of equal counts the lowest vertex wins.
__global__ void find_largest(const std::int32_t* count_of_root, std::int64_t num_vertices, Word* largest) {
    const std::int64_t v = global_thread();
    if (v >= num_vertices || count_of_root[v] == 0) return;
    atomicMax(largest, static_cast<Word>(count_of_root[v]) << 32 | (~static_cast<std::uint32_t>(v)));
}

__global__ void mark_kept(const std::int32_t* roots, std::int64_t num_vertices, const std::int32_t* faces,
                          std::int64_t num_faces, const Word* largest, std::int32_t* keeps_vertex,
                          std::int32_t* keeps_face) {
    const std::int64_t i = global_thread();
    const auto root = static_cast<std::int32_t>(~static_cast<std::uint32_t>(*largest));
    if (i <= num_vertices) keeps_vertex[i] = i < num_vertices && roots[i] == root ? 1 : 0;
    if (i <= num_faces) keeps_face[i] = i < num_faces && roots[faces[3 * i]] == root ? 1 : 0;
}

__global__ void move_kept(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                          std::int64_t num_faces, const std::int32_t* keeps_vertex,
                          const std::int32_t* keeps_face, const std::int32_t* new_vertex,
                          const std::int32_t* new_face, float* kept_vertices, std::int32_t* kept_faces) {
    const std::int64_t i = global_thread();
    for (int k = 0; k < 3; ++k) {
        if (i < num_vertices && keeps_vertex[i] != 0)
            kept_vertices[3 * std::int64_t{new_vertex[i]} + k] = vertices[3 * i + k];
        if (i < num_faces && keeps_face[i] != 0)
            kept_faces[3 * std::int64_t{new_face[i]} + k] = new_vertex[faces[3 * i + k]];
    }
}

// Two totals that scans left at the ends of their arrays, in one wait.
void read_totals(const std::int32_t* first, const std::int32_t* second, std::int64_t (&totals)[2],
                 const Stream& stream) {
    std::int32_t values[2] = {0, 0};
    copy_to_host(&values[0], first, sizeof values[0], stream);
    copy_to_host(&values[1], second, sizeof values[1], stream);
    stream.synchronize();
    totals[0] = values[0];
    totals[1] = values[1];
}

}  // namespace

void mesh_lattice(const LatticeView& lattice, std::int64_t num_places, DeviceSurface& surface,
                  const Stream& stream) {
    std::vector<std::int32_t> first{0};
    std::vector<std::int8_t> triangles;
    for (const CellTriangles& of_case : marching_cubes_table()) {
        for (const auto& triangle : of_case)
            triangles.insert(triangles.end(), triangle.begin(), triangle.end());
        first.push_back(static_cast<std::int32_t>(triangles.size() / 3));
    }
    EdgeTable edges{};
    for (int e = 0; e < 12; ++e) {
        edges.axis[e] = static_cast<std::int8_t>(cell_edges()[e].axis);
        edges.first_corner[e] = static_cast<std::int8_t>(cell_edges()[e].first_corner);
    }
    const Buffer<std::int32_t> device_first(first, stream);
    const Buffer<std::int8_t> device_triangles(triangles, stream);
    const CaseTable cases{device_first.data(), device_triangles.data()};

    Buffer<std::int32_t> has_cells(num_places + 1, stream), rows(num_places + 1, stream);
    launch(find_blocks_with_cells, grid_over(num_places + 1), stream, lattice, num_places, has_cells.data());
    exclusive_sums(has_cells.data(), rows.data(), num_places + 1, stream);
    std::int32_t num_rows = 0;
    copy_to_host(&num_rows, rows.data() + num_places, sizeof num_rows, stream);
    stream.synchronize();
    if (num_rows == 0) return;

    Buffer<std::int32_t> number_of_row(num_rows, stream);
    launch(number_blocks, grid_over(num_places), stream, lattice, num_places, has_cells.data(), rows.data(),
           number_of_row.data());
    const std::int64_t num_words = std::int64_t{num_rows} * kEdgeWords;
    const std::int64_t num_slices = std::int64_t{num_rows} * kBlockSide;
    Buffer<std::uint64_t> crossed(num_words, stream);
    Buffer<std::int32_t> num_vertices(num_words + 1, stream), first_vertex(num_words + 1, stream);
    Buffer<std::int32_t> num_faces(num_slices + 1, stream), first_face(num_slices + 1, stream);
    launch(count_elements, grid_over(num_slices + 1), stream, lattice, number_of_row.data(), num_rows, cases,
           crossed.data(), num_vertices.data(), num_faces.data());
    exclusive_sums(num_vertices.data(), first_vertex.data(), num_words + 1, stream);
    exclusive_sums(num_faces.data(), first_face.data(), num_slices + 1, stream);
    std::int64_t totals[2];
    read_totals(first_vertex.data() + num_words, first_face.data() + num_slices, totals, stream);
    surface.num_vertices = totals[0];
    surface.num_faces = totals[1];
    surface.vertices = Buffer<float>(3 * surface.num_vertices, stream);
    surface.faces = Buffer<std::int32_t>(3 * surface.num_faces, stream);
    launch(make_vertices, grid_over(num_words), stream, lattice, number_of_row.data(), num_rows,
           crossed.data(), first_vertex.data(), surface.vertices.data());
    launch(make_faces, grid_over(num_slices), stream, lattice, number_of_row.data(), num_rows, edges, cases,
           crossed.data(), first_vertex.data(), first_face.data(), surface.faces.data());
}

DeviceSurface largest_component(DeviceSurface surface, const Stream& stream) {
    const std::int64_t num_vertices = surface.num_vertices, num_faces = surface.num_faces;
    if (num_faces == 0) return surface;
    Buffer<std::int32_t> parent(num_vertices, stream), roots(num_vertices, stream),
        counts(num_vertices, stream);
    Buffer<Word> largest(1, stream);
    largest.fill_bytes(0);
    const std::int32_t* faces = surface.faces.data();
    launch(start_components, grid_over(num_vertices), stream, parent.data(), counts.data(), num_vertices);
    launch(take_lowest_neighbors, grid_over(num_faces), stream, faces, num_faces, parent.data());
    launch(unite_faces, grid_over(num_faces), stream, faces, num_faces, parent.data());
    launch(find_roots, grid_over(num_vertices), stream, parent.data(), num_vertices, roots.data());
    launch(count_faces, grid_over(num_faces), stream, faces, num_faces, roots.data(), counts.data());
    launch(find_largest, grid_over(num_vertices), stream, counts.data(), num_vertices, largest.data());

    Buffer<std::int32_t> keeps_vertex(num_vertices + 1, stream), keeps_face(num_faces + 1, stream);
    Buffer<std::int32_t> new_vertex(num_vertices + 1, stream), new_face(num_faces + 1, stream);
    const Grid grid = grid_over(std::max(num_vertices, num_faces) + 1);
    launch(mark_kept, grid, stream, roots.data(), num_vertices, faces, num_faces, largest.data(),
           keeps_vertex.data(), keeps_face.data());
    exclusive_sums(keeps_vertex.data(), new_vertex.data(), num_vertices + 1, stream);
    exclusive_sums(keeps_face.data(), new_face.data(), num_faces + 1, stream);
    DeviceSurface kept;
    kept.num_queries_asked = surface.num_queries_asked;
    kept.num_queries_ideal = surface.num_queries_ideal;
    std::int64_t totals[2];
    read_totals(new_vertex.data() + num_vertices, new_face.data() + num_faces, totals, stream);
    kept.num_vertices = totals[0];
    kept.num_faces = totals[1];
    kept.vertices = Buffer<float>(3 * kept.num_vertices, stream);
    kept.faces = Buffer<std::int32_t>(3 * kept.num_faces, stream);
    launch(move_kept, grid, stream, surface.vertices.data(), num_vertices, faces, num_faces,
           keeps_vertex.data(), keeps_face.data(), new_vertex.data(), new_face.data(), kept.vertices.data(),
           kept.faces.data());
    return kept;
}

}  // namespace jiff::cuda
