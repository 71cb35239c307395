// ONNX Runtime on the CPU. Its library is loaded when it is first asked for, so that nothing links it.
#pragma once

#include <memory>
#include <string>

#include "engine/registry.h"

namespace jiff {

// Why the library cannot be used here; empty where it can.
std::string onnxruntime_problem();

// Only where there is no problem.
std::string onnxruntime_version();

// Throws Error(kEngine) when there is a problem, or it has no such device or precision.
std::shared_ptr<Engine> create_onnxruntime_engine(const EngineOptions& options);

}  // namespace jiff
