#include "ops/hidden_colors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "core/status.h"
#include "core/threads.h"
#include "ops/chebyshev_steps.h"
#include "ops/depth_picture.h"
#include "ops/finite.h"
#include "ops/triangle_tree.h"

namespace jiff {
namespace {

constexpr std::int64_t kChunk = 4096;

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void check_mesh(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                std::int64_t num_faces) {
    check_finite(vertices, num_vertices, 3, "vertices");
    check_faces(faces, num_faces, num_vertices);
}

TreeVector vector_of(const float* point) { return {{point[0], point[1], point[2]}}; }

// Around the vertices.
PictureGrid picture_grid(const float* vertices, std::int64_t num_vertices, double pixel) {
    constexpr double kFar = std::numeric_limits<double>::infinity();
    double low[2] = {kFar, kFar}, high[2] = {-kFar, -kFar};
    for (std::int64_t i = 0; i < num_vertices; ++i) {
        for (int axis = 0; axis < 2; ++axis) {
            low[axis] = std::min(low[axis], double{vertices[3 * i + axis]});
            high[axis] = std::max(high[axis], double{vertices[3 * i + axis]});
        }
    }
    const PictureGrid grid = PictureGrid::around(low, high, pixel);
    if (grid.is_too_large()) {
        fail("a pixel of " + std::to_string(pixel) + " is too small for a mesh " +
             std::to_string(std::max(high[0] - low[0], high[1] - low[1])) + " long");
    }
    return grid;
}

// Neighbours of the vertices that are not seen.
struct HiddenVertices {
    std::vector<std::int32_t> vertices, begin, neighbors;  // `begin` of each one's neighbours, and the end

