#include <algorithm>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "core/cuda.h"
#include "ops/device_hidden_colors.h"
#include "ops/device_ops.h"
#include "ops/device_surface.h"
#include "ops/finite.h"
#include "ops/head_query.h"
#include "pipeline/device_functions.h"
#include "pipeline/device_path.h"
#include "pipeline/mesh_on_device.h"
#include "pipeline/vertex_colors.h"
#include "preprocess/device_framing.h"
#include "preprocess/device_warp.h"

namespace jiff {
namespace {

constexpr std::int64_t kColorChunk = 1 << 17;  // vertices at once: their activations are kept

// What a photograph is worked on with: its own stream, and two beside it where it has a face.
struct Lanes {
    cuda::Stream photo, face, distance;
    cuda::Event selected, answered, measured;
};

// Lanes that wait for a photograph: making them takes the driver a quarter of a millisecond.
class SpareLanes {
  public:
    using GiveBack = std::function<void(Lanes*)>;

    // The lanes come back when the result goes, before which this must not.
    std::unique_ptr<Lanes, GiveBack> take() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (spare_.empty()) spare_.push_back(std::make_unique<Lanes>());
        std::unique_ptr<Lanes, GiveBack> lanes(spare_.back().release(), [this](Lanes* used) {
            const std::lock_guard<std::mutex> back(mutex_);
            spare_.emplace_back(used);
        });
        spare_.pop_back();
        return lanes;
    }

  private:
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Lanes>> spare_;
};

}  // namespace

struct DevicePath::State {
    cuda::Stream stream;  // before what was allocated on it
    SpareLanes lanes;
    std::map<std::string, cuda::HeadQuery> heads;
    std::map<std::string, std::vector<std::string>> maps_of_head;
    bool has_fine = false;
    bool is_exact = false;  // answers as the CPU does, for checks
};

DevicePath::DevicePath(const Bundle& bundle, const std::string& precision)
    : state_(std::make_unique<State>()) {
    const cuda::Precision computed_in = cuda::precision_named(precision);
    State& s = *state_;
    s.is_exact = computed_in == cuda::Precision::kFloat32;
    const auto add = [&](const std::string& name, const auto& config, const std::vector<std::string>& maps,
                         auto... num_layers) {
        s.heads.emplace(name, cuda::HeadQuery(config, computed_in, s.stream, num_layers...));
        s.maps_of_head[name] = maps;
    };
    for (const auto& [name, spec] : bundle.heads) add(name, spec.config, spec.features);
    if (bundle.face) {
        const FaceSpec& face = *bundle.face;
        const std::vector<std::string> of_head{kHeadMaps};
        add("face_shape", face.shape_head, face.head_encoder ? of_head : face.shape_features);
    }
    if (!bundle.fine_color) return;
    s.has_fine = true;
    const HeadSpec& coarse = bundle.heads.at("color");
    add("activations", coarse.config, coarse.features, std::int64_t{bundle.fine_color->coarse_layers});
    add("fine_color", bundle.fine_color->head, {kFineMaps});
    if (bundle.face && bundle.face->color) add("face_color", bundle.face->color->head, {kFineMaps});
}

DevicePath::~DevicePath() = default;

namespace {

class DevicePhoto : public PhotoFunctions {
  public:
    DevicePhoto(const DevicePath::State& path, const FramedPhoto& photo)
        : PhotoFunctions(photo), path_(path), lanes_(path.lanes.take()), stream_(lanes_->photo) {}

    NamedTensors encode(const std::string& name, const LoadedGraph& encoder, int frame_px) override {
        if (maps_.count(name) > 0) return {};  // ahead
        if (!encoder.is_on_gpu()) {
            NamedTensors outputs = encode_on_host(encoder, frame_px);
            const Tensor features = take_features(outputs);
            keep(name, copied(features));
            stream_.synchronize();
            return outputs;
        }
        if (encoder.spec().outputs.size() == 1) {
            encode_ahead(name, encoder, frame_px);
            return {};
        }
        GpuTensors given = encoder.run_on_gpu({{"image", input_of(encoder, frame_px)}});
        keep(name, std::move(given.extract("features").mapped()));
        NamedTensors outputs;
        for (const auto& [tensor, value] : given) outputs.emplace(tensor, on_host(value));
        stream_.synchronize();
        return outputs;
    }

