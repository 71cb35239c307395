// The operators of the face, for tests and tools.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>

#include "arrays.h"
#include "bindings.h"
#include "ops/ball_query.h"
#include "ops/face_blend.h"
#include "ops/farthest_point_sampling.h"
#include "ops/mesh_distance.h"
#include "ops/nearest_interpolation.h"
#include "ops/volume_sampling.h"
#include "ops/voxel_pooling.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;
using IntArray = py::array_t<std::int32_t, py::array::c_style>;

FloatArray checked_points(const py::array& array, const std::string& name) {
    return checked_array<float>(array, {-1, 3}, name);
}

IntArray int_array(const std::vector<std::int32_t>& values, const std::vector<std::int64_t>& shape) {
    IntArray array(shape);
    std::copy(values.begin(), values.end(), array.mutable_data());
    return array;
}

IntArray sample_farthest(const py::array& points, std::int64_t num_samples) {
    const FloatArray checked = checked_points(points, "points");
    std::vector<std::int32_t> chosen;
    {
        const py::gil_scoped_release release;
        chosen = farthest_point_sampling(checked.data(), checked.shape(0), num_samples);
    }
    return int_array(chosen, {num_samples});
}

IntArray query_balls(const py::array& points, const py::array& centers, float radius,
                     std::int64_t group_size) {
    const FloatArray from = checked_points(points, "points"), around = checked_points(centers, "centers");
    std::vector<std::int32_t> groups;
    {
        const py::gil_scoped_release release;
        groups = ball_query(from.data(), from.shape(0), around.data(), around.shape(0), radius, group_size);
    }
    return int_array(groups, {around.shape(0), group_size});
}

FloatArray interpolate(const py::array& values, const py::array& sources, const py::array& targets) {
    const FloatArray from = checked_points(sources, "sources"), to = checked_points(targets, "targets");
    const FloatArray checked = checked_array<float>(values, {from.shape(0), -1}, "values");
    const std::int64_t num_channels = checked.shape(1), num_targets = to.shape(0);
    FloatArray out({num_targets, num_channels});
    float* data = out.mutable_data();
    const py::gil_scoped_release release;
    interpolate_nearest(checked.data(), from.data(), from.shape(0), num_channels, to.data(), num_targets,
                        data);
    return out;
}

IntArray index_voxels(const py::array& coordinates, int resolution) {
    const FloatArray checked = checked_points(coordinates, "coordinates");
    return int_array(voxel_indices(checked.data(), checked.shape(0), resolution), {checked.shape(0)});
}

FloatArray pool_max(const py::array& codes, const py::array& voxels) {
    const IntArray checked_voxels = checked_array<std::int32_t>(voxels, {-1}, "voxels");
    const FloatArray checked = checked_array<float>(codes, {checked_voxels.shape(0), -1}, "codes");
    const std::int64_t num_points = checked.shape(0), num_channels = checked.shape(1);
    FloatArray pooled({num_points, num_channels});
    float* data = pooled.mutable_data();
    const py::gil_scoped_release release;
    VoxelGroups(checked_voxels.data(), num_points, num_voxels(1024)).max(checked.data(), num_channels, data);
    return pooled;
}

FloatArray pool_mean(const py::array& codes, const py::array& voxels, std::int64_t resolution) {
    const IntArray checked_voxels = checked_array<std::int32_t>(voxels, {-1}, "voxels");
    const FloatArray checked = checked_array<float>(codes, {checked_voxels.shape(0), -1}, "codes");
    const std::int64_t num_points = checked.shape(0), num_channels = checked.shape(1);
    const std::int64_t size = num_voxels(resolution);
    FloatArray volume({num_channels, resolution, resolution, resolution});
    float* data = volume.mutable_data();
    const py::gil_scoped_release release;
    VoxelGroups(checked_voxels.data(), num_points, size).mean(checked.data(), num_channels, data);
    return volume;
}

FloatArray coordinates_of(const std::array<float, 3>& scale, const std::array<float, 3>& offset,
                          const py::array& points) {
    const FloatArray checked = checked_points(points, "points");
    FloatArray coordinates({checked.shape(0), std::int64_t{3}});
    cube_coordinates({scale, offset}, checked.data(), checked.shape(0), coordinates.mutable_data());
    return coordinates;
}

VolumeSampler make_sampler(const py::array& volume, bool appends_ones) {
    return VolumeSampler(tensor_of(checked_array<float>(volume, {1, -1, -1, -1, -1}, "volume")),
                         appends_ones);
}

