#include "pipeline/face_alignment.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/status.h"
#include "core/threads.h"
#include "ops/nearest_points.h"

namespace jiff {
namespace {

using Vector = std::array<double, 3>;
using Rotation = std::array<double, 9>;

constexpr double kLength = 0.1;        // metres; makes a turn, a shift and a growth comparable
constexpr double kDepthCellM = 0.004;  // of the map of the surface's front
constexpr double kFacingCamera = 0.3;  // least z of a normal that looks at the camera
constexpr double kMinSeenShare = 0.2;  // of the facing vertices, with surface in front or behind
constexpr double kMinKeptPairs = 0.9;  // share of the partners at the start that must remain
constexpr double kDamping = 1e-5;      // keeps turns about a sphere's middle still
constexpr double kConverged = 1e-5;    // metres; below it some pairs change for ever
constexpr double kNoRise = 2e-4;       // metres: a residual that rises by less, as partners change, has not
constexpr double kDegrees = 180.0 / 3.14159265358979323846;
constexpr std::int64_t kChunk = 256;

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

Vector cross(const Vector& a, const Vector& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

Vector operator-(const Vector& a, const Vector& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }

Vector rotated(const Rotation& r, const Vector& v) {
    return {r[0] * v[0] + r[1] * v[1] + r[2] * v[2], r[3] * v[0] + r[4] * v[1] + r[5] * v[2],
            r[6] * v[0] + r[7] * v[1] + r[8] * v[2]};
}

Rotation product(const Rotation& a, const Rotation& b) {
    Rotation result{};
    for (int row = 0; row < 3; ++row) {
        for (int column = 0; column < 3; ++column) {
            for (int k = 0; k < 3; ++k) result[3 * row + column] += a[3 * row + k] * b[3 * k + column];
        }
    }
    return result;
}

// Rodrigues: a turn about `axis` by its length in radians.
Rotation turn(const Vector& axis) {
    const double angle = std::sqrt(dot(axis, axis));
    const double s = angle > 1e-12 ? std::sin(angle) / angle : 1.0;
    const double c = angle > 1e-12 ? (1.0 - std::cos(angle)) / (angle * angle) : 0.5;
    const auto [x, y, z] = axis;
    return {1 - c * (y * y + z * z), c * x * y - s * z,       c * x * z + s * y,
            c * x * y + s * z,       1 - c * (x * x + z * z), c * y * z - s * x,
            c * x * z - s * y,       c * y * z + s * x,       1 - c * (x * x + y * y)};
}

// The angle between two rotations, degrees.
double angle_between(const Rotation& a, const Rotation& b) {
    double trace = 0.0;
    for (int i = 0; i < 9; ++i) trace += a[i] * b[i];
    return kDegrees * std::acos(std::clamp((trace - 1.0) / 2.0, -1.0, 1.0));
}

Vector as_vector(const std::array<float, 3>& point) { return {point[0], point[1], point[2]}; }

void check_mesh(const Points& vertices, const Triangles& faces, const char* what) {
    for (std::size_t i = 0; i < vertices.size(); ++i) {
        for (const float value : vertices[i]) {
            if (!std::isfinite(value)) {
                throw Error(ErrorCode::kInvalidArgument,
                            "vertex " + std::to_string(i) + " of the " + what + " is not finite");
            }
        }
    }
    for (const auto& face : faces) {
        for (const std::int32_t vertex : face) {
            if (vertex < 0 || vertex >= static_cast<std::int64_t>(vertices.size())) {
                throw Error(ErrorCode::kInvalidArgument, "a triangle of the " + std::string(what) +
                                                             " names vertex " + std::to_string(vertex) +
                                                             " of " + std::to_string(vertices.size()));
            }
        }
    }
}

// Vertices of edges that only one triangle has: what lies beyond such a rim would all pair with it.
std::vector<char> on_rim(std::size_t num_vertices, const Triangles& faces) {
    // Edges by their lower vertex: each has few.
    std::vector<std::size_t> starts(num_vertices + 1, 0);
    const auto for_edges = [&](const auto& visit) {
        for (const auto& face : faces) {
            for (int k = 0; k < 3; ++k) {
                const auto [low, high] = std::minmax(face[k], face[(k + 1) % 3]);
                visit(low, high);
            }
        }
    };
    for_edges([&](std::int32_t low, std::int32_t) { ++starts[low + 1]; });
    for (std::size_t i = 0; i < num_vertices; ++i) starts[i + 1] += starts[i];
    std::vector<std::int32_t> upper(starts.back());
    std::vector<std::size_t> next(starts.begin(), starts.end() - 1);
    for_edges([&](std::int32_t low, std::int32_t high) { upper[next[low]++] = high; });
    std::vector<char> flags(num_vertices, 0);
    for (std::size_t low = 0; low < num_vertices; ++low) {
        const auto begin = upper.begin() + static_cast<std::ptrdiff_t>(starts[low]);
        const auto end = upper.begin() + static_cast<std::ptrdiff_t>(starts[low + 1]);
        for (auto high = begin; high != end; ++high) {
            if (std::count(begin, end, *high) == 1) flags[low] = flags[*high] = 1;
        }
    }
    return flags;
}

Vector placed(const Similarity& placement, const Vector& point) {
    Vector result = rotated(placement.rotation, point);
    for (int axis = 0; axis < 3; ++axis)
        result[axis] = placement.scale * result[axis] + placement.translation[axis];
    return result;
}

// A symmetric positive definite system of seven unknowns, by elimination.
using Unknowns = std::array<double, 7>;

struct NormalEquations {
    std::array<Unknowns, 7> matrix{};  // from the diagonal on
    Unknowns right{};

    void add(const Unknowns& row, double value, double weight) {
        for (int i = 0; i < 7; ++i) {
            for (int j = i; j < 7; ++j) matrix[i][j] += weight * row[i] * row[j];
            right[i] += weight * row[i] * value;
        }
    }

    void add(const NormalEquations& other) {
        for (int i = 0; i < 7; ++i) {
            for (int j = i; j < 7; ++j) matrix[i][j] += other.matrix[i][j];
            right[i] += other.right[i];
        }
    }

    Unknowns solve() const {
        auto a = matrix;
        for (int i = 0; i < 7; ++i) {
            for (int j = 0; j < i; ++j) a[i][j] = a[j][i];
        }
        Unknowns x = right;
        for (int column = 0; column < 7; ++column) {
            for (int row = column + 1; row < 7; ++row) {
                const double factor = a[row][column] / a[column][column];
                for (int k = column; k < 7; ++k) a[row][k] -= factor * a[column][k];
                x[row] -= factor * x[column];
            }
        }
        for (int row = 6; row >= 0; --row) {
            for (int k = row + 1; k < 7; ++k) x[row] -= a[row][k] * x[k];
            x[row] /= a[row][row];
        }
        return x;
    }
};

// The face, the surface around it, and one round of matching.
class Aligner {
  public:
    // `near` are the vertices of the surface that may matter.
    Aligner(const Points& vertices, const Triangles& faces, const Points& surface_vertices,
            const Triangles& surface_faces, const std::vector<std::int64_t>& near,
            const FaceAlignmentOptions& options)
        : options_(options),
          faces_(faces),
          normals_(vertex_normals(vertices, faces)),
          nearest_(subset(surface_vertices, near)) {
        for (const auto& vertex : vertices) {
            model_.push_back(as_vector(vertex));
            for (int axis = 0; axis < 3; ++axis)
                middle_[axis] += model_.back()[axis] / static_cast<double>(vertices.size());
        }
        for (std::size_t i = 0; i < model_.size(); ++i) num_counted_ += is_counted(i);
        const auto surface_normals = vertex_normals(surface_vertices, surface_faces);
        const auto rim = on_rim(surface_vertices.size(), surface_faces);
        for (const std::int64_t index : near) {
            surface_.push_back(as_vector(surface_vertices[index]));
            surface_normals_.push_back(surface_normals[index]);
            is_rim_.push_back(rim[index]);
        }
        for (std::size_t i = 0; i < surface_.size(); ++i) {
            if (surface_normals_[i][2] < kFacingCamera) continue;
            const auto [place, is_new] = front_.emplace(cell_of(surface_[i]), surface_[i][2]);
            if (!is_new) place->second = std::max(place->second, surface_[i][2]);
        }
    }

    const FaceAlignmentOptions& options() const { return options_; }

    // How far the face must move in depth to lie on the front of the surface: the median over what the camera
    // sees of its counted vertices that have surface at their place in the photo. False where too few have.
    bool depth_shift(const Similarity& placement, double& shift) const {
        std::vector<std::pair<double, double>> gaps;  // and weights
        double facing = 0.0, seen = 0.0;
        const std::vector<double> areas = projected_areas(placement);
        for (std::size_t i = 0; i < model_.size(); ++i) {
            if (!is_counted(i) || rotated(placement.rotation, normals_[i])[2] < kFacingCamera) continue;
            facing += areas[i];
            const Vector point = placed(placement, model_[i]);
            const auto found = front_.find(cell_of(point));
            if (found == front_.end()) continue;
            seen += areas[i];
            gaps.emplace_back(found->second - point[2], areas[i]);
        }
        if (gaps.empty() || seen < kMinSeenShare * facing) return false;
        std::sort(gaps.begin(), gaps.end());
        double below = 0.0;
        for (const auto& [gap, area] : gaps) {
            shift = gap;
            below += area;
            if (below >= 0.5 * seen) break;
        }
        return true;
    }

    // Of the triangles around each vertex that face the camera, as the camera sees them, a third each.
    std::vector<double> projected_areas(const Similarity& placement) const {
        std::vector<Vector> points;
        for (const Vector& vertex : model_) points.push_back(placed(placement, vertex));
        std::vector<double> areas(model_.size(), 0.0);
        for (const auto& face : faces_) {
            const Vector u = points[face[1]] - points[face[0]], v = points[face[2]] - points[face[0]];
            const double area = std::max(0.0, u[0] * v[1] - u[1] * v[0]) / 6.0;
            for (const std::int32_t vertex : face) areas[vertex] += area;
        }
        return areas;
    }

    struct Matches {
        std::vector<NearestPoints::Match> partners;  // index -1: none
        std::vector<std::int64_t> nearest;           // partners, and those that are none for all that
        std::int64_t num_pairs = 0;
    };

    // `before` are the matches of a placement nearby, where there are any.
    Matches match(const Similarity& placement, const Matches* before = nullptr) const {
        Matches result;
        const auto num = static_cast<std::int64_t>(model_.size());
        result.partners.resize(model_.size());
        result.nearest.resize(model_.size());
        parallel_for((num + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
            for (std::int64_t i = chunk * kChunk; i < std::min(num, (chunk + 1) * kChunk); ++i) {
                if (!is_counted(i)) {
                    result.partners[i].index = result.nearest[i] = -1;
                    continue;
                }
                const std::int64_t hint = before ? before->nearest[i] : -1;
                auto found = nearest_.find(placed(placement, model_[i]), options_.reach_m, hint);
                result.nearest[i] = found.index;
                if (found.index >= 0 && (is_rim_[found.index] ||
                                         dot(rotated(placement.rotation, normals_[i]),
                                             surface_normals_[found.index]) < options_.min_normal_cosine)) {
                    found.index = -1;
                }
                result.partners[i] = found;
            }
        });
        for (const auto& partner : result.partners) result.num_pairs += partner.index >= 0;
        return result;
    }

    bool has_enough(const Matches& matches) const {
        return static_cast<double>(matches.num_pairs) >=
               std::max(6.0, options_.min_pair_share * static_cast<double>(num_counted_));
    }

    // One Gauss-Newton step of point-to-plane distances; `length_m` says how far it went.
    Similarity step(const Similarity& now, const Similarity& start, const Matches& matches,
                    const FaceAlignmentWeights& weights, double& length_m) const {
        std::vector<double> distances;
        for (const auto& partner : matches.partners) {
            if (partner.index >= 0) distances.push_back(partner.distance);
        }
        const auto last = std::min<std::size_t>(
            distances.size() - 1, static_cast<std::size_t>(options_.kept_share * distances.size()));
        std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(last),
                         distances.end());
        const double furthest = distances[last];

        const Vector center = placed(now, middle_);
        // All places in the photo together weigh weights.image times as much as all pairs together, and all
        // depths around their mean weights.pose times.
        const double pairs_each = static_cast<double>(last + 1) / static_cast<double>(model_.size());
        const double anchor = weights.image * pairs_each;
        const double depth_anchor = weights.pose * pairs_each;
        const double start_depth = placed(start, middle_)[2];
        const auto add_vertex = [&](NormalEquations& equations, std::int64_t i) {
            const Vector point = placed(now, model_[i]), p = point - center;
            const Vector q = {p[0] / kLength, p[1] / kLength, p[2] / kLength};
            const auto& partner = matches.partners[i];
            if (partner.index >= 0 && partner.distance <= furthest) {
                const Vector& n = surface_normals_[partner.index];
                const Vector lever = cross(q, n);
                const double gap = dot(n, surface_[partner.index] - point);
                equations.add({lever[0], lever[1], lever[2], n[0], n[1], n[2], dot(q, n)}, gap, 1.0);
            }
            const Vector back = placed(start, model_[i]) - point;
            equations.add({0, q[2], -q[1], 1, 0, 0, q[0]}, back[0], anchor);
            equations.add({-q[2], 0, q[0], 0, 1, 0, q[1]}, back[1], anchor);
            equations.add({q[1], -q[0], 0, 0, 0, 0, q[2]}, back[2] - (start_depth - center[2]), depth_anchor);
        };
        // Chunk by chunk, so that the sums do not depend on the number of threads.
        const auto num = static_cast<std::int64_t>(model_.size());
        std::vector<NormalEquations> chunks((num + kChunk - 1) / kChunk);
        parallel_for(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t chunk) {
            for (std::int64_t i = chunk * kChunk; i < std::min(num, (chunk + 1) * kChunk); ++i)
                add_vertex(chunks[chunk], i);
        });
        NormalEquations equations;
        for (const NormalEquations& chunk : chunks) equations.add(chunk);
        for (int i = 0; i < 7; ++i) equations.matrix[i][i] += kDamping * static_cast<double>(last + 1);
        const Unknowns x = equations.solve();

        const Rotation rotation = turn({x[0] / kLength, x[1] / kLength, x[2] / kLength});
        const double growth = 1.0 + x[6] / kLength;
        Similarity next;
        next.scale = growth * now.scale;
        next.rotation = product(rotation, now.rotation);
        const Vector moved = rotated(rotation, now.translation - center);
        for (int axis = 0; axis < 3; ++axis)
            next.translation[axis] = growth * moved[axis] + center[axis] + x[3 + axis];
        length_m = 0.0;
        for (const double value : x) length_m = std::max(length_m, std::abs(value));
        return next;
    }

