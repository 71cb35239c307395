#include "pipeline/photo_functions.h"

#include <utility>

#include "pipeline/head_functions.h"
#include "pipeline/vertex_colors.h"

namespace jiff {
namespace {

class HostPhoto : public PhotoFunctions {
  public:
    explicit HostPhoto(const HostHeads& heads) : heads_(heads) {}

    void add_maps(const std::string& graph, const TensorView& features) override { maps_[graph] = features; }

    PointFunction occupancy() const override { return occupancy_ ? occupancy_ : body(); }

    void add_face(const FaceArea& area, const FaceVolume& shape) override {
        area_ = &area;
        const FaceReconstruction& face = *heads_.face;
        occupancy_ =
            joined(occupancy(), asked(face.shape_head(), maps_of(face.shape_features()), shape), area, 1);
    }

    Surface extract(const ExtractionOptions& options, bool only_largest,
                    const ProgressCallback& progress) override {
        Surface surface = extract_surface(lattice_field(occupancy(), options.resolution), options, progress);
        return only_largest ? largest_component(surface) : std::move(surface);
    }

    std::vector<std::array<float, 3>> colorize(const Points& view, const Tensor& frame,
                                               const FaceVolume* face_color,
                                               const ProgressCallback& progress) override {
        const Head& coarse = heads_.heads.at("color");
        const FeatureMaps coarse_maps = maps_of(coarse.features);
        if (!heads_.fine) {
            const auto head = asked(coarse.query, coarse_maps);
            return colorize_vertices(with_pixels(head, coarse.query.num_outputs(), frame), view, progress);
        }
        const ImplicitQuery& fine = heads_.fine->query;
        const FeatureMaps maps = maps_of({kFineMaps});
        const PointFunction activations =
            asked_activations(coarse.query, coarse_maps, heads_.fine->coarse_layers);
        PointFunction color = with_pixels(asked(fine, maps, activations), fine.num_outputs(), frame);
        if (face_color) {
            const JointQuery& head = heads_.face->color_head();
            const auto of_face = asked(head, maps, *face_color, activations);
            color = joined(color, with_pixels(of_face, head.num_outputs(), frame), *area_, 3);
        }
        return colorize_vertices(color, view, progress);
    }

  private:
    FeatureMaps maps_of(const std::vector<std::string>& graphs) const {
        FeatureMaps maps;
        for (const auto& graph : graphs) maps.push_back(maps_.at(graph));
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
    std::map<std::string, TensorView> maps_;
    mutable PointFunction body_;
    PointFunction occupancy_;
    const FaceArea* area_ = nullptr;
};

}  // namespace

std::unique_ptr<PhotoFunctions> functions_on_host(const HostHeads& heads) {
    return std::make_unique<HostPhoto>(heads);
}

}  // namespace jiff
