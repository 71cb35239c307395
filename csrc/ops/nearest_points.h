// The nearest of many points, by a uniform grid.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace jiff {

class NearestPoints {
  public:
    using Point = std::array<float, 3>;

    // Copies the points. Throws Error(kInvalidArgument) when one is not finite.
    explicit NearestPoints(std::vector<Point> points);

    struct Match {
        std::int64_t index = -1;  // -1: none within reach
        double distance = 0.0;
    };

    // The nearest point that is no further than `reach`; of equally near ones the first. With the `hint` of a
    // point that may be near, the same is found sooner.
    Match find(const std::array<double, 3>& query, double reach, std::int64_t hint = -1) const;

  private:
    std::int64_t cell_along(int axis, double value) const;
    double gap_along(int axis, std::int64_t cell, double value) const;

    std::vector<Point> points_;
    std::vector<std::int64_t> starts_;    // of each cell in order_, and the end
    std::vector<std::int64_t> order_;     // point indices by cell, ascending inside a cell
    std::array<std::int64_t, 3> size_{};  // cells along each axis
    std::array<double, 3> low_{};
    double cell_ = 1.0;
};

}  // namespace jiff
