#include "pipeline/reconstruction.h"

#include <cmath>
#include <optional>
#include <utility>

#include "core/cpu_features.h"
#include "core/status.h"
#include "ops/implicit_query.h"
#include "ops/surface_extraction.h"
#include "pipeline/frame_coordinates.h"
#include "pipeline/head_functions.h"
#include "pipeline/loaded_graph.h"
#include "pipeline/point_function.h"
#include "pipeline/stages.h"
#include "pipeline/vertex_colors.h"
#include "preprocess/framing.h"
#include "preprocess/segmentation.h"

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

struct Head {
    ImplicitQuery query;
    std::vector<std::string> features;
};

// The second colour network: a larger picture, and what the head "color" thinks.
struct FineColor {
    LoadedGraph encoder;
    int coarse_layers;
    ImplicitQuery head;
};

// A face that answers: its mesh in the view, where it does, and its volumes.
struct UsedFace {
    Points vertices;
    FaceArea area;
    FaceVolume shape;
    std::optional<FaceVolume> color;
};

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
    std::map<std::string, Head> heads;
    std::optional<FineColor> fine;
    std::optional<FaceReconstruction> face;

    PersonMask segment(const PhotoView& photo) const;
    NamedTensors encode(const LoadedGraph& graph, const Tensor& frame_pixels) const;
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

NamedTensors Reconstructor::Parts::encode(const LoadedGraph& graph, const Tensor& frame_pixels) const {
    const Shape& image = graph.spec().inputs.at("image");
    return graph.run(encoder_input(frame_pixels, image[1], image[2]));
}

Reconstructor::Reconstructor(Bundle bundle, const std::shared_ptr<Engine>& engine, Precision precision)
    : parts_(std::make_unique<Parts>()) {
    require_precision(precision);
    parts_->frame = bundle.frame;
    for (const auto& [name, spec] : bundle.graphs) {
        parts_->graphs.emplace(name, LoadedGraph(name, spec, *engine));
    }
    for (const auto& [name, spec] : bundle.heads) {
        parts_->heads.emplace(name, Head{ImplicitQuery(spec.config, precision), spec.features});
    }
    if (bundle.fine_color) {
        const FineColorSpec& fine = *bundle.fine_color;
        parts_->fine.emplace(FineColor{LoadedGraph("fine_color_encoder", fine.encoder, *engine),
                                       fine.coarse_layers, ImplicitQuery(fine.head, precision)});
    }
    if (bundle.face) parts_->face.emplace(bundle, *engine, precision);
}

Reconstructor::~Reconstructor() = default;

