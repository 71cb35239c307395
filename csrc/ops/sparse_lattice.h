// Field values at the lattice points that were asked for, in blocks of 8³ points that are made where
// needed: memory grows with the surface. What is known of a block's points and cells stands in bits, a
// 64-bit word a slice, so that 64 of them are dealt with at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "ops/lattice_bits.h"
#include "ops/surface_extraction.h"

namespace jiff {

// A word for each block of columns, [y][x]: bit 8 y + x where one may hold surface. `columns` as in
// ExtractionOptions.
std::vector<std::uint64_t> open_columns(int resolution, const std::vector<std::uint8_t>& columns);

class SparseLattice {
  public:
    static constexpr int kSide = kBlockSide;  // of a block, in points
    static constexpr int kMaxResolution = 1024;

    using Slices = std::array<std::uint64_t, kSide>;  // bit 8 y + x of word z: a point, or the cell from it

    struct Block {
        LatticePoint origin{};
        std::int32_t number = 0;  // in the order in which blocks were made
        Slices requested{};       // points that are known or asked for; those that are 0 by definition count
        Slices inside{};          // points above iso
        Slices cells{};           // crossed cells that were entered
        std::array<float, kSide * kSide * kSide> values{};
    };
    // A block and those behind its upper faces: [bit 0: x, bit 1: y, bit 2: z]; null where there is none.
    using Neighborhood = std::array<const Block*, 8>;

    // `columns` as in ExtractionOptions. Points above `iso` are inside.
    SparseLattice(int resolution, float iso, const std::vector<std::uint8_t>& columns);

    // Evaluates the points at multiples of `stride`, once, before any other. They lie too far apart for
    // blocks and stand in a grid of their own; request() takes from there what it needs.
    void evaluate_coarse(const LatticeField& field, int stride);
    int num_coarse_cells() const { return num_coarse_points_ - 1; }  // along a side
    float coarse_value(int x, int y, int z) const { return coarse_values_[coarse_index(x, y, z)]; }
    std::array<float, 8> coarse_corners(int x, int y, int z) const;  // of a cell counted in strides

    // Asks for the value of a point at the next evaluate(), unless it is fixed, known or asked for. Fixed
    // points are 0: the outermost, those beyond them, and those of closed columns.
    void request(int x, int y, int z);
    void request_block(const LatticePoint& first, int stride, int side);  // side³ points, `stride` apart
    void request_cell(const LatticePoint& cell);                          // the corners of a finest cell

    // One call of the field for all requested points. Throws Error(kInvalidField) on NaN.
    void evaluate(const LatticeField& field);

    // Of fixed and evaluated points.
    float value(int x, int y, int z) const {
        const Block* block = find_block(x, y, z);
        return block ? block->values[point_index(x, y, z)] : 0.0f;
    }
    bool is_inside(int x, int y, int z) const {
        const Block* block = find_block(x, y, z);
        return block && (block->inside[z % kSide] >> bit_index(x, y) & 1) != 0;
    }
    std::array<float, 8> corners(const LatticePoint& cell, int stride) const;
    int inside_corners(const LatticePoint& cell) const;  // bit c: corner c of a finest cell is inside

    // For a crossed cell of the finest level; true the first time.
    bool enter_cell(const LatticePoint& cell);
    void enter_all_crossed_cells();

    // The distinct points of the entered cells, fixed ones aside.
    std::int64_t count_points_of_cells() const;

    const std::vector<float>& coarse_values() const { return coarse_values_; }  // [z][y][x]

    // All blocks that have entered cells, by (z, y, x).
    std::vector<const Block*> blocks_with_cells() const;
    std::size_t num_blocks() const { return blocks_.size(); }
    Neighborhood upper_neighborhood(const Block& block) const { return neighborhood(block, 1); }

    static std::size_t point_index(int x, int y, int z) {
        return static_cast<std::size_t>((z % kSide * kSide + y % kSide) * kSide + x % kSide);
    }

  private:
    static int bit_index(int x, int y) { return bit_in_slice(x, y); }
    std::size_t table_index(int x, int y, int z) const {
        return (static_cast<std::size_t>(z / kSide) * num_blocks_along_side_ + y / kSide) *
                   num_blocks_along_side_ +
               x / kSide;
    }
    // Null for a point in no block, also for one beyond the lattice.
    const Block* find_block(int x, int y, int z) const {
        const int end = num_blocks_along_side_ * kSide;
        if (x >= end || y >= end || z >= end) return nullptr;
        return table_[table_index(x, y, z)];
    }
    Block& block_at(int x, int y, int z) {
        Block* block = table_[table_index(x, y, z)];
        return block ? *block : make_block(x, y, z);
    }
    Block& make_block(int x, int y, int z);
    Neighborhood neighborhood(const Block& block, int step) const;
    Slices fixed_points(const LatticePoint& origin) const;
    // For a point marked as requested the first time.
    void ask(Block& block, int x, int y, int z);
    std::size_t coarse_index(int x, int y, int z) const {
        return (static_cast<std::size_t>(z) * num_coarse_points_ + y) * num_coarse_points_ + x;
    }
    void set_value(Block& block, int x, int y, int z, float value);

    int resolution_;
    float iso_;
    int num_blocks_along_side_;
    std::vector<std::uint64_t> open_;       // a block of columns each: bit 8 y + x where one is open
    std::deque<Block> blocks_;              // a deque leaves them in their place
    std::vector<Block*> table_;             // [z][y][x], into blocks_
    int coarse_stride_ = 0;                 // 0: nothing was evaluated coarsely
    int num_coarse_points_ = 0;             // along a side
    std::vector<float> coarse_values_;      // [z][y][x]
    std::vector<std::uint32_t> requested_;  // packed points
    std::vector<std::uint32_t> sort_space_;
    std::vector<LatticePoint> points_;
    std::vector<float> values_;
};

// Calls the field and checks what it returns. Throws Error(kInvalidField) on NaN, naming the point.
void evaluate_field(const LatticeField& field, const std::vector<LatticePoint>& points,
                    std::vector<float>& values);

}  // namespace jiff
