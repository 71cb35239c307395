// The face's part in a reconstruction: fitted, placed on the body, encoded, and asked.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/precision.h"
#include "engine/engine.h"
#include "ops/joint_query.h"
#include "ops/surface_extraction.h"
#include "pipeline/bundle.h"
#include "pipeline/face_alignment.h"
#include "pipeline/face_fitter.h"
#include "pipeline/face_volume.h"
#include "pipeline/head_encoder.h"
#include "pipeline/point_function.h"
#include "pipeline/stages.h"
#include "pipeline/triangle_mesh.h"

namespace jiff {

// The face of the person, as far as it was seen. What is there depends on how far it went.
struct FaceResult {
    // "used"; or why the body head answers alone: "off", "no_face_model" (in the bundle), "no_face",
    // "no_fit", "turned_away", "covered", or what name(FaceAlignmentStatus) says.
    std::string status = "off";
    std::optional<Face> detected;
    std::optional<FaceFit> fit;
    std::optional<FaceAlignment> alignment;
    Mesh mesh;                     // with an alignment: the fitted face in the world, in its own light
    std::int64_t num_queries = 0;  // for the body's surface that it was placed on

    bool is_used() const { return status == "used"; }
};

// Extracts a surface, in lattice coordinates.
using SurfaceFunction = std::function<Surface(const ExtractionOptions&, const ProgressCallback&)>;

// Where a person was photographed: all that stays the same while the face is looked for.
struct FramedPerson {
    ImageView rgb, mask;  // of the photo
    Box frame;            // in the photo
    const Tensor* alpha;  // of the frame, [S, S]
    double size_m;
};

// The parts of a bundle's section "face", loaded once. May be used from several threads.
class FaceReconstruction {
  public:
    // `bundle` has a face; `precision` is of the heads. Throws what the engine throws, and Error(kBundle)
    // when a graph has other tensors than the manifest says.
    FaceReconstruction(const Bundle& bundle, Engine& engine, Precision precision);

    // Finds, fits and places the face; stages detect_face, fit_face and align_face, as far as it goes.
    // `body` gives the surface without a face, which the face is placed on.
    FaceResult fit(const FramedPerson& person, const SurfaceFunction& body, Stages& stages) const;

    // What the volume of a face's mesh is made of; vertices in the view.
    FaceCodes encode_shape(const Points& vertices) const { return shape_volume_.encode(vertices); }

    // The same of the coloured mesh. Only where `has_color`.
    FaceCodes encode_color(const Points& vertices, const std::vector<std::array<float, 3>>& colors) const {
        return color_->volume.encode(vertices, colors);
    }

    bool has_color() const { return color_.has_value(); }
    double region_margin() const { return region_margin_; }
    const JointQuery& shape_head() const { return shape_head_; }
    const JointQuery& color_head() const { return color_->head; }
    const std::vector<std::string>& shape_features() const { return shape_features_; }

    // What the joint shape head's features come from instead of `shape_features`; null: nothing.
    const HeadEncoder* head_encoder() const { return head_encoder_ ? &*head_encoder_ : nullptr; }

  private:
    struct Color {
        ColorVolumeEncoder volume;
        JointQuery head;
    };

    FaceFitter fitter_;
    ShapeVolumeEncoder shape_volume_;
    JointQuery shape_head_;
    std::vector<std::string> shape_features_;
    std::optional<HeadEncoder> head_encoder_;
    std::optional<Color> color_;
    double region_margin_;
};

}  // namespace jiff
