#include "ops/surface_seeds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/status.h"
#include "ops/marching_cubes.h"
#include "ops/seed_rules.h"

namespace jiff {
namespace {

constexpr const char* kStage = "extract";
constexpr int kMinResolution = 2, kMaxResolution = SparseLattice::kMaxResolution;
constexpr int kMaxSecantSteps = 32;

// A stretch of a lattice line whose ends lie on different sides of the surface.
struct Bracket {
    LatticePoint first;
    int axis;
    bool is_first_inside;
};

class SeedSearch {
  public:
    SeedSearch(const LatticeField& field, const ExtractionOptions& options, const ProgressCallback& progress,
               SparseLattice& lattice)
        : field_(field), options_(options), progress_(progress), lattice_(lattice) {}

    std::vector<LatticePoint> run() {
        std::vector<LatticePoint> seeds = find_seeds();
        add_cells_at(options_.seeds, seeds);
        return seeds;
    }

  private:
    bool is_inside(float value) const { return value > options_.iso; }

    bool is_crossed(const std::array<float, 8>& corners) const {
        return std::any_of(corners.begin(), corners.end(),
                           [&](float value) { return is_inside(value) != is_inside(corners[0]); });
    }

    // Half the stride hides half as much.
    bool is_uncertain(const std::array<float, 8>& corners, int stride, int coarse_stride,
                      int explained = 0) const {
        const float band =
            options_.uncertain_band * static_cast<float>(stride) / static_cast<float>(coarse_stride);
        return may_hide_surface(corners.data(), options_.iso, band, explained);
    }

    // Crossed cells of the finest level: one for each crossed edge of the coarse grid, found by halving the
    // edge, and the same for the crossed edges that show up when uncertain cells are halved.
    std::vector<LatticePoint> find_seeds() {
        const int coarse = coarse_stride(options_);
        lattice_.evaluate_coarse(field_, coarse);
        report(progress_, kStage, 0.2f);
        std::vector<Bracket> brackets = crossed_coarse_edges(coarse);
        std::vector<LatticePoint> uncertain = uncertain_coarse_cells(coarse, brackets);
        for (int stride = coarse; stride > 1; stride /= 2) {
            const int half = stride / 2;
            for (const Bracket& bracket : brackets) {
                const LatticePoint middle = moved(bracket.first, bracket.axis, half);
                lattice_.request(middle.x, middle.y, middle.z);
            }
            for (const LatticePoint& cell : uncertain) lattice_.request_block(cell, half, 3);
            lattice_.evaluate(field_);
            for (Bracket& bracket : brackets) {
                const LatticePoint middle = moved(bracket.first, bracket.axis, half);
                if (lattice_.is_inside(middle.x, middle.y, middle.z) == bracket.is_first_inside)
                    bracket.first = middle;
            }
            uncertain = halve(uncertain, half, coarse, brackets);
            report(progress_, kStage, 0.5f - 0.3f * static_cast<float>(half) / static_cast<float>(coarse));
        }
        std::vector<LatticePoint> seeds;
        for (const Bracket& bracket : brackets) seeds.push_back(bracket.first);
        return seeds;
    }

    std::vector<Bracket> crossed_coarse_edges(int stride) const {
        std::vector<Bracket> brackets;
        const int num_cells = lattice_.num_coarse_cells();
        // Edges on the upper sides of the grid are not crossed: the outermost layer is outside.
        for (int z = 0; z < num_cells; ++z) {
            for (int y = 0; y < num_cells; ++y) {
                for (int x = 0; x < num_cells; ++x) {
                    const bool is_first_inside = is_inside(lattice_.coarse_value(x, y, z));
                    for (int axis = 0; axis < 3; ++axis) {
                        const LatticePoint end = moved({x, y, z}, axis, 1);
                        if (is_inside(lattice_.coarse_value(end.x, end.y, end.z)) != is_first_inside)
                            brackets.push_back({{x * stride, y * stride, z * stride}, axis, is_first_inside});
                    }
                }
            }
        }
        return brackets;
    }