    // How far the face's middle moved across the line of sight.
    double shift_between(const Similarity& a, const Similarity& b) const {
        double x = 0.0, y = 0.0;
        for (const Vector& vertex : model_) {
            const Vector moved = placed(b, vertex) - placed(a, vertex);
            x += moved[0] / static_cast<double>(model_.size());
            y += moved[1] / static_cast<double>(model_.size());
        }
        return std::hypot(x, y);
    }

  private:
    using Cell = std::pair<std::int64_t, std::int64_t>;
    static Cell cell_of(const Vector& point) {
        return {static_cast<std::int64_t>(std::floor(point[0] / kDepthCellM)),
                static_cast<std::int64_t>(std::floor(point[1] / kDepthCellM))};
    }

    bool is_counted(std::size_t vertex) const {
        return options_.counted.empty() || options_.counted[vertex] != 0;
    }

    static std::vector<NearestPoints::Point> subset(const Points& points,
                                                    const std::vector<std::int64_t>& rows) {
        std::vector<NearestPoints::Point> result;
        for (const std::int64_t row : rows) result.push_back(points[row]);
        return result;
    }

    FaceAlignmentOptions options_;
    Triangles faces_;
    std::vector<Vector> model_, normals_;
    Vector middle_{};
    std::int64_t num_counted_ = 0;
    std::vector<Vector> surface_, surface_normals_;
    std::vector<char> is_rim_;
    std::map<Cell, double> front_;  // the surface's greatest depth in each cell of the photo
    NearestPoints nearest_;
};

// Root mean square distances before and after, of the vertices that have a partner in both.
void compare(const Aligner::Matches& before, const Aligner::Matches& after, FaceAlignment& result) {
    double start = 0.0, now = 0.0, count = 0.0;
    for (std::size_t i = 0; i < before.partners.size(); ++i) {
        const auto& first = before.partners[i];
        const auto& second = after.partners[i];
        if (first.index < 0 || second.index < 0) continue;
        start += first.distance * first.distance;
        now += second.distance * second.distance;
        count += 1.0;
    }
    result.residual_start_m = std::sqrt(start / std::max(count, 1.0));
    result.residual_m = std::sqrt(now / std::max(count, 1.0));
    result.num_pairs_start = before.num_pairs;
    result.num_pairs = after.num_pairs;
}

// Surface vertices at most reach_m beside the face in the photo, at any depth.
std::vector<std::int64_t> beside_face(const Points& vertices, const Similarity& start,
                                      const Points& surface_vertices, double reach_m) {
    Vector low{}, high{};
    for (std::size_t i = 0; i < vertices.size(); ++i) {
        const Vector point = placed(start, as_vector(vertices[i]));
        for (int axis = 0; axis < 2; ++axis) {
            low[axis] = i == 0 ? point[axis] : std::min(low[axis], point[axis]);
            high[axis] = i == 0 ? point[axis] : std::max(high[axis], point[axis]);
        }
    }
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < surface_vertices.size(); ++i) {
        bool is_near = true;
        for (int axis = 0; axis < 2; ++axis) {
            is_near = is_near && surface_vertices[i][axis] >= low[axis] - reach_m &&
                      surface_vertices[i][axis] <= high[axis] + reach_m;
        }
        if (is_near) rows.push_back(static_cast<std::int64_t>(i));
    }
    return rows;
}

