#include "pipeline/head_functions.h"

#include <cstdint>
#include <memory>
#include <utility>

namespace jiff {
namespace {

// [N, num_features], empty without features.
std::vector<float> features_at(const PointFunction& features, std::int64_t num_features, const float* points,
                               std::int64_t num_points) {
    std::vector<float> values;
    if (!features) return values;
    values.resize(static_cast<std::size_t>(num_points * num_features));
    features(points, num_points, values.data());
    return values;
}

// Copies of a function share what it has folded.
template <typename Query>
std::shared_ptr<const FoldedMaps> shared_fold(const Query& head, const FeatureMaps& maps) {
    return std::make_shared<const FoldedMaps>(head.fold(maps));
}

}  // namespace

PointFunction asked(const ImplicitQuery& head, const FeatureMaps& maps, PointFunction features) {
    return [&head, folded = shared_fold(head, maps), features = std::move(features)](
               const float* points, std::int64_t num_points, float* answers) {
        const auto given = features_at(features, head.num_point_features(), points, num_points);
        head.query(*folded, features ? given.data() : nullptr, points, num_points, answers);
    };
}

PointFunction asked(const JointQuery& head, const FeatureMaps& maps, const FaceVolume& face,
                    PointFunction features) {
    return [&head, &face, folded = shared_fold(head, maps), features = std::move(features)](
               const float* points, std::int64_t num_points, float* answers) {
        const auto given = features_at(features, head.num_point_features(), points, num_points);
        head.query(*folded, features ? given.data() : nullptr, face.sampler, face.frame, points, num_points,
                   answers);
    };
}

PointFunction in_head(const HeadFrame& frame, PointFunction function) {
    return [frame, function = std::move(function)](const float* points, std::int64_t num_points,
                                                   float* answers) {
        std::vector<float> own(static_cast<std::size_t>(3 * num_points));
        for (std::int64_t i = 0; i < num_points; ++i) frame.place(points + 3 * i, own.data() + 3 * i);
        function(own.data(), num_points, answers);
    };
}

PointFunction asked_activations(const ImplicitQuery& head, const FeatureMaps& maps, int num_layers) {
    return [&head, folded = shared_fold(head, maps), num_layers](const float* points, std::int64_t num_points,
                                                                 float* answers) {
        head.activations(*folded, points, num_points, num_layers, answers);
    };
}

}  // namespace jiff