    // Whether each coarse cell has a corner near iso: most have none, which is seen at a glance.
    std::vector<std::uint8_t> coarse_cells_near_iso() const {
        const int num_cells = lattice_.num_coarse_cells(), side = num_cells + 1;
        const std::vector<float>& values = lattice_.coarse_values();
        std::vector<std::uint8_t> is_near(values.size());
        std::transform(values.begin(), values.end(), is_near.begin(), [&](float value) {
            return std::abs(value - options_.iso) <= options_.uncertain_band;
        });
        // Along each axis in turn a point takes up what is behind it.
        const std::size_t steps[3] = {1, static_cast<std::size_t>(side),
                                      static_cast<std::size_t>(side) * side};
        for (const std::size_t step : steps) {
            for (std::size_t i = 0; i + step < is_near.size(); ++i) is_near[i] |= is_near[i + step];
        }
        return is_near;
    }

    // A corner at a crossed edge is close to iso because of the surface that is known there.
    std::vector<LatticePoint> uncertain_coarse_cells(int stride,
                                                     const std::vector<Bracket>& crossed_edges) const {
        std::vector<LatticePoint> uncertain;
        if (stride == 1) return uncertain;  // cells of side 1 hide nothing
        const int num_cells = lattice_.num_coarse_cells();
        const auto index_of = [&](const LatticePoint& p) {
            return (static_cast<std::size_t>(p.z) * (num_cells + 1) + p.y) * (num_cells + 1) + p.x;
        };
        std::vector<std::uint8_t> is_at_crossed_edge(index_of({0, 0, num_cells + 1}), 0);
        for (const Bracket& edge : crossed_edges) {
            const LatticePoint first{edge.first.x / stride, edge.first.y / stride, edge.first.z / stride};
            is_at_crossed_edge[index_of(first)] = 1;
            is_at_crossed_edge[index_of(moved(first, edge.axis, 1))] = 1;
        }
        const std::vector<std::uint8_t> is_near = coarse_cells_near_iso();
        for (int z = 0; z < num_cells; ++z) {
            for (int y = 0; y < num_cells; ++y) {
                for (int x = 0; x < num_cells; ++x) {
                    if (is_near[index_of({x, y, z})] == 0) continue;
                    const std::array<float, 8> corners = lattice_.coarse_corners(x, y, z);
                    if (is_crossed(corners)) continue;
                    int explained = 0;
                    for (int c = 0; c < 8; ++c)
                        explained |=
                            is_at_crossed_edge[index_of({x + (c & 1), y + (c >> 1 & 1), z + (c >> 2)})] << c;
                    if (is_uncertain(corners, stride, stride, explained))
                        uncertain.push_back({x * stride, y * stride, z * stride});
                }
            }
        }
        return uncertain;
    }

    // The children, of side `half`, that are uncertain still; the edges of crossed ones join the brackets.
    std::vector<LatticePoint> halve(const std::vector<LatticePoint>& cells, int half, int coarse_stride,
                                    std::vector<Bracket>& brackets) const {
        std::vector<LatticePoint> uncertain;
        for (const LatticePoint& cell : cells) {
            for (int c = 0; c < 8; ++c) {
                const LatticePoint child{cell.x + (c & 1) * half, cell.y + (c >> 1 & 1) * half,
                                         cell.z + (c >> 2) * half};
                if (std::max({child.x, child.y, child.z}) >= options_.resolution) continue;
                const std::array<float, 8> corners = lattice_.corners(child, half);
                if (is_crossed(corners)) {
                    for (const CellEdge& edge : cell_edges()) {
                        const bool is_first_inside = is_inside(corners[edge.first_corner]);
                        if (is_first_inside == is_inside(corners[edge.second_corner])) continue;
                        const int corner = edge.first_corner;
                        brackets.push_back(
                            {{child.x + (corner & 1) * half, child.y + (corner >> 1 & 1) * half,
                              child.z + (corner >> 2) * half},
                             edge.axis,
                             is_first_inside});
                    }
                } else if (half > 1 && is_uncertain(corners, half, coarse_stride)) {
                    uncertain.push_back(child);
                }
            }
        }
        return uncertain;
    }

    // Adds the crossed ones among the cells that meet in the points.
    void add_cells_at(const std::vector<LatticePoint>& points, std::vector<LatticePoint>& crossed) {
        const std::vector<LatticePoint> cells = cells_at(points, options_.resolution);
        for (const LatticePoint& cell : cells) lattice_.request_cell(cell);
        lattice_.evaluate(field_);
        for (const LatticePoint& cell : cells) {
            const int corners = lattice_.inside_corners(cell);
            if (corners != 0 && corners != 255) crossed.push_back(cell);
        }
    }

