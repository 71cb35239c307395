#include "pipeline/head_functions.h"

#include <cstdint>
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

}  // namespace

PointFunction asked(const ImplicitQuery& head, FeatureMaps maps, PointFunction features) {
    return [&head, maps = std::move(maps), features = std::move(features)](
               const float* points, std::int64_t num_points, float* answers) {
        const auto given = features_at(features, head.num_point_features(), points, num_points);
        head.query(maps, features ? given.data() : nullptr, points, num_points, answers);
    };
}

PointFunction asked(const JointQuery& head, FeatureMaps maps, const FaceVolume& face,
                    PointFunction features) {
    return [&head, &face, maps = std::move(maps), features = std::move(features)](
               const float* points, std::int64_t num_points, float* answers) {
        const auto given = features_at(features, head.num_point_features(), points, num_points);
        head.query(maps, features ? given.data() : nullptr, face.sampler, face.frame, points, num_points,
                   answers);
    };
}

PointFunction asked_activations(const ImplicitQuery& head, FeatureMaps maps, int num_layers) {
    return [&head, maps = std::move(maps), num_layers](const float* points, std::int64_t num_points,
                                                       float* answers) {
        head.activations(maps, points, num_points, num_layers, answers);
    };
}

}  // namespace jiff
