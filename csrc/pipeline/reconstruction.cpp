#include "pipeline/reconstruction.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "core/status.h"
#include "ops/implicit_query.h"
#include "ops/surface_extraction.h"
#include "pipeline/loaded_graph.h"
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

// Names the stages of one reconstruction, times them, and maps each onto its share of the whole.
class Stages {
  public:
    Stages(const ProgressCallback& progress, std::map<std::string, double>& timings_ms)
        : progress_(progress), timings_ms_(timings_ms), begin_(Clock::now()), stage_begin_(begin_) {}

    // Starts stage `name`, which ends when `until` of the whole is done.
    void start(const std::string& name, float until) {
        close();
        name_ = name;
        from_ = std::exchange(until_, until);
        report(progress_, name_, from_);
    }

    // Lets an operation report its own 0 to 1 within the current stage.
    ProgressCallback inner() const {
        if (!progress_) return {};
        return [this](const std::string&, float fraction) {
            return progress_(name_, from_ + std::min(std::max(fraction, 0.0f), 1.0f) * (until_ - from_));
        };
    }

    void finish() {
        close();
        timings_ms_["total"] = milliseconds_since(begin_);
        report(progress_, "done", 1.0f);
    }

  private:
    using Clock = std::chrono::steady_clock;

    static double milliseconds_since(Clock::time_point begin) {
        return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    }

    void close() {
        if (!name_.empty()) timings_ms_[name_] = milliseconds_since(stage_begin_);
        stage_begin_ = Clock::now();
    }

    const ProgressCallback& progress_;
    std::map<std::string, double>& timings_ms_;
    Clock::time_point begin_, stage_begin_;
    std::string name_;
    float from_ = 0.0f, until_ = 0.0f;
};

struct Head {
    ImplicitQuery query;
    std::vector<std::string> features;
};

// Occupancy at lattice points, through the implicit function.
LatticeField lattice_field(const ImplicitQuery& query, const std::vector<TensorView>& maps, int resolution) {
    return [&query, &maps, resolution](const LatticePoint* points, std::int64_t num_points, float* values) {
        std::vector<float> view(static_cast<std::size_t>(num_points) * 3);
        const float step = 2.0f / static_cast<float>(resolution);
        for (std::int64_t i = 0; i < num_points; ++i) {
            view[3 * i] = -1.0f + step * static_cast<float>(points[i].x);
            view[3 * i + 1] = -1.0f + step * static_cast<float>(points[i].y);
            view[3 * i + 2] = -1.0f + step * static_cast<float>(points[i].z);
        }
        query.query(maps, view.data(), num_points, values);
    };
}

std::vector<std::array<float, 3>> to_view(const std::vector<std::array<float, 3>>& lattice, int resolution) {
    auto view = lattice;
    for (auto& vertex : view) {
        for (float& value : vertex) value = -1.0f + 2.0f * value / static_cast<float>(resolution);
    }
    return view;
}

// View to world: metres, and y turned up. That mirrors the mesh, so faces are turned as well.
Mesh to_world(const std::vector<std::array<float, 3>>& view,
              const std::vector<std::array<std::int32_t, 3>>& faces, double size_m) {
    const auto half_m = static_cast<float>(0.5 * size_m);
    Mesh mesh;
    mesh.vertices.reserve(view.size());
    mesh.faces.reserve(faces.size());
    for (const auto& [x, y, z] : view) mesh.vertices.push_back({half_m * x, -half_m * y, half_m * z});
    for (const auto& [a, b, c] : faces) mesh.faces.push_back({a, c, b});
    return mesh;
}

std::array<double, 16> image_from_world(const Box& crop, double size_m) {
    const double px_per_m = crop.width_px / size_m;
    return {px_per_m, 0.0,       0.0,          crop.left_px + 0.5 * crop.width_px,
            0.0,      -px_per_m, 0.0,          crop.top_px + 0.5 * crop.height_px,
            0.0,      0.0,       2.0 / size_m, 0.0,
            0.0,      0.0,       0.0,          1.0};
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
    std::map<std::string, Head> heads;

    PersonMask segment(const PhotoView& photo) const;
    NamedTensors encode(const std::string& graph, const Tensor& frame_pixels) const;
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

NamedTensors Reconstructor::Parts::encode(const std::string& graph, const Tensor& frame_pixels) const {
    const LoadedGraph& loaded = graphs.at(graph);
    const Shape& image = loaded.spec().inputs.at("image");
    return loaded.run(encoder_input(frame_pixels, image[1], image[2]));
}

Reconstructor::Reconstructor(Bundle bundle, const std::shared_ptr<Engine>& engine)
    : parts_(std::make_unique<Parts>()) {
    parts_->frame = bundle.frame;
    for (const auto& [name, spec] : bundle.graphs) {
        parts_->graphs.emplace(name, LoadedGraph(name, spec, *engine));
    }
    for (const auto& [name, spec] : bundle.heads) {
        parts_->heads.emplace(name, Head{ImplicitQuery(spec.config), spec.features});
    }
}

Reconstructor::~Reconstructor() = default;

Reconstruction Reconstructor::reconstruct(const PhotoView& photo, const ReconstructOptions& options,
                                          const ProgressCallback& progress) const {
    check_options(photo, options);
    Reconstruction result;
    Stages stages(progress, result.timings_ms);

    stages.start("segment", 0.15f);
    PersonMask person = parts_->segment(photo);
    result.warnings = std::move(person.warnings);

    stages.start("frame", 0.2f);
    const ImageView rgb{photo.rgb, photo.width_px, photo.height_px, 3};
    const ImageView mask{person.values.data(), photo.width_px, photo.height_px, 1};
    const Box crop = frame_figure(person.box, photo.width_px, photo.height_px, parts_->frame.margin);
    const Tensor frame_pixels = frame_image(rgb, mask, crop, parts_->frame.image_size_px);

    std::map<std::string, NamedTensors> encoded;
    stages.start("encode_shape", 0.4f);
    encoded["shape_encoder"] = parts_->encode("shape_encoder", frame_pixels);
    stages.start("encode_color", 0.55f);
    encoded["color_encoder"] = parts_->encode("color_encoder", frame_pixels);
    const auto maps_of = [&](const Head& head) {
        std::vector<TensorView> maps;
        for (const auto& graph : head.features) maps.push_back(encoded.at(graph).at("features").view());
        return maps;
    };
    result.size_m = metric_size(encoded.at("shape_encoder"), parts_->frame.size_m);
    result.image_from_world = image_from_world(crop, result.size_m);

    stages.start("extract", 0.95f);
    const Head& shape = parts_->heads.at("shape");
    const auto shape_maps = maps_of(shape);
    ExtractionOptions extraction;
    extraction.resolution = options.resolution;
    extraction.dense = options.dense;
    extraction.columns = silhouette_columns(frame_pixels, options.resolution, options.silhouette_dilation_px);
    Surface surface = extract_surface(lattice_field(shape.query, shape_maps, options.resolution), extraction,
                                      stages.inner());
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

    stages.start("colorize", 1.0f);
    const auto view = to_view(surface.vertices, options.resolution);
    result.mesh = to_world(view, surface.faces, result.size_m);
    const Head& color = parts_->heads.at("color");
    result.mesh.colors = colorize_vertices(color.query, maps_of(color), frame_pixels, view);

    result.mask = std::move(person.values);
    stages.finish();
    return result;
}

}  // namespace jiff
