#include "bindings.h"

namespace jiff::bindings {

void bind_ops(pybind11::module_&) {}

}  // namespace jiff::bindings