    HiddenVertices(std::int64_t num_vertices, const std::int32_t* faces, std::int64_t num_faces,
                   const std::uint8_t* seen) {
        std::vector<std::int32_t> row_of(num_vertices, -1);
        for (std::int64_t i = 0; i < num_vertices; ++i) {
            if (seen[i]) continue;
            row_of[i] = static_cast<std::int32_t>(vertices.size());
            vertices.push_back(static_cast<std::int32_t>(i));
        }
        begin.assign(vertices.size() + 1, 0);
        // An edge of a closed mesh runs once in each direction.
        const auto for_each_edge = [&](const auto& visit) {
            for (std::int64_t f = 0; f < num_faces; ++f) {
                for (int k = 0; k < 3; ++k) {
                    const std::int32_t from = faces[3 * f + k], to = faces[3 * f + (k + 1) % 3];
                    if (!seen[from]) visit(row_of[from], to);
                }
            }
        };
        for_each_edge([&](std::int32_t row, std::int32_t) { ++begin[row + 1]; });
        for (std::size_t i = 0; i < vertices.size(); ++i) begin[i + 1] += begin[i];
        neighbors.resize(begin.back());
        std::vector<std::int32_t> next(begin.begin(), begin.end() - 1);
        for_each_edge([&](std::int32_t row, std::int32_t to) { neighbors[next[row]++] = to; });
    }
};

// The mean of the first edges of all triangles: all that a mesh of equal cells has are about as long.
double mean_edge(const float* vertices, const std::int32_t* faces, std::int64_t num_faces) {
    double sum = 0.0;
    for (std::int64_t f = 0; f < num_faces; ++f) {
        const TreeVector edge = vector_of(vertices + 3 * std::int64_t{faces[3 * f + 1]}) -
                                vector_of(vertices + 3 * std::int64_t{faces[3 * f]});
        sum += std::sqrt(dot(edge, edge));
    }
    return num_faces == 0 ? 0.0 : sum / static_cast<double>(num_faces);
}

}  // namespace

std::vector<std::uint8_t> seen_vertices(const float* vertices, std::int64_t num_vertices,
                                        const std::int32_t* faces, std::int64_t num_faces, double pixel,
                                        double least_facing) {
    check_mesh(vertices, num_vertices, faces, num_faces);
    if (!(pixel > 0.0 && std::isfinite(pixel))) {
        fail("a pixel's side must be above 0, got " + std::to_string(pixel));
    }
    std::vector<std::uint8_t> seen(num_vertices, 0);
    if (num_vertices == 0) return seen;
    const PictureGrid grid = picture_grid(vertices, num_vertices, pixel);
    // The nearest of what lies at the middle of each pixel.
    std::vector<double> picture(grid.num_pixels(), -std::numeric_limits<double>::infinity());
    std::vector<TreeVector> normals(num_vertices, TreeVector{});
    for (std::int64_t f = 0; f < num_faces; ++f) {
        const float* corners[3];
        for (int k = 0; k < 3; ++k) corners[k] = vertices + 3 * std::int64_t{faces[3 * f + k]};
        const TreeVector normal = triangle_normal(corners[0], corners[1], corners[2]);
        grid.draw(corners[0], corners[1], corners[2], normal,
                  [&](std::int64_t at, double depth) { picture[at] = std::max(picture[at], depth); });
        for (int k = 0; k < 3; ++k) {
            for (int axis = 0; axis < 3; ++axis) normals[faces[3 * f + k]][axis] += normal[axis];
        }
    }
    for (std::int64_t i = 0; i < num_vertices; ++i) {
        const float* point = vertices + 3 * i;
        const double* upper = picture.data() + grid.pixel_before(point);
        const double* lower = upper + grid.size[0];
        const double farthest = std::min({upper[0], upper[1], lower[0], lower[1]});
        seen[i] = is_facing(normals[i], least_facing) && farthest <= grid.most_depth(point);
    }
    return seen;
}

void smooth_hidden_colors(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                          std::int64_t num_faces, const std::uint8_t* seen, double length, float* colors) {
    check_mesh(vertices, num_vertices, faces, num_faces);
    if (!(length > 0.0 && std::isfinite(length))) {
        fail("a length must be above 0, got " + std::to_string(length));
    }
    const double side = mean_edge(vertices, faces, num_faces);
    const HiddenVertices hidden(num_vertices, faces, num_faces, seen);
    const auto num_hidden = static_cast<std::int64_t>(hidden.vertices.size());
    if (num_hidden == 0 || side == 0.0) return;

    const double weight = (side / length) * (side / length);
    const auto keep = static_cast<float>(weight);
    using Color = std::array<float, 4>;  // one vector; the last is nothing
    std::vector<Color> given(num_vertices), steps(num_vertices);
    for (std::int64_t i = 0; i < num_vertices; ++i) std::copy_n(colors + 3 * i, 3, given[i].begin());
    std::vector<Color> now = given, next = given;  // those that are seen stay
    for (const ChebyshevStep& step : chebyshev_steps(weight / (weight + kUsualNeighbors), kSmoothingRest)) {
        parallel_for((num_hidden + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
            for (std::int64_t row = chunk * kChunk; row < std::min(num_hidden, (chunk + 1) * kChunk); ++row) {
                const std::int32_t vertex = hidden.vertices[row];
                Color sum, now_here = now[vertex], step_here = steps[vertex];
                for (int c = 0; c < 4; ++c) sum[c] = keep * given[vertex][c];
                for (std::int32_t i = hidden.begin[row]; i < hidden.begin[row + 1]; ++i) {
                    const Color& other = now[hidden.neighbors[i]];
                    for (int c = 0; c < 4; ++c) sum[c] += other[c];
                }
                const float total = keep + static_cast<float>(hidden.begin[row + 1] - hidden.begin[row]);
                for (int c = 0; c < 4; ++c) {
                    const float missing = sum[c] / total - now_here[c];
                    step_here[c] = step.of_last * step_here[c] + step.of_missing * missing;
                    now_here[c] += step_here[c];
                }
                steps[vertex] = step_here;
                next[vertex] = now_here;
            }
        });
        std::swap(now, next);
    }
    // Chebyshev's steps may pass what they go to, which lies between the colours that were there.
    Color low = given[0], high = given[0];
    for (const Color& color : given) {
        for (int c = 0; c < 3; ++c) {
            low[c] = std::min(low[c], color[c]);
            high[c] = std::max(high[c], color[c]);
        }
    }
    for (const std::int32_t vertex : hidden.vertices) {
        for (int c = 0; c < 3; ++c)
            colors[3 * std::int64_t{vertex} + c] = std::clamp(now[vertex][c], low[c], high[c]);
    }
}

}  // namespace jiff
