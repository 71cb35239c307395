// Face detection, whole and in its parts: for tests, and for tools that need faces as the pipeline finds
// them.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>

#include "arrays.h"
#include "bindings.h"
#include "images.h"
#include "pipeline/face_detector.h"
#include "python_engine.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatRows = py::array_t<float, py::array::c_style>;
using WindowValues = std::array<float, 5>;  // left, top, right, bottom, score
using Landmarks = decltype(Face::landmarks);

FaceWindow window_of(const WindowValues& v) { return {v[0], v[1], v[2], v[3], v[4]}; }
WindowValues values_of(const FaceWindow& w) { return {w.left, w.top, w.right, w.bottom, w.score}; }

std::vector<std::size_t> suppress(const py::array& windows, float most_overlap, bool of_smaller) {
    const auto rows = checked_array<float>(windows, {-1, 5}, "windows");
    std::vector<FaceWindow> held;
    for (py::ssize_t i = 0; i < rows.shape(0); ++i) {
        held.push_back({rows.at(i, 0), rows.at(i, 1), rows.at(i, 2), rows.at(i, 3), rows.at(i, 4)});
    }
    return suppress_overlaps(held, most_overlap, of_smaller ? OverlapMode::kSmaller : OverlapMode::kUnion);
}

std::optional<std::array<int, 4>> pixels_of(const WindowValues& window, int width_px, int height_px) {
    const auto rect = window_pixels(window_of(window), width_px, height_px);
    if (!rect) return std::nullopt;
    return std::array<int, 4>{rect->left, rect->top, rect->right, rect->bottom};
}

FloatRows average(const py::array& rgb, const std::array<int, 4>& part, int width_px, int height_px) {
    const auto pixels = checked_array<std::uint8_t>(rgb, {-1, -1, 3}, "rgb");
    const auto [left, top, right, bottom] = part;
    if (left < 0 || top < 0 || right <= left || bottom <= top || right > pixels.shape(1) ||
        bottom > pixels.shape(0) || width_px < 1 || height_px < 1) {
        throw Error(ErrorCode::kInvalidArgument,
                    "part must lie inside the image and both sizes be 1 or more");
    }
    FloatRows values({py::ssize_t{3}, py::ssize_t{height_px}, py::ssize_t{width_px}});
    average_pixels(image_of(pixels), {left, top, right, bottom}, width_px, height_px, values.mutable_data());
    return values;
}

std::unique_ptr<FaceDetector> make_detector(const Bundle& bundle, py::object engine) {
    PythonEngine adapter(std::move(engine));
    const py::gil_scoped_release release;
    return std::make_unique<FaceDetector>(bundle, adapter);
}

std::vector<Face> detect(const FaceDetector& detector, const py::array& rgb,
                         const std::optional<double>& min_face_px) {
    const auto pixels = checked_array<std::uint8_t>(rgb, {-1, -1, 3}, "rgb");
    const ImageView image = image_of(pixels);
    const py::gil_scoped_release release;
    return detector.detect(image, {min_face_px});
}

void bind_parts(py::module_& module) {
    module.def(
        "face_pyramid",
        [](int width_px, int height_px, double min_face_px) {
            std::vector<std::tuple<double, int, int>> levels;
            for (const auto& level : face_pyramid(width_px, height_px, min_face_px))
                levels.emplace_back(level.scale, level.width_px, level.height_px);
            return levels;
        },
        py::arg("width_px"), py::arg("height_px"), py::arg("min_face_px"),
        "Scale, width and height of every level, finest first.");
    module.def("default_min_face_px", &default_min_face_px, py::arg("width_px"), py::arg("height_px"));
    module.def("average_pixels", &average, py::arg("rgb"), py::arg("part"), py::arg("width_px"),
               py::arg("height_px"),
               "(H, W, 3) uint8 and left, top, right, bottom to (3, height_px, width_px) float32.");
    module.def(
        "proposal_window",
        [](double scale, int column, int row) {
            return values_of(proposal_window({scale, 0, 0}, column, row, 0.0f));
        },
        py::arg("scale"), py::arg("column"), py::arg("row"));
    module.def("suppress_overlaps", &suppress, py::arg("windows"), py::arg("most_overlap"),
               py::arg("of_smaller"), "(N, 5) windows to the indices of those that stay, best first.");
    module.def(
        "regress_window",
        [](const WindowValues& window, const std::array<float, 4>& offsets, bool with_last_pixel) {
            return values_of(
                regress_window(window_of(window), offsets,
                               with_last_pixel ? WindowSize::kWithLastPixel : WindowSize::kWithoutLastPixel));
        },
        py::arg("window"), py::arg("offsets"), py::arg("with_last_pixel"));
    module.def(
        "square_window",
        [](const WindowValues& window) { return values_of(square_window(window_of(window))); },
        py::arg("window"));
    module.def("window_pixels", &pixels_of, py::arg("window"), py::arg("width_px"), py::arg("height_px"),
               "Left, top, right, bottom of what lies on the photo, or None.");
    module.def(
        "main_face",
        [](const std::vector<Face>& faces, const py::array& mask) {
            return main_face(faces, image_of(checked_array<std::uint8_t>(mask, {-1, -1}, "mask")));
        },
        py::arg("faces"), py::arg("mask"),
        "Index of the person's face under its mask (H, W) uint8, or None.");
}

}  // namespace

void bind_face_detection(py::module_& module) {
    py::class_<Face>(module, "Face", "A face in a photograph, in its pixels (docs/conventions.md).")
        .def(py::init([](const BoxValues& box, float score, const Landmarks& landmarks) {
                 return Face{box_of(box), score, landmarks};
             }),
             py::arg("box"), py::arg("score"), py::arg("landmarks") = Landmarks{})
        .def_property_readonly("box", [](const Face& self) { return values_of(self.box); })
        .def_readonly("score", &Face::score)
        .def_property_readonly("landmarks", [](const Face& self) {
            return py::array_t<float>({py::ssize_t{5}, py::ssize_t{2}}, self.landmarks.data()->data());
        });
    py::class_<FaceDetector>(module, "FaceDetector")
        .def(py::init(&make_detector), py::arg("bundle"), py::arg("engine"))
        .def("detect", &detect, py::arg("rgb"), py::arg("min_face_px") = py::none(),
             "Faces in (H, W, 3) uint8, best score first.");
    bind_parts(module);
}

}  // namespace jiff::bindings
