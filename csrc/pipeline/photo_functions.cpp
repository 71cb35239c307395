#include "pipeline/photo_functions.h"

#include <future>
#include <utility>

#include "core/threads.h"
#include "pipeline/figure_encoding.h"
#include "pipeline/frame_coordinates.h"
#include "pipeline/head_functions.h"
#include "pipeline/vertex_colors.h"

namespace jiff {

const Tensor& PhotoFunctions::host_frame(int frame_px) {
    const auto found = frames_.find(frame_px);
    if (found != frames_.end()) return found->second;
    return frames_.emplace(frame_px, frame_image(photo_.rgb, photo_.mask, photo_.crop, frame_px))
        .first->second;
}

void PhotoFunctions::smooth_hidden_colors(Mesh& mesh, double cell_m) {
    jiff::smooth_hidden_colors(mesh, cell_m);
}

NamedTensors PhotoFunctions::encode_on_host(const LoadedGraph& encoder, int frame_px) {
    const Shape& image = encoder.spec().inputs.at("image");
    const Tensor input = encoder_input(host_frame(frame_px), image[1], image[2]);
    if (!encoder.takes_cut_pictures()) return encoder.run(input);
    NamedTensors outputs;
    outputs.emplace("features", encode_figure(encoder, input));
    return outputs;
}

Tensor take_features(NamedTensors& outputs) { return std::move(outputs.extract("features").mapped()); }

namespace {

class HostPhoto : public PhotoFunctions {
  public:
    HostPhoto(const HostHeads& heads, const FramedPhoto& photo) : PhotoFunctions(photo), heads_(heads) {}

    NamedTensors encode(const std::string& name, const LoadedGraph& encoder, int frame_px) override {
        NamedTensors outputs = ahead_.valid() ? ahead_.get() : encode_on_host(encoder, frame_px);
        maps_[name] = take_features(outputs);
        return outputs;
    }

    void encode_ahead(const std::string& /*name*/, const LoadedGraph& encoder, int frame_px) override {
        if (num_threads() == 1) return;
        ahead_ = std::async(std::launch::async,
                            [this, &encoder, frame_px] { return encode_on_host(encoder, frame_px); });
    }

    void add_face(FaceArea area, const FaceCodes& shape, const HeadEncoder* head) override {
        area_.emplace(std::move(area));
        face_shape_.emplace(volume_of(shape));
        occupancy_ = joined(occupancy(), face_occupancy(head), *area_, 1);
    }

    void add_face_color(const FaceCodes& color) override { face_color_.emplace(volume_of(color)); }

    Surface extract(const ExtractionOptions& options, const ProgressCallback& progress) override {
        return extract_surface(lattice_field(occupancy(), options.resolution), options, progress);
    }

    ExtractedMesh extract_in_world(const ExtractionOptions& options, bool only_largest, double size_m,
                                   const ProgressCallback& progress) override {
        Surface surface = extract(options, progress);
        if (only_largest) surface = largest_component(surface);
        view_ = view_from_lattice(surface.vertices, options.resolution);
        return {world_from_view(view_, size_m), world_triangles(surface.faces), surface.num_queries_asked,
                surface.num_queries_ideal};
    }

    std::vector<std::array<float, 3>> colorize(int frame_px, const ProgressCallback& progress) override {
        const Tensor& frame = host_frame(frame_px);
        const Head& coarse = heads_.heads.at("color");
        const FeatureMaps coarse_maps = maps_of(coarse.features);
        if (!heads_.fine) {
            const auto head = asked(coarse.query, coarse_maps);
            return colorize_vertices(with_pixels(head, coarse.query.num_outputs(), frame), view_, progress);
        }
        const ImplicitQuery& fine = heads_.fine->query;
        const FeatureMaps maps = maps_of({kFineMaps});
        PointFunction activations = asked_activations(coarse.query, coarse_maps, heads_.fine->coarse_layers);
        // Where the face's head and the other one are mixed, both read the same.
        if (face_color_) activations = remembered(std::move(activations), fine.num_point_features());
        PointFunction color = with_pixels(asked(fine, maps, activations), fine.num_outputs(), frame);
        if (face_color_) {
            const JointQuery& head = heads_.face->color_head();
            const auto of_face = asked(head, maps, *face_color_, activations);
            color = joined(color, with_pixels(of_face, head.num_outputs(), frame), *area_, 3);
        }
        return colorize_vertices(color, view_, progress);
    }

  private:
    // Also with a face once there is one.
    PointFunction occupancy() const { return occupancy_ ? occupancy_ : body(); }

    PointFunction face_occupancy(const HeadEncoder* head) {
        const FaceReconstruction& face = *heads_.face;
        if (!head) return asked(face.shape_head(), maps_of(face.shape_features()), *face_shape_);
        const HeadFrame frame = head_frame(face_shape_->frame, head->reach());
        face_shape_->frame = cube_in_head(head->reach());
        const Tensor& map = maps_.at(kShapeMaps);
        maps_[kHeadMaps] =
            head->encode(head->inputs(photo_.rgb, photo_.mask, photo_.crop, frame, map.view()));
        return in_head(frame, asked(face.shape_head(), maps_of({kHeadMaps}), *face_shape_));
    }

    FeatureMaps maps_of(const std::vector<std::string>& graphs) const {
        FeatureMaps maps;
        for (const auto& graph : graphs) maps.push_back(maps_.at(graph).view());
        return maps;
    }

    // Copies of the function share what they fold.
    const PointFunction& body() const {
        if (!body_) {
            const Head& shape = heads_.heads.at("shape");
            body_ = asked(shape.query, maps_of(shape.features));
        }
        return body_;
    }

    const HostHeads& heads_;
    std::map<std::string, Tensor> maps_;
    std::optional<FaceArea> area_;
    std::optional<FaceVolume> face_shape_, face_color_;
    mutable PointFunction body_;
    PointFunction occupancy_;
    Points view_;                      // vertices of the surface that is coloured
    std::future<NamedTensors> ahead_;  // the last member, so that it is waited for before others go
};

}  // namespace

std::unique_ptr<PhotoFunctions> functions_on_host(const HostHeads& heads, const FramedPhoto& photo) {
    return std::make_unique<HostPhoto>(heads, photo);
}

}  // namespace jiff
