#include "ops/nearest_points.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"

namespace jiff {
namespace {

constexpr std::int64_t kMaxCellsAlongAxis = 128;
constexpr double kRounding = 1e-6;  // of a cell

}  // namespace

NearestPoints::NearestPoints(std::vector<Point> points) : points_(std::move(points)) {
    std::array<double, 3> high{};
    low_ = {};
    for (std::size_t i = 0; i < points_.size(); ++i) {
        for (int axis = 0; axis < 3; ++axis) {
            const double value = points_[i][axis];
            if (!std::isfinite(value)) {
                throw Error(ErrorCode::kInvalidArgument, "point " + std::to_string(i) + " is not finite");
            }
            low_[axis] = i == 0 ? value : std::min(low_[axis], value);
            high[axis] = i == 0 ? value : std::max(high[axis], value);
        }
    }
    // A surface crosses about the square of the cells along an axis, so this puts a few points in each.
    double longest = 0.0;
    for (int axis = 0; axis < 3; ++axis) longest = std::max(longest, high[axis] - low_[axis]);
    const auto num_along = std::clamp<std::int64_t>(
        static_cast<std::int64_t>(std::sqrt(static_cast<double>(points_.size()) / 4.0)), 1,
        kMaxCellsAlongAxis);
    cell_ = longest > 0.0 ? longest / static_cast<double>(num_along) : 1.0;
    for (int axis = 0; axis < 3; ++axis) {
        size_[axis] = static_cast<std::int64_t>((high[axis] - low_[axis]) / cell_) + 1;
    }

    std::vector<std::int64_t> cell_of(points_.size());
    starts_.assign(static_cast<std::size_t>(size_[0] * size_[1] * size_[2]) + 1, 0);
    for (std::size_t i = 0; i < points_.size(); ++i) {
        std::int64_t cell = 0;
        for (int axis = 2; axis >= 0; --axis) cell = cell * size_[axis] + cell_along(axis, points_[i][axis]);
        cell_of[i] = cell;
        ++starts_[cell + 1];
    }
    for (std::size_t cell = 1; cell < starts_.size(); ++cell) starts_[cell] += starts_[cell - 1];
    order_.resize(points_.size());
    std::vector<std::int64_t> next(starts_.begin(), starts_.end() - 1);
    for (std::size_t i = 0; i < points_.size(); ++i)
        order_[next[cell_of[i]]++] = static_cast<std::int64_t>(i);
}

std::int64_t NearestPoints::cell_along(int axis, double value) const {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::floor((value - low_[axis]) / cell_)), 0,
                                    size_[axis] - 1);
}

// The square of a distance that no point of the cell is nearer than, along one axis.
double NearestPoints::gap_along(int axis, std::int64_t cell, double value) const {
    // Points on a cell's border may stand beyond it by a rounding.
    const double low = low_[axis] + (static_cast<double>(cell) - kRounding) * cell_;
    const double gap = std::max({low - value, value - low - (1.0 + 2.0 * kRounding) * cell_, 0.0});
    return gap * gap;
}

NearestPoints::Match NearestPoints::find(const std::array<double, 3>& query, double reach,
                                         std::int64_t hint) const {
    Match best;
    double best_square = reach * reach;
    const auto compare = [&](std::int64_t index) {
        double square = 0.0;
        for (int axis = 0; axis < 3; ++axis) {
            const double offset = points_[index][axis] - query[axis];
            square += offset * offset;
        }
        const bool is_first = best.index < 0 || index < best.index;
        if (square < best_square || (square == best_square && is_first)) {
            best_square = square;
            best.index = index;
        }
    };
    std::array<std::int64_t, 3> home{};
    std::int64_t last_shell = 0;
    for (int axis = 0; axis < 3; ++axis) {
        if (!std::isfinite(query[axis])) return best;
        const double inside =
            std::clamp(query[axis], low_[axis], low_[axis] + cell_ * static_cast<double>(size_[axis]));
        home[axis] = cell_along(axis, inside);
        last_shell = std::max({last_shell, home[axis], size_[axis] - 1 - home[axis]});
    }
    if (hint >= 0) compare(hint);
    // Shell by shell around the query's own cell, or the nearest one to a query outside of the grid.
    for (std::int64_t shell = 0; shell <= last_shell; ++shell) {
        const double nearest = static_cast<double>(shell - 1) * cell_;  // of anything in this shell
        if (shell > 0 && nearest * nearest > best_square) break;
        for (std::int64_t z = home[2] - shell; z <= home[2] + shell; ++z) {
            if (z < 0 || z >= size_[2]) continue;
            const double gap_z = gap_along(2, z, query[2]);
            if (gap_z > best_square) continue;
            for (std::int64_t y = home[1] - shell; y <= home[1] + shell; ++y) {
                if (y < 0 || y >= size_[1]) continue;
                const double gap_yz = gap_z + gap_along(1, y, query[1]);
                if (gap_yz > best_square) continue;
                const bool is_side = std::abs(z - home[2]) == shell || std::abs(y - home[1]) == shell;
                const std::int64_t step = is_side || shell == 0 ? 1 : 2 * shell;
                for (std::int64_t x = home[0] - shell; x <= home[0] + shell; x += step) {
                    if (x < 0 || x >= size_[0]) continue;
                    const std::int64_t cell = (z * size_[1] + y) * size_[0] + x;
                    if (starts_[cell] == starts_[cell + 1]) continue;
                    if (gap_yz + gap_along(0, x, query[0]) > best_square) continue;
                    for (std::int64_t i = starts_[cell]; i < starts_[cell + 1]; ++i) compare(order_[i]);
                }
            }
        }
    }
    if (best.index >= 0) best.distance = std::sqrt(best_square);
    return best;
}

}  // namespace jiff