    const LatticeField& field_;
    const ExtractionOptions& options_;
    const ProgressCallback& progress_;
    SparseLattice& lattice_;
};

std::array<std::uint8_t, 256> make_crossed_faces() {
    std::array<std::uint8_t, 256> faces{};
    for (int inside = 0; inside < 256; ++inside) {
        for (int face = 0; face < 6; ++face) {
            int num_inside = 0;
            for (int c = 0; c < 8; ++c)
                num_inside += (c >> face / 2 & 1) == face % 2 && (inside >> c & 1) != 0;
            if (num_inside > 0 && num_inside < 4) faces[inside] |= static_cast<std::uint8_t>(1 << face);
        }
    }
    return faces;
}

}  // namespace

int coarse_stride(const ExtractionOptions& options) {
    if (options.coarse_stride != 0) return options.coarse_stride;
    int stride = 1;
    while (stride * 64 <= options.resolution) stride *= 2;
    return stride;
}

std::vector<LatticePoint> cells_at(const std::vector<LatticePoint>& points, int resolution) {
    std::vector<LatticePoint> cells;
    for (const LatticePoint& point : points) {
        for (int c = 0; c < 8; ++c) {
            const LatticePoint cell{point.x - (c & 1), point.y - (c >> 1 & 1), point.z - (c >> 2)};
            if (std::min({cell.x, cell.y, cell.z}) >= 0 && std::max({cell.x, cell.y, cell.z}) < resolution)
                cells.push_back(cell);
        }
    }
    return cells;
}

void check_extraction_options(const ExtractionOptions& o) {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    if (o.resolution < kMinResolution || o.resolution > kMaxResolution) {
        fail("resolution must be from " + std::to_string(kMinResolution) + " to " +
             std::to_string(kMaxResolution) + ", got " + std::to_string(o.resolution));
    }
    if (!(o.iso >= 0.0f) || !std::isfinite(o.iso)) {
        fail("iso must be finite and not negative, because the outermost layer counts as 0, got " +
             std::to_string(o.iso));
    }
    const int stride = o.coarse_stride;
    if (stride < 0 || stride >= o.resolution || (stride & (stride - 1)) != 0) {
        fail("coarse_stride must be a power of two below the resolution, or 0 for automatic, got " +
             std::to_string(stride));
    }
    if (!(o.uncertain_band >= 0.0f) || !std::isfinite(o.uncertain_band)) {
        fail("uncertain_band must be finite and not negative, got " + std::to_string(o.uncertain_band));
    }
    const std::size_t num_columns = static_cast<std::size_t>(o.resolution + 1) * (o.resolution + 1);
    if (!o.columns.empty() && o.columns.size() != num_columns) {
        fail("columns must hold (resolution + 1)² = " + std::to_string(num_columns) + " flags or none, got " +
             std::to_string(o.columns.size()));
    }
    for (const LatticePoint& p : o.seeds) {
        if (std::min({p.x, p.y, p.z}) < 0 || std::max({p.x, p.y, p.z}) > o.resolution) {
            fail("seeds must be lattice points, from 0 to the resolution along each axis, got (" +
                 std::to_string(p.x) + ", " + std::to_string(p.y) + ", " + std::to_string(p.z) + ")");
        }
    }
    if (o.num_secant_steps < 0 || o.num_secant_steps > kMaxSecantSteps) {
        fail("num_secant_steps must be from 0 to " + std::to_string(kMaxSecantSteps) + ", got " +
             std::to_string(o.num_secant_steps));
    }
    if (o.num_secant_steps > 0 && !o.continuous_field) {
        fail("num_secant_steps above 0 needs continuous_field, which is asked between the lattice points");
    }
}

const std::array<std::uint8_t, 256>& crossed_faces() {
    static const std::array<std::uint8_t, 256> faces = make_crossed_faces();
    return faces;
}

std::vector<LatticePoint> find_surface_seeds(const LatticeField& field, const ExtractionOptions& options,
                                             const ProgressCallback& progress, SparseLattice& lattice) {
    return SeedSearch(field, options, progress, lattice).run();
}

}  // namespace jiff
