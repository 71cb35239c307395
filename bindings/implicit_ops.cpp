// The implicit functions, for tests and tools.
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "core/cpu_features.h"
#include "heads.h"
#include "ops/implicit_query.h"
#include "ops/joint_query.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;

ImplicitQuery make_query(const LayerArrays& layers, float depth_scale, const std::string& activation,
                         std::int64_t num_point_features, const std::string& precision) {
    return ImplicitQuery({layers_of(layers), depth_scale, activation_of(activation), num_point_features},
                         precision_named(precision));
}

JointQuery make_joint_query(const LayerArrays& branch_2d, const LayerArrays& branch_3d,
                            const LayerArrays& joint, float depth_scale, const std::string& activation,
                            std::int64_t num_point_features, const std::string& precision) {
    return JointQuery({layers_of(branch_2d), layers_of(branch_3d), layers_of(joint), depth_scale,
                       activation_of(activation), num_point_features},
                      precision_named(precision));
}

// Arrays that maps were folded from, and the fold, which borrows them.
struct FoldedArrays {
    std::vector<FloatArray> arrays;
    FoldedMaps maps;
};

template <typename Query>
FoldedArrays fold(const Query& implicit, const std::vector<py::array>& maps) {
    std::vector<FloatArray> arrays;
    std::vector<TensorView> views;
    for (const py::array& map : maps) {
        arrays.push_back(checked_array<float>(map, {1, -1, -1, -1}, "map"));
        views.push_back(view_of(arrays.back()));
    }
    return {std::move(arrays), implicit.fold(views)};
}

void prepare(const FoldedArrays& folded, const py::array& points) {
    const FloatArray checked = checked_array<float>(points, {-1, 3}, "points");
    const py::gil_scoped_release release;
    folded.maps.prepare(checked.data(), checked.shape(0));
}

// What stands for every point, checked and kept alive.
struct PointArrays {
    FloatArray points;
    std::optional<FloatArray> point_features;

    PointArrays(const py::array& given_points, const std::optional<py::array>& given_features,
                std::int64_t num_point_features)
        : points(checked_array<float>(given_points, {-1, 3}, "points")) {
        if (given_features) {
            point_features =
                checked_array<float>(*given_features, {num_points(), num_point_features}, "point_features");
        }
    }

    std::int64_t num_points() const { return points.shape(0); }
    const float* features() const { return point_features ? point_features->data() : nullptr; }
};

FloatArray query_folded(const ImplicitQuery& implicit, const FoldedArrays& folded, const py::array& points,
                        const std::optional<py::array>& point_features) {
    const PointArrays given(points, point_features, implicit.num_point_features());
    FloatArray values({given.num_points(), implicit.num_outputs()});
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    implicit.query(folded.maps, given.features(), given.points.data(), given.num_points(), to);
    return values;
}

FloatArray query(const ImplicitQuery& implicit, const std::vector<py::array>& maps, const py::array& points,
                 const std::optional<py::array>& point_features) {
    return query_folded(implicit, fold(implicit, maps), points, point_features);
}

FloatArray activations(const ImplicitQuery& implicit, const std::vector<py::array>& maps,
                       const py::array& points, std::int64_t num_layers) {
    const FoldedArrays folded = fold(implicit, maps);
    const PointArrays given(points, std::nullopt, 0);
    FloatArray values({given.num_points(), implicit.num_activations(num_layers)});
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    implicit.activations(folded.maps, given.points.data(), given.num_points(), num_layers, to);
    return values;
}

FloatArray query_joint_folded(const JointQuery& joint, const FoldedArrays& folded,
                              const VolumeSampler& volume, const std::array<float, 3>& scale,
                              const std::array<float, 3>& offset, const py::array& points,
                              const std::optional<py::array>& point_features) {
    const PointArrays given(points, point_features, joint.num_point_features());
    FloatArray values({given.num_points(), joint.num_outputs()});
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    joint.query(folded.maps, given.features(), volume, {scale, offset}, given.points.data(),
                given.num_points(), to);
    return values;
}

FloatArray query_joint(const JointQuery& joint, const std::vector<py::array>& maps,
                       const VolumeSampler& volume, const std::array<float, 3>& scale,
                       const std::array<float, 3>& offset, const py::array& points,
                       const std::optional<py::array>& point_features) {
    return query_joint_folded(joint, fold(joint, maps), volume, scale, offset, points, point_features);
}

}  // namespace

void bind_implicit_ops(py::module_& module) {
    py::class_<FoldedArrays>(module, "FoldedMaps", "The feature maps of one image, for one function.")
        .def("prepare", &prepare, py::arg("points"),
             "Folds the texels around points (N, 3), which a query would do otherwise.");
    py::class_<ImplicitQuery>(module, "ImplicitQuery")
        .def(py::init(&make_query), py::arg("layers"), py::arg("depth_scale") = 1.0f,
             py::arg("activation") = "sigmoid", py::arg("num_point_features") = 0,
             py::arg("precision") = "fp32", "Takes a list of (weight (out, in), bias (out,)).")
        .def("fold", &fold<ImplicitQuery>, py::arg("maps"), py::keep_alive<0, 1>(),
             "Makes maps (1, C, H, W) ready for many queries.")
        .def("query", &query_folded, py::arg("maps"), py::arg("points"),
             py::arg("point_features") = py::none(), "The same on maps that fold() made.")
        .def("query", &query, py::arg("maps"), py::arg("points"), py::arg("point_features") = py::none(),
             "Evaluates points (N, 3), with features (N, P), on maps (1, C, H, W); returns (N, num_outputs).")
        .def("activations", &activations, py::arg("maps"), py::arg("points"), py::arg("num_layers"),
             "The hidden activations after the first num_layers layers: (N, width).")
        .def_property_readonly("num_feature_channels", &ImplicitQuery::num_feature_channels)
        .def_property_readonly("num_point_features", &ImplicitQuery::num_point_features)
        .def_property_readonly("num_outputs", &ImplicitQuery::num_outputs);
    py::class_<JointQuery>(module, "JointQuery")
        .def(py::init(&make_joint_query), py::arg("branch_2d"), py::arg("branch_3d"), py::arg("joint"),
             py::arg("depth_scale") = 1.0f, py::arg("activation") = "sigmoid",
             py::arg("num_point_features") = 0, py::arg("precision") = "fp32",
             "Takes three lists of (weight (out, in), bias (out,)).")
        .def("fold", &fold<JointQuery>, py::arg("maps"), py::keep_alive<0, 1>(),
             "Makes maps (1, C, H, W) ready for many queries.")
        .def("query", &query_joint_folded, py::arg("maps"), py::arg("volume"), py::arg("scale"),
             py::arg("offset"), py::arg("points"), py::arg("point_features") = py::none(),
             "The same on maps that fold() made.")
        .def("query", &query_joint, py::arg("maps"), py::arg("volume"), py::arg("scale"), py::arg("offset"),
             py::arg("points"), py::arg("point_features") = py::none(),
             "Evaluates points (N, 3), with features (N, P), on maps and a VolumeSampler whose cube is at "
             "scale * view + offset; returns (N, num_outputs).")
        .def_property_readonly("num_feature_channels", &JointQuery::num_feature_channels)
        .def_property_readonly("num_point_features", &JointQuery::num_point_features)
        .def_property_readonly("num_volume_channels", &JointQuery::num_volume_channels)
        .def_property_readonly("num_outputs", &JointQuery::num_outputs);
}

}  // namespace jiff::bindings