FaceAlignmentStatus judged(const FaceAlignment& result, const FaceAlignmentOptions& options) {
    if (result.rotation_deg > options.max_rotation_deg) return FaceAlignmentStatus::kTurnedTooFar;
    if (std::abs(result.scale_change) > options.max_scale_change) return FaceAlignmentStatus::kScaledTooFar;
    if (result.shift_m > options.max_shift_m) return FaceAlignmentStatus::kMovedTooFar;
    const double kept = kMinKeptPairs * static_cast<double>(result.num_pairs_start);
    if (result.residual_m > result.residual_start_m + kNoRise ||
        static_cast<double>(result.num_pairs) < kept) {
        return FaceAlignmentStatus::kWorseThanStart;
    }
    if (result.residual_m > options.max_residual_m) return FaceAlignmentStatus::kTooFarFromSurface;
    return FaceAlignmentStatus::kUsed;
}

}  // namespace

const char* name(FaceAlignmentStatus status) noexcept {
    switch (status) {
        case FaceAlignmentStatus::kUsed:
            return "used";
        case FaceAlignmentStatus::kNoSurface:
            return "no_surface";
        case FaceAlignmentStatus::kTooFewPairs:
            return "too_few_pairs";
        case FaceAlignmentStatus::kTurnedTooFar:
            return "turned_too_far";
        case FaceAlignmentStatus::kScaledTooFar:
            return "scaled_too_far";
        case FaceAlignmentStatus::kMovedTooFar:
            return "moved_too_far";
        case FaceAlignmentStatus::kWorseThanStart:
            return "worse_than_start";
        case FaceAlignmentStatus::kTooFarFromSurface:
            return "too_far_from_surface";
    }
    return "unknown";
}

