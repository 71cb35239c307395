// Faces in a photograph: the MTCNN cascade over a bundle's three networks.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "pipeline/bundle.h"
#include "preprocess/face_detection.h"

namespace jiff {

struct FaceDetectionOptions {
    std::optional<double> min_face_px;  // smallest side of a face; default_min_face_px of the photo if absent
};

// Loads the three networks once and searches any number of photographs; may be called from several threads.
class FaceDetector {
  public:
    // Throws Error(kBundle) when the bundle has no face detection or a graph other tensors than it says, and
    // what the engine throws.
    FaceDetector(const Bundle& bundle, Engine& engine);
    ~FaceDetector();

    // The faces in an RGB photo, best score first; none is no error. Throws Error: kInvalidImage,
    // kInvalidArgument, kEngine, and kInvalidField when a network returns what is not finite.
    std::vector<Face> detect(const ImageView& rgb, const FaceDetectionOptions& options = {}) const;

  private:
    struct Networks;
    std::unique_ptr<Networks> networks_;
};

}  // namespace jiff
