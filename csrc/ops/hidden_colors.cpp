#include "ops/hidden_colors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "core/status.h"
#include "ops/finite.h"
#include "ops/triangle_tree.h"

namespace jiff {
namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void check_mesh(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                std::int64_t num_faces) {
    check_finite(vertices, num_vertices, 3, "vertices");
    check_faces(faces, num_faces, num_vertices);
}

TreeVector vector_of(const float* point) { return {{point[0], point[1], point[2]}}; }

// The nearest of what lies at the middle of each pixel.
class DepthPicture {
  public:
    DepthPicture(const float* vertices, std::int64_t num_vertices, double pixel) : pixel_(pixel) {
        double high[2] = {-kNothing, -kNothing};
        for (std::int64_t i = 0; i < num_vertices; ++i) {
            for (int axis = 0; axis < 2; ++axis) {
                low_[axis] = std::min(low_[axis], double{vertices[3 * i + axis]});
                high[axis] = std::max(high[axis], double{vertices[3 * i + axis]});
            }
        }
        for (int axis = 0; axis < 2; ++axis) {
            // One pixel more on each side, so that every vertex lies between four.
            const double size = std::ceil((high[axis] - low_[axis]) / pixel) + 3;
            if (!(size <= kMostPixels)) {
                fail("a pixel of " + std::to_string(pixel) + " is too small for a mesh " +
                     std::to_string(high[axis] - low_[axis]) + " long");
            }
            low_[axis] -= pixel;
            size_[axis] = static_cast<std::int64_t>(size);
        }
        depths_.assign(size_[0] * size_[1], -kNothing);
    }

    // A triangle with its normal, of any length.
    void draw(const float* a, const float* b, const float* c, const TreeVector& normal) {
        if (normal[2] == 0.0) return;  // seen from its edge
        const auto [left, right] = std::minmax({place(a[0], 0), place(b[0], 0), place(c[0], 0)});
        const auto [top, bottom] = std::minmax({place(a[1], 1), place(b[1], 1), place(c[1], 1)});
        for (auto row = static_cast<std::int64_t>(std::ceil(top)); row <= bottom; ++row) {
            for (auto column = static_cast<std::int64_t>(std::ceil(left)); column <= right; ++column) {
                const double x = low_[0] + static_cast<double>(column) * pixel_,
                             y = low_[1] + static_cast<double>(row) * pixel_;
                if (!is_within(a, b, c, normal[2], x, y)) continue;
                const double depth = a[2] - (normal[0] * (x - a[0]) + normal[1] * (y - a[1])) / normal[2];
                double& nearest = depths_[row * size_[0] + column];
                nearest = std::max(nearest, depth);
            }
        }
    }

    // Whether the farthest of the four pixels around a point lies behind it: on a slope the others may lie in
    // front of what is seen.
    bool shows(const float* point) const {
        const auto column = static_cast<std::int64_t>(place(point[0], 0)),
                   row = static_cast<std::int64_t>(place(point[1], 1));
        const double* upper = depths_.data() + row * size_[0] + column;
        const double* lower = upper + size_[0];
        return std::min({upper[0], upper[1], lower[0], lower[1]}) <= point[2] + 0.5 * pixel_;
    }

  private:
    static constexpr double kNothing = std::numeric_limits<double>::infinity();
    static constexpr double kMostPixels = 16384;

    double place(float coordinate, int axis) const { return (coordinate - low_[axis]) / pixel_; }

    static bool is_within(const float* a, const float* b, const float* c, double area, double x, double y) {
        const auto side = [&](const float* from, const float* to) {
            return (double{to[0]} - from[0]) * (y - from[1]) - (double{to[1]} - from[1]) * (x - from[0]);
        };
        const double sign = area > 0.0 ? 1.0 : -1.0;
        return sign * side(a, b) >= 0.0 && sign * side(b, c) >= 0.0 && sign * side(c, a) >= 0.0;
    }

    double pixel_;
    double low_[2] = {kNothing, kNothing};
    std::int64_t size_[2];
    std::vector<double> depths_;
};

using Color = std::array<float, 3>;

// Unknown colours x: (keep_i + Σ_j weight_ij) x_i - Σ_j weight_ij x_j = given_i.
struct System {
    std::vector<float> keep;
    std::vector<Color> given;
    std::vector<std::int32_t> begin;  // of each row's neighbours; one more at the end
    std::vector<std::int32_t> neighbors;
    std::vector<float> weights;  // of each neighbour; all 1 where there are none

    std::int32_t size() const { return static_cast<std::int32_t>(keep.size()); }
    float weight(std::int32_t at) const { return weights.empty() ? 1.0f : weights[at]; }

