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
#include "ops/implicit_query.h"
#include "ops/joint_query.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;
using LayerArrays = std::vector<std::pair<py::array, py::array>>;

Tensor tensor_of(const FloatArray& array) {
    Tensor tensor(shape_of(array));
    std::memcpy(tensor.data(), array.data(), sizeof(float) * tensor.size());
    return tensor;
}

std::vector<HeadLayer> layers_of(const LayerArrays& arrays) {
    std::vector<HeadLayer> layers;
    for (const auto& [weight, bias] : arrays) {
        layers.push_back({tensor_of(checked_array<float>(weight, {-1, -1}, "weight")),
                          tensor_of(checked_array<float>(bias, {-1}, "bias"))});
    }
    return layers;
}

HeadActivation activation_of(const std::string& name) {
    if (name == "sigmoid") return HeadActivation::kSigmoid;
    if (name == "tanh") return HeadActivation::kTanh01;
    throw Error(ErrorCode::kInvalidArgument, "activation must be 'sigmoid' or 'tanh', got '" + name + "'");
}

ImplicitQuery make_query(const LayerArrays& layers, float depth_scale, const std::string& activation,
                         std::int64_t num_point_features) {
    return ImplicitQuery({layers_of(layers), depth_scale, activation_of(activation), num_point_features});
}

JointQuery make_joint_query(const LayerArrays& branch_2d, const LayerArrays& branch_3d,
                            const LayerArrays& joint, float depth_scale, const std::string& activation,
                            std::int64_t num_point_features) {
    return JointQuery({layers_of(branch_2d), layers_of(branch_3d), layers_of(joint), depth_scale,
                       activation_of(activation), num_point_features});
}

// The arguments that every query takes, checked and kept alive.
struct QueryArrays {
    std::vector<FloatArray> maps;
    std::vector<TensorView> views;
    FloatArray points;
    std::optional<FloatArray> point_features;

    QueryArrays(const std::vector<py::array>& given_maps, const py::array& given_points,
                const std::optional<py::array>& given_features, std::int64_t num_point_features)
        : points(checked_array<float>(given_points, {-1, 3}, "points")) {
        for (const py::array& map : given_maps) {
            maps.push_back(checked_array<float>(map, {1, -1, -1, -1}, "map"));
            views.push_back(view_of(maps.back()));
        }
        if (given_features) {
            point_features =
                checked_array<float>(*given_features, {num_points(), num_point_features}, "point_features");
        }
    }

    std::int64_t num_points() const { return points.shape(0); }
    const float* features() const { return point_features ? point_features->data() : nullptr; }
};

FloatArray query(const ImplicitQuery& implicit, const std::vector<py::array>& maps, const py::array& points,
                 const std::optional<py::array>& point_features) {
    const QueryArrays given(maps, points, point_features, implicit.num_point_features());
    FloatArray values({given.num_points(), implicit.num_outputs()});
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    implicit.query(given.views, given.features(), given.points.data(), given.num_points(), to);
    return values;
}

FloatArray activations(const ImplicitQuery& implicit, const std::vector<py::array>& maps,
                       const py::array& points, std::int64_t num_layers) {
    const QueryArrays given(maps, points, std::nullopt, 0);
    FloatArray values({given.num_points(), implicit.num_activations(num_layers)});
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    implicit.activations(given.views, given.points.data(), given.num_points(), num_layers, to);
    return values;
}

FloatArray query_joint(const JointQuery& joint, const std::vector<py::array>& maps,
                       const VolumeSampler& volume, const std::array<float, 3>& scale,
                       const std::array<float, 3>& offset, const py::array& points,
                       const std::optional<py::array>& point_features) {
    const QueryArrays given(maps, points, point_features, joint.num_point_features());
    FloatArray values({given.num_points(), joint.num_outputs()});
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    joint.query(given.views, given.features(), volume, {scale, offset}, given.points.data(),
                given.num_points(), to);
    return values;
}

}  // namespace

void bind_implicit_ops(py::module_& module) {
    py::class_<ImplicitQuery>(module, "ImplicitQuery")
        .def(py::init(&make_query), py::arg("layers"), py::arg("depth_scale") = 1.0f,
             py::arg("activation") = "sigmoid", py::arg("num_point_features") = 0,
             "Takes a list of (weight (out, in), bias (out,)).")
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
             py::arg("num_point_features") = 0, "Takes three lists of (weight (out, in), bias (out,)).")
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
