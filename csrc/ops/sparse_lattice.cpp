#include "ops/sparse_lattice.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <string>
#include <utility>

#include "core/status.h"
#include "ops/lattice_bits.h"

namespace jiff {
namespace {

// Requested points lie in 1 … R - 1 along each axis, so that packing holds them.
constexpr int kBits = kPackedBits;
constexpr std::uint32_t kMask = (1u << kBits) - 1;

LatticePoint unpack(std::uint32_t packed) { return {packed_x(packed), packed_y(packed), packed_z(packed)}; }

// By radix where there are enough of them to pay for the counting.
void sort_packed(std::vector<std::uint32_t>& points, std::vector<std::uint32_t>& space) {
    if (points.size() < 2048) {
        std::sort(points.begin(), points.end());
        return;
    }
    space.resize(points.size());
    for (int shift = 0; shift < 3 * kBits; shift += kBits) {
        std::array<std::uint32_t, kMask + 2> begin{};
        for (const std::uint32_t point : points) ++begin[(point >> shift & kMask) + 1];
        for (std::size_t digit = 1; digit < begin.size(); ++digit) begin[digit] += begin[digit - 1];
        for (const std::uint32_t point : points) space[begin[point >> shift & kMask]++] = point;
        points.swap(space);
    }
}

std::int64_t num_bits(std::uint64_t word) { return static_cast<std::int64_t>(std::bitset<64>(word).count()); }

}  // namespace

std::vector<std::uint64_t> open_columns(int resolution, const std::vector<std::uint8_t>& columns) {
    const auto num = static_cast<std::size_t>(resolution / kBlockSide + 1);
    std::vector<std::uint64_t> words(num * num, 0);
    const std::vector<std::uint8_t> all_open(columns.empty() ? resolution + 1 : 0, 1);
    for (int y = 1; y < resolution; ++y) {
        const std::uint8_t* row =
            columns.empty() ? all_open.data() : &columns[std::size_t(y) * (resolution + 1)];
        std::uint64_t* open = &words[(y / kBlockSide) * num];
        for (int x = 1; x < resolution; ++x)
            open[x / kBlockSide] |= std::uint64_t{row[x] != 0} << bit_in_slice(x, y);
    }
    return words;
}

SparseLattice::SparseLattice(int resolution, float iso, const std::vector<std::uint8_t>& columns)
    : resolution_(resolution),
      iso_(iso),
      num_blocks_along_side_(resolution / kSide + 1),
      open_(jiff::open_columns(resolution, columns)) {
    const auto num = static_cast<std::size_t>(num_blocks_along_side_);
    table_.resize(num * num * num, nullptr);
}

SparseLattice::Slices SparseLattice::fixed_points(const LatticePoint& origin) const {
    const std::uint64_t open =
        open_[static_cast<std::size_t>(origin.y / kSide) * num_blocks_along_side_ + origin.x / kSide];
    Slices fixed;
    for (int k = 0; k < kSide; ++k) {
        const int z = origin.z + k;
        fixed[k] = z <= 0 || z >= resolution_ ? ~std::uint64_t{0} : ~open;
    }
    return fixed;
}

SparseLattice::Block& SparseLattice::make_block(int x, int y, int z) {
    Block& block = blocks_.emplace_back();
    block.number = static_cast<std::int32_t>(blocks_.size() - 1);
    block.origin = {x / kSide * kSide, y / kSide * kSide, z / kSide * kSide};
    block.requested = fixed_points(block.origin);
    table_[table_index(x, y, z)] = &block;
    return block;
}

void SparseLattice::set_value(Block& block, int x, int y, int z, float value) {
    block.values[point_index(x, y, z)] = value;
    block.inside[z % kSide] |= std::uint64_t{value > iso_} << bit_index(x, y);
}

void SparseLattice::evaluate_coarse(const LatticeField& field, int stride) {
    coarse_stride_ = stride;
    num_coarse_points_ = (resolution_ + stride - 1) / stride + 1;
    points_.clear();
    for (int y = stride; y < resolution_; y += stride) {
        for (int x = stride; x < resolution_; x += stride) {
            const std::uint64_t open =
                open_[static_cast<std::size_t>(y / kSide) * num_blocks_along_side_ + x / kSide];
            if ((open >> bit_index(x, y) & 1) == 0) continue;
            for (int z = stride; z < resolution_; z += stride) points_.push_back({x, y, z});
        }
    }
    evaluate_field(field, points_, values_);
    coarse_values_.assign(coarse_index(0, 0, num_coarse_points_), 0.0f);
    for (std::size_t i = 0; i < points_.size(); ++i) {
        const LatticePoint& p = points_[i];
        coarse_values_[coarse_index(p.x / stride, p.y / stride, p.z / stride)] = values_[i];
    }
}

std::array<float, 8> SparseLattice::coarse_corners(int x, int y, int z) const {
    std::array<float, 8> corners;
    for (int c = 0; c < 8; ++c) corners[c] = coarse_value(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2));
    return corners;
}

