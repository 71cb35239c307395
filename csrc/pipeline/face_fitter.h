// The face of the photographed person: found, cropped, fitted by the morphable model (paper Sec. 4.1).
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "engine/engine.h"
#include "pipeline/bundle.h"
#include "pipeline/face_alignment.h"
#include "pipeline/face_detector.h"
#include "pipeline/face_model.h"
#include "pipeline/loaded_graph.h"
#include "preprocess/face_detection.h"
#include "preprocess/image_warp.h"

namespace jiff {

// A face model that looks like a face of the photo, not yet placed in depth.
struct FaceFit {
    std::array<float, kNumFaceCoefficients> values{};
    FaceCoefficients coefficients;
    Box crop;              // what the regressor saw, in pixels of the photo
    Points vertices;       // of the model, metres in its own axes
    double angle_deg = 0;  // between the line of sight and where the face looks
};

class FaceFitter {
  public:
    // `bundle` has a face. Throws what the engine throws, and Error(kBundle) when a graph has other tensors
    // than the manifest says.
    FaceFitter(const Bundle& bundle, Engine& engine);

    const FaceModel& model() const { return *model_; }
    double side_m() const { return side_m_; }

    // The main face on the person's mask, searched for in the `frame` that is cut around the person; nothing
    // where there is none. Faces count from the size on that is the default for a photo as large as the
    // frame. Throws as FaceDetector::detect.
    std::optional<Face> find(const ImageView& rgb, const ImageView& mask, const Box& frame) const;

    // Nothing when the regressor does not see this face: what it gives is not finite, or its landmarks lie
    // somewhere else than the detector's. Throws Error(kEngine).
    std::optional<FaceFit> fit(const ImageView& rgb, const Face& face) const;

  private:
    FaceDetector detector_;
    std::shared_ptr<const FaceModel> model_;
    LoadedGraph regressor_;
    double side_m_;
};

}  // namespace jiff
