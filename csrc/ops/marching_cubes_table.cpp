// The case table. On each face of a cell the surface leaves a few directed segments between crossed
// edges; every crossed edge lies on two faces, so the segments chain into closed loops; each loop is
// filled with triangles.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "ops/marching_cubes.h"

namespace jiff {
namespace {

std::array<CellEdge, 12> make_edges() {
    std::array<CellEdge, 12> edges{};
    for (int axis = 0; axis < 3; ++axis) {
        const int low = axis == 0 ? 1 : 0, high = axis == 2 ? 1 : 2;  // the other two axes
        for (int k = 0; k < 4; ++k) {
            const int first = ((k & 1) << low) | ((k >> 1) << high);
            edges[4 * axis + k] = {axis, first, first | (1 << axis)};
        }
    }
    return edges;
}

int edge_between(int corner_a, int corner_b) {
    const auto& edges = cell_edges();
    for (int e = 0; e < 12; ++e) {
        const CellEdge& edge = edges[e];
        if (edge.first_corner == std::min(corner_a, corner_b) &&
            edge.second_corner == std::max(corner_a, corner_b))
            return e;
    }
    throw std::logic_error("two corners of a cell that no edge joins");
}

// The corners of the face of `axis` at `side`, counter-clockwise seen from outside the cell.
std::array<int, 4> face_corners(int axis, int side) {
    const int u = 1 << (axis + 1) % 3, v = 1 << (axis + 2) % 3,
              base = side << axis;  // u × v points along the axis
    if (side == 1) return {base, base | u, base | u | v, base | v};
    return {base, base | v, base | u | v, base | u};
}

using Loop = std::vector<int>;  // crossed edges in order

// Going around a face from outside the cell, the surface passes from where the inside is entered to
// where it is left, so that the inside lies below the surface. Where all four edges of a face are
// crossed, each of the two inside corners is cut off by itself: that depends on the face alone, so the
// cells on its two sides agree.
std::vector<Loop> trace_loops(int inside) {
    std::array<int, 12> next;
    next.fill(-1);
    const auto is_inside = [&](int corner) { return (inside >> corner & 1) != 0; };
    for (int axis = 0; axis < 3; ++axis) {
        for (int side = 0; side < 2; ++side) {
            const std::array<int, 4> corners = face_corners(axis, side);
            for (int i = 0; i < 4; ++i) {
                if (is_inside(corners[i]) || !is_inside(corners[(i + 1) % 4])) continue;
                int j = i + 1;  // walk to where this stretch of inside corners ends
                while (is_inside(corners[(j + 1) % 4])) ++j;
                next[edge_between(corners[i], corners[(i + 1) % 4])] =
                    edge_between(corners[j % 4], corners[(j + 1) % 4]);
            }
        }
    }
    std::vector<Loop> loops;
    for (int start = 0; start < 12; ++start) {
        if (next[start] < 0) continue;
        Loop loop;
        for (int edge = start; next[edge] >= 0;) {
            loop.push_back(edge);
            edge = std::exchange(next[edge], -1);
        }
        loops.push_back(loop);
    }
    return loops;
}

bool share_face(const CellEdge& a, const CellEdge& b) {
    for (int axis = 0; axis < 3; ++axis) {
        const int bit = 1 << axis;
        const int sides = (a.first_corner & bit) + (a.second_corner & bit) + (b.first_corner & bit) +
                          (b.second_corner & bit);
        if (sides == 0 || sides == 4 * bit) return true;
    }
    return false;
}

// Twice the distance between the midpoints of two edges, squared.
int squared_length(const CellEdge& a, const CellEdge& b) {
    int sum = 0;
    for (int axis = 0; axis < 3; ++axis) {
        const auto twice = [&](const CellEdge& edge) {
            return (edge.first_corner >> axis & 1) + (edge.second_corner >> axis & 1);
        };
        sum += (twice(a) - twice(b)) * (twice(a) - twice(b));
    }
    return sum;
}

// Fills loop[first … last] with triangles, of all ways the one with the shortest diagonals. A diagonal
// must not lie in a face of the cell: the cell behind that face could have the same one, and four
// triangles would meet there. Returns the cost, or kImpossible.
constexpr int kImpossible = std::numeric_limits<int>::max();

int triangulate(const Loop& loop, int first, int last, CellTriangles& triangles) {
    triangles.clear();
    if (last - first < 2) return 0;
    const auto cost_of_diagonal = [&](int i, int j) {
        const bool is_side = j - i == 1 || j - i == static_cast<int>(loop.size()) - 1;
        const CellEdge &a = cell_edges()[loop[i]], &b = cell_edges()[loop[j]];
        return is_side ? 0 : share_face(a, b) ? kImpossible : squared_length(a, b);
    };
    int best = kImpossible;
    for (int apex = first + 1; apex < last; ++apex) {
        CellTriangles before, after;
        const std::array<int, 4> costs = {cost_of_diagonal(first, apex), cost_of_diagonal(apex, last),
                                          triangulate(loop, first, apex, before),
                                          triangulate(loop, apex, last, after)};
        int cost = 0;
        for (const int part : costs)
            cost = cost == kImpossible || part == kImpossible ? kImpossible : cost + part;
        if (cost >= best) continue;
        best = cost;
        triangles = before;
        triangles.insert(triangles.end(), after.begin(), after.end());
        triangles.push_back({static_cast<std::int8_t>(loop[first]), static_cast<std::int8_t>(loop[apex]),
                             static_cast<std::int8_t>(loop[last])});
    }
    return best;
}

std::array<CellTriangles, 256> make_table() {
    std::array<CellTriangles, 256> table;
    for (int inside = 0; inside < 256; ++inside) {
        for (const Loop& loop : trace_loops(inside)) {
            CellTriangles triangles;
            // Every loop of the 256 cases can be filled; this guards the rules above, not the input.
            if (triangulate(loop, 0, static_cast<int>(loop.size()) - 1, triangles) == kImpossible) {
                throw std::logic_error("a marching cubes loop that no triangles fill");
            }
            table[inside].insert(table[inside].end(), triangles.begin(), triangles.end());
        }
    }
    return table;
}

}  // namespace

const std::array<CellEdge, 12>& cell_edges() {
    static const std::array<CellEdge, 12> edges = make_edges();
    return edges;
}

const std::array<CellTriangles, 256>& marching_cubes_table() {
    static const std::array<CellTriangles, 256> table = make_table();
    return table;
}

}  // namespace jiff