void SparseLattice::ask(Block& block, int x, int y, int z) {
    const int stride = coarse_stride_;
    if (stride > 0 && ((x | y | z) & (stride - 1)) == 0) {
        set_value(block, x, y, z, coarse_value(x / stride, y / stride, z / stride));
    } else {
        requested_.push_back(pack_point(x, y, z));
    }
}

void SparseLattice::request(int x, int y, int z) {
    if (x >= resolution_ || y >= resolution_ || z >= resolution_) return;
    Block& block = block_at(x, y, z);
    const std::uint64_t bit = std::uint64_t{1} << bit_index(x, y);
    std::uint64_t& requested = block.requested[z % kSide];
    if ((requested & bit) != 0) return;
    requested |= bit;
    ask(block, x, y, z);
}

void SparseLattice::request_block(const LatticePoint& first, int stride, int side) {
    for (int k = 0; k < side; ++k) {
        for (int j = 0; j < side; ++j) {
            for (int i = 0; i < side; ++i)
                request(first.x + i * stride, first.y + j * stride, first.z + k * stride);
        }
    }
}

void SparseLattice::request_cell(const LatticePoint& cell) {
    const int x = cell.x % kSide, y = cell.y % kSide, z = cell.z % kSide;
    if (x == kSide - 1 || y == kSide - 1 || z == kSide - 1) return request_block(cell, 1, 2);
    Block& block = block_at(cell.x, cell.y, cell.z);
    const int shift = bit_index(cell.x, cell.y);
    for (int k = 0; k < 2; ++k) {
        const std::uint64_t missing = (std::uint64_t{0x0303} << shift) & ~block.requested[z + k];
        if (missing == 0) continue;
        block.requested[z + k] |= missing;
        for (int corner = 0; corner < 4; ++corner) {
            const int i = corner & 1, j = corner >> 1;
            if ((missing >> (shift + kSide * j + i) & 1) != 0) ask(block, cell.x + i, cell.y + j, cell.z + k);
        }
    }
}

void SparseLattice::evaluate(const LatticeField& field) {
    sort_packed(requested_, sort_space_);
    points_.resize(requested_.size());
    std::transform(requested_.begin(), requested_.end(), points_.begin(), unpack);
    requested_.clear();
    evaluate_field(field, points_, values_);
    for (std::size_t i = 0; i < points_.size(); ++i) {
        const LatticePoint& p = points_[i];
        set_value(block_at(p.x, p.y, p.z), p.x, p.y, p.z, values_[i]);
    }
}

std::array<float, 8> SparseLattice::corners(const LatticePoint& cell, int stride) const {
    std::array<float, 8> corners;
    for (int c = 0; c < 8; ++c) {
        corners[c] =
            value(cell.x + (c & 1) * stride, cell.y + (c >> 1 & 1) * stride, cell.z + (c >> 2) * stride);
    }
    return corners;
}

int SparseLattice::inside_corners(const LatticePoint& cell) const {
    const int x = cell.x % kSide, y = cell.y % kSide, z = cell.z % kSide;
    int corners = 0;
    if (x == kSide - 1 || y == kSide - 1 || z == kSide - 1) {
        for (int c = 0; c < 8; ++c)
            corners |= int{is_inside(cell.x + (c & 1), cell.y + (c >> 1 & 1), cell.z + (c >> 2))} << c;
        return corners;
    }
    const Block* block = find_block(cell.x, cell.y, cell.z);
    if (!block) return 0;
    for (int k = 0; k < 2; ++k) {
        const std::uint64_t slice = block->inside[z + k] >> bit_index(cell.x, cell.y);
        corners |= static_cast<int>((slice & 3) | (slice >> kSide & 3) << 2) << 4 * k;
    }
    return corners;
}

