// The face: its crop, its place in the world, and the search for nearest points that this needs.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "ops/nearest_points.h"
#include "pipeline/face_alignment.h"
#include "preprocess/face_crop.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using BoxValues = std::array<double, 4>;  // left, top, width, height

Box box_of(const BoxValues& values) { return {values[0], values[1], values[2], values[3]}; }

py::tuple nearest(const py::array& points, const py::array& queries, double reach) {
    const NearestPoints tree(rows_of<float>(points, -1, "points"));
    const auto asked = rows_of<float>(queries, -1, "queries");
    py::array_t<std::int64_t> indices(static_cast<py::ssize_t>(asked.size()));
    py::array_t<double> distances(static_cast<py::ssize_t>(asked.size()));
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto match = tree.find({asked[i][0], asked[i][1], asked[i][2]}, reach);
        indices.mutable_data()[i] = match.index;
        distances.mutable_data()[i] = match.distance;
    }
    return py::make_tuple(indices, distances);
}

py::array_t<double> square_of(const std::array<double, 9>& rotation) {
    return py::array_t<double>(std::vector<py::ssize_t>{3, 3}, rotation.data());
}

Similarity similarity_of(const py::array& rotation, double scale, const std::array<double, 3>& translation) {
    const auto checked = checked_array<double>(rotation, {3, 3}, "rotation");
    Similarity result;
    std::memcpy(result.rotation.data(), checked.data(), sizeof result.rotation);
    result.scale = scale;
    result.translation = translation;
    return result;
}

FaceAlignment align(const py::array& vertices, const py::array& faces, const Similarity& start,
                    const py::array& surface_vertices, const py::array& surface_faces,
                    const FaceAlignmentOptions& options) {
    const auto own = rows_of<float>(vertices, -1, "vertices");
    const auto own_faces = rows_of<std::int32_t>(faces, -1, "faces");
    const auto surface = rows_of<float>(surface_vertices, -1, "surface_vertices");
    const auto triangles = rows_of<std::int32_t>(surface_faces, -1, "surface_faces");
    const py::gil_scoped_release release;
    return align_face(own, own_faces, start, surface, triangles, options);
}

}  // namespace

void bind_face(py::module_& module) {
    module.def(
        "face_crop_box",
        [](const FaceLandmarks& landmarks_px, const LandmarkTemplate& mean_face, double side_m) {
            const Box box = face_crop_box(landmarks_px, mean_face, side_m);
            return BoxValues{box.left_px, box.top_px, box.width_px, box.height_px};
        },
        py::arg("landmarks_px"), py::arg("mean_face"), py::arg("side_m"),
        "The square (left, top, width, height) around a face, from its five landmarks (5, 2).");
    module.def(
        "face_crop",
        [](const py::array& rgb, const BoxValues& box, int size_px) {
            const auto checked = checked_array<std::uint8_t>(rgb, {-1, -1, 3}, "rgb");
            const ImageView view = {checked.data(), static_cast<int>(checked.shape(1)),
                                    static_cast<int>(checked.shape(0)), 3};
            const Tensor crop = face_crop(view, box_of(box), size_px);
            return py::array_t<float>(crop.shape(), crop.data());
        },
        py::arg("rgb"), py::arg("box"), py::arg("size_px"),
        "What the face regressor takes, (1, 3, size_px, size_px) float32 in [-1, 1].");
    module.def(
        "nearest_points", &nearest, py::arg("points"), py::arg("queries"), py::arg("reach"),
        "Index of the nearest of points (N, 3) to each query (M, 3), -1 beyond reach, and its distance.");
    py::class_<Similarity>(module, "Similarity")
        .def(py::init(&similarity_of), py::arg("rotation"), py::arg("scale"), py::arg("translation"),
             "world = scale * rotation @ model + translation.")
        .def_property_readonly("rotation", [](const Similarity& s) { return square_of(s.rotation); })
        .def_readonly("scale", &Similarity::scale)
        .def_readonly("translation", &Similarity::translation);
    module.def(
        "place_face",
        [](const std::array<double, 6>& pose, double side_m, const BoxValues& crop, const BoxValues& frame,
           double size_m) {
            const FacePose parts = {{pose[0], pose[1], pose[2]}, {pose[3], pose[4]}, pose[5]};
            return place_face(parts, side_m, box_of(crop), box_of(frame), size_m);
        },
        py::arg("pose"), py::arg("side_m"), py::arg("crop"), py::arg("frame"), py::arg("size_m"),
        "Where a face of this pose in its crop lies in the world of a frame; depth zero.");
    py::class_<FaceAlignmentOptions>(module, "FaceAlignmentOptions")
        .def(py::init<>())
        .def_readwrite("num_iterations", &FaceAlignmentOptions::num_iterations)
        .def_readwrite("reach_m", &FaceAlignmentOptions::reach_m)
        .def_readwrite("kept_share", &FaceAlignmentOptions::kept_share)
        .def_readwrite("min_normal_cosine", &FaceAlignmentOptions::min_normal_cosine)
        .def_readwrite("min_pair_share", &FaceAlignmentOptions::min_pair_share)
        .def_property(
            "image_weight", [](const FaceAlignmentOptions& o) { return o.weights.image; },
            [](FaceAlignmentOptions& o, double weight) { o.weights.image = weight; })
        .def_property(
            "pose_weight", [](const FaceAlignmentOptions& o) { return o.weights.pose; },
            [](FaceAlignmentOptions& o, double weight) { o.weights.pose = weight; })
        .def_readwrite("max_rotation_deg", &FaceAlignmentOptions::max_rotation_deg)
        .def_readwrite("max_scale_change", &FaceAlignmentOptions::max_scale_change)
        .def_readwrite("max_shift_m", &FaceAlignmentOptions::max_shift_m)
        .def_readwrite("max_residual_m", &FaceAlignmentOptions::max_residual_m)
        .def_readwrite("settles_in_depth", &FaceAlignmentOptions::settles_in_depth)
        .def_readwrite("counted", &FaceAlignmentOptions::counted);
    py::class_<FaceAlignment>(module, "FaceAlignment")
        .def_property_readonly("status", [](const FaceAlignment& a) { return std::string(name(a.status)); })
        .def_readonly("placement", &FaceAlignment::placement)
        .def_readonly("residual_start_m", &FaceAlignment::residual_start_m)
        .def_readonly("residual_m", &FaceAlignment::residual_m)
        .def_readonly("rotation_deg", &FaceAlignment::rotation_deg)
        .def_readonly("scale_change", &FaceAlignment::scale_change)
        .def_readonly("shift_m", &FaceAlignment::shift_m)
        .def_readonly("num_pairs_start", &FaceAlignment::num_pairs_start)
        .def_readonly("num_pairs", &FaceAlignment::num_pairs)
        .def_readonly("num_iterations", &FaceAlignment::num_iterations);
    module.def("align_face", &align, py::arg("vertices"), py::arg("faces"), py::arg("start"),
               py::arg("surface_vertices"), py::arg("surface_faces"),
               py::arg("options") = FaceAlignmentOptions{},
               "Moves a face onto a surface in the world; the result's status says whether to use it.");
}

}  // namespace jiff::bindings