FloatArray sample(const VolumeSampler& sampler, const py::array& coordinates) {
    const FloatArray checked = checked_points(coordinates, "coordinates");
    FloatArray samples({checked.shape(0), sampler.num_channels()});
    float* data = samples.mutable_data();
    const py::gil_scoped_release release;
    sampler.sample(checked.data(), checked.shape(0), data, sampler.num_channels());
    return samples;
}

MeshDistance make_mesh_distance(const py::array& vertices, const py::array& faces) {
    const FloatArray checked_vertices = checked_points(vertices, "vertices");
    const IntArray checked_faces = checked_array<std::int32_t>(faces, {-1, 3}, "faces");
    const py::gil_scoped_release release;
    return MeshDistance(checked_vertices.data(), checked_vertices.shape(0), checked_faces.data(),
                        checked_faces.shape(0));
}

FloatArray query_distances(const MeshDistance& mesh, const py::array& points) {
    const FloatArray checked = checked_points(points, "points");
    FloatArray distances(checked.shape(0));
    float* data = distances.mutable_data();
    const py::gil_scoped_release release;
    mesh.query(checked.data(), checked.shape(0), data);
    return distances;
}

FloatArray blend(const std::array<float, 4>& region, const py::array& points, const py::array& body,
                 const py::array& face, const std::optional<py::array>& distances_cm) {
    const FloatArray checked = checked_points(points, "points");
    const std::int64_t num_points = checked.shape(0);
    const FloatArray checked_body = checked_array<float>(body, {num_points, -1}, "body");
    const std::int64_t num_channels = checked_body.shape(1);
    const FloatArray checked_face = checked_array<float>(face, {num_points, num_channels}, "face");
    std::optional<FloatArray> distances;
    if (distances_cm) distances = checked_array<float>(*distances_cm, {num_points}, "distances_cm");
    FloatArray answers({num_points, num_channels});
    std::copy(checked_body.data(), checked_body.data() + checked_body.size(), answers.mutable_data());
    float* data = answers.mutable_data();
    const float* distance_data = distances ? distances->data() : nullptr;
    const py::gil_scoped_release release;
    blend_face({region[0], region[1], region[2], region[3]}, checked.data(), num_points, num_channels,
               checked_face.data(), distance_data, data);
    return answers;
}

}  // namespace

void bind_face_ops(py::module_& module) {
    module.def("farthest_point_sampling", &sample_farthest, py::arg("points"), py::arg("num_samples"),
               "Indices (num_samples,) of points (N, 3), from point 0 each the farthest from those before.");
    module.def("ball_query", &query_balls, py::arg("points"), py::arg("centers"), py::arg("radius"),
               py::arg("group_size"),
               "The first points (N, 3) within the radius of centers (M, 3): indices (M, group_size).");
    module.def("interpolate_nearest", &interpolate, py::arg("values"), py::arg("sources"), py::arg("targets"),
               "Values (M, C) at sources (M, 3) carried to targets (N, 3) from the three nearest: (N, C).");
    module.def("voxel_indices", &index_voxels, py::arg("coordinates"), py::arg("resolution"),
               "Voxels (N,) of coordinates (N, 3) in [0, 1).");
    module.def("voxel_max", &pool_max, py::arg("codes"), py::arg("voxels"),
               "For each point the largest code (N, C) in its voxel: (N, C).");
    module.def("voxel_mean", &pool_mean, py::arg("codes"), py::arg("voxels"), py::arg("resolution"),
               "The mean code (N, C) of each voxel: (C, R, R, R), zero where there is none.");
    module.def("cube_coordinates", &coordinates_of, py::arg("scale"), py::arg("offset"), py::arg("points"),
               "Points (N, 3) of the view as clamped coordinates in the unit cube of a volume.");
    py::class_<VolumeSampler>(module, "VolumeSampler")
        .def(py::init(&make_sampler), py::arg("volume"), py::arg("appends_ones") = false,
             "Takes a volume (1, C, D, H, W); with `appends_ones` a channel of ones comes after its own.")
        .def("sample", &sample, py::arg("coordinates"),
             "Samples at coordinates (N, 3) in the unit cube; returns (N, C).");
    py::class_<MeshDistance>(module, "MeshDistance")
        .def(py::init(&make_mesh_distance), py::arg("vertices"), py::arg("faces"))
        .def("query", &query_distances, py::arg("points"),
             "The unsigned distance of points (N, 3) to the surface: (N,).");
    module.def("face_blend_weight", &face_blend_weight, py::arg("distance_cm"),
               "The face's share at a distance from the face mesh.");
    module.def("blend_face", &blend, py::arg("region"), py::arg("points"), py::arg("body"), py::arg("face"),
               py::arg("distances_cm") = py::none(),
               "Body answers (N, C) with the face's in the region (left, right, top, bottom) of the view.");
}

}  // namespace jiff::bindings
