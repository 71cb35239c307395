// The face's model and volumes by themselves, for tests and tools.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "pipeline/face_model.h"
#include "pipeline/face_volume.h"
#include "python_engine.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using Rows = std::vector<std::array<float, 3>>;

py::array array_of(Rows rows) { return array_from_rows<float>(std::move(rows), 3); }

FaceCoefficients coefficients_of(const py::array& values) {
    const auto checked = checked_array<float>(values, {kNumFaceCoefficients}, "coefficients");
    std::array<float, kNumFaceCoefficients> copied{};
    std::memcpy(copied.data(), checked.data(), sizeof copied);
    return FaceCoefficients::split(copied);
}

// The encoders of a bundle's face, loaded once.
class FaceVolumes {
  public:
    FaceVolumes(const Bundle& bundle, py::object engine) {
        if (!bundle.face) throw Error(ErrorCode::kBundle, "bundle '" + bundle.directory + "' has no 'face'");
        PythonEngine adapter(std::move(engine));
        const py::gil_scoped_release release;
        shape_ = std::make_unique<ShapeVolumeEncoder>(bundle.face->shape_volume, adapter);
        if (bundle.face->color) {
            color_ = std::make_unique<ColorVolumeEncoder>(bundle.face->color->volume, adapter);
        }
        num_vertices_ = bundle.face->model->num_vertices();
    }

    py::array shape(const py::array& vertices, const py::array& points) const {
        const Rows own = rows_of<float>(vertices, num_vertices_, "vertices");
        const Rows asked = rows_of<float>(points, -1, "points");
        const py::gil_scoped_release release;
        return sampled(volume_of(shape_->encode(own)), asked);
    }

    py::array color(const py::array& vertices, const py::array& colors, const py::array& points) const {
        if (!color_) throw Error(ErrorCode::kBundle, "the bundle's face has no 'color'");
        const Rows own = rows_of<float>(vertices, num_vertices_, "vertices");
        const Rows of_vertices = rows_of<float>(colors, num_vertices_, "colors");
        const Rows asked = rows_of<float>(points, -1, "points");
        const py::gil_scoped_release release;
        return sampled(volume_of(color_->encode(own, of_vertices)), asked);
    }

  private:
    static py::array sampled(const FaceVolume& volume, const Rows& points) {
        const auto num_points = static_cast<std::int64_t>(points.size());
        const std::int64_t num_channels = volume.sampler.num_channels();
        std::vector<float> coordinates(points.size() * 3);
        cube_coordinates(volume.frame, points.data()->data(), num_points, coordinates.data());
        std::vector<float> samples(static_cast<std::size_t>(num_points * num_channels));
        volume.sampler.sample(coordinates.data(), num_points, samples.data(), num_channels);
        const py::gil_scoped_acquire gil;
        py::array_t<float> result(std::vector<py::ssize_t>{num_points, num_channels});
        std::memcpy(result.mutable_data(), samples.data(), sizeof(float) * samples.size());
        return result;
    }

    std::unique_ptr<ShapeVolumeEncoder> shape_;
    std::unique_ptr<ColorVolumeEncoder> color_;
    std::int64_t num_vertices_ = 0;
};

}  // namespace

void bind_face_parts(py::module_& module) {
    py::class_<FaceModel>(module, "FaceModel", "The morphable face model of a bundle.")
        .def(py::init<const std::string&>(), py::arg("path"))
        .def_property_readonly("num_vertices", &FaceModel::num_vertices)
        .def_property_readonly("triangles",
                               [](const FaceModel& self) {
                                   Triangles copied = self.triangles();
                                   return array_from_rows<std::int32_t>(std::move(copied), 3);
                               })
        .def_property_readonly("mean_landmarks", &FaceModel::mean_landmarks)
        .def(
            "vertices",
            [](const FaceModel& self, const py::array& coefficients) {
                return array_of(self.vertices(coefficients_of(coefficients)));
            },
            py::arg("coefficients"), "(N, 3) metres, of (257,) coefficients.")
        .def(
            "albedo",
            [](const FaceModel& self, const py::array& coefficients) {
                return array_of(self.albedo(coefficients_of(coefficients)));
            },
            py::arg("coefficients"), "(N, 3) sRGB in [0, 1], of (257,) coefficients.");
    module.def(
        "lit_colors",
        [](const py::array& albedo, const py::array& normals, const FaceLight& light) {
            const Rows colors = rows_of<float>(albedo, -1, "albedo");
            const auto unit = rows_of<double>(normals, static_cast<std::int64_t>(colors.size()), "normals");
            return array_of(lit_colors(colors, unit, light));
        },
        py::arg("albedo"), py::arg("normals"), py::arg("light"),
        "(N, 3) sRGB of albedos under 27 harmonics, by (N, 3) float64 unit normals.");
    py::class_<FaceVolumes>(module, "FaceVolumes", "The encoders of a bundle's face.")
        .def(py::init<const Bundle&, py::object>(), py::arg("bundle"), py::arg("engine"))
        .def("shape", &FaceVolumes::shape, py::arg("vertices"), py::arg("points"),
             "The shape volume of a mesh in the view, sampled at (P, 3) points of the view: (P, C).")
        .def("color", &FaceVolumes::color, py::arg("vertices"), py::arg("colors"), py::arg("points"),
             "The same of the coloured mesh.");
}

}  // namespace jiff::bindings