    // On the GPU beside all that does not ask for the maps; the first that does waits for them.
    void encode_ahead(const std::string& name, const LoadedGraph& encoder, int frame_px) override {
        if (!encoder.is_on_gpu()) return;
        const auto run = [&encoder, image = input_of(encoder, frame_px),
                          device = cuda::current_device_index()] {
            cuda::use_device(device);
            GpuTensors given = encoder.run_on_gpu({{"image", image}});
            return std::move(given.extract("features").mapped());
        };
        maps_.emplace(name, std::async(std::launch::async, run).share());
    }

    Tensor alpha(int frame_px) override {
        const std::int64_t plane = std::int64_t{frame_px} * frame_px;
        Tensor values({frame_px, frame_px});
        cuda::copy_to_host(values.data(), frame(frame_px) + 3 * plane, plane * sizeof(float), stream_);
        stream_.synchronize();
        return values;
    }

    void add_face(FaceArea area, const FaceCodes& shape, const HeadEncoder* head) override {
        region_ = area.region;
        cm_per_unit_ = static_cast<float>(area.cm_per_unit);
        if (area.mesh) face_mesh_.emplace(*area.mesh, stream_);
        if (!head) {
            face_shape_.emplace(volume_on_device(shape, shape.frame));
            return;
        }
        head_frame_ = head_frame(shape.frame, head->reach());
        encode_head(*head);
        face_shape_.emplace(volume_on_device(shape, cube_in_head(head->reach())));
    }

    void add_face_color(const FaceCodes& color) override {
        face_color_.emplace(volume_on_device(color, color.frame));
    }

    Surface extract(const ExtractionOptions& options, const ProgressCallback& progress) override {
        return extract_on_device(options, progress).to_host();
    }

    ExtractedMesh extract_in_world(const ExtractionOptions& options, bool only_largest, double size_m,
                                   const ProgressCallback& progress) override {
        surface_ = extract_on_device(options, progress);
        ExtractedMesh mesh;
        const auto resize = [&mesh, this](std::int64_t num_vertices, std::int64_t num_faces) {
            mesh.vertices.resize(num_vertices);
            mesh.faces.resize(num_faces);
            room_.resize(num_vertices);
        };
        // Fresh memory takes the host milliseconds when it is first touched: beside what the GPU does.
        std::future<void> room =
            std::async(std::launch::async, resize, surface_.num_vertices, surface_.num_faces);
        if (only_largest) surface_ = cuda::largest_component(std::move(surface_), stream_);
        const std::int64_t num_vertices = surface_.num_vertices, num_faces = surface_.num_faces;
        mesh.num_queries_asked = surface_.num_queries_asked;
        mesh.num_queries_ideal = surface_.num_queries_ideal;
        vertices_ = cuda::Buffer<float>(3 * num_vertices, stream_);
        faces_ = cuda::Buffer<std::int32_t>(3 * num_faces, stream_);
        view_ = cuda::view_vertices(surface_, options.resolution, stream_);
        cuda::world_mesh(surface_, view_.data(), size_m, vertices_.data(), faces_.data(), stream_);
        room.get();
        resize(num_vertices, num_faces);
        if (num_faces == 0) return mesh;
        vertices_.to_host(mesh.vertices.data()->data(), 3 * num_vertices);
        faces_.to_host(mesh.faces.data()->data(), 3 * num_faces);
        return mesh;
    }

    std::vector<std::array<float, 3>> colorize(int frame_px, const ProgressCallback& progress) override {
        const std::int64_t num_vertices = surface_.num_vertices;
        const float* pixels = frame(frame_px);
        colors_ = cuda::Buffer<float>(3 * num_vertices, stream_);
        for (std::int64_t begin = 0; begin < num_vertices; begin += kColorChunk) {
            const std::int64_t num = std::min(kColorChunk, num_vertices - begin);
            color_some(view_.data() + 3 * begin, num, pixels, frame_px, colors_.data() + 3 * begin);
            report(progress, "colorize", static_cast<float>(begin + num) / static_cast<float>(num_vertices));
        }
        if (num_vertices > 0) colors_.to_host(room_.data()->data(), 3 * num_vertices);
        return std::move(room_);
    }

    void smooth_hidden_colors(Mesh& mesh, double cell_m) override {
        if (path_.is_exact) return PhotoFunctions::smooth_hidden_colors(mesh, cell_m);
        const cuda::DeviceMeshView view{vertices_.data(), surface_.num_vertices, faces_.data(),
                                        surface_.num_faces};
        const cuda::MeshExtent extent = cuda::extent_of(view, stream_);
        const auto seen = cuda::seen_vertices(view, extent, cell_m, kLeastFacing, stream_);
        cuda::smooth_hidden_colors(view, extent, seen.data(), kHiddenDetailM, colors_.data(), stream_);
        colors_.to_host(mesh.colors.data()->data(), 3 * mesh.colors.size());
    }

