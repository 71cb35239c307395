// The smaller operators on the GPU, for tests: arrays are copied there and back.
#if defined(JIFF_HAVE_CUDA)

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "core/cuda.h"
#include "ops/device_hidden_colors.h"
#include "ops/device_ops.h"
#include "preprocess/device_warp.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;

void fetch(FloatArray& to, const cuda::Buffer<float>& from, const cuda::Stream& stream) {
    cuda::copy_to_host(to.mutable_data(), from.data(), to.nbytes(), stream);
    stream.synchronize();
}

// What other packages wrote, on whatever stream.
void copy_from_gpu(std::uintptr_t pointer, py::array to) {
    if (!to.writeable() || (to.flags() & py::array::c_style) == 0)
        throw Error(ErrorCode::kInvalidArgument, "the array to copy to must be contiguous and writable");
    void* host = to.mutable_data();
    const std::size_t num_bytes = to.nbytes();
    const py::gil_scoped_release release;
    const cuda::Stream stream;
    cuda::wait_for_device();
    cuda::copy_to_host(host, reinterpret_cast<const void*>(pointer), num_bytes, stream);
    stream.synchronize();
}

FloatArray sample_features(const py::array& map, const py::array& xy) {
    const auto planes = checked_array<float>(map, {1, -1, -1, -1}, "map");
    const auto points = checked_array<float>(xy, {-1, 2}, "xy");
    FloatArray samples({points.shape(0), planes.shape(1)});
    const cuda::Stream stream;
    const cuda::DeviceTensor device_map(view_of(planes), stream);
    const cuda::Buffer<float> device_points(points.data(), points.size(), stream);
    cuda::Buffer<float> result(samples.size(), stream);
    cuda::sample_features(device_map.view(), device_points.data(), points.shape(0), result.data(), stream);
    fetch(samples, result, stream);
    return samples;
}

std::vector<std::int32_t> farthest_points(const py::array& points, std::int64_t num_samples) {
    const auto given = checked_array<float>(points, {-1, 3}, "points");
    const cuda::Stream stream;
    const cuda::Buffer<float> device_points(given.data(), given.size(), stream);
    cuda::Buffer<std::int32_t> indices(num_samples, stream);
    cuda::farthest_point_sampling(device_points.data(), given.shape(0), num_samples, indices.data(), stream);
    return indices.to_host();
}

py::tuple pool_voxels(const py::array& voxels, const py::array& codes, std::int64_t num_voxels) {
    const auto given = checked_array<std::int32_t>(voxels, {-1}, "voxels");
    const auto values = checked_array<float>(codes, {given.shape(0), -1}, "codes");
    const std::int64_t num_points = given.shape(0), num_channels = values.shape(1);
    FloatArray pooled({num_points, num_channels}), volume({num_channels, num_voxels});
    const cuda::Stream stream;
    const cuda::Buffer<std::int32_t> device_voxels(given.data(), given.size(), stream);
    const cuda::Buffer<float> device_codes(values.data(), values.size(), stream);
    const cuda::DeviceVoxelGroups groups(device_voxels.data(), num_points, num_voxels, stream);
    cuda::Buffer<float> largest(pooled.size(), stream), means(volume.size(), stream);
    groups.max(device_codes.data(), num_channels, largest.data());
    groups.mean(device_codes.data(), num_channels, means.data());
    fetch(pooled, largest, stream);
    fetch(volume, means, stream);
    return py::make_tuple(pooled, volume);
}

std::vector<float> mesh_distances(const py::array& vertices, const py::array& faces,
                                  const py::array& points) {
    const auto corners = checked_array<float>(vertices, {-1, 3}, "vertices");
    const auto triangles = checked_array<std::int32_t>(faces, {-1, 3}, "faces");
    const auto given = checked_array<float>(points, {-1, 3}, "points");
    const cuda::Stream stream;
    const MeshDistance tree(corners.data(), corners.shape(0), triangles.data(), triangles.shape(0));
    const cuda::DeviceMeshDistance mesh(tree, stream);
    const cuda::Buffer<float> device_points(given.data(), given.size(), stream);
    cuda::Buffer<float> distances(given.shape(0), stream);
    mesh.query(device_points.data(), given.shape(0), nullptr, 1.0f, distances.data(), stream);
    return distances.to_host();
}