    void relax(std::int32_t i, std::vector<Color>& colors) const {
        float total = keep[i];
        Color sum = given[i];
        for (std::int32_t at = begin[i]; at < begin[i + 1]; ++at) {
            const float each = weight(at);
            const Color& other = colors[neighbors[at]];
            total += each;
            for (int channel = 0; channel < 3; ++channel) sum[channel] += each * other[channel];
        }
        for (int channel = 0; channel < 3; ++channel) colors[i][channel] = sum[channel] / total;
    }

    // Gauss-Seidel, there and back.
    void sweep(int num_sweeps, std::vector<Color>& colors) const {
        for (int k = 0; k < num_sweeps; ++k) {
            for (std::int32_t i = 0; i < size(); ++i) relax(i, colors);
            for (std::int32_t i = size() - 1; i >= 0; --i) relax(i, colors);
        }
    }
};

// Of the vertices that are not seen; edges to those that are hold on to their colours.
System hidden_system(const std::int32_t* faces, std::int64_t num_faces, const std::uint8_t* seen,
                     const float* colors, const std::vector<std::int32_t>& vertices,
                     const std::vector<std::int32_t>& row_of, float keep) {
    System system;
    const std::size_t size = vertices.size();
    system.keep.assign(size, keep);
    system.given.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
        for (int channel = 0; channel < 3; ++channel)
            system.given[i][channel] = keep * colors[3 * vertices[i] + channel];
    }
    system.begin.assign(size + 1, 0);
    // An edge of a closed mesh runs once in each direction.
    const auto for_each_edge = [&](const auto& visit) {
        for (std::int64_t f = 0; f < num_faces; ++f) {
            for (int k = 0; k < 3; ++k) {
                const std::int32_t from = faces[3 * f + k], to = faces[3 * f + (k + 1) % 3];
                if (!seen[from]) visit(row_of[from], to);
            }
        }
    };
    for_each_edge([&](std::int32_t row, std::int32_t to) {
        if (!seen[to]) {
            ++system.begin[row + 1];
            return;
        }
        system.keep[row] += 1.0f;
        for (int channel = 0; channel < 3; ++channel) system.given[row][channel] += colors[3 * to + channel];
    });
    for (std::size_t i = 0; i < size; ++i) system.begin[i + 1] += system.begin[i];
    system.neighbors.resize(system.begin.back());
    std::vector<std::int32_t> next(system.begin.begin(), system.begin.end() - 1);
    for_each_edge([&](std::int32_t row, std::int32_t to) {
        if (!seen[to]) system.neighbors[next[row]++] = row_of[to];
    });
    return system;
}

// What `system` says of groups of its rows that share a colour. Steps between groups are as much wider than
// those between rows as groups are, and as much smaller: `widening`.
System grouped(const System& system, const std::vector<std::int32_t>& group_of, std::int32_t num_groups,
               float widening) {
    System groups;
    groups.keep.assign(num_groups, 0.0f);
    groups.given.assign(num_groups, Color{});
    std::vector<std::vector<std::pair<std::int32_t, float>>> edges(num_groups);
    for (std::int32_t i = 0; i < system.size(); ++i) {
        const std::int32_t group = group_of[i];
        groups.keep[group] += system.keep[i];
        for (int channel = 0; channel < 3; ++channel)
            groups.given[group][channel] += system.given[i][channel];
        for (std::int32_t at = system.begin[i]; at < system.begin[i + 1]; ++at) {
            const std::int32_t other = group_of[system.neighbors[at]];
            if (other == group) continue;
            auto& from = edges[group];
            const auto found =
                std::find_if(from.begin(), from.end(), [&](const auto& edge) { return edge.first == other; });
            const float weight = system.weight(at) / widening;
            if (found == from.end()) {
                from.emplace_back(other, weight);
            } else {
                found->second += weight;
            }
        }
    }
    groups.begin.assign(1, 0);
    for (const auto& from : edges) {
        for (const auto& [other, weight] : from) {
            groups.neighbors.push_back(other);
            groups.weights.push_back(weight);
        }
        groups.begin.push_back(static_cast<std::int32_t>(groups.neighbors.size()));
    }
    return groups;
}

constexpr double kWidening = 3.0;  // of groups, from level to level

