#include "ops/sparse_lattice.h"

#include <cmath>
#include <string>

#include "core/status.h"

namespace jiff {

SparseLattice::SparseLattice(int resolution, const std::vector<std::uint8_t>& columns)
    : resolution_(resolution), num_blocks_(resolution / kSide + 1), columns_(columns) {
    blocks_.resize(static_cast<std::size_t>(num_blocks_) * num_blocks_ * num_blocks_);
}

SparseLattice::Block& SparseLattice::block_at(int x, int y, int z) {
    std::unique_ptr<Block>& block = blocks_[block_index(x, y, z)];
    if (!block) block = std::make_unique<Block>();
    return *block;
}

bool SparseLattice::mark(int x, int y, int z, Mark mark) {
    std::uint8_t& marks = block_at(x, y, z).marks[point_index(x, y, z)];
    const bool is_new = (marks & mark) == 0;
    marks |= mark;
    return is_new;
}

void SparseLattice::evaluate_coarse(const LatticeField& field, int stride) {
    coarse_stride_ = stride;
    num_coarse_points_ = (resolution_ + stride - 1) / stride + 1;
    std::vector<LatticePoint> points;
    for (int y = stride; y < resolution_; y += stride) {
        for (int x = stride; x < resolution_; x += stride) {
            for (int z = stride; z < resolution_; z += stride) {
                if (!is_fixed(x, y, z)) points.push_back({x, y, z});
            }
        }
    }
    std::vector<float> values;
    evaluate_field(field, points, values);
    coarse_values_.assign(coarse_index(0, 0, num_coarse_points_), 0.0f);
    for (std::size_t i = 0; i < points.size(); ++i) {
        coarse_values_[coarse_index(points[i].x / stride, points[i].y / stride, points[i].z / stride)] =
            values[i];
    }
}

std::array<float, 8> SparseLattice::coarse_corners(int x, int y, int z) const {
    std::array<float, 8> corners;
    for (int c = 0; c < 8; ++c)
        corners[c] = coarse_values_[coarse_index(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2))];
    return corners;
}

void SparseLattice::request(int x, int y, int z) {
    if (is_fixed(x, y, z) || !mark(x, y, z, kRequested)) return;
    const int stride = coarse_stride_;
    if (stride > 0 && x % stride == 0 && y % stride == 0 && z % stride == 0) {
        block_at(x, y, z).values[point_index(x, y, z)] =
            coarse_values_[coarse_index(x / stride, y / stride, z / stride)];
    } else {
        requested_.push_back({x, y, z});
    }
}

void SparseLattice::request_block(const LatticePoint& first, int stride, int side) {
    for (int k = 0; k < side; ++k) {
        for (int j = 0; j < side; ++j) {
            for (int i = 0; i < side; ++i)
                request(first.x + i * stride, first.y + j * stride, first.z + k * stride);
        }
    }
}

void SparseLattice::evaluate(const LatticeField& field) {
    sort_by<&LatticePoint::y, &LatticePoint::x, &LatticePoint::z>(requested_);  // as LatticeField promises
    std::vector<float> values;
    evaluate_field(field, requested_, values);
    for (std::size_t i = 0; i < requested_.size(); ++i) {
        const LatticePoint& p = requested_[i];
        block_at(p.x, p.y, p.z).values[point_index(p.x, p.y, p.z)] = values[i];
    }
    requested_.clear();
}

std::array<float, 8> SparseLattice::corners(const LatticePoint& cell, int stride) const {
    std::array<float, 8> corners;
    for (int c = 0; c < 8; ++c) {
        corners[c] =
            value(cell.x + (c & 1) * stride, cell.y + (c >> 1 & 1) * stride, cell.z + (c >> 2) * stride);
    }
    return corners;
}

bool SparseLattice::enter_cell(const LatticePoint& cell) { return mark(cell.x, cell.y, cell.z, kEntered); }

void SparseLattice::count_corners(const LatticePoint& cell) {
    for (int c = 0; c < 8; ++c) {
        const int x = cell.x + (c & 1), y = cell.y + (c >> 1 & 1), z = cell.z + (c >> 2);
        if (!is_fixed(x, y, z) && mark(x, y, z, kCounted)) ++num_counted_;
    }
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