// A mesh copied to the GPU.
struct CopiedMesh {
    CopiedMesh(const py::array& given_vertices, const py::array& given_faces, const cuda::Stream& stream)
        : host_vertices(checked_array<float>(given_vertices, {-1, 3}, "vertices")),
          host_faces(checked_array<std::int32_t>(given_faces, {-1, 3}, "faces")),
          vertices(host_vertices.data(), host_vertices.size(), stream),
          faces(host_faces.data(), host_faces.size(), stream) {}

    cuda::DeviceMeshView view() const {
        return {vertices.data(), host_vertices.shape(0), faces.data(), host_faces.shape(0)};
    }

    py::array_t<float> host_vertices;
    py::array_t<std::int32_t> host_faces;
    cuda::Buffer<float> vertices;
    cuda::Buffer<std::int32_t> faces;
};

py::array_t<bool> find_seen(const py::array& vertices, const py::array& faces, double pixel,
                            double least_facing) {
    const cuda::Stream stream;
    const CopiedMesh mesh(vertices, faces, stream);
    const cuda::MeshExtent extent = cuda::extent_of(mesh.view(), stream);
    const auto seen = cuda::seen_vertices(mesh.view(), extent, pixel, least_facing, stream).to_host();
    py::array_t<bool> found(static_cast<py::ssize_t>(seen.size()));
    std::copy(seen.begin(), seen.end(), found.mutable_data());
    return found;
}

FloatArray smooth_hidden(const py::array& vertices, const py::array& faces, const py::array& seen,
                         double length, const py::array& colors) {
    const cuda::Stream stream;
    const CopiedMesh mesh(vertices, faces, stream);
    const std::int64_t num_vertices = mesh.view().num_vertices;
    const auto flags = checked_array<bool>(seen, {num_vertices}, "seen");
    const auto given = checked_array<float>(colors, {num_vertices, 3}, "colors");
    const std::vector<std::uint8_t> is_seen(flags.data(), flags.data() + num_vertices);
    const cuda::Buffer<std::uint8_t> device_seen(is_seen, stream);
    cuda::Buffer<float> result(given.data(), given.size(), stream);
    const cuda::MeshExtent extent = cuda::extent_of(mesh.view(), stream);
    cuda::smooth_hidden_colors(mesh.view(), extent, device_seen.data(), length, result.data(), stream);
    FloatArray smoothed({num_vertices, std::int64_t{3}});
    fetch(smoothed, result, stream);
    return smoothed;
}

FloatArray warp(const py::array& image, const std::array<double, 4>& box, int width_px, int height_px) {
    const auto pixels = checked_array<std::uint8_t>(image, {-1, -1, -1}, "image");
    FloatArray values({pixels.shape(2), py::ssize_t{height_px}, py::ssize_t{width_px}});
    const cuda::Stream stream;
    const cuda::Buffer<std::uint8_t> device_pixels(pixels.data(), pixels.size(), stream);
    cuda::Buffer<float> result(values.size(), stream);
    cuda::warp_image({device_pixels.data(), static_cast<int>(pixels.shape(1)),
                      static_cast<int>(pixels.shape(0)), static_cast<int>(pixels.shape(2))},
                     {box[0], box[1], box[2], box[3]}, width_px, height_px, result.data(), stream);
    fetch(values, result, stream);
    return values;
}

}  // namespace

void bind_cuda_ops(py::module_& module) {
    module.def("copy_from_gpu", &copy_from_gpu, py::arg("pointer"), py::arg("to"),
               "Waits for the GPU, then fills the array from an address in its memory.");
    module.def("cuda_sample_features", &sample_features, py::arg("map"), py::arg("xy"));
    module.def("cuda_farthest_point_sampling", &farthest_points, py::arg("points"), py::arg("num_samples"));
    module.def("cuda_pool_voxels", &pool_voxels, py::arg("voxels"), py::arg("codes"), py::arg("num_voxels"),
               "The largest code of each point's voxel (N, C), and the mean code of each voxel (C, V).");
    module.def("cuda_mesh_distances", &mesh_distances, py::arg("vertices"), py::arg("faces"),
               py::arg("points"));
    module.def("cuda_seen_vertices", &find_seen, py::arg("vertices"), py::arg("faces"), py::arg("pixel"),
               py::arg("least_facing"));
    module.def("cuda_smooth_hidden_colors", &smooth_hidden, py::arg("vertices"), py::arg("faces"),
               py::arg("seen"), py::arg("length"), py::arg("colors"));
    module.def("cuda_warp_image", &warp, py::arg("image"), py::arg("box"), py::arg("width_px"),
               py::arg("height_px"));
}

}  // namespace jiff::bindings

#endif
