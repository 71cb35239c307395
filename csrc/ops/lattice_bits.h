// Points and cells of a block of 8³ as bits, a 64-bit word a slice: what marching cubes needs of them. Shared
// by the CPU and the GPU.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace jiff {

constexpr int kBlockSide = 8;

JIFF_HOST_DEVICE constexpr int bit_in_slice(int x, int y) {
    return y % kBlockSide * kBlockSide + x % kBlockSide;
}

// `row_of(y, z)` gives the inside bits of the points x = 0 … 8 of a row, for y and z from 0 to 8: those at 8
// lie in the next block.

// Bit c: corner c of the cell is inside.
template <typename RowOf>
JIFF_HOST_DEVICE inline int corners_inside(const RowOf& row_of, int x, int y, int z) {
    return (row_of(y, z) >> x & 3) | (row_of(y + 1, z) >> x & 3) << 2 | (row_of(y, z + 1) >> x & 3) << 4 |
           (row_of(y + 1, z + 1) >> x & 3) << 6;
}

// The crossed edges along `axis` that begin in the own points of the cells of slice z: each crossed edge of
// the surface is such an edge of one cell.
template <typename RowOf>
JIFF_HOST_DEVICE inline std::uint64_t crossed_edges(const RowOf& row_of, std::uint64_t cells, int z,
                                                    int axis) {
    std::uint64_t crossed = 0;
    for (int y = 0; y < kBlockSide && cells != 0; ++y) {
        const int row = row_of(y, z);
        const int changes = row ^ (axis == 0 ? row >> 1 : axis == 1 ? row_of(y + 1, z) : row_of(y, z + 1));
        crossed |= static_cast<std::uint64_t>(changes & 0xff) << kBlockSide * y;
    }
    return crossed & cells;
}

// The points that the cells of slice k touch in that slice of the block itself. `cells_of(c, k)` gives a
// slice of the block behind the lower faces that the bits of c name (bit 0: x, bit 1: y, bit 2: z); c: 0, or
// 4 for the block below in z. Cells touch their own point and the next along x and y, which for the last ones
// lies in the next block.
template <typename CellsOf>
JIFF_HOST_DEVICE inline std::uint64_t touched_points(const CellsOf& cells_of, int c, int k) {
    constexpr std::uint64_t kFirstColumn = 0x0101010101010101u;  // x = 0 in every row
    constexpr std::uint64_t kFirstRow = 0xffu;                   // y = 0
    const auto along_x = [&](int at) {
        const std::uint64_t own = cells_of(at, k);
        return own | (own & ~(kFirstColumn << (kBlockSide - 1))) << 1 |
               (cells_of(at | 1, k) >> (kBlockSide - 1) & kFirstColumn);
    };
    const std::uint64_t own = along_x(c);
    return own | own << kBlockSide | (along_x(c | 2) >> kBlockSide * (kBlockSide - 1) & kFirstRow);
}

// A lattice point in 30 bits; ascending ones are sorted by (y, x, z). Coordinates are below 1024.
constexpr int kPackedBits = 10;

JIFF_HOST_DEVICE constexpr std::uint32_t pack_point(int x, int y, int z) {
    return static_cast<std::uint32_t>(y) << 2 * kPackedBits | static_cast<std::uint32_t>(x) << kPackedBits |
           static_cast<std::uint32_t>(z);
}
JIFF_HOST_DEVICE constexpr int packed_x(std::uint32_t packed) { return packed >> kPackedBits & 1023; }
JIFF_HOST_DEVICE constexpr int packed_y(std::uint32_t packed) {
    return static_cast<int>(packed >> 2 * kPackedBits);
}
JIFF_HOST_DEVICE constexpr int packed_z(std::uint32_t packed) { return packed & 1023; }

}  // namespace jiff
