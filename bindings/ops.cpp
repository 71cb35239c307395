// The operators, for tests and tools.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "arrays.h"
#include "bindings.h"
#include "core/cpu_features.h"
#include "core/threads.h"
#include "ops/feature_sampling.h"
#include "ops/marching_cubes.h"
#include "ops/surface_check.h"
#include "ops/surface_extraction.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;

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

py::tuple arrays_of(std::vector<std::array<float, 3>>&& vertices,
                    std::vector<std::array<std::int32_t, 3>>&& faces) {
    return py::make_tuple(array_from_rows<float>(std::move(vertices), 3),
                          array_from_rows<std::int32_t>(std::move(faces), 3));
}

py::tuple marching_cubes(const py::array& volume, float iso) {
    const FloatArray checked = checked_array<float>(volume, {-1, -1, -1}, "volume");
    const std::int64_t size_z = checked.shape(0) - 1, size_y = checked.shape(1) - 1,
                       size_x = checked.shape(2) - 1;
    if (std::min({size_x, size_y, size_z}) < 1) {
        throw Error(
            ErrorCode::kInvalidArgument,
            "volume must have at least two points along each axis, got " + to_string(shape_of(checked)));
    }
    const auto values = checked.unchecked<3>();
    SurfaceBuilder builder(static_cast<int>(size_x), static_cast<int>(size_y), iso);
    {
        const py::gil_scoped_release release;
        for (int z = 0; z < size_z; ++z) {
            for (int y = 0; y < size_y; ++y) {
                for (int x = 0; x < size_x; ++x) {
                    std::array<float, 8> corners;
                    for (int c = 0; c < 8; ++c)
                        corners[c] = values(z + (c >> 2), y + (c >> 1 & 1), x + (c & 1));
                    builder.add_cell(x, y, z, corners);
                }
            }
        }
    }
    return arrays_of(std::move(builder.vertices), std::move(builder.faces));
}

// A field that asks Python: callable((N, 3) int32) -> (N,) float32.
LatticeField field_of(const py::function& callable) {
    return [&callable](const LatticePoint* points, std::int64_t num_points, float* values) {
        const py::gil_scoped_acquire acquire;
        py::array_t<std::int32_t> array({num_points, std::int64_t{3}});
        std::memcpy(array.mutable_data(), points, sizeof(LatticePoint) * num_points);
        const py::array returned = callable(array);
        const FloatArray checked = checked_array<float>(returned, {num_points}, "the field's values");
        std::memcpy(values, checked.data(), sizeof(float) * num_points);
    };
}

// The same at any points, in lattice coordinates: callable((N, 3) float32) -> (N,) float32.
ContinuousField continuous_field_of(const py::function& callable) {
    return [&callable](const float* points, std::int64_t num_points, float* values) {
        const py::gil_scoped_acquire acquire;
        FloatArray array({num_points, std::int64_t{3}});
        std::memcpy(array.mutable_data(), points, 3 * sizeof(float) * num_points);
        const py::array returned = callable(array);
        const FloatArray checked = checked_array<float>(returned, {num_points}, "the field's values");
        std::memcpy(values, checked.data(), sizeof(float) * num_points);
    };
}

ExtractionOptions extraction_options(int resolution, float iso, int coarse_stride, float uncertain_band,
                                     const std::optional<py::array>& columns,
                                     const std::optional<py::array>& seeds) {
    ExtractionOptions options;
    options.resolution = resolution;
    options.iso = iso;
    options.coarse_stride = coarse_stride;
    options.uncertain_band = uncertain_band;
    if (columns) {
        const auto checked =
            checked_array<std::uint8_t>(*columns, {resolution + 1, resolution + 1}, "columns");
        options.columns.assign(checked.data(), checked.data() + checked.size());
    }
    if (seeds) {
        const auto checked = checked_array<std::int32_t>(*seeds, {-1, 3}, "seeds");
        options.seeds.resize(checked.shape(0));
        for (std::size_t i = 0; i < options.seeds.size(); ++i) {
            const std::int32_t* seed = checked.data() + 3 * i;
            options.seeds[i] = {seed[0], seed[1], seed[2]};
        }
    }
    return options;
}

py::dict dict_of(Surface&& surface) {
    py::dict result;
    const py::tuple arrays = arrays_of(std::move(surface.vertices), std::move(surface.faces));
    result["vertices"] = arrays[0];
    result["faces"] = arrays[1];
    result["num_queries_asked"] = surface.num_queries_asked;
    result["num_queries_ideal"] = surface.num_queries_ideal;
    return result;
}

