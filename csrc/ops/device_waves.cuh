// Asking for the lattice points of many cells at once, on the device: each wave of cells is one call of the
// field, whose points and number only the device knows.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda_launch.h"
#include "ops/device_lattice.cuh"
#include "ops/device_surface.h"

namespace jiff::cuda {

constexpr int kThreads = 256;
constexpr Grid kStridedGrid{256, kThreads};  // of kernels whose number of items only the device knows
constexpr std::uint32_t kNoPoint = ~std::uint32_t{0};

// The wave that is under way, in device memory.
struct Wave {
    std::int64_t num_points, num_asked;  // of this wave, and of all
    std::int32_t num_cells;
    std::int32_t has_overflowed;  // there was no room for one: nothing was done since
};

__device__ inline std::int64_t strided_step() { return std::int64_t{gridDim.x} * blockDim.x; }

__device__ inline void view_of_point(std::uint32_t packed, int resolution, float* point) {
    const float step = 2.0f / static_cast<float>(resolution);
    point[0] = -1.0f + step * static_cast<float>(packed_x(packed));
    point[1] = -1.0f + step * static_cast<float>(packed_y(packed));
    point[2] = -1.0f + step * static_cast<float>(packed_z(packed));
}

// Asks for a point, unless it is fixed, known or asked for; its block is there.
__device__ inline void request_point(const LatticeView& lattice, int x, int y, int z, std::uint32_t* points,
                                     std::int64_t max_points) {
    if (max(x, max(y, z)) >= lattice.resolution) return;
    LatticeBlock* block = lattice.block(x, y, z);
    if (!block) return;
    const Word mask = LatticeView::bit(x, y);
    if ((atomicOr(block->requested + z % kBlockSide, mask) & mask) != 0) return;
    const int stride = lattice.coarse_stride;
    if (((x | y | z) & (stride - 1)) == 0) {
        const std::int64_t side = lattice.num_coarse_points;
        lattice.set_value(*block, x, y, z,
                          lattice.coarse_values[(z / stride * side + y / stride) * side + x / stride]);
    } else {
        const std::int64_t at = atomicAdd(&lattice.counts->num_points, 1);
        if (at < max_points) points[at] = pack_point(x, y, z);
    }
}

// The points that are asked for together, and what the field says of them.
class Asking {
  public:
    Asking(const DeviceFunction& occupancy, std::int64_t max_points, const Stream& stream);

    std::uint32_t* points() { return points_.data(); }
    const float* values() const { return values_.data(); }
    const Wave* wave() const { return wave_.data(); }
    Wave wave_on_host() const { return wave_.to_host()[0]; }

    // Enqueues the values of what was requested, at most `most` points.
    void evaluate(const LatticeView& lattice, std::int64_t max_cells, std::int64_t most);
    // Puts them in the lattice.
    void enter_values(const LatticeView& lattice);
    // All of it for the corners of so many cells as lattice.counts says.
    void ask_for_cells(const LatticeView& lattice, const std::uint32_t* cells, std::int64_t max_cells);

  private:
    const DeviceFunction& occupancy_;
    const Stream& stream_;
    std::int64_t max_points_;
    Buffer<std::uint32_t> points_;
    Buffer<float> view_points_, values_;
    Buffer<Wave> wave_;
};

}  // namespace jiff::cuda
