#include <cuda_runtime.h>

#include <algorithm>
#include <utility>

#include "core/cuda_launch.h"
#include "ops/device_lattice.cuh"
#include "ops/device_seeds.h"
#include "ops/device_waves.cuh"
#include "ops/seed_rules.h"
#include "ops/surface_seeds.h"

namespace jiff::cuda {
namespace {

// Brackets and uncertain cells that there is room for, in parts of the squares of a side of the coarse grid;
// a surface crosses some six edges for each cell that it passes.
constexpr std::int64_t kBracketsPerSquare = 24, kUncertainPerSquare = 8;
constexpr std::int64_t kLeastBrackets = 1 << 14, kLeastUncertain = 1 << 12;
constexpr int kPointsOfHalving = 27;  // of a cell that is cut in eight

struct CoarseGrid {
    int side, stride;  // points along a side; cells of the lattice between them
    float* values;

    __device__ std::int64_t index(int x, int y, int z) const {
        return (std::int64_t{z} * side + y) * side + x;
    }
    __device__ void place(std::int64_t index, int& x, int& y, int& z) const {
        x = static_cast<int>(index % side);
        y = static_cast<int>(index / side % side);
        z = static_cast<int>(index / side / side);
    }
    __device__ void corners(int x, int y, int z, float (&corners)[8]) const {
        for (int c = 0; c < 8; ++c) corners[c] = values[index(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2))];
    }
};

}  // namespace

struct SeedView {
    SeedBracket* brackets;
    std::uint32_t *uncertain, *next;
    SeedCounts* counts;
    std::int32_t max_brackets, max_uncertain;

    __device__ std::int64_t num_brackets() const { return min(counts->num_brackets, max_brackets); }
    __device__ std::int64_t num_uncertain() const { return min(counts->num_uncertain, max_uncertain); }
    __device__ void add_bracket(const SeedBracket& bracket) const {
        const int at = atomicAdd(&counts->num_brackets, 1);
        if (at < max_brackets) brackets[at] = bracket;
    }
    __device__ void add_uncertain(std::uint32_t cell, std::uint32_t* cells, std::int32_t* count) const {
        const int at = atomicAdd(count, 1);
        if (at < max_uncertain) cells[at] = cell;
    }
};

namespace {

__device__ bool is_crossed(const float (&corners)[8], float iso) {
    bool is_any = false, is_every = true;
    for (const float value : corners) {
        is_any = is_any || value > iso;
        is_every = is_every && value > iso;
    }
    return is_any && !is_every;
}

__device__ float value_of(const LatticeView& lattice, int x, int y, int z) {
    const LatticeBlock* block = lattice.block(x, y, z);
    return block ? block->values[z % kBlockSide * kBlockSide * kBlockSide + bit_in_slice(x, y)] : 0.0f;
}

// A thread for each coarse column lists its points: they come column by column.
__global__ void request_coarse_columns(LatticeView lattice, CoarseGrid grid, std::uint32_t* points) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{grid.side} * grid.side) return;
    const int x = static_cast<int>(i % grid.side) * grid.stride;
    const int y = static_cast<int>(i / grid.side) * grid.stride;
    if (x == 0 || y == 0 || x >= lattice.resolution || y >= lattice.resolution) return;
    const std::uint64_t open =
        lattice.open[std::int64_t{y / kBlockSide} * lattice.num_blocks_along_side + x / kBlockSide];
    if ((open >> bit_in_slice(x, y) & 1) == 0) return;
    const int num = (lattice.resolution - 1) / grid.stride;
    const int first = atomicAdd(&lattice.counts->num_points, num);
    for (int k = 0; k < num; ++k) points[first + k] = pack_point(x, y, (k + 1) * grid.stride);
}

__global__ void set_coarse_values(LatticeView lattice, CoarseGrid grid, const std::uint32_t* points,
                                  const float* values, const Wave* wave) {
    for (std::int64_t i = global_thread(); i < wave->num_points; i += strided_step()) {
        const std::uint32_t p = points[i];
        grid.values[grid.index(packed_x(p) / grid.stride, packed_y(p) / grid.stride,
                               packed_z(p) / grid.stride)] = values[i];
        if (isnan(values[i])) atomicMin(&lattice.counts->nan_point, p);
    }
}