    std::shared_ptr<const MeshOnDevice> mesh_on_device(
        const std::vector<std::array<float, 3>>& colors) override {
        auto mesh = std::make_shared<MeshOnDevice>();
        mesh->num_vertices = surface_.num_vertices;
        mesh->num_faces = surface_.num_faces;
        mesh->vertices = cuda::Buffer<float>(3 * surface_.num_vertices, mesh->stream);
        mesh->faces = cuda::Buffer<std::int32_t>(3 * surface_.num_faces, mesh->stream);
        mesh->colors = cuda::Buffer<float>(3 * surface_.num_vertices, mesh->stream);
        mesh->stream.synchronize();  // the memory is there for other streams
        cuda::copy_on_device(mesh->vertices.data(), vertices_.data(), vertices_.size() * sizeof(float),
                             stream_);
        cuda::copy_on_device(mesh->faces.data(), faces_.data(), faces_.size() * sizeof(std::int32_t),
                             stream_);
        cuda::copy_to_device(mesh->colors.data(), colors.data(), colors.size() * sizeof(colors[0]), stream_);
        stream_.synchronize();
        return mesh;
    }

  private:
    // As frame_image gives it, made once.
    const float* frame(int frame_px) {
        const auto found = frames_.find(frame_px);
        if (found != frames_.end()) return found->second.data();
        return frames_.emplace(frame_px, square(photo_.crop, frame_px)).first->second.data();
    }

    // A square of the photo, premultiplied, [4, side_px, side_px].
    cuda::Buffer<float> square(const Box& box, int side_px) {
        if (!rgb_.data()) {
            const std::size_t num_pixels = std::size_t(photo_.rgb.width_px) * photo_.rgb.height_px;
            rgb_ = cuda::Buffer<std::uint8_t>(photo_.rgb.values, 3 * num_pixels, stream_);
            mask_ = cuda::Buffer<std::uint8_t>(photo_.mask.values, num_pixels, stream_);
        }
        ImageView rgb = photo_.rgb, mask = photo_.mask;
        rgb.values = rgb_.data();
        mask.values = mask_.data();
        cuda::Buffer<float> pixels(std::size_t(4) * side_px * side_px, stream_);
        cuda::warp_premultiplied(rgb, mask, box, side_px, side_px, pixels.data(), stream_);
        return pixels;
    }

    // Room for an input of a graph; its owner is a part of this, whose stream it needs.
    std::pair<GpuTensor, float*> room_for(const Shape& shape) {
        auto values = std::make_shared<cuda::Buffer<float>>(num_elements(shape), stream_);
        float* data = values->data();
        return {{data, shape, std::move(values)}, data};
    }

    // What the encoder sees of the frame; complete.
    GpuTensor input_of(const LoadedGraph& encoder, int frame_px) {
        const Shape& image = encoder.spec().inputs.at("image");
        const auto [input, data] = room_for(image);
        cuda::encoder_input(frame(frame_px), frame_px, image[1], image[2], data, stream_);
        stream_.synchronize();
        return input;
    }

    void keep(const std::string& name, GpuTensor features) {
        std::promise<GpuTensor> kept;
        kept.set_value(std::move(features));
        maps_.emplace(name, kept.get_future().share());
    }

    void encode_head(const HeadEncoder& head) {
        const auto& shapes = head.graph().spec().inputs;
        const Shape& shown = shapes.at("picture");
        const auto [picture, pixels] = room_for(shown);
        const auto [body, features] = room_for(shapes.at("body"));
        const auto [believed, depths] = room_for(shapes.at("believed"));
        const int size_px = static_cast<int>(shown[2]);
        const auto seen = square(HeadEncoder::picture_box(*head_frame_, photo_.crop), size_px);
        cuda::encoder_input(seen.data(), size_px, shown[1], size_px, pixels, stream_);
        const GpuTensor& map = maps_.at(kShapeMaps).get();
        cuda::sample_for_head(head.texels(*head_frame_), {map.data, map.shape}, features, depths, stream_);
        const GpuTensors given{{"picture", picture}, {"body", body}, {"believed", believed}};
        if (!head.graph().is_on_gpu()) {
            HeadInputs inputs;
            for (const auto& [name, tensor] : given) inputs.emplace(name, on_host(tensor));
            stream_.synchronize();
            keep(kHeadMaps, copied(head.encode(inputs)));
            stream_.synchronize();
            return;
        }
        stream_.synchronize();
        GpuTensors outputs = head.graph().run_on_gpu(given);
        keep(kHeadMaps, std::move(outputs.extract("features").mapped()));
    }

