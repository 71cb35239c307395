#include "pipeline/reconstruction.h"

#include <cmath>
#include <functional>
#include <future>
#include <optional>
#include <utility>

#include "core/cpu_features.h"
#include "core/status.h"
#include "ops/surface_extraction.h"
#include "pipeline/frame_coordinates.h"
#include "pipeline/loaded_graph.h"
#include "pipeline/photo_functions.h"
#include "pipeline/stages.h"
#include "pipeline/vertex_colors.h"
#include "preprocess/framing.h"
#include "preprocess/segmentation.h"
#if defined(JIFF_HAVE_CUDA)
#include "core/cuda.h"
#include "pipeline/device_path.h"
#endif

namespace jiff {
namespace {

constexpr int kLeastResolution = 32;
constexpr int kMostResolution = 1024;
constexpr double kLeastSizeM = 0.01;
constexpr double kMostSizeM = 100.0;

void check_options(const PhotoView& photo, const ReconstructOptions& options) {
    if (photo.rgb == nullptr || photo.width_px < 1 || photo.height_px < 1) {
        throw Error(ErrorCode::kInvalidImage, "the photograph has " + std::to_string(photo.width_px) + " x " +
                                                  std::to_string(photo.height_px) +
                                                  " px; give one with pixels");
    }
    if (options.resolution < kLeastResolution || options.resolution > kMostResolution ||
        options.resolution % kLeastResolution != 0) {
        throw Error(ErrorCode::kInvalidArgument, "resolution must be a multiple of 32 from 32 to 1024, got " +
                                                     std::to_string(options.resolution));
    }
    if (options.silhouette_dilation_px < 0) {
        throw Error(ErrorCode::kInvalidArgument, "silhouette_dilation_px must be 0 or more, got " +
                                                     std::to_string(options.silhouette_dilation_px));
    }
}

double metric_size(const NamedTensors& encoded, double fallback_m) {
    const auto found = encoded.find("log_size_m");
    if (found == encoded.end()) return fallback_m;
    const double size_m = std::exp(static_cast<double>(found->second.data()[0]));
    if (!(size_m >= kLeastSizeM && size_m <= kMostSizeM)) {
        throw Error(ErrorCode::kInvalidField,
                    "the shape encoder estimates a frame of " + std::to_string(size_m) +
                        " m, outside 0.01 to 100 m; check the photograph and the bundle");
    }
    return size_m;
}

}  // namespace

struct Reconstructor::Parts {
    FrameSpec frame;
    std::map<std::string, LoadedGraph> graphs;
    std::optional<LoadedGraph> fine_encoder;
    HostHeads heads;
#if defined(JIFF_HAVE_CUDA)
    std::optional<Bundle> bundle;  // for use_gpu
    std::optional<DevicePath> gpu;
#endif

