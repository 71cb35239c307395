// From an RGB photograph to a coloured mesh: segment, frame, encode, fit the face, query, extract, colorize.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/precision.h"
#include "core/progress.h"
#include "engine/engine.h"
#include "pipeline/bundle.h"
#include "pipeline/face_reconstruction.h"
#include "pipeline/triangle_mesh.h"

namespace jiff {

struct MeshOnDevice;

struct PhotoView {
    const std::uint8_t* rgb = nullptr;  // [height, width, 3], sRGB
    const std::uint8_t* mask = nullptr;  // [height, width], 0 … 255, or null: segment by the bundle's network
    int width_px = 0;
    int height_px = 0;
};

// How the face head's answers join the body head's: alone in the face region (paper Sec. 4.5), or there by a
// share that falls with the distance from the face mesh (docs/conventions.md, "Face region").
enum class FaceBlend { kRegion, kDistance };

struct ReconstructOptions {
    int resolution = 256;  // cells along a side of the frame: 32 … 1024, a multiple of 32
    bool keep_largest_component = true;
    bool dense = false;              // evaluate every lattice point: slow, for checking
    int silhouette_dilation_px = 8;  // in the frame image; columns outside are empty
    bool use_face = true;            // where the bundle has a face, and the photo too
    FaceBlend face_blend = FaceBlend::kRegion;
    bool smooth_hidden_colors = true;  // of what the camera does not see; else as the networks have them
    bool keep_on_device = false;       // the mesh as well where it was made, on a GPU
};

struct Reconstruction {
    Mesh mesh;
    std::vector<std::uint8_t> mask;             // [height, width] of the photo, the person that was taken
    std::array<double, 16> image_from_world{};  // row-major 4 × 4, see docs/conventions.md
    double size_m = 0.0;
    std::map<std::string, double> timings_ms;  // by stage, and "total"
    FaceResult face;
    std::int64_t num_queries_asked = 0;
    std::int64_t num_queries_ideal = 0;
    std::vector<std::string> warnings;
    std::shared_ptr<const MeshOnDevice> mesh_on_device;  // null unless it was to be kept
};

// Throws Error(kDevice), which names the remedy, where no GPU serves or this build has no CUDA.
void require_gpu();

// Loads the graphs of a bundle once and reconstructs any number of photographs.
// `reconstruct` may be called from several threads.
class Reconstructor {
  public:
    // `precision` is what the heads compute in; the engine has its own. Throws what the engine throws,
    // Error(kBundle) when a graph has other tensors than the manifest says, and Error(kEngine) where the
    // processor does not compute in `precision`.
    Reconstructor(Bundle bundle, const std::shared_ptr<Engine>& engine,
                  Precision precision = Precision::kFp32);
    ~Reconstructor();

    // From here on the heads run on the current GPU, in `precision` "fp16" or "fp32": maps go there, the mesh
    // comes back. Not while others reconstruct. Throws as require_gpu, and Error(kInvalidArgument) on another
    // precision.
    void use_gpu(const std::string& precision);

    // A face that cannot be used is no error: the result says why. Throws Error: kInvalidArgument,
    // kInvalidMask, kNoPerson, kEngine, kInvalidField, kEmptySurface, kCancelled, kDevice.
    // A mesh is kept on the device only after use_gpu; kDevice else.
    Reconstruction reconstruct(const PhotoView& photo, const ReconstructOptions& options,
                               const ProgressCallback& progress = {}) const;

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace jiff
