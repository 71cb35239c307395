// Bundles and reconstructions.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "arrays.h"
#include "bindings.h"
#include "core/cpu_features.h"
#include "images.h"
#include "pipeline/reconstruction.h"
#if defined(JIFF_HAVE_CUDA)
#include "pipeline/mesh_on_device.h"
#endif
#include "python_engine.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

// Also lets Ctrl-C through while the core works.
ProgressCallback progress_of(const py::object& callback) {
    return [callback = std::make_shared<PythonObject>(callback)](const std::string& stage, float fraction) {
        const py::gil_scoped_acquire gil;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (callback->get().is_none()) return true;
        const py::object answer = callback->get()(stage, fraction);
        return answer.is_none() || answer.cast<bool>();
    };
}

std::unique_ptr<Reconstructor> make_reconstructor(const Bundle& bundle, py::object engine,
                                                  const std::string& precision) {
    const auto adapter = std::make_shared<PythonEngine>(std::move(engine));
    const py::gil_scoped_release release;
    return std::make_unique<Reconstructor>(bundle, adapter, precision_named(precision));
}

Reconstruction reconstruct(const Reconstructor& reconstructor, const py::array& rgb, const py::object& mask,
                           const ReconstructOptions& options, const py::object& progress) {
    const auto pixels = checked_array<std::uint8_t>(rgb, {-1, -1, 3}, "rgb");
    PhotoView photo{pixels.data(), nullptr, static_cast<int>(pixels.shape(1)),
                    static_cast<int>(pixels.shape(0))};
    py::array_t<std::uint8_t, py::array::c_style> mask_values;
    if (!mask.is_none()) {
        mask_values =
            checked_array<std::uint8_t>(mask.cast<py::array>(), {pixels.shape(0), pixels.shape(1)}, "mask");
        photo.mask = mask_values.data();
    }
    const ProgressCallback callback = progress_of(progress);
    const py::gil_scoped_release release;
    return reconstructor.reconstruct(photo, options, callback);
}

// Arrays of a result borrow its memory and keep it alive.
template <typename T>
py::array borrow(const py::object& owner, const T* data, std::vector<py::ssize_t> shape) {
    return py::array_t<T>(std::move(shape), data, owner);
}

void bind_bundle(py::module_& module) {
    py::class_<Bundle>(module, "Bundle", "What a bundle directory says about itself; see docs/bundle.md.")
        .def_readonly("directory", &Bundle::directory)
        .def_readonly("name", &Bundle::name)
        .def_readonly("version", &Bundle::version)
        .def_readonly("license", &Bundle::license)
        .def_readonly("provenance", &Bundle::provenance)
        .def_property_readonly("image_size_px", [](const Bundle& self) { return self.frame.image_size_px; })
        .def_property_readonly("margin", [](const Bundle& self) { return self.frame.margin; })
        .def_property_readonly("size_m", [](const Bundle& self) { return self.frame.size_m; })
        .def_property_readonly("graphs",
                               [](const Bundle& self) {
                                   std::vector<std::string> names;
                                   for (const auto& [name, graph] : self.graphs) names.push_back(name);
                                   return names;
                               })
        .def_property_readonly("detects_faces",
                               [](const Bundle& self) { return self.face_detection.has_value(); })
        .def_property_readonly("has_face", [](const Bundle& self) { return self.face.has_value(); })
        .def_property_readonly("has_fine_color",
                               [](const Bundle& self) { return self.fine_color.has_value(); });
    module.def("load_bundle", &load_bundle, py::arg("directory"), py::call_guard<py::gil_scoped_release>(),
               "Reads and checks a bundle directory.");
}

py::array face_rows(const py::object& self, const std::vector<std::array<float, 3>>& rows) {
    return borrow(self, rows.data()->data(), {py::ssize_t(rows.size()), 3});
}

// What a face lacks is None.
void bind_face_result(py::module_& module) {
    py::class_<FaceFit>(module, "FaceFit")
        .def_property_readonly("crop", [](const FaceFit& self) { return values_of(self.crop); })
        .def_property_readonly("coefficients",
                               [](const py::object& self) {
                                   const auto& values = self.cast<const FaceFit&>().values;
                                   return borrow(self, values.data(), {py::ssize_t(values.size())});
                               })
        .def_property_readonly(
            "angles", [](const FaceFit& self) { return self.coefficients.pose.angles; },
            "Radians about x, y, z.");
    py::class_<FaceResult>(module, "FaceResult")
        .def_readonly("status", &FaceResult::status)
        .def_readonly("num_queries", &FaceResult::num_queries)
        .def_property_readonly("detected", [](const FaceResult& self) { return self.detected; })
        .def_property_readonly(
            "fit", [](const FaceResult& self) { return self.fit ? &*self.fit : nullptr; },
            py::return_value_policy::reference_internal)
        .def_property_readonly("alignment", [](const FaceResult& self) { return self.alignment; })
        .def_property_readonly("vertices",
                               [](const py::object& self) {
                                   return face_rows(self, self.cast<const FaceResult&>().mesh.vertices);
                               })
        .def_property_readonly(
            "triangles",
            [](const py::object& self) {
                const auto& values = self.cast<const FaceResult&>().mesh.faces;
                return borrow(self, values.data()->data(), {py::ssize_t(values.size()), 3});
            })
        .def_property_readonly("colors", [](const py::object& self) {
            return face_rows(self, self.cast<const FaceResult&>().mesh.colors);
        });
}