py::dict extract(const py::function& field, int resolution, float iso, int coarse_stride,
                 float uncertain_band, bool dense, const std::optional<py::array>& columns,
                 const std::optional<py::array>& seeds, int num_secant_steps,
                 const std::optional<py::function>& continuous_field, const ProgressCallback& progress) {
    ExtractionOptions options =
        extraction_options(resolution, iso, coarse_stride, uncertain_band, columns, seeds);
    options.dense = dense;
    options.num_secant_steps = num_secant_steps;
    if (continuous_field) options.continuous_field = continuous_field_of(*continuous_field);
    Surface surface;
    {
        const py::gil_scoped_release release;
        surface = extract_surface(field_of(field), options, progress);
    }
    return dict_of(std::move(surface));
}

py::dict check(const py::function& field, int resolution, float iso, int coarse_stride, float uncertain_band,
               const std::optional<py::array>& columns, const std::optional<py::array>& seeds) {
    const ExtractionOptions options =
        extraction_options(resolution, iso, coarse_stride, uncertain_band, columns, seeds);
    SurfaceCheck found;
    {
        const py::gil_scoped_release release;
        found = check_surface(field_of(field), options);
    }
    py::list missed;
    for (const MissedComponent& component : found.missed) {
        py::dict entry;
        entry["num_faces"] = component.num_faces;
        entry["lowest"] = component.lowest;
        entry["highest"] = component.highest;
        missed.append(entry);
    }
    py::dict result;
    result["followed"] = dict_of(std::move(found.followed));
    result["dense"] = dict_of(std::move(found.dense));
    result["num_components"] = found.num_components;
    result["missed"] = missed;
    result["is_rest_identical"] = found.is_rest_identical;
    return result;
}

py::tuple keep_largest(const py::array& vertices, const py::array& faces) {
    Surface surface;
    surface.vertices = rows_of<float>(vertices, -1, "vertices");
    surface.faces = rows_of<std::int32_t>(faces, -1, "faces");
    for (const auto& face : surface.faces) {
        for (const std::int32_t vertex : face) {
            if (vertex < 0 || vertex >= static_cast<std::int64_t>(surface.vertices.size())) {
                throw Error(ErrorCode::kInvalidArgument, "a face names vertex " + std::to_string(vertex) +
                                                             " of " +
                                                             std::to_string(surface.vertices.size()));
            }
        }
    }
    {
        const py::gil_scoped_release release;
        surface = largest_component(surface);
    }
    return arrays_of(std::move(surface.vertices), std::move(surface.faces));
}

}  // namespace

void bind_ops(py::module_& module) {
    module.def("num_threads", &num_threads, "Threads that work on one operator; JIFF_NUM_THREADS sets it.");
    module.def("parallel_for", &parallel_for, py::arg("num_chunks"), py::arg("run"),
               py::call_guard<py::gil_scoped_release>(), "Runs run(0) to run(num_chunks - 1) on the pool.");
    module.def(
        "simd_level", [] { return std::string(name(choose_simd_level())); },
        "The level that the next ImplicitQuery takes; JIFF_SIMD_LEVEL forces it.");
    module.def(
        "precision_of", [](const std::string& precision) { return name(precision_named(precision)); },
        py::arg("precision"), "What heads compute in here when `precision`, as \"auto\", is asked for.");
    module.def("supported_simd_levels", [] {
        std::vector<std::string> names;
        for (const SimdLevel level : supported_simd_levels()) names.emplace_back(name(level));
        return names;
    });
    module.def("sample_features", &sample, py::arg("map"), py::arg("xy"),
               "Samples a map (1, C, H, W) at xy (N, 2) in view coordinates; returns (N, C).");
    module.def(
        "marching_cubes", &marching_cubes, py::arg("volume"), py::arg("iso"),
        "Runs over every cell of volume[z, y, x]; returns vertices (N, 3) as (x, y, z) and faces (M, 3).");
    module.def(
        "extract_surface", &extract, py::arg("field"), py::arg("resolution"), py::arg("iso") = 0.5f,
        py::arg("coarse_stride") = 0, py::arg("uncertain_band") = ExtractionOptions{}.uncertain_band,
        py::arg("dense") = false, py::arg("columns") = py::none(), py::arg("seeds") = py::none(),
        py::arg("num_secant_steps") = 0, py::arg("continuous_field") = py::none(),
        py::arg("progress") = ProgressCallback{},
        "Extracts the surface of field((N, 3) int32 lattice points) -> (N,) float32. Returns vertices, "
        "faces, num_queries_asked and num_queries_ideal.");
    module.def(
        "check_surface", &check, py::arg("field"), py::arg("resolution"), py::arg("iso") = 0.5f,
        py::arg("coarse_stride") = 0, py::arg("uncertain_band") = ExtractionOptions{}.uncertain_band,
        py::arg("columns") = py::none(), py::arg("seeds") = py::none(),
        "Compares the followed surface with the dense one. Returns both, num_components of the dense one, "
        "the missed components (num_faces, lowest, highest), largest first, and is_rest_identical.");
    module.def("largest_component", &keep_largest, py::arg("vertices"), py::arg("faces"),
               "Keeps the connected component with the most faces.");
}

}  // namespace jiff::bindings