    cuda::DeviceVolume volume_on_device(const FaceCodes& face, const VolumeFrame& frame) const {
        if (!face.unet->is_on_gpu()) {
            const FaceVolume host = volume_of(face);
            cuda::DeviceVolume copy(host.sampler, frame, stream_);
            stream_.synchronize();
            return copy;
        }
        const std::int64_t num_points = face.codes.shape()[1], num_channels = face.codes.shape()[2];
        const std::int64_t side = face.resolution;
        check_finite(face.codes.data(), num_points, num_channels, "codes");
        const cuda::Buffer<float> codes(face.codes.data(), face.codes.size(), stream_);
        const cuda::Buffer<std::int32_t> voxels(face.voxels, stream_);
        const cuda::DeviceVoxelGroups groups(voxels.data(), num_points, side * side * side, stream_);
        const Shape shape{1, num_channels, side, side, side};
        cuda::Buffer<float> means(num_elements(shape), stream_);
        groups.mean(codes.data(), num_channels, means.data());
        stream_.synchronize();
        const GpuTensors given = face.unet->run_on_gpu({{"volume", {means.data(), shape, nullptr}}});
        const GpuTensor& features = given.at("features");
        cuda::DeviceVolume volume({features.data, features.shape}, frame, stream_, face.appends_ones);
        stream_.synchronize();  // the features were read
        return volume;
    }

    cuda::DeviceSurface extract_on_device(const ExtractionOptions& options,
                                          const ProgressCallback& progress) const {
        const cuda::DeviceFunction occupancy =
            [this](const float* points, std::int64_t num_points, const std::int64_t* count, float* answers,
                   const cuda::Stream&) { ask_occupancy(points, num_points, count, answers); };
        if (!options.dense) return cuda::extract_surface(occupancy, options, stream_, progress);
        const auto field = cuda::host_field(occupancy, options.resolution, stream_);
        return cuda::DeviceSurface(extract_surface(field, options, progress), stream_);
    }

    GpuTensor copied(const Tensor& host) {
        const auto [copy, data] = room_for(host.shape());
        cuda::copy_to_device(data, host.data(), host.size() * sizeof(float), stream_);
        return copy;
    }

    // There once the stream has come so far.
    Tensor on_host(const GpuTensor& tensor) const {
        Tensor host(tensor.shape);
        cuda::copy_to_host(host.data(), tensor.data, host.size() * sizeof(float), stream_);
        return host;
    }

    const cuda::DeviceFold& fold_of(const std::string& head) const {
        const auto found = folds_.find(head);
        if (found != folds_.end()) return found->second;
        std::vector<cuda::DeviceView> views;
        for (const std::string& graph : path_.maps_of_head.at(head)) {
            const GpuTensor& map = maps_.at(graph).get();
            views.push_back({map.data, map.shape});
        }
        return folds_.emplace(head, path_.heads.at(head).fold(views, stream_)).first->second;
    }

    void ask(const std::string& head, const cuda::DeviceVolume* volume, const float* features,
             const float* points, std::int64_t num_points, const std::int64_t* count, float* values,
             const cuda::Stream& stream) const {
        path_.heads.at(head).query(fold_of(head), volume, features, points, num_points, count, values,
                                   stream);
    }

    void ask_occupancy(const float* points, std::int64_t num_points, const std::int64_t* count,
                       float* values) const {
        const auto ask_body = [&] {
            ask("shape", nullptr, nullptr, points, num_points, count, values, stream_);
        };
        if (!face_shape_) return ask_body();
        AskedOfFace& face = asked_of_face_;
        cuda::select_region(region_, points, num_points, count, face.selected, stream_);
        float* answers = face.answers.reserve(num_points, stream_);
        float* distances = face_mesh_ ? face.distances.reserve(num_points, stream_) : nullptr;
        float* in_head = head_frame_ ? face.in_head.reserve(3 * num_points, stream_) : nullptr;
        for (const char* head : {"shape", "face_shape"}) fold_of(head);  // on this stream, once
        // A wave of points fills no GPU: the face, its distance and the body are asked for side by side.
        const Lanes& lanes = *lanes_;
        lanes.selected.record(stream_);
        lanes.face.wait_for(lanes.selected);
        const float* asked = face.selected.points.data();
        if (head_frame_) {
            cuda::place_in_head(*head_frame_, face.selected, num_points, in_head, lanes.face);
            asked = in_head;
        }
        ask("face_shape", &*face_shape_, nullptr, asked, num_points, face.selected.count.data(), answers,
            lanes.face);
        lanes.answered.record(lanes.face);
        if (face_mesh_) {
            lanes.distance.wait_for(lanes.selected);
            measure(face.selected, num_points, distances, lanes.distance);
            lanes.measured.record(lanes.distance);
        }
        ask_body();
        stream_.wait_for(lanes.answered);
        if (face_mesh_) stream_.wait_for(lanes.measured);
        cuda::mix_face(region_, face.selected, points, num_points, 1, answers, distances, values, stream_);
    }

