// The face's model and volumes by themselves, for tests and tools.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "images.h"
#include "pipeline/face_model.h"
#include "pipeline/face_volume.h"
#include "pipeline/head_encoder.h"
#include "pipeline/head_functions.h"
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

// The joint shape head of a bundle's face on its own map of the head, loaded once.
class HeadPart {
  public:
    HeadPart(const Bundle& bundle, py::object engine) {
        if (!bundle.face || !bundle.face->head_encoder) {
            throw Error(ErrorCode::kBundle, "bundle '" + bundle.directory + "' has no 'head_encoder'");
        }
        PythonEngine adapter(std::move(engine));
        const py::gil_scoped_release release;
        const FaceSpec& face = *bundle.face;
        encoder_ = std::make_unique<HeadEncoder>(*face.head_encoder, adapter);
        volume_ = std::make_unique<ShapeVolumeEncoder>(face.shape_volume, adapter);
        head_ = std::make_unique<JointQuery>(face.shape_head, Precision::kFp32);
        num_vertices_ = face.model->num_vertices();
    }

    py::dict inputs(const ByteArray& rgb, const ByteArray& mask, const BoxValues& crop, const py::array& map,
                    const py::array& vertices) const {
        const Rows face = rows_of<float>(vertices, num_vertices_, "vertices");
        const auto features = checked_array<float>(map, {1, -1, -1, -1}, "map");
        const HeadFrame frame = head_frame(volume_->encode(face).frame, encoder_->reach());
        const HeadInputs made =
            encoder_->inputs(image_of(rgb), image_of(mask), box_of(crop), frame, view_of(features));
        py::dict result;
        for (const auto& [name, tensor] : made) result[name.c_str()] = array_of_tensor(tensor);
        return result;
    }

    py::array occupancy(const std::map<std::string, py::array>& inputs, const py::array& vertices,
                        const py::array& points) const {
        HeadInputs given;
        for (const auto& [name, shape] : encoder_->graph().spec().inputs) {
            given[name] = tensor_of(checked_array<float>(inputs.at(name), shape, name));
        }
        const Rows face = rows_of<float>(vertices, num_vertices_, "vertices");
        const Rows asked_at = rows_of<float>(points, -1, "points");
        py::array_t<float> answers(static_cast<py::ssize_t>(asked_at.size()));
        const py::gil_scoped_release release;
        const FaceCodes codes = volume_->encode(face);
        FaceVolume volume = volume_of(codes);
        volume.frame = cube_in_head(encoder_->reach());
        const Tensor features = encoder_->encode(given);
        const auto function = in_head(head_frame(codes.frame, encoder_->reach()),
                                      asked(*head_, FeatureMaps{features.view()}, volume));
        function(asked_at.data()->data(), static_cast<std::int64_t>(asked_at.size()), answers.mutable_data());
        return answers;
    }

  private:
    static py::array array_of_tensor(const Tensor& tensor) {
        py::array_t<float> result(std::vector<py::ssize_t>(tensor.shape().begin(), tensor.shape().end()));
        std::memcpy(result.mutable_data(), tensor.data(), sizeof(float) * tensor.size());
        return result;
    }

    std::unique_ptr<HeadEncoder> encoder_;
    std::unique_ptr<ShapeVolumeEncoder> volume_;
    std::unique_ptr<JointQuery> head_;
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
    py::class_<HeadPart>(module, "HeadPart", "The joint shape head of a bundle with a head encoder.")
        .def(py::init<const Bundle&, py::object>(), py::arg("bundle"), py::arg("engine"))
        .def("inputs", &HeadPart::inputs, py::arg("rgb"), py::arg("mask"), py::arg("crop"), py::arg("map"),
             py::arg("vertices"),
             "What the encoder takes, by name, of a photo (H, W, 3), its mask (H, W), its square, the body's "
             "map [1, C, H, W] and a face (N, 3) in the view.")
        .def("occupancy", &HeadPart::occupancy, py::arg("inputs"), py::arg("vertices"), py::arg("points"),
             "Of (P, 3) points of the view, (P,).");
}

}  // namespace jiff::bindings
