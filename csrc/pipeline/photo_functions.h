// What the heads answer for one photograph, from its feature maps to a coloured surface: on the host, or on a
// GPU (device_path.h).
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "core/tensor.h"
#include "ops/implicit_query.h"
#include "ops/surface_extraction.h"
#include "pipeline/face_reconstruction.h"
#include "pipeline/face_volume.h"
#include "pipeline/head_encoder.h"
#include "pipeline/loaded_graph.h"
#include "pipeline/point_function.h"
#include "pipeline/triangle_mesh.h"
#include "preprocess/framing.h"

namespace jiff {

// The names of their maps.
inline constexpr const char* kShapeMaps = "shape_encoder";
inline constexpr const char* kFineMaps = "fine_color_encoder";
inline constexpr const char* kHeadMaps = "head_encoder";

struct MeshOnDevice;

// A photograph and the square of it that the encoders see. The pixels must stay.
struct FramedPhoto {
    ImageView rgb, mask;
    Box crop;
};

// A surface in the world, and what it took.
struct ExtractedMesh {
    Points vertices;  // metres
    Triangles faces;  // counter-clockwise from outside
    std::int64_t num_queries_asked = 0, num_queries_ideal = 0;
};

class PhotoFunctions {
  public:
    explicit PhotoFunctions(const FramedPhoto& photo) : photo_(photo) {}
    virtual ~PhotoFunctions() = default;

    // Runs an encoder on the frame, `frame_px` pixels a side; keeps its "features" under `name` and gives its
    // other outputs.
    virtual NamedTensors encode(const std::string& name, const LoadedGraph& encoder, int frame_px) = 0;

    // What encode() will be asked for next may begin now, on a thread of its own. Until then only add_face,
    // extract and extract_in_world may be called. What it throws is thrown there.
    virtual void encode_ahead(const std::string& /*name*/, const LoadedGraph& /*encoder*/, int /*frame_px*/) {
    }

    // Alpha of the frame, [frame_px, frame_px].
    virtual Tensor alpha(int frame_px) { return alpha_of(host_frame(frame_px)); }

    // From here on the face answers in its area (paper Sec. 4.5), and its colours too once they are there.
    // `head`, which may be null, gives the joint shape head's features; the body's encoder did otherwise.
    virtual void add_face(FaceArea area, const FaceCodes& shape, const HeadEncoder* head) = 0;
    virtual void add_face_color(const FaceCodes& color) = 0;

    // A surface in lattice coordinates, the body's until there is a face. Throws as extract_surface.
    virtual Surface extract(const ExtractionOptions& options, const ProgressCallback& progress) = 0;

    // The surface that is coloured, in the world of a frame of `size_m` metres. Throws so, too.
    virtual ExtractedMesh extract_in_world(const ExtractionOptions& options, bool only_largest, double size_m,
                                           const ProgressCallback& progress) = 0;

    // RGB in [0, 1] at the vertices of that surface. `frame_px` is the frame's side that the last colour head
    // is made for.
    virtual std::vector<std::array<float, 3>> colorize(int frame_px, const ProgressCallback& progress) = 0;

    // Smooths `mesh`, which is that surface with these colours, as jiff::smooth_hidden_colors.
    virtual void smooth_hidden_colors(Mesh& mesh, double cell_m);

    // That surface, with `colors`, where it is in the GPU's memory; else null.
    virtual std::shared_ptr<const MeshOnDevice> mesh_on_device(
        const std::vector<std::array<float, 3>>& /*colors*/) {
        return nullptr;
    }

  protected:
    // As frame_image gives it, made once.
    const Tensor& host_frame(int frame_px);
    NamedTensors encode_on_host(const LoadedGraph& encoder, int frame_px);

    const FramedPhoto photo_;

  private:
    std::map<int, Tensor> frames_;
};

// Takes "features" out of the outputs of an encoder.
Tensor take_features(NamedTensors& outputs);

struct Head {
    ImplicitQuery query;
    std::vector<std::string> features;
};

// The second colour head, which reads a larger picture and what the head "color" thinks.
struct FineHead {
    int coarse_layers;
    ImplicitQuery query;
};

// The heads of a bundle on the host.
struct HostHeads {
    std::map<std::string, Head> heads;
    std::optional<FineHead> fine;
    std::optional<FaceReconstruction> face;
};

// `heads` must outlive the result.
std::unique_ptr<PhotoFunctions> functions_on_host(const HostHeads& heads, const FramedPhoto& photo);

}  // namespace jiff
