#include "pipeline/frame_coordinates.h"

namespace jiff {
namespace {

// Metres and half frames alike: y changes its sign.
Points scaled_and_turned(const Points& points, float scale) {
    Points result;
    result.reserve(points.size());
    for (const auto& [x, y, z] : points) result.push_back({scale * x, -scale * y, scale * z});
    return result;
}

}  // namespace

Points view_from_lattice(const Points& lattice, int resolution) {
    Points view = lattice;
    for (auto& vertex : view) {
        for (float& value : vertex) value = -1.0f + 2.0f * value / static_cast<float>(resolution);
    }
    return view;
}

Points world_from_view(const Points& view, double size_m) {
    return scaled_and_turned(view, static_cast<float>(0.5 * size_m));
}

Points view_from_world(const Points& world, double size_m) {
    return scaled_and_turned(world, static_cast<float>(2.0 / size_m));
}

Triangles world_triangles(const Triangles& view) {
    Triangles world;
    world.reserve(view.size());
    for (const auto& [a, b, c] : view) world.push_back({a, c, b});
    return world;
}

std::array<double, 16> image_from_world(const Box& frame, double size_m) {
    const double px_per_m = frame.width_px / size_m;
    return {px_per_m, 0.0,       0.0,          frame.left_px + 0.5 * frame.width_px,
            0.0,      -px_per_m, 0.0,          frame.top_px + 0.5 * frame.height_px,
            0.0,      0.0,       2.0 / size_m, 0.0,
            0.0,      0.0,       0.0,          1.0};
}

}  // namespace jiff
