// Field values at the lattice points that were asked for, in blocks that are made where needed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/surface_extraction.h"

namespace jiff {

class SparseLattice {
  public:
    // `columns` as in ExtractionOptions; it must outlive the lattice.
    SparseLattice(int resolution, const std::vector<std::uint8_t>& columns);

    // Whether the value is 0 by definition: outermost points, points beyond them, closed columns.
    bool is_fixed(int x, int y, int z) const {
        const auto is_border = [&](int i) { return i <= 0 || i >= resolution_; };
        return is_border(x) || is_border(y) || is_border(z) ||
               (!columns_.empty() && !columns_[static_cast<std::size_t>(y) * (resolution_ + 1) + x]);
    }

    // Evaluates the points at multiples of `stride`, once, before any other. They lie too far apart for
    // blocks and stand in a grid of their own; request() takes from there what it needs.
    void evaluate_coarse(const LatticeField& field, int stride);
    int num_coarse_cells() const { return num_coarse_points_ - 1; }  // along a side
    std::array<float, 8> coarse_corners(int x, int y, int z) const;  // of a cell counted in strides

    // Asks for the value of a point at the next evaluate(), unless it is fixed, known or asked for.
    void request(int x, int y, int z);
    // The same for the side³ points from `first` on, `stride` apart.
    void request_block(const LatticePoint& first, int stride, int side);

    // One call of the field for all requested points. Throws Error(kInvalidField) on NaN.
    void evaluate(const LatticeField& field);

    // The value of a fixed or evaluated point.
    float value(int x, int y, int z) const {
        if (x >= resolution_ || y >= resolution_ || z >= resolution_) return 0.0f;
        const Block* block = blocks_[block_index(x, y, z)].get();
        return block ? block->values[point_index(x, y, z)] : 0.0f;
    }
    std::array<float, 8> corners(const LatticePoint& cell, int stride) const;

    // True the first time for each cell of the finest level.
    bool enter_cell(const LatticePoint& cell);

    // Counts the distinct points, fixed ones aside, of the cells it is called for.
    void count_corners(const LatticePoint& cell);
    std::int64_t num_counted() const { return num_counted_; }

  private:
    static constexpr int kSide = 8;
    enum Mark : std::uint8_t { kRequested = 1, kEntered = 2, kCounted = 4 };

    struct Block {
        std::array<float, kSide * kSide * kSide> values{};
        std::array<std::uint8_t, kSide * kSide * kSide> marks{};
    };

    std::size_t block_index(int x, int y, int z) const {
        return (static_cast<std::size_t>(z / kSide) * num_blocks_ + y / kSide) * num_blocks_ + x / kSide;
    }
    static std::size_t point_index(int x, int y, int z) {
        return (z % kSide * kSide + y % kSide) * kSide + x % kSide;
    }
    Block& block_at(int x, int y, int z);
    bool mark(int x, int y, int z, Mark mark);  // whether it was not marked before
    std::size_t coarse_index(int x, int y, int z) const {
        return (static_cast<std::size_t>(z) * num_coarse_points_ + y) * num_coarse_points_ + x;
    }

    int resolution_;
    int num_blocks_;  // along a side
    const std::vector<std::uint8_t>& columns_;
    std::vector<std::unique_ptr<Block>> blocks_;
    int coarse_stride_ = 0;      // 0: nothing was evaluated coarsely
    int num_coarse_points_ = 0;  // along a side
    std::vector<float> coarse_values_;
    std::vector<LatticePoint> requested_;
    std::int64_t num_counted_ = 0;
};

// Calls the field and checks what it returns. Throws Error(kInvalidField) on NaN, naming the point.
void evaluate_field(const LatticeField& field, const std::vector<LatticePoint>& points,
                    std::vector<float>& values);

// Sorts by the coordinates in the order given by the three members.
template <std::int32_t LatticePoint::*kFirst, std::int32_t LatticePoint::*kSecond,
          std::int32_t LatticePoint::*kThird>
void sort_by(std::vector<LatticePoint>& points) {
    const auto key = [](const LatticePoint& p) {
        return static_cast<std::int64_t>(p.*kFirst) << 42 | static_cast<std::int64_t>(p.*kSecond) << 21 |
               p.*kThird;
    };
    std::sort(points.begin(), points.end(),
              [&](const LatticePoint& a, const LatticePoint& b) { return key(a) < key(b); });
}

}  // namespace jiff