// Starts from the colours of groups, themselves found in this way while their side is below `length`.
void solve(const System& system, const std::vector<std::array<float, 3>>& places, double side, double length,
           std::vector<Color>& colors) {
    constexpr int kCoarseSweeps = 12, kSweeps = 4;
    const double group_side = kWidening * side;
    if (group_side > length || system.size() < 64) {
        system.sweep(kCoarseSweeps, colors);
        return;
    }
    std::unordered_map<std::int64_t, std::int32_t> groups;
    std::vector<std::int32_t> group_of, counts;
    std::vector<std::array<float, 3>> group_places;
    std::vector<Color> group_colors;
    for (std::int32_t i = 0; i < system.size(); ++i) {
        std::int64_t key = 0;
        for (int axis = 0; axis < 3; ++axis) {
            // 21 bits an axis; cells that share a key by running over are only a worse start.
            key = (key << 21) ^
                  (static_cast<std::int64_t>(std::floor(places[i][axis] / group_side)) & 0x1fffff);
        }
        const auto [entry, is_new] = groups.emplace(key, static_cast<std::int32_t>(groups.size()));
        if (is_new) {
            group_places.push_back(places[i]);
            group_colors.emplace_back();
            counts.push_back(0);
        }
        const std::int32_t group = entry->second;
        group_of.push_back(group);
        ++counts[group];
        for (int channel = 0; channel < 3; ++channel) group_colors[group][channel] += colors[i][channel];
    }
    const auto num_groups = static_cast<std::int32_t>(group_places.size());
    for (std::int32_t group = 0; group < num_groups; ++group) {
        for (float& channel : group_colors[group]) channel /= static_cast<float>(counts[group]);
    }
    solve(grouped(system, group_of, num_groups, static_cast<float>(kWidening)), group_places, group_side,
          length, group_colors);
    for (std::int32_t i = 0; i < system.size(); ++i) colors[i] = group_colors[group_of[i]];
    system.sweep(kSweeps, colors);
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
    DepthPicture picture(vertices, num_vertices, pixel);
    std::vector<TreeVector> normals(num_vertices, TreeVector{});
    for (std::int64_t f = 0; f < num_faces; ++f) {
        const float* corners[3];
        for (int k = 0; k < 3; ++k) corners[k] = vertices + 3 * std::int64_t{faces[3 * f + k]};
        const TreeVector normal = cross(vector_of(corners[1]) - vector_of(corners[0]),
                                        vector_of(corners[2]) - vector_of(corners[0]));
        picture.draw(corners[0], corners[1], corners[2], normal);
        for (int k = 0; k < 3; ++k) {
            for (int axis = 0; axis < 3; ++axis) normals[faces[3 * f + k]][axis] += normal[axis];
        }
    }
    for (std::int64_t i = 0; i < num_vertices; ++i) {
        const TreeVector& normal = normals[i];
        const bool is_facing = normal[2] > 0.0 && normal[2] >= least_facing * std::sqrt(dot(normal, normal));
        seen[i] = is_facing && picture.shows(vertices + 3 * i);
    }
    return seen;
}

void smooth_hidden_colors(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                          std::int64_t num_faces, const std::uint8_t* seen, double length, float* colors) {
    check_mesh(vertices, num_vertices, faces, num_faces);
    if (!(length > 0.0 && std::isfinite(length))) {
        fail("a length must be above 0, got " + std::to_string(length));
    }
    std::vector<std::int32_t> hidden, row_of(num_vertices, -1);
    for (std::int64_t i = 0; i < num_vertices; ++i) {
        if (seen[i]) continue;
        row_of[i] = static_cast<std::int32_t>(hidden.size());
        hidden.push_back(static_cast<std::int32_t>(i));
    }
    if (hidden.empty() || num_faces == 0) return;
    double sum = 0.0;
    for (std::int64_t f = 0; f < num_faces; ++f) {
        const TreeVector edge = vector_of(vertices + 3 * std::int64_t{faces[3 * f + 1]}) -
                                vector_of(vertices + 3 * std::int64_t{faces[3 * f]});
        sum += std::sqrt(dot(edge, edge));
    }
    const double side = sum / static_cast<double>(num_faces);
    if (side == 0.0) return;
    const auto keep = static_cast<float>((side / length) * (side / length));
    const System system = hidden_system(faces, num_faces, seen, colors, hidden, row_of, keep);

    std::vector<std::array<float, 3>> places(hidden.size());
    std::vector<Color> found(hidden.size());
    for (std::size_t i = 0; i < hidden.size(); ++i) {
        std::copy_n(vertices + 3 * std::int64_t{hidden[i]}, 3, places[i].begin());
        std::copy_n(colors + 3 * std::int64_t{hidden[i]}, 3, found[i].begin());
    }
    solve(system, places, side, length, found);
    for (std::size_t i = 0; i < hidden.size(); ++i)
        std::copy_n(found[i].begin(), 3, colors + 3 * std::int64_t{hidden[i]});
}

}  // namespace jiff
