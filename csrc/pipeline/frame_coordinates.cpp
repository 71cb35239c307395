#include "pipeline/frame_coordinates.h"

#include <algorithm>
#include <cstdint>

#include "core/threads.h"

namespace jiff {
namespace {

// change(row) for each row, on several threads.
template <typename Row, typename Change>
std::vector<Row> changed(const std::vector<Row>& rows, const Change& change) {
    constexpr std::int64_t kChunk = 1 << 14;
    const auto size = static_cast<std::int64_t>(rows.size());
    std::vector<Row> result(rows.size());
    parallel_for((size + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(size, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) result[i] = change(rows[i]);
    });
    return result;
}

using Point = Points::value_type;
using Triangle = Triangles::value_type;

// Metres and half frames alike: y changes its sign.
Points scaled_and_turned(const Points& points, float scale) {
    return changed(points, [scale](const Point& p) -> Point {
        return {scale * p[0], -scale * p[1], scale * p[2]};
    });
}

}  // namespace

Points view_from_lattice(const Points& lattice, int resolution) {
    const auto side = static_cast<float>(resolution);
    return changed(lattice, [side](const Point& p) -> Point {
        return {-1.0f + 2.0f * p[0] / side, -1.0f + 2.0f * p[1] / side, -1.0f + 2.0f * p[2] / side};
    });
}

Points world_from_view(const Points& view, double size_m) {
    return scaled_and_turned(view, static_cast<float>(0.5 * size_m));
}

Points view_from_world(const Points& world, double size_m) {
    return scaled_and_turned(world, static_cast<float>(2.0 / size_m));
}

Triangles world_triangles(const Triangles& view) {
    return changed(view, [](const Triangle& t) -> Triangle { return {t[0], t[2], t[1]}; });
}

std::array<double, 16> image_from_world(const Box& frame, double size_m) {
    const double px_per_m = frame.width_px / size_m;
    return {px_per_m, 0.0,       0.0,          frame.left_px + 0.5 * frame.width_px,
            0.0,      -px_per_m, 0.0,          frame.top_px + 0.5 * frame.height_px,
            0.0,      0.0,       2.0 / size_m, 0.0,
            0.0,      0.0,       0.0,          1.0};
}

}  // namespace jiff
