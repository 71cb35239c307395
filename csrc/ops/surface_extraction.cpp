#include "ops/surface_extraction.h"

#include <array>
#include <utility>

#include "ops/cell_mesh.h"
#include "ops/sparse_lattice.h"
#include "ops/surface_seeds.h"
#include "ops/vertex_refinement.h"

namespace jiff {
namespace {

constexpr const char* kStage = "extract";

class Extraction {
  public:
    Extraction(const LatticeField& field, const ExtractionOptions& options, const ProgressCallback& progress)
        : field_([&](const LatticePoint* points, std::int64_t num_points, float* values) {
              num_asked_ += num_points;
              field(points, num_points, values);
          }),
          options_(options),
          progress_(progress),
          lattice_(options.resolution, options.iso, options.columns) {}

    Surface run() {
        report(progress_, kStage, 0.0f);
        if (options_.dense) {
            evaluate_densely();
            lattice_.enter_all_crossed_cells();
        } else {
            follow(find_surface_seeds(field_, options_, progress_, lattice_));
        }
        const bool is_refined = options_.num_secant_steps > 0;
        CellMesh mesh = mesh_cells(lattice_, options_.iso, is_refined);
        if (is_refined) {
            refine_vertices(options_.continuous_field, options_.iso, options_.num_secant_steps, mesh);
        }
        const std::int64_t num_ideal = lattice_.count_points_of_cells();
        report(progress_, kStage, 1.0f);
        return {std::move(mesh.vertices), std::move(mesh.faces), num_asked_, num_ideal};
    }

  private:
    // Every point, a plane of columns at a time.
    void evaluate_densely() {
        const int resolution = options_.resolution;
        for (int y = 1; y < resolution; ++y) {
            for (int x = 1; x < resolution; ++x) {
                for (int z = 1; z < resolution; ++z) lattice_.request(x, y, z);
            }
            lattice_.evaluate(field_);
            report(progress_, kStage, 0.9f * static_cast<float>(y) / static_cast<float>(resolution));
        }
    }

    // Enters the crossed cells and all that are connected with them through crossed faces: each wave of new
    // cells is one call of the field.
    void follow(const std::vector<LatticePoint>& seeds) {
        std::vector<LatticePoint> wave, next;
        for (const LatticePoint& cell : seeds) {
            if (lattice_.enter_cell(cell)) wave.push_back(cell);
        }
        float fraction = 0.5f;
        while (!wave.empty()) {
            for (const LatticePoint& cell : wave) lattice_.request_cell(cell);
            lattice_.evaluate(field_);
            next.clear();
            for (const LatticePoint& cell : wave) {
                const int faces = crossed_faces()[lattice_.inside_corners(cell)];
                // The outermost layer is outside, so that no face on the border of the lattice is crossed.
                for (int face = 0; face < 6; ++face) {
                    if ((faces >> face & 1) == 0) continue;
                    const LatticePoint neighbor = moved(cell, face / 2, face % 2 == 1 ? 1 : -1);
                    if (lattice_.enter_cell(neighbor)) next.push_back(neighbor);
                }
            }
            wave.swap(next);
            fraction += (0.95f - fraction) * 0.25f;  // how many waves there are is not known before
            report(progress_, kStage, fraction);
        }
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
    check_extraction_options(options);
    return Extraction(field, options, progress).run();
}

}  // namespace jiff
