// Segmentation and framing, one by one: for tests, and for tools that need frames as the pipeline makes them.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>

#include "arrays.h"
#include "bindings.h"
#include "images.h"
#include "preprocess/framing.h"
#include "preprocess/segmentation.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

py::array_t<float> array_of(const Tensor& tensor) {
    return py::array_t<float>(tensor.shape(), tensor.data());
}

Tensor frame_of(const py::array& frame) {
    return tensor_of(checked_array<float>(frame, {4, -1, frame.ndim() == 3 ? frame.shape(1) : -1}, "frame"));
}

py::tuple choose(const py::array& mask, bool from_network) {
    const auto checked = checked_array<std::uint8_t>(mask, {-1, -1}, "mask");
    const PersonMask person =
        choose_person(image_of(checked), from_network ? MaskSource::kNetwork : MaskSource::kCaller);
    const std::vector<py::ssize_t> shape = {checked.shape(0), checked.shape(1)};
    return py::make_tuple(py::array_t<std::uint8_t>(shape, person.values.data()), values_of(person.box),
                          person.warnings);
}

}  // namespace

void bind_preprocess(py::module_& module) {
    module.def(
        "warp_image",
        [](const py::array& image, const BoxValues& box, int width_px, int height_px) {
            const auto checked = checked_array<std::uint8_t>(image, {-1, -1, -1}, "image");
            return array_of(warp_image(image_of(checked), box_of(box), width_px, height_px));
        },
        py::arg("image"), py::arg("box"), py::arg("width_px"), py::arg("height_px"),
        "(H, W, C) uint8 to (C, height_px, width_px) float32 in [0, 1].");
    module.def(
        "segmentation_input",
        [](const py::array& rgb, int width_px, int height_px) {
            const auto checked = checked_array<std::uint8_t>(rgb, {-1, -1, 3}, "rgb");
            return array_of(segmentation_input(image_of(checked), width_px, height_px));
        },
        py::arg("rgb"), py::arg("width_px"), py::arg("height_px"),
        "(H, W, 3) uint8 to (1, 3, height_px, width_px) float32 in [-1, 1].");
    module.def("choose_person", &choose, py::arg("mask"), py::arg("from_network"),
               "(H, W) uint8 to the largest person's mask, its box (left, top, width, height) and warnings.");
    module.def(
        "frame_figure",
        [](const BoxValues& figure, int photo_width_px, int photo_height_px, double margin) {
            return values_of(frame_figure(box_of(figure), photo_width_px, photo_height_px, margin));
        },
        py::arg("figure"), py::arg("photo_width_px"), py::arg("photo_height_px"), py::arg("margin"),
        "The square crop around a figure, as (left, top, width, height).");
    module.def(
        "frame_image",
        [](const py::array& rgb, const py::array& mask, const BoxValues& crop, int size_px) {
            const auto pixels = checked_array<std::uint8_t>(rgb, {-1, -1, 3}, "rgb");
            const auto values = checked_array<std::uint8_t>(mask, {pixels.shape(0), pixels.shape(1)}, "mask");
            return array_of(frame_image(image_of(pixels), image_of(values), box_of(crop), size_px));
        },
        py::arg("rgb"), py::arg("mask"), py::arg("crop"), py::arg("size_px"),
        "Premultiplied RGB and alpha of the crop, (4, size_px, size_px) float32 in [0, 1].");
    module.def(
        "encoder_input",
        [](const py::array& frame, int num_channels, std::int64_t size_px) {
            if (num_channels != 3 && num_channels != 4) {
                throw Error(ErrorCode::kInvalidArgument,
                            "num_channels must be 3 or 4, got " + std::to_string(num_channels));
            }
            return array_of(encoder_input(frame_of(frame), num_channels, size_px));
        },
        py::arg("frame"), py::arg("num_channels"), py::arg("size_px"),
        "What an encoder takes, (1, num_channels, size_px, size_px) float32.");
    module.def(
        "silhouette_columns",
        [](const py::array& frame, int resolution, int dilation_px) {
            const auto columns = silhouette_columns(alpha_of(frame_of(frame)), resolution, dilation_px);
            const std::vector<py::ssize_t> shape = {resolution + 1, resolution + 1};
            return py::array_t<std::uint8_t>(shape, columns.data());
        },
        py::arg("frame"), py::arg("resolution"), py::arg("dilation_px"),
        "(resolution + 1, resolution + 1) flags [y, x] of the columns that may hold surface.");
}

}  // namespace jiff::bindings
