// ONNX Runtime on the CPU, and on NVIDIA GPUs where its library was built for them. That is loaded when it is
// first asked for, so that nothing links it.
#pragma once

#include <memory>
#include <string>

#include "engine/registry.h"

namespace jiff {

// Why the library cannot be used here; empty where it can.
std::string onnxruntime_problem();

// Only where there is no problem.
std::string onnxruntime_version();
// Whether this build and the library are for GPUs; one that starts is another matter.
bool onnxruntime_runs_on_gpu();

// Throws Error(kEngine) when there is a problem, or it has no such device or precision.
std::shared_ptr<Engine> create_onnxruntime_engine(const EngineOptions& options);

}  // namespace jiff
