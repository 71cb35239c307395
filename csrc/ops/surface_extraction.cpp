#include "ops/surface_extraction.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "core/status.h"
#include "ops/marching_cubes.h"
#include "ops/sparse_lattice.h"

namespace jiff {
namespace {

constexpr const char* kStage = "extract";
// How far from iso a hidden crossing is sought, in parts of the difference between a cell's corners. On
// the fields of trained networks smaller values miss pieces one column wide and larger ones find no more.
constexpr float kReachOfSlope = 0.6f;
constexpr int kMinResolution = 2, kMaxResolution = 1024;

void check_options(const ExtractionOptions& o) {
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
}

// A 32nd of the side: about the width of a forearm in a frame that holds a person.
int automatic_stride(int resolution) {
    int stride = 1;
    while (stride * 64 <= resolution) stride *= 2;
    return stride;
}

class Extraction {
  public:
    Extraction(const LatticeField& field, const ExtractionOptions& options, const ProgressCallback& progress)
        : field_([&](const LatticePoint* points, std::int64_t num_points, float* values) {
              num_asked_ += num_points;
              field(points, num_points, values);
          }),
          options_(options),
          progress_(progress),
          lattice_(options.resolution, options.columns) {}

    Surface run() {
        report(progress_, kStage, 0.0f);
        std::vector<LatticePoint> crossed = options_.dense ? evaluate_densely() : follow(find_seeds());
        Surface surface = build(crossed);
        report(progress_, kStage, 1.0f);
        return surface;
    }

  private:
    bool is_inside(float value) const { return value > options_.iso; }

    bool is_crossed(const std::array<float, 8>& corners) const {
        return std::any_of(corners.begin(), corners.end(),
                           [&](float value) { return is_inside(value) != is_inside(corners[0]); });
    }

    // Whether a cell could hold surface that its corners do not show: some corner is close to iso, both in
    // itself and for the slope that the corners show. A soft field is close to iso far from its surface,
    // but there its slope is small too. Half the stride hides half as much.
    bool is_uncertain(const std::array<float, 8>& corners, int stride, int coarse_stride) const {
        float nearest = std::numeric_limits<float>::infinity();
        for (const float value : corners) nearest = std::min(nearest, std::abs(value - options_.iso));
        const auto [lowest, highest] = std::minmax_element(corners.begin(), corners.end());
        const float band =
            options_.uncertain_band * static_cast<float>(stride) / static_cast<float>(coarse_stride);
        return nearest <= std::min(band, kReachOfSlope * (*highest - *lowest));
    }

    // Every point, a plane of columns at a time; returns the crossed cells.
    std::vector<LatticePoint> evaluate_densely() {
        const int resolution = options_.resolution;
        for (int y = 1; y < resolution; ++y) {
            for (int x = 1; x < resolution; ++x) {
                for (int z = 1; z < resolution; ++z) lattice_.request(x, y, z);
            }
            lattice_.evaluate(field_);
            report(progress_, kStage, 0.9f * static_cast<float>(y) / static_cast<float>(resolution));
        }
        std::vector<LatticePoint> crossed;
        for (int z = 0; z < resolution; ++z) {
            for (int y = 0; y < resolution; ++y) {
                for (int x = 0; x < resolution; ++x) {
                    const LatticePoint cell{x, y, z};
                    if (is_crossed(lattice_.corners(cell, 1))) crossed.push_back(cell);
                }
            }
        }
        return crossed;
    }

    // Crossed cells of the finest level, found from a coarse grid by halving the cells that may hold surface.
    std::vector<LatticePoint> find_seeds() {
        const int coarse =
            options_.coarse_stride ? options_.coarse_stride : automatic_stride(options_.resolution);
        std::vector<LatticePoint> cells = refinable_coarse_cells(coarse);
        for (int stride = coarse; stride > 1; stride /= 2) {
            const int half = stride / 2;
            std::vector<LatticePoint> children;
            for (const LatticePoint& cell : cells) {
                lattice_.request_block(cell, half, 3);
                for (int c = 0; c < 8; ++c) {
                    const LatticePoint child{cell.x + (c & 1) * half, cell.y + (c >> 1 & 1) * half,
                                             cell.z + (c >> 2) * half};
                    if (std::max({child.x, child.y, child.z}) >= options_.resolution) continue;
                    children.push_back(child);
                }
            }
            lattice_.evaluate(field_);
            cells.clear();
            std::copy_if(children.begin(), children.end(), std::back_inserter(cells),
                         [&](const LatticePoint& child) {
                             const std::array<float, 8> corners = lattice_.corners(child, half);
                             return is_crossed(corners) || (half > 1 && is_uncertain(corners, half, coarse));
                         });
            report(progress_, kStage, 0.8f - 0.6f * static_cast<float>(half) / static_cast<float>(coarse));
        }
        return cells;
    }