// Edges on the upper sides of the grid are not crossed: the outermost layer is outside.
__global__ void bracket_coarse_edges(LatticeView lattice, CoarseGrid grid, SeedView seeds,
                                     std::uint8_t* is_explained) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{grid.side} * grid.side * grid.side) return;
    int x, y, z;
    grid.place(i, x, y, z);
    if (max(x, max(y, z)) >= grid.side - 1) return;
    const bool is_inside = grid.values[i] > lattice.iso;
    for (int axis = 0; axis < 3; ++axis) {
        const std::int64_t end = grid.index(x + (axis == 0), y + (axis == 1), z + (axis == 2));
        if ((grid.values[end] > lattice.iso) == is_inside) continue;
        seeds.add_bracket({pack_point(x * grid.stride, y * grid.stride, z * grid.stride),
                           static_cast<std::uint8_t>(axis), static_cast<std::uint8_t>(is_inside)});
        is_explained[i] = is_explained[end] = 1;
    }
}

// A corner at a crossed edge is close to iso because of the surface that is known there.
__global__ void find_uncertain_cells(LatticeView lattice, CoarseGrid grid, SeedView seeds,
                                     const std::uint8_t* is_explained, float band) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{grid.side} * grid.side * grid.side) return;
    int x, y, z;
    grid.place(i, x, y, z);
    if (max(x, max(y, z)) >= grid.side - 1) return;
    float corners[8];
    grid.corners(x, y, z, corners);
    if (is_crossed(corners, lattice.iso)) return;
    int explained = 0;
    for (int c = 0; c < 8; ++c)
        explained |= is_explained[grid.index(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2))] << c;
    if (may_hide_surface(corners, lattice.iso, band, explained)) {
        seeds.add_uncertain(pack_point(x * grid.stride, y * grid.stride, z * grid.stride), seeds.uncertain,
                            &seeds.counts->num_uncertain);
    }
}

// Calls with each point that halving asks for: the middles of brackets, and what cuts uncertain cells in
// eight.
template <typename Visit>
__device__ void for_points_of_halving(const SeedView& seeds, int half, const Visit& visit) {
    const std::int64_t num_brackets = seeds.num_brackets();
    const std::int64_t num = num_brackets + kPointsOfHalving * seeds.num_uncertain();
    for (std::int64_t i = global_thread(); i < num; i += strided_step()) {
        if (i < num_brackets) {
            const auto [first, axis, is_inside] = seeds.brackets[i];
            visit(packed_x(first) + (axis == 0 ? half : 0), packed_y(first) + (axis == 1 ? half : 0),
                  packed_z(first) + (axis == 2 ? half : 0));
        } else {
            const std::uint32_t cell = seeds.uncertain[(i - num_brackets) / kPointsOfHalving];
            const int k = static_cast<int>((i - num_brackets) % kPointsOfHalving);
            visit(packed_x(cell) + k % 3 * half, packed_y(cell) + k / 3 % 3 * half,
                  packed_z(cell) + k / 9 * half);
        }
    }
}

__global__ void make_blocks_of_halving(LatticeView lattice, SeedView seeds, int half) {
    for_points_of_halving(seeds, half, [&](int x, int y, int z) {
        if (max(x, max(y, z)) < lattice.resolution) lattice.make_block(lattice.place(x, y, z));
    });
}

__global__ void request_halving(LatticeView lattice, SeedView seeds, int half, std::uint32_t* points,
                                std::int64_t max_points) {
    for_points_of_halving(seeds, half,
                          [&](int x, int y, int z) { request_point(lattice, x, y, z, points, max_points); });
}

__global__ void halve_brackets(LatticeView lattice, SeedView seeds, int half) {
    const std::int64_t num = seeds.num_brackets();
    for (std::int64_t i = global_thread(); i < num; i += strided_step()) {
        SeedBracket& bracket = seeds.brackets[i];
        const int axis = bracket.axis;
        const int x = packed_x(bracket.first) + (axis == 0 ? half : 0),
                  y = packed_y(bracket.first) + (axis == 1 ? half : 0),
                  z = packed_z(bracket.first) + (axis == 2 ? half : 0);
        if (lattice.is_inside(x, y, z) == (bracket.is_inside != 0)) bracket.first = pack_point(x, y, z);
    }
}