Reconstruction Reconstructor::reconstruct(const PhotoView& photo, const ReconstructOptions& options,
                                          const ProgressCallback& progress) const {
    check_options(photo, options);
    Reconstruction result;
    Stages stages(progress, result.timings_ms);

    stages.start("segment", 0.12f);
    PersonMask person = parts_->segment(photo);
    result.warnings = std::move(person.warnings);

    stages.start("frame", 0.16f);
    const ImageView rgb{photo.rgb, photo.width_px, photo.height_px, 3};
    const ImageView mask{person.values.data(), photo.width_px, photo.height_px, 1};
    const Box crop = frame_figure(person.box, photo.width_px, photo.height_px, parts_->frame.margin);
    const Tensor frame_pixels = frame_image(rgb, mask, crop, parts_->frame.image_size_px);

    std::map<std::string, NamedTensors> encoded;
    stages.start("encode_shape", 0.29f);
    encoded["shape_encoder"] = parts_->encode(parts_->graphs.at("shape_encoder"), frame_pixels);
    stages.start("encode_color", 0.38f);
    encoded["color_encoder"] = parts_->encode(parts_->graphs.at("color_encoder"), frame_pixels);
    const auto maps_of = [&](const std::vector<std::string>& features) {
        FeatureMaps maps;
        for (const auto& graph : features) maps.push_back(encoded.at(graph).at("features").view());
        return maps;
    };
    result.size_m = metric_size(encoded.at("shape_encoder"), parts_->frame.size_m);
    result.image_from_world = image_from_world(crop, result.size_m);

    const Head& shape = parts_->heads.at("shape");
    PointFunction occupancy = asked(shape.query, maps_of(shape.features));
    std::optional<UsedFace> face;
    if (options.use_face && !parts_->face) result.face.status = "no_face_model";
    if (options.use_face && parts_->face) {
        result.face = parts_->face->fit({rgb, mask, crop, &frame_pixels, result.size_m}, occupancy, stages);
    }
    if (result.face.is_used()) {
        stages.start("encode_face_shape", 0.54f);
        const FaceReconstruction& parts = *parts_->face;
        const bool by_distance = options.face_blend == FaceBlend::kDistance;
        Points view = view_from_world(result.face.mesh.vertices, result.size_m);
        FaceArea area =
            face_area(view, result.face.mesh.faces, parts.region_margin(), by_distance, result.size_m);
        FaceVolume volume = parts.encode_shape(view);
        face.emplace(UsedFace{std::move(view), std::move(area), std::move(volume), std::nullopt});
        occupancy = joined(occupancy, asked(parts.shape_head(), maps_of(parts.shape_features()), face->shape),
                           face->area, 1);
    }

    stages.start("extract", 0.84f);
    ExtractionOptions extraction;
    extraction.resolution = options.resolution;
    extraction.dense = options.dense;
    extraction.columns = silhouette_columns(frame_pixels, options.resolution, options.silhouette_dilation_px);
    Surface surface =
        extract_surface(lattice_field(occupancy, options.resolution), extraction, stages.inner());
    if (surface.faces.empty()) {
        throw Error(
            ErrorCode::kEmptySurface,
            "no surface was found at resolution " + std::to_string(options.resolution) +
                ": the network sees no body in the frame; check that the mask shows a person, or raise the "
                "resolution");
    }
    result.num_queries_asked = surface.num_queries_asked;
    result.num_queries_ideal = surface.num_queries_ideal;
    if (options.keep_largest_component) surface = largest_component(surface);
    const Points view = view_from_lattice(surface.vertices, options.resolution);
    result.mesh.vertices = world_from_view(view, result.size_m);
    result.mesh.faces = world_triangles(surface.faces);

    const Head& coarse = parts_->heads.at("color");
    const FeatureMaps coarse_maps = maps_of(coarse.features);
    Tensor fine_pixels;
    NamedTensors fine_encoded;
    PointFunction color;
    if (!parts_->fine) {
        color = with_pixels(asked(coarse.query, coarse_maps), coarse.query.num_outputs(), frame_pixels);
    } else {
        stages.start("encode_fine_color", 0.92f);
        const FineColor& fine = *parts_->fine;
        const auto size_px = static_cast<int>(fine.encoder.spec().inputs.at("image")[2]);
        fine_pixels = frame_image(rgb, mask, crop, size_px);
        fine_encoded = parts_->encode(fine.encoder, fine_pixels);
        const FeatureMaps maps = {fine_encoded.at("features").view()};
        const PointFunction activations = asked_activations(coarse.query, coarse_maps, fine.coarse_layers);
        color = with_pixels(asked(fine.head, maps, activations), fine.head.num_outputs(), fine_pixels);
        if (face && parts_->face->has_color()) {
            stages.start("encode_face_color", 0.94f);
            const JointQuery& head = parts_->face->color_head();
            face->color.emplace(parts_->face->encode_color(face->vertices, result.face.mesh.colors));
            color = joined(
                color,
                with_pixels(asked(head, maps, *face->color, activations), head.num_outputs(), fine_pixels),
                face->area, 3);
        }
    }
    stages.start("colorize", 1.0f);
    result.mesh.colors = colorize_vertices(color, view, stages.inner());

    result.mask = std::move(person.values);
    stages.finish();
    return result;
}

}  // namespace jiff