Points placed(const Similarity& placement, const Points& points) {
    Points result;
    result.reserve(points.size());
    for (const auto& point : points) {
        const Vector moved = placed(placement, as_vector(point));
        result.push_back(
            {static_cast<float>(moved[0]), static_cast<float>(moved[1]), static_cast<float>(moved[2])});
    }
    return result;
}

Similarity place_face(const FacePose& pose, double side_m, const Box& crop, const Box& frame, double size_m) {
    const double m_per_px = size_m / frame.width_px;
    const double half_px = crop.width_px / 2.0;
    Similarity placement;
    placement.rotation = product(turn({0, 0, pose.angles[2]}),
                                 product(turn({0, pose.angles[1], 0}), turn({pose.angles[0], 0, 0})));
    placement.scale = std::exp(pose.log_scale) * crop.width_px / side_m * m_per_px;
    const double x_px = crop.left_px + half_px * (1.0 + pose.shift[0]);
    const double y_px = crop.top_px + half_px * (1.0 + pose.shift[1]);
    placement.translation = {(x_px - frame.left_px - frame.width_px / 2.0) * m_per_px,
                             -(y_px - frame.top_px - frame.height_px / 2.0) * m_per_px, 0.0};
    return placement;
}

// Where every refinement begins: the start, moved in depth.
struct Beginning {
    Similarity placement;
    Aligner::Matches matches;
};