    // How far the selected points are from the face's mesh.
    void measure(const cuda::SelectedPoints& selected, std::int64_t num_points, float* distances_cm,
                 const cuda::Stream& stream) const {
        face_mesh_->query(selected.points.data(), num_points, selected.count.data(), cm_per_unit_,
                          distances_cm, stream);
    }

    // RGB of some vertices.
    void color_some(const float* points, std::int64_t num_points, const float* pixels,
                    std::int64_t frame_size, float* colors) const {
        cuda::Buffer<float> activations;
        std::int64_t num_activations = 0;
        if (path_.has_fine) {
            num_activations = path_.heads.at("activations").num_outputs();
            activations = cuda::Buffer<float>(num_points * num_activations, stream_);
            ask("activations", nullptr, nullptr, points, num_points, nullptr, activations.data(), stream_);
        }
        const auto blended = [&](const std::string& head, const cuda::DeviceVolume* volume,
                                 const float* features, const float* at, const std::int64_t* count,
                                 float* to) {
            const std::int64_t num_outputs = path_.heads.at(head).num_outputs();
            cuda::Buffer<float> outputs(num_points * num_outputs, stream_);
            ask(head, volume, features, at, num_points, count, outputs.data(), stream_);
            cuda::blend_pixels(outputs.data(), num_outputs, pixels, frame_size, at, num_points, count, to,
                               stream_);
        };
        blended(path_.has_fine ? "fine_color" : "color", nullptr, activations.data(), points, nullptr,
                colors);
        if (!face_color_) return;
        cuda::SelectedPoints selected;
        cuda::select_region(region_, points, num_points, nullptr, selected, stream_);
        const auto features =
            cuda::select_rows(selected, activations.data(), num_points, num_activations, stream_);
        cuda::Buffer<float> face_colors(3 * num_points, stream_);
        blended("face_color", &*face_color_, features.data(), selected.points.data(), selected.count.data(),
                face_colors.data());
        cuda::Buffer<float> distances;
        if (face_mesh_) {
            distances = cuda::Buffer<float>(num_points, stream_);
            measure(selected, num_points, distances.data(), stream_);
        }
        cuda::mix_face(region_, selected, points, num_points, 3, face_colors.data(), distances.data(), colors,
                       stream_);
    }

    const DevicePath::State& path_;
    // Before what is allocated on them.
    std::unique_ptr<Lanes, SpareLanes::GiveBack> lanes_;
    const cuda::Stream& stream_;
    cuda::Buffer<std::uint8_t> rgb_, mask_;
    std::map<int, cuda::Buffer<float>> frames_;  // by their sides
    mutable std::map<std::string, cuda::DeviceFold> folds_;
    FaceRegion region_;
    float cm_per_unit_ = 0.0f;
    std::optional<cuda::DeviceMeshDistance> face_mesh_;  // where the face's share falls with the distance
    std::optional<cuda::DeviceVolume> face_shape_, face_color_;
    std::optional<HeadFrame> head_frame_;  // that the face's shape is asked in, if not in the view
    // Of a wave of points; the next one uses it again.
    struct AskedOfFace {
        cuda::SelectedPoints selected;
        cuda::Buffer<float> answers, distances, in_head;
    };
    mutable AskedOfFace asked_of_face_;
    // What is coloured, in the lattice, the view and the world.
    cuda::DeviceSurface surface_;
    cuda::Buffer<float> view_, vertices_, colors_;
    cuda::Buffer<std::int32_t> faces_;
    std::vector<std::array<float, 3>> room_;                     // on the host, for the colours
    std::map<std::string, std::shared_future<GpuTensor>> maps_;  // perhaps still under way: they go first
};

}  // namespace

std::unique_ptr<PhotoFunctions> functions_on_device(const DevicePath& path, const FramedPhoto& photo) {
    return std::make_unique<DevicePhoto>(path.state(), photo);
}

}  // namespace jiff
