#include <cuda_runtime.h>

#include "ops/device_waves.cuh"

namespace jiff::cuda {
namespace {

// What was found becomes the present wave.
__global__ void begin_wave(WaveCounts* counts, Wave* wave, std::int64_t max_cells, std::int64_t max_points) {
    if (counts->num_cells > max_cells || counts->num_points > max_points) wave->has_overflowed = 1;
    const bool is_there = wave->has_overflowed == 0;
    wave->num_cells = is_there ? counts->num_cells : 0;
    wave->num_points = is_there ? counts->num_points : 0;
    wave->num_asked += wave->num_points;
    counts->num_cells = counts->num_points = 0;
}

__global__ void view_of_wave(const std::uint32_t* packed, const Wave* wave, int resolution, float* points) {
    for (std::int64_t i = global_thread(); i < wave->num_points; i += strided_step())
        view_of_point(packed[i], resolution, points + 3 * i);
}

__global__ void set_wave_points(LatticeView lattice, const std::uint32_t* points, const float* values,
                                const Wave* wave) {
    for (std::int64_t i = global_thread(); i < wave->num_points; i += strided_step()) {
        const int x = packed_x(points[i]), y = packed_y(points[i]), z = packed_z(points[i]);
        LatticeBlock* block = lattice.block(x, y, z);
        if (!block) continue;
        lattice.set_value(*block, x, y, z, values[i]);
        if (isnan(values[i])) atomicMin(&lattice.counts->nan_point, points[i]);
    }
}

// Blocks of all corners of the cells of the next wave.
__global__ void make_blocks_of_cells(LatticeView lattice, const std::uint32_t* cells,
                                     std::int64_t max_cells) {
    const std::int64_t num_cells = min(std::int64_t{lattice.counts->num_cells}, max_cells);
    for (std::int64_t i = global_thread(); i < num_cells; i += strided_step()) {
        const int x = packed_x(cells[i]), y = packed_y(cells[i]), z = packed_z(cells[i]);
        for (int c = 0; c < 8; ++c)
            lattice.make_block(lattice.place(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2)));
    }
}

// Asks for the corners of the cells of the next wave.
__global__ void request_corners(LatticeView lattice, const std::uint32_t* cells, std::int64_t max_cells,
                                std::uint32_t* points, std::int64_t max_points) {
    const std::int64_t num_cells = min(std::int64_t{lattice.counts->num_cells}, max_cells);
    for (std::int64_t i = global_thread(); i < num_cells; i += strided_step()) {
        const int x = packed_x(cells[i]), y = packed_y(cells[i]), z = packed_z(cells[i]);
        for (int c = 0; c < 8; ++c)
            request_point(lattice, x + (c & 1), y + (c >> 1 & 1), z + (c >> 2), points, max_points);
    }
}

}  // namespace

Asking::Asking(const DeviceFunction& occupancy, std::int64_t max_points, const Stream& stream)
    : occupancy_(occupancy),
      stream_(stream),
      max_points_(max_points),
      points_(max_points, stream),
      view_points_(3 * max_points, stream),
      values_(max_points, stream),
      wave_(1, stream) {
    wave_.fill_bytes(0);
}

void Asking::evaluate(const LatticeView& lattice, std::int64_t max_cells, std::int64_t most) {
    launch(begin_wave, {1, 1}, stream_, lattice.counts, wave_.data(), max_cells, most);
    launch(view_of_wave, kStridedGrid, stream_, points(), wave(), lattice.resolution, view_points_.data());
    occupancy_(view_points_.data(), most, &wave()->num_points, values_.data(), stream_);
}

void Asking::enter_values(const LatticeView& lattice) {
    launch(set_wave_points, kStridedGrid, stream_, lattice, points(), values(), wave());
}

void Asking::ask_for_cells(const LatticeView& lattice, const std::uint32_t* cells, std::int64_t max_cells) {
    launch(make_blocks_of_cells, kStridedGrid, stream_, lattice, cells, max_cells);
    launch(request_corners, kStridedGrid, stream_, lattice, cells, max_cells, points(), max_points_);
    evaluate(lattice, max_cells, max_points_);
    enter_values(lattice);
}

}  // namespace jiff::cuda
