// What each file of the Python module adds to it. Bindings convert, release the GIL and map errors;
// they hold no algorithm.
#pragma once

#include <pybind11/pybind11.h>

namespace jiff::bindings {

void bind_cuda(pybind11::module_& module);
void bind_cuda_ops(pybind11::module_& module);
void bind_face_detection(pybind11::module_& module);
void bind_color_ops(pybind11::module_& module);
void bind_face_ops(pybind11::module_& module);
void bind_face_parts(pybind11::module_& module);
void bind_face(pybind11::module_& module);
void bind_implicit_ops(pybind11::module_& module);
void bind_ops(pybind11::module_& module);
void bind_pipeline(pybind11::module_& module);
void bind_preprocess(pybind11::module_& module);

}  // namespace jiff::bindings