    std::unique_ptr<PhotoFunctions> functions(const FramedPhoto& photo) const;
    PersonMask segment(const PhotoView& photo) const;
    bool is_on_gpu() const;
};

PersonMask Reconstructor::Parts::segment(const PhotoView& photo) const {
    if (photo.mask != nullptr) {
        return choose_person({photo.mask, photo.width_px, photo.height_px, 1}, MaskSource::kCaller);
    }
    const auto network = graphs.find("segmentation");
    if (network == graphs.end()) {
        throw Error(
            ErrorCode::kInvalidMask,
            "the photograph has no mask and this bundle no segmentation network; give a mask or an image "
            "with an alpha channel");
    }
    const Shape& input = network->second.spec().inputs.at("image");
    const ImageView rgb{photo.rgb, photo.width_px, photo.height_px, 3};
    const auto outputs = network->second.run(segmentation_input(rgb, int(input[3]), int(input[2])));
    const auto mask = matte_to_photo(outputs.at("matte").view(), photo.width_px, photo.height_px);
    return choose_person({mask.data(), photo.width_px, photo.height_px, 1}, MaskSource::kNetwork);
}

Reconstructor::Reconstructor(Bundle bundle, const std::shared_ptr<Engine>& engine, Precision precision)
    : parts_(std::make_unique<Parts>()) {
    require_precision(precision);
    parts_->frame = bundle.frame;
    for (const auto& [name, spec] : bundle.graphs) {
        parts_->graphs.emplace(name, LoadedGraph(name, spec, *engine));
    }
    for (const auto& [name, spec] : bundle.heads) {
        parts_->heads.heads.emplace(name, Head{ImplicitQuery(spec.config, precision), spec.features});
    }
    if (bundle.fine_color) {
        const FineColorSpec& fine = *bundle.fine_color;
        parts_->fine_encoder.emplace(kFineMaps, fine.encoder, *engine);
        parts_->heads.fine.emplace(FineHead{fine.coarse_layers, ImplicitQuery(fine.head, precision)});
    }
    if (bundle.face) parts_->heads.face.emplace(bundle, *engine, precision);
#if defined(JIFF_HAVE_CUDA)
    parts_->bundle.emplace(std::move(bundle));
#endif
}

void require_gpu() {
#if defined(JIFF_HAVE_CUDA)
    cuda::require_device();
#else
    throw Error(
        ErrorCode::kDevice,
        "this build of jiffsdk has no CUDA; build it with JIFF_CUDA=ON where nvcc is, or take device='cpu'");
#endif
}

void Reconstructor::use_gpu([[maybe_unused]] const std::string& precision) {
    require_gpu();
#if defined(JIFF_HAVE_CUDA)
    parts_->gpu.emplace(*parts_->bundle, precision);
#endif
}

bool Reconstructor::Parts::is_on_gpu() const {
#if defined(JIFF_HAVE_CUDA)
    return gpu.has_value();
#else
    return false;
#endif
}

std::unique_ptr<PhotoFunctions> Reconstructor::Parts::functions(const FramedPhoto& photo) const {
#if defined(JIFF_HAVE_CUDA)
    if (gpu) return functions_on_device(*gpu, photo);
#endif
    return functions_on_host(heads, photo);
}

Reconstructor::~Reconstructor() = default;

Reconstruction Reconstructor::reconstruct(const PhotoView& photo, const ReconstructOptions& options,
                                          const ProgressCallback& progress) const {
    check_options(photo, options);
    if (options.keep_on_device && !parts_->is_on_gpu()) {
        throw Error(ErrorCode::kDevice,
                    "the mesh can be kept on the GPU only where it is made there; take device='cuda', or "
                    "leave the mesh to the host");
    }
    Reconstruction result;
    Stages stages(progress, result.timings_ms);

    stages.start("segment", 0.12f);
    PersonMask person = parts_->segment(photo);
    result.warnings = std::move(person.warnings);

    stages.start("frame", 0.16f);
    const ImageView rgb{photo.rgb, photo.width_px, photo.height_px, 3};
    const ImageView mask{person.values.data(), photo.width_px, photo.height_px, 1};
    const Box crop = frame_figure(person.box, photo.width_px, photo.height_px, parts_->frame.margin);
    const int frame_px = parts_->frame.image_size_px;
    const std::unique_ptr<PhotoFunctions> functions = parts_->functions({rgb, mask, crop});
    const Tensor alpha = functions->alpha(frame_px);
    // Beside the encoders, which may run elsewhere.
    std::future<std::vector<std::uint8_t>> columns =
        std::async(std::launch::async, silhouette_columns, std::cref(alpha), options.resolution,
                   options.silhouette_dilation_px);

    stages.start("encode_shape", 0.29f);
    const NamedTensors encoded = functions->encode(kShapeMaps, parts_->graphs.at(kShapeMaps), frame_px);
    stages.start("encode_color", 0.38f);
    functions->encode("color_encoder", parts_->graphs.at("color_encoder"), frame_px);
    int color_px = frame_px;
    if (parts_->fine_encoder) {
        color_px = static_cast<int>(parts_->fine_encoder->spec().inputs.at("image")[2]);
        functions->encode_ahead(kFineMaps, *parts_->fine_encoder, color_px);
    }
    result.size_m = metric_size(encoded, parts_->frame.size_m);
    result.image_from_world = image_from_world(crop, result.size_m);

    const auto& face_parts = parts_->heads.face;
    std::future<FaceCodes> face_color;
    if (options.use_face && !face_parts) result.face.status = "no_face_model";
    if (options.use_face && face_parts) {
        const FramedPerson framed{rgb, mask, crop, &alpha, result.size_m};
        const SurfaceFunction body = [&](const ExtractionOptions& around, const ProgressCallback& inner) {
            return functions->extract(around, inner);
        };
        result.face = face_parts->fit(framed, body, stages);
    }
    if (result.face.is_used()) {
        stages.start("encode_face_shape", 0.54f);
        const bool by_distance = options.face_blend == FaceBlend::kDistance;
        const Points view = view_from_world(result.face.mesh.vertices, result.size_m);
        FaceArea area =
            face_area(view, result.face.mesh.faces, face_parts->region_margin(), by_distance, result.size_m);
        functions->add_face(std::move(area), face_parts->encode_shape(view), face_parts->head_encoder());
        if (face_parts->has_color()) {
            // The host has time for it while a GPU extracts; without one it is done where it is asked for.
            face_color = std::async(parts_->is_on_gpu() ? std::launch::async : std::launch::deferred,
                                    [&face_parts, view, &mesh = result.face.mesh] {
                                        return face_parts->encode_color(view, mesh.colors);
                                    });
        }
    }

    stages.start("extract", 0.84f);
    ExtractionOptions extraction;
    extraction.resolution = options.resolution;
    extraction.dense = options.dense;
    extraction.columns = columns.get();
    ExtractedMesh surface = functions->extract_in_world(extraction, options.keep_largest_component,
                                                        result.size_m, stages.inner());
    if (surface.faces.empty()) {
        throw Error(
            ErrorCode::kEmptySurface,
            "no surface was found at resolution " + std::to_string(options.resolution) +
                ": the network sees no body in the frame; check that the mask shows a person, or raise the "
                "resolution");
    }
    result.num_queries_asked = surface.num_queries_asked;
    result.num_queries_ideal = surface.num_queries_ideal;
    result.mesh.vertices = std::move(surface.vertices);
    result.mesh.faces = std::move(surface.faces);

    if (parts_->fine_encoder) {
        stages.start("encode_fine_color", 0.92f);
        functions->encode(kFineMaps, *parts_->fine_encoder, color_px);
        if (face_color.valid()) {
            stages.start("encode_face_color", 0.94f);
            functions->add_face_color(face_color.get());
        }
    }
    stages.start("colorize", 0.99f);
    result.mesh.colors = functions->colorize(color_px, stages.inner());
    if (options.smooth_hidden_colors) {
        stages.start("smooth_hidden_colors", 1.0f);
        functions->smooth_hidden_colors(result.mesh, result.size_m / options.resolution);
    }

    if (options.keep_on_device) result.mesh_on_device = functions->mesh_on_device(result.mesh.colors);

    result.mask = std::move(person.values);
    stages.finish();
    return result;
}

}  // namespace jiff