// Arrays in device memory: the address and the shape of each.
#if defined(JIFF_HAVE_CUDA)
using DeviceRows = std::pair<std::uintptr_t, std::array<std::int64_t, 2>>;

template <typename T>
DeviceRows device_rows(const cuda::Buffer<T>& values, std::int64_t num_rows) {
    return {reinterpret_cast<std::uintptr_t>(values.data()), {num_rows, 3}};
}

void bind_mesh_on_device(py::module_& module) {
    py::class_<MeshOnDevice, std::shared_ptr<MeshOnDevice>>(module, "MeshOnDevice")
        .def_property_readonly(
            "vertices",
            [](const MeshOnDevice& self) { return device_rows(self.vertices, self.num_vertices); })
        .def_property_readonly(
            "faces", [](const MeshOnDevice& self) { return device_rows(self.faces, self.num_faces); })
        .def_property_readonly(
            "colors", [](const MeshOnDevice& self) { return device_rows(self.colors, self.num_vertices); });
}

py::object mesh_on_device(const Reconstruction& self) {
    return py::cast(std::const_pointer_cast<MeshOnDevice>(self.mesh_on_device));
}
#else
void bind_mesh_on_device(py::module_&) {}
py::none mesh_on_device(const Reconstruction&) { return {}; }
#endif

void bind_result(py::module_& module) {
    py::class_<Reconstruction>(module, "Reconstruction")
        .def_property_readonly(
            "vertices",
            [](const py::object& self) {
                const auto& values = self.cast<const Reconstruction&>().mesh.vertices;
                return borrow(self, values.data()->data(), {py::ssize_t(values.size()), 3});
            })
        .def_property_readonly(
            "faces",
            [](const py::object& self) {
                const auto& values = self.cast<const Reconstruction&>().mesh.faces;
                return borrow(self, values.data()->data(), {py::ssize_t(values.size()), 3});
            })
        .def_property_readonly(
            "colors",
            [](const py::object& self) {
                const auto& values = self.cast<const Reconstruction&>().mesh.colors;
                return borrow(self, values.data()->data(), {py::ssize_t(values.size()), 3});
            })
        .def_property_readonly("mask",
                               [](const py::object& self) {
                                   const auto& values = self.cast<const Reconstruction&>().mask;
                                   return borrow(self, values.data(), {py::ssize_t(values.size())});
                               })
        .def_property_readonly(
            "image_from_world",
            [](const py::object& self) {
                return borrow(self, self.cast<const Reconstruction&>().image_from_world.data(), {4, 4});
            })
        .def_readonly("size_m", &Reconstruction::size_m)
        .def_readonly("timings_ms", &Reconstruction::timings_ms)
        .def_readonly("face", &Reconstruction::face)
        .def_readonly("num_queries_asked", &Reconstruction::num_queries_asked)
        .def_readonly("num_queries_ideal", &Reconstruction::num_queries_ideal)
        .def_readonly("warnings", &Reconstruction::warnings)
        .def_property_readonly("mesh_on_device", &mesh_on_device);
}

}  // namespace

void bind_pipeline(py::module_& module) {
    bind_bundle(module);
    module.def("require_gpu", &require_gpu, "Raises where no GPU serves.");
    py::class_<ReconstructOptions>(module, "ReconstructOptions")
        .def(py::init<>())
        .def_readwrite("resolution", &ReconstructOptions::resolution)
        .def_readwrite("keep_largest_component", &ReconstructOptions::keep_largest_component)
        .def_readwrite("dense", &ReconstructOptions::dense)
        .def_readwrite("silhouette_dilation_px", &ReconstructOptions::silhouette_dilation_px)
        .def_readwrite("use_face", &ReconstructOptions::use_face)
        .def_readwrite("smooth_hidden_colors", &ReconstructOptions::smooth_hidden_colors)
        .def_readwrite("keep_on_device", &ReconstructOptions::keep_on_device)
        .def_property(
            "face_by_distance",
            [](const ReconstructOptions& self) { return self.face_blend == FaceBlend::kDistance; },
            [](ReconstructOptions& self, bool by_distance) {
                self.face_blend = by_distance ? FaceBlend::kDistance : FaceBlend::kRegion;
            });
    bind_face_result(module);
    bind_mesh_on_device(module);
    bind_result(module);
    py::class_<Reconstructor>(module, "Reconstructor")
        .def(py::init(&make_reconstructor), py::arg("bundle"), py::arg("engine"),
             py::arg("precision") = "auto")
        .def("use_gpu", &Reconstructor::use_gpu, py::arg("precision"),
             py::call_guard<py::gil_scoped_release>(), "From here on the heads run on the current GPU.")
        .def("reconstruct", &reconstruct, py::arg("rgb"), py::arg("mask"), py::arg("options"),
             py::arg("progress"));
}

}  // namespace jiff::bindings