struct FaceAligner::Parts {
    Similarity start;
    std::optional<Aligner> aligner;      // none where no surface lies beside the face
    std::optional<Beginning> beginning;  // none where no surface is seen at the face
};

FaceAligner::FaceAligner(const Points& vertices, const Triangles& faces, const Similarity& start,
                         const Points& surface_vertices, const Triangles& surface_faces,
                         const FaceAlignmentOptions& options) {
    check_mesh(vertices, faces, "face");
    check_mesh(surface_vertices, surface_faces, "surface");
    if (!options.counted.empty() && options.counted.size() != vertices.size()) {
        throw Error(ErrorCode::kInvalidArgument, "counted must hold " + std::to_string(vertices.size()) +
                                                     " flags or none, got " +
                                                     std::to_string(options.counted.size()));
    }
    auto parts = std::make_unique<Parts>(Parts{start, std::nullopt, std::nullopt});
    const auto near = beside_face(vertices, start, surface_vertices, options.reach_m);
    if (!near.empty()) {
        const Aligner& aligner =
            parts->aligner.emplace(vertices, faces, surface_vertices, surface_faces, near, options);
        Similarity moved = start;
        double shift = 0.0;
        if (aligner.depth_shift(start, shift)) {
            moved.translation[2] += shift;
            parts->beginning.emplace(Beginning{moved, aligner.match(moved)});
        }
    }
    parts_ = std::move(parts);
}