// Of the children, of side `half`, the uncertain ones become the next; the edges of crossed ones join the
// brackets.
__global__ void halve_uncertain_cells(LatticeView lattice, SeedView seeds, int half, float band) {
    const std::int64_t num = 8 * seeds.num_uncertain();
    for (std::int64_t i = global_thread(); i < num; i += strided_step()) {
        const std::uint32_t cell = seeds.uncertain[i / 8];
        const int child = static_cast<int>(i % 8);
        const int x = packed_x(cell) + (child & 1) * half, y = packed_y(cell) + (child >> 1 & 1) * half,
                  z = packed_z(cell) + (child >> 2) * half;
        if (max(x, max(y, z)) >= lattice.resolution) continue;
        float corners[8];
        for (int c = 0; c < 8; ++c)
            corners[c] = value_of(lattice, x + (c & 1) * half, y + (c >> 1 & 1) * half, z + (c >> 2) * half);
        if (!is_crossed(corners, lattice.iso)) {
            if (half > 1 && may_hide_surface(corners, lattice.iso, band, 0))
                seeds.add_uncertain(pack_point(x, y, z), seeds.next, &seeds.counts->num_next);
            continue;
        }
        for (int axis = 0; axis < 3; ++axis) {
            for (int c = 0; c < 8; ++c) {
                const int end = c | 1 << axis;
                if (end == c) continue;
                const bool is_inside = corners[c] > lattice.iso;
                if ((corners[end] > lattice.iso) == is_inside) continue;
                seeds.add_bracket(
                    {pack_point(x + (c & 1) * half, y + (c >> 1 & 1) * half, z + (c >> 2) * half),
                     static_cast<std::uint8_t>(axis), static_cast<std::uint8_t>(is_inside)});
            }
        }
    }
}

// Where there was no room for all, the number stays: it tells so at the end.
__global__ void go_on_with_next(SeedCounts* counts, std::int32_t max_uncertain) {
    if (counts->num_uncertain > max_uncertain) return;
    counts->num_uncertain = counts->num_next;
    counts->num_next = 0;
}

__global__ void add_crossed_cells(LatticeView lattice, const std::uint32_t* cells, const Wave* wave,
                                  SeedView seeds) {
    for (std::int64_t i = global_thread(); i < wave->num_cells; i += strided_step()) {
        const int corners =
            lattice.corners_of_cell(packed_x(cells[i]), packed_y(cells[i]), packed_z(cells[i]));
        if (corners != 0 && corners != 255) seeds.add_bracket({cells[i], 0, 0});
    }
}

__global__ void make_blocks_of_brackets(LatticeView lattice, SeedView seeds) {
    const std::int64_t num = seeds.num_brackets();
    for (std::int64_t i = global_thread(); i < num; i += strided_step()) {
        const std::uint32_t p = seeds.brackets[i].first;
        lattice.make_block(lattice.place(packed_x(p), packed_y(p), packed_z(p)));
    }
}

__global__ void enter_brackets(LatticeView lattice, SeedView seeds, std::uint32_t* cells,
                               std::int64_t max_cells) {
    const std::int64_t num = seeds.num_brackets();
    for (std::int64_t i = global_thread(); i < num; i += strided_step()) {
        const std::uint32_t p = seeds.brackets[i].first;
        if (!lattice.enter_cell(packed_x(p), packed_y(p), packed_z(p))) continue;
        const std::int64_t at = atomicAdd(&lattice.counts->num_cells, 1);
        if (at < max_cells) cells[at] = p;
    }
}

__global__ void set_num_cells(WaveCounts* counts, std::int32_t num_cells) { counts->num_cells = num_cells; }

std::vector<std::uint32_t> packed(const std::vector<LatticePoint>& cells) {
    std::vector<std::uint32_t> result;
    for (const LatticePoint& cell : cells) result.push_back(pack_point(cell.x, cell.y, cell.z));
    return result;
}

}  // namespace

SeedSearch::SeedSearch(const ExtractionOptions& options, std::int64_t room, const Stream& stream)
    : stream_(stream),
      stride_(coarse_stride(options)),
      side_((options.resolution + stride_ - 1) / stride_ + 1),
      band_(options.uncertain_band),
      max_brackets_(
          static_cast<std::int32_t>(std::max(kLeastBrackets, kBracketsPerSquare * side_ * side_) * room)),
      max_uncertain_(
          static_cast<std::int32_t>(std::max(kLeastUncertain, kUncertainPerSquare * side_ * side_) * room)),
      given_(packed(cells_at(options.seeds, options.resolution))),
      coarse_values_(std::int64_t{side_} * side_ * side_, stream),
      is_explained_(std::int64_t{side_} * side_ * side_, stream),
      brackets_(max_brackets_, stream),
      uncertain_(max_uncertain_, stream),
      next_uncertain_(max_uncertain_, stream),
      counts_(1, stream) {}