bool SparseLattice::enter_cell(const LatticePoint& cell) {
    std::uint64_t& cells = block_at(cell.x, cell.y, cell.z).cells[cell.z % kSide];
    const std::uint64_t bit = std::uint64_t{1} << bit_index(cell.x, cell.y);
    const bool is_new = (cells & bit) == 0;
    cells |= bit;
    return is_new;
}

void SparseLattice::enter_all_crossed_cells() {
    const auto has_inside = [&](int x, int y, int z) {
        const Block* block = find_block(x, y, z);
        return block && std::any_of(block->inside.begin(), block->inside.end(),
                                    [](std::uint64_t slice) { return slice != 0; });
    };
    for (int z = 0; z < resolution_; z += kSide) {
        for (int y = 0; y < resolution_; y += kSide) {
            for (int x = 0; x < resolution_; x += kSide) {
                bool may_be_crossed = false;
                for (int c = 0; c < 8 && !may_be_crossed; ++c) {
                    may_be_crossed =
                        has_inside(x + (c & 1) * kSide, y + (c >> 1 & 1) * kSide, z + (c >> 2) * kSide);
                }
                if (!may_be_crossed) continue;
                for (int i = 0; i < kSide * kSide * kSide; ++i) {
                    const LatticePoint cell{x + i % kSide, y + i / kSide % kSide, z + i / kSide / kSide};
                    const int corners = inside_corners(cell);
                    if (corners != 0 && corners != 255) enter_cell(cell);
                }
            }
        }
    }
}

SparseLattice::Neighborhood SparseLattice::neighborhood(const Block& block, int step) const {
    Neighborhood blocks;
    for (int c = 0; c < 8; ++c) {
        const int x = block.origin.x + (c & 1) * step * kSide,
                  y = block.origin.y + (c >> 1 & 1) * step * kSide,
                  z = block.origin.z + (c >> 2) * step * kSide;
        blocks[c] = std::min({x, y, z}) < 0 ? nullptr : find_block(x, y, z);
    }
    return blocks;
}

std::int64_t SparseLattice::count_points_of_cells() const {
    std::int64_t count = 0;
    for (const Block& block : blocks_) {
        const Neighborhood lower = neighborhood(block, -1);
        const auto cells_of = [&](int c, int k) { return lower[c] ? lower[c]->cells[k] : 0; };
        const Slices fixed = fixed_points(block.origin);
        std::uint64_t below = touched_points(cells_of, 4, kSide - 1);
        for (int k = 0; k < kSide; ++k) {
            const std::uint64_t slice = touched_points(cells_of, 0, k);
            count += num_bits((slice | below) & ~fixed[k]);
            below = slice;
        }
    }
    return count;
}

std::vector<const SparseLattice::Block*> SparseLattice::blocks_with_cells() const {
    std::vector<const Block*> blocks;
    for (const Block* block : table_) {
        if (block && std::any_of(block->cells.begin(), block->cells.end(),
                                 [](std::uint64_t slice) { return slice != 0; })) {
            blocks.push_back(block);
        }
    }
    return blocks;
}

void evaluate_field(const LatticeField& field, const std::vector<LatticePoint>& points,
                    std::vector<float>& values) {
    values.resize(points.size());
    if (points.empty()) return;
    field(points.data(), static_cast<std::int64_t>(points.size()), values.data());
    const auto bad =
        std::find_if(values.begin(), values.end(), [](float value) { return std::isnan(value); });
    if (bad == values.end()) return;
    const LatticePoint& p = points[bad - values.begin()];
    throw Error(ErrorCode::kInvalidField,
                "the field is NaN at lattice point (" + std::to_string(p.x) + ", " + std::to_string(p.y) +
                    ", " + std::to_string(p.z) +
                    "): check the weights and the feature maps for NaN and infinity");
}

}  // namespace jiff