    std::vector<LatticePoint> refinable_coarse_cells(int stride) {
        lattice_.evaluate_coarse(field_, stride);
        std::vector<LatticePoint> refinable;
        const int num_cells = lattice_.num_coarse_cells();
        for (int z = 0; z < num_cells; ++z) {
            for (int y = 0; y < num_cells; ++y) {
                for (int x = 0; x < num_cells; ++x) {
                    const std::array<float, 8> corners = lattice_.coarse_corners(x, y, z);
                    if (is_crossed(corners) || (stride > 1 && is_uncertain(corners, stride, stride))) {
                        refinable.push_back({x * stride, y * stride, z * stride});
                    }
                }
            }
        }
        report(progress_, kStage, 0.2f);
        return refinable;
    }

    // From crossed cells to all that are connected with them through crossed faces.
    std::vector<LatticePoint> follow(const std::vector<LatticePoint>& seeds) {
        std::vector<LatticePoint> crossed, wave;
        for (const LatticePoint& cell : seeds) {
            if (lattice_.enter_cell(cell)) wave.push_back(cell);
        }
        float fraction = 0.8f;
        while (!wave.empty()) {
            for (const LatticePoint& cell : wave) lattice_.request_block(cell, 1, 2);
            lattice_.evaluate(field_);
            std::vector<LatticePoint> next;
            for (const LatticePoint& cell : wave) enter_neighbors(cell, next);
            crossed.insert(crossed.end(), wave.begin(), wave.end());
            wave = std::move(next);
            fraction += (0.95f - fraction) * 0.25f;  // how many waves there are is not known before
            report(progress_, kStage, fraction);
        }
        sort_by<&LatticePoint::z, &LatticePoint::y, &LatticePoint::x>(crossed);
        return crossed;
    }

    // Adds the neighbours behind the crossed faces of `cell`. The outermost layer is outside, so no face
    // on the border of the lattice is crossed.
    void enter_neighbors(const LatticePoint& cell, std::vector<LatticePoint>& next) {
        const std::array<float, 8> corners = lattice_.corners(cell, 1);
        for (int axis = 0; axis < 3; ++axis) {
            for (int side = 0; side < 2; ++side) {
                int num_inside = 0;
                for (int c = 0; c < 8; ++c) num_inside += (c >> axis & 1) == side && is_inside(corners[c]);
                if (num_inside == 0 || num_inside == 4) continue;
                LatticePoint neighbor = cell;
                (axis == 0 ? neighbor.x : axis == 1 ? neighbor.y : neighbor.z) += side == 1 ? 1 : -1;
                if (lattice_.enter_cell(neighbor)) next.push_back(neighbor);
            }
        }
    }

    // Marching cubes over crossed cells in the order (z, y, x), whatever way they were found.
    Surface build(const std::vector<LatticePoint>& crossed) {
        SurfaceBuilder builder(options_.resolution, options_.resolution, options_.iso);
        for (const LatticePoint& cell : crossed) {
            lattice_.count_corners(cell);
            builder.add_cell(cell.x, cell.y, cell.z, lattice_.corners(cell, 1));
        }
        return {std::move(builder.vertices), std::move(builder.faces), num_asked_, lattice_.num_counted()};
    }

    std::int64_t num_asked_ = 0;
    LatticeField field_;
    const ExtractionOptions& options_;
    const ProgressCallback& progress_;
    SparseLattice lattice_;
};

}  // namespace

Surface extract_surface(const LatticeField& field, const ExtractionOptions& options,
                        const ProgressCallback& progress) {
    check_options(options);
    return Extraction(field, options, progress).run();
}

}  // namespace jiff