FaceAligner::~FaceAligner() = default;

FaceAlignment FaceAligner::align(const FaceAlignmentWeights& weights) const {
    FaceAlignment result;
    result.placement = parts_->start;
    if (!parts_->beginning) {
        result.status = FaceAlignmentStatus::kNoSurface;
        return result;
    }
    const Aligner& aligner = *parts_->aligner;
    const FaceAlignmentOptions& options = aligner.options();
    const auto& [begin, first] = *parts_->beginning;
    result.placement = begin;
    auto matches = first;
    compare(first, first, result);

    Similarity now = begin;
    double length_m = 1.0;
    while (result.num_iterations < options.num_iterations && length_m > kConverged) {
        if (!aligner.has_enough(matches)) {
            result.status = FaceAlignmentStatus::kTooFewPairs;
            return result;
        }
        now = aligner.step(now, begin, matches, weights, length_m);
        matches = aligner.match(now, &matches);
        ++result.num_iterations;
    }
    compare(first, matches, result);
    result.rotation_deg = angle_between(now.rotation, begin.rotation);
    result.scale_change = now.scale / begin.scale - 1.0;
    result.shift_m = aligner.shift_between(begin, now);
    result.status = judged(result, options);
    if (result.status != FaceAlignmentStatus::kUsed) return result;
    result.placement = now;
    double shift = 0.0;
    if (options.settles_in_depth && aligner.depth_shift(now, shift)) result.placement.translation[2] += shift;
    return result;
}

FaceAlignment align_face(const Points& vertices, const Triangles& faces, const Similarity& start,
                         const Points& surface_vertices, const Triangles& surface_faces,
                         const FaceAlignmentOptions& options) {
    return FaceAligner(vertices, faces, start, surface_vertices, surface_faces, options)
        .align(options.weights);
}

}  // namespace jiff