std::int64_t SeedSearch::max_points() const {
    return std::max<std::int64_t>({std::int64_t{side_} * side_ * side_,
                                   max_brackets_ + std::int64_t{kPointsOfHalving} * max_uncertain_,
                                   8 * static_cast<std::int64_t>(given_.size())});
}

SeedView SeedSearch::view() {
    return {brackets_.data(), uncertain_.data(), next_uncertain_.data(),
            counts_.data(),   max_brackets_,     max_uncertain_};
}

bool SeedSearch::has_overflowed() const {
    const SeedCounts counts = counts_.to_host()[0];
    return counts.num_brackets > max_brackets_ || counts.num_uncertain > max_uncertain_;
}

void SeedSearch::enqueue(const LatticeView& lattice, Asking& asking, std::uint32_t* cells,
                         std::int64_t max_cells) {
    counts_.fill_bytes(0);
    find_coarse_brackets(lattice, asking);
    for (int half = stride_ / 2; half >= 1; half /= 2) {
        halve(lattice, asking, half, band_ * static_cast<float>(half) / static_cast<float>(stride_));
    }
    if (!given_.empty()) add_given_cells(lattice, asking, cells, max_cells);
    const SeedView seeds = view();
    launch(make_blocks_of_brackets, kStridedGrid, stream_, lattice, seeds);
    launch(enter_brackets, kStridedGrid, stream_, lattice, seeds, cells, max_cells);
}

void SeedSearch::find_coarse_brackets(const LatticeView& lattice, Asking& asking) {
    const CoarseGrid grid{side_, stride_, coarse_values_.data()};
    const SeedView seeds = view();
    const std::int64_t num_columns = std::int64_t{side_} * side_, num_points = num_columns * side_;
    coarse_values_.fill_bytes(0);
    is_explained_.fill_bytes(0);
    launch(request_coarse_columns, grid_over(num_columns), stream_, lattice, grid, asking.points());
    asking.evaluate(lattice, 0, num_points);
    launch(set_coarse_values, kStridedGrid, stream_, lattice, grid, asking.points(), asking.values(),
           asking.wave());
    launch(bracket_coarse_edges, grid_over(num_points), stream_, lattice, grid, seeds, is_explained_.data());
    if (stride_ == 1) return;  // cells of side 1 hide nothing
    launch(find_uncertain_cells, grid_over(num_points), stream_, lattice, grid, seeds, is_explained_.data(),
           band_);
}

void SeedSearch::halve(const LatticeView& lattice, Asking& asking, int half, float band) {
    const SeedView seeds = view();
    const std::int64_t most = max_brackets_ + std::int64_t{kPointsOfHalving} * max_uncertain_;
    launch(make_blocks_of_halving, kStridedGrid, stream_, lattice, seeds, half);
    launch(request_halving, kStridedGrid, stream_, lattice, seeds, half, asking.points(), most);
    asking.evaluate(lattice, 0, most);
    asking.enter_values(lattice);
    launch(halve_brackets, kStridedGrid, stream_, lattice, seeds, half);
    launch(halve_uncertain_cells, kStridedGrid, stream_, lattice, seeds, half, band);
    launch(go_on_with_next, {1, 1}, stream_, counts_.data(), max_uncertain_);
    std::swap(uncertain_, next_uncertain_);
}

void SeedSearch::add_given_cells(const LatticeView& lattice, Asking& asking, std::uint32_t* cells,
                                 std::int64_t max_cells) {
    const auto num_given = static_cast<std::int64_t>(given_.size());
    const std::int64_t num_taken = std::min(num_given, max_cells);
    copy_to_device(cells, given_.data(), num_taken * sizeof(std::uint32_t), stream_);
    // More than max_cells are an overflow, which the wave notes.
    launch(set_num_cells, {1, 1}, stream_, lattice.counts, static_cast<std::int32_t>(num_given));
    asking.ask_for_cells(lattice, cells, max_cells);
    const SeedView seeds = view();
    launch(add_crossed_cells, kStridedGrid, stream_, lattice, cells, asking.wave(), seeds);
}

}  // namespace jiff::cuda
