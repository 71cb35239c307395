// The blocks of sparse_lattice.h in device memory. A table names the block at each place; blocks are made by
// one kernel and used by later ones, so that nobody waits for another thread.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda_launch.h"
#include "ops/lattice_bits.h"

namespace jiff::cuda {

using Word = unsigned long long;  // what CUDA's atomics take

constexpr int kNoBlock = -1;
constexpr int kBlockPoints = kBlockSide * kBlockSide * kBlockSide;

struct LatticeBlock {
    Word requested[kBlockSide];  // points that are known or asked for, fixed ones among them
    Word inside[kBlockSide];
    Word cells[kBlockSide];  // crossed cells that were entered
    float values[kBlockPoints];
    std::int32_t place;  // in the table
    std::int32_t row;    // among the blocks with cells, by place; kNoBlock: it has none
};

// What waves leave behind.
struct WaveCounts {
    std::int32_t num_cells;   // of the next wave
    std::int32_t num_points;  // that these ask for
    std::int32_t num_blocks;  // above the capacity: there was no room for all
    std::uint32_t nan_point;  // the lowest with NaN, packed; all ones: there is none
};

struct LatticeView {
    std::int32_t resolution, num_blocks_along_side, capacity;
    float iso;
    std::int32_t* table;
    LatticeBlock* blocks;
    const std::uint64_t* open;  // by blocks of columns
    std::int32_t coarse_stride, num_coarse_points;
    const float* coarse_values;
    WaveCounts* counts;

    // Of a point; -1 beyond the lattice.
    __device__ int place(int x, int y, int z) const {
        const int end = num_blocks_along_side * kBlockSide;
        if (x < 0 || y < 0 || z < 0 || x >= end || y >= end || z >= end) return -1;
        return (z / kBlockSide * num_blocks_along_side + y / kBlockSide) * num_blocks_along_side +
               x / kBlockSide;
    }
    __device__ LatticeBlock* block_at_place(int at) const {
        const int number = at < 0 ? kNoBlock : table[at];
        return number < 0 ? nullptr : blocks + number;
    }
    __device__ LatticeBlock* block(int x, int y, int z) const { return block_at_place(place(x, y, z)); }

    // Where the block at `at` has its origin.
    __device__ void origin(int at, int (&point)[3]) const {
        point[0] = at % num_blocks_along_side * kBlockSide;
        point[1] = at / num_blocks_along_side % num_blocks_along_side * kBlockSide;
        point[2] = at / num_blocks_along_side / num_blocks_along_side * kBlockSide;
    }

    // Slice z of the fixed points of a block: the outermost, those beyond them, and those of closed columns.
    __device__ Word fixed_points(int at, int z) const {
        int first[3];
        origin(at, first);
        if (first[2] + z <= 0 || first[2] + z >= resolution) return ~Word{0};
        return ~static_cast<Word>(
            open[first[1] / kBlockSide * num_blocks_along_side + first[0] / kBlockSide]);
    }

    // Makes the block at a place, unless it is there. Only later kernels may use it.
    __device__ void make_block(int at) const {
        if (at < 0 || table[at] != kNoBlock) return;
        constexpr int kBeingMade = -2;
        if (atomicCAS(table + at, kNoBlock, kBeingMade) != kNoBlock) return;
        const int number = atomicAdd(&counts->num_blocks, 1);
        if (number >= capacity) return;  // the host sees the number of blocks and starts again with more
        LatticeBlock& made = blocks[number];
        made.place = at;
        made.row = kNoBlock;
        for (int z = 0; z < kBlockSide; ++z) made.requested[z] = fixed_points(at, z);
        table[at] = number;
    }

    __device__ static std::uint64_t bit(int x, int y) { return std::uint64_t{1} << bit_in_slice(x, y); }

    __device__ void set_value(LatticeBlock& to, int x, int y, int z, float value) const {
        to.values[z % kBlockSide * kBlockSide * kBlockSide + bit_in_slice(x, y)] = value;
        if (value > iso) atomicOr(to.inside + z % kBlockSide, static_cast<Word>(bit(x, y)));
    }

    // True the first time.
    __device__ bool enter_cell(int x, int y, int z) const {
        LatticeBlock* in = block(x, y, z);
        if (!in) return false;
        const Word mask = bit(x, y);
        return (atomicOr(in->cells + z % kBlockSide, mask) & mask) == 0;
    }

    __device__ bool is_inside(int x, int y, int z) const {
        const LatticeBlock* in = block(x, y, z);
        return in && (in->inside[z % kBlockSide] >> bit_in_slice(x, y) & 1) != 0;
    }

    __device__ int corners_of_cell(int x, int y, int z) const {
        int corners = 0;
        for (int c = 0; c < 8; ++c)
            corners |= static_cast<int>(is_inside(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2))) << c;
        return corners;
    }
};

// The inside bits of a block and of those behind its upper faces, for lattice_bits.h.
class InsideRows {
  public:
    __device__ InsideRows(const LatticeView& lattice, const LatticeBlock& block) {
        int first[3];
        lattice.origin(block.place, first);
        for (int c = 0; c < 8; ++c) {
            blocks_[c] = lattice.block(first[0] + (c & 1) * kBlockSide, first[1] + (c >> 1 & 1) * kBlockSide,
                                       first[2] + (c >> 2) * kBlockSide);
        }
    }
    __device__ int operator()(int y, int z) const {
        const int c = z / kBlockSide << 2 | y / kBlockSide << 1;
        return row_of(blocks_[c], y, z) | (row_of(blocks_[c | 1], y, z) & 1) << kBlockSide;
    }
    __device__ const LatticeBlock* block(int c) const { return blocks_[c]; }

  private:
    __device__ static int row_of(const LatticeBlock* block, int y, int z) {
        return block ? static_cast<int>(block->inside[z % kBlockSide] >> kBlockSide * (y % kBlockSide) & 0xff)
                     : 0;
    }
    const LatticeBlock* blocks_[8];
};

}  // namespace jiff::cuda
