// OpenVINO on the CPU.
#pragma once

#include <memory>
#include <string>

#include "engine/registry.h"

namespace jiff {

std::string openvino_version();

// Computes in float32 also where the CPU offers less, unless `options` say otherwise: the measured errors
// of a bundle hold there. Throws Error(kEngine) when OpenVINO has no such device or precision here.
std::shared_ptr<Engine> create_openvino_engine(const EngineOptions& options);

}  // namespace jiff
