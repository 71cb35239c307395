// The operators on colours of meshes, for tests and tools.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "ops/hidden_colors.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;

struct MeshArrays {
    FloatArray vertices;
    py::array_t<std::int32_t, py::array::c_style> faces;

    MeshArrays(const py::array& given_vertices, const py::array& given_faces)
        : vertices(checked_array<float>(given_vertices, {-1, 3}, "vertices")),
          faces(checked_array<std::int32_t>(given_faces, {-1, 3}, "faces")) {}
};

py::array_t<bool> find_seen(const py::array& vertices, const py::array& faces, double pixel,
                            double least_facing) {
    const MeshArrays mesh(vertices, faces);
    std::vector<std::uint8_t> seen;
    {
        const py::gil_scoped_release release;
        seen = seen_vertices(mesh.vertices.data(), mesh.vertices.shape(0), mesh.faces.data(),
                             mesh.faces.shape(0), pixel, least_facing);
    }
    py::array_t<bool> found(static_cast<py::ssize_t>(seen.size()));
    std::copy(seen.begin(), seen.end(), found.mutable_data());
    return found;
}

FloatArray smooth(const py::array& vertices, const py::array& faces, const py::array& seen, double length,
                  const py::array& colors) {
    const MeshArrays mesh(vertices, faces);
    const std::int64_t num_vertices = mesh.vertices.shape(0);
    const auto flags = checked_array<bool>(seen, {num_vertices}, "seen");
    const FloatArray given = checked_array<float>(colors, {num_vertices, 3}, "colors");
    const std::vector<std::uint8_t> is_seen(flags.data(), flags.data() + num_vertices);
    FloatArray smoothed({num_vertices, std::int64_t{3}});
    std::copy_n(given.data(), 3 * num_vertices, smoothed.mutable_data());
    float* data = smoothed.mutable_data();
    const py::gil_scoped_release release;
    smooth_hidden_colors(mesh.vertices.data(), num_vertices, mesh.faces.data(), mesh.faces.shape(0),
                         is_seen.data(), length, data);
    return smoothed;
}

}  // namespace

void bind_color_ops(py::module_& module) {
    module.def("seen_vertices", &find_seen, py::arg("vertices"), py::arg("faces"), py::arg("pixel"),
               py::arg("least_facing"), "Which vertices (V, 3) a camera sees that looks along -z: (V,).");
    module.def("smooth_hidden_colors", &smooth, py::arg("vertices"), py::arg("faces"), py::arg("seen"),
               py::arg("length"), py::arg("colors"),
               "Colours (V, 3), of vertices that are not seen without what is smaller than the length.");
}

}  // namespace jiff::bindings
