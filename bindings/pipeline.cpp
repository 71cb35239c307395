#include "bindings.h"

namespace jiff::bindings {

void bind_pipeline(pybind11::module_&) {}

}  // namespace jiff::bindings
