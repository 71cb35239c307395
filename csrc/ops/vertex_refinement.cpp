#include "ops/vertex_refinement.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/status.h"

namespace jiff {
namespace {

// What is known of the crossing on a vertex's edge; parameters run from 0 to 1 along it.
struct Bracket {
    std::int8_t axis;
    std::int8_t last_moved;  // which end moved last, 0 or 1; -1: none yet
    float base;              // coordinate of the edge's first point
    float low, high;         // parameters of the ends
    float low_value, high_value;
};

Bracket bracket_of(const std::array<float, 3>& vertex, const std::array<float, 2>& values) {
    int axis = 0;  // the one along which the vertex stands between two points
    while (vertex[axis] == std::floor(vertex[axis])) ++axis;
    return {static_cast<std::int8_t>(axis), -1, std::floor(vertex[axis]), 0.0f, 1.0f, values[0], values[1]};
}

// Narrows the bracket to the side of `parameter` on which the crossing lies.
void narrow(Bracket& bracket, float parameter, float value, float iso) {
    const bool is_low = (value > iso) == (bracket.low_value > iso);
    (is_low ? bracket.low : bracket.high) = parameter;
    (is_low ? bracket.low_value : bracket.high_value) = value;
    // An end that stays twice would hold the secants back: half its distance to iso draws them to it.
    float& other = is_low ? bracket.high_value : bracket.low_value;
    if (bracket.last_moved == (is_low ? 0 : 1)) other = iso + 0.5f * (other - iso);
    bracket.last_moved = is_low ? 0 : 1;
}

// The secant's crossing, as far from the ends of the edge as marching cubes keeps it.
float parameter_of(const Bracket& bracket, float iso) {
    float within = (iso - bracket.low_value) / (bracket.high_value - bracket.low_value);
    if (!(within >= 0.0f && within <= 1.0f)) within = 0.5f;  // where infinite values leave no number
    const float parameter = bracket.low + within * (bracket.high - bracket.low);
    return std::min(std::max(parameter, 0.001f), 0.999f);
}

}  // namespace

void refine_vertices(const ContinuousField& field, float iso, int num_steps, CellMesh& mesh) {
    const std::size_t num_vertices = mesh.vertices.size();
    if (num_vertices == 0) return;
    std::vector<Bracket> brackets(num_vertices);
    for (std::size_t v = 0; v < num_vertices; ++v)
        brackets[v] = bracket_of(mesh.vertices[v], mesh.edge_values[v]);
    // Vertices keep their columns but for the steps along x and y, so that one order serves all steps.
    std::vector<std::int32_t> order(num_vertices);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        const auto &p = mesh.vertices[a], &q = mesh.vertices[b];
        return std::array<float, 3>{p[1], p[0], p[2]} < std::array<float, 3>{q[1], q[0], q[2]};
    });
    std::vector<std::array<float, 3>> points(num_vertices);
    std::vector<float> values(num_vertices);
    for (int step = 0; step < num_steps; ++step) {
        for (std::size_t i = 0; i < num_vertices; ++i) points[i] = mesh.vertices[order[i]];
        field(points.front().data(), static_cast<std::int64_t>(num_vertices), values.data());
        for (std::size_t i = 0; i < num_vertices; ++i) {
            std::array<float, 3>& vertex = mesh.vertices[order[i]];
            if (std::isnan(values[i])) {
                throw Error(ErrorCode::kInvalidField,
                            "the field is NaN at (" + std::to_string(vertex[0]) + ", " +
                                std::to_string(vertex[1]) + ", " + std::to_string(vertex[2]) +
                                ") in lattice coordinates: check the weights and the feature maps for NaN "
                                "and infinity");
            }
            Bracket& bracket = brackets[order[i]];
            narrow(bracket, vertex[bracket.axis] - bracket.base, values[i], iso);
            vertex[bracket.axis] = bracket.base + parameter_of(bracket, iso);
        }
    }
    mesh.edge_values.clear();
}

}  // namespace jiff
