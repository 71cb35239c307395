// The module jiffsdk._core: its version and its error type; the rest is bound file by file.
#include "bindings.h"
#include "core/status.h"

namespace py = pybind11;

namespace {

// jiff::Error arrives as _core.Error with `code`, the name of its ErrorCode.
void bind_error(py::module_& module) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
    storage.call_once_and_store_result(
        [&]() -> py::object { return py::exception<jiff::Error>(module, "Error", PyExc_RuntimeError); });
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const jiff::Error& error) {
            const py::object& type = storage.get_stored();
            py::object instance = type(error.what());
            instance.attr("code") = jiff::name(error.code());
            PyErr_SetObject(type.ptr(), instance.ptr());
        }
    });
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "The C++ core of jiffsdk.";
    module.attr("__version__") = JIFF_VERSION;
#if defined(JIFF_CUDA_EMULATED)
    module.attr("cuda_build") = "emulated";
#elif defined(JIFF_HAVE_CUDA)
    module.attr("cuda_build") = "cuda";
#else
    module.attr("cuda_build") = "none";
#endif
    bind_error(module);
    jiff::bindings::bind_face(module);
    jiff::bindings::bind_ops(module);
    jiff::bindings::bind_implicit_ops(module);
    jiff::bindings::bind_color_ops(module);
    jiff::bindings::bind_face_ops(module);
    jiff::bindings::bind_pipeline(module);
    jiff::bindings::bind_preprocess(module);
    jiff::bindings::bind_face_detection(module);
    jiff::bindings::bind_face_parts(module);
#if defined(JIFF_HAVE_CUDA)
    jiff::bindings::bind_cuda(module);
    jiff::bindings::bind_cuda_ops(module);
#endif
}
