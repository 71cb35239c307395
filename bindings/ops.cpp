// The operators, for tests and tools.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <cstring>

#include "arrays.h"
#include "bindings.h"
#include "core/cpu_features.h"
#include "core/threads.h"
#include "ops/feature_sampling.h"
#include "ops/implicit_query.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;

Tensor tensor_of(const FloatArray& array) {
    Tensor tensor(shape_of(array));
    std::memcpy(tensor.data(), array.data(), sizeof(float) * tensor.size());
    return tensor;
}

FloatArray sample(const py::array& map, const py::array& xy) {
    const FloatArray checked_map = checked_array<float>(map, {1, -1, -1, -1}, "map");
    const FloatArray checked_xy = checked_array<float>(xy, {-1, 2}, "xy");
    const TensorView view = view_of(checked_map);
    check_feature_map(view);
    const std::int64_t num_points = checked_xy.shape(0), num_channels = view.shape[1];
    FloatArray samples({num_points, num_channels});
    const float* points = checked_xy.data();
    float* out = samples.mutable_data();
    const py::gil_scoped_release release;
    sample_features(view, points, num_points, out, num_channels, 1);
    return samples;
}

HeadActivation activation_of(const std::string& name) {
    if (name == "sigmoid") return HeadActivation::kSigmoid;
    if (name == "tanh") return HeadActivation::kTanh01;
    throw Error(ErrorCode::kInvalidArgument, "activation must be 'sigmoid' or 'tanh', got '" + name + "'");
}

ImplicitQuery make_query(const std::vector<std::pair<py::array, py::array>>& layers, float depth_scale,
                         const std::string& activation) {
    HeadConfig config;
    config.depth_scale = depth_scale;
    config.activation = activation_of(activation);
    for (const auto& [weight, bias] : layers) {
        config.layers.push_back({tensor_of(checked_array<float>(weight, {-1, -1}, "weight")),
                                 tensor_of(checked_array<float>(bias, {-1}, "bias"))});
    }
    return ImplicitQuery(config);
}

FloatArray query(const ImplicitQuery& implicit, const std::vector<py::array>& maps, const py::array& points) {
    std::vector<FloatArray> checked_maps;
    std::vector<TensorView> views;
    for (const py::array& map : maps) {
        checked_maps.push_back(checked_array<float>(map, {1, -1, -1, -1}, "map"));
        views.push_back(view_of(checked_maps.back()));
    }
    const FloatArray checked_points = checked_array<float>(points, {-1, 3}, "points");
    const std::int64_t num_points = checked_points.shape(0);
    FloatArray values({num_points, implicit.num_outputs()});
    const float* from = checked_points.data();
    float* to = values.mutable_data();
    const py::gil_scoped_release release;
    implicit.query(views, from, num_points, to);
    return values;
}

}  // namespace

void bind_ops(py::module_& module) {
    module.def("num_threads", &num_threads);
    module.def("simd_level", [] { return std::string(name(choose_simd_level())); },
               "The level that the next ImplicitQuery takes; JIFF_SIMD_LEVEL forces it.");
    module.def("supported_simd_levels", [] {
        std::vector<std::string> names;
        for (const SimdLevel level : supported_simd_levels()) names.emplace_back(name(level));
        return names;
    });
    module.def("sample_features", &sample, py::arg("map"), py::arg("xy"),
               "Samples a map (1, C, H, W) at xy (N, 2) in view coordinates; returns (N, C).");
    py::class_<ImplicitQuery>(module, "ImplicitQuery")
        .def(py::init(&make_query), py::arg("layers"), py::arg("depth_scale") = 1.0f,
             py::arg("activation") = "sigmoid", "Takes a list of (weight (out, in), bias (out,)).")
        .def("query", &query, py::arg("maps"), py::arg("points"),
             "Evaluates points (N, 3) on maps (1, C, H, W); returns (N, num_outputs).")
        .def_property_readonly("num_feature_channels", &ImplicitQuery::num_feature_channels)
        .def_property_readonly("num_outputs", &ImplicitQuery::num_outputs);
}

}  // namespace jiff::bindings
