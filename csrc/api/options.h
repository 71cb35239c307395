// Option structures of the C API as the core takes them.
#pragma once

#include <string>

#include "core/precision.h"
#include "core/progress.h"
#include "engine/registry.h"
#include "jiff/jiff.h"
#include "pipeline/reconstruction.h"

namespace jiff::api {

struct EngineRequest {
    std::string name;
    EngineOptions options;
    Precision precision;    // of the heads
    bool uses_gpu = false;  // for the heads, in half precision
};

struct ReconstructRequest {
    ReconstructOptions options;
    ProgressCallback progress;
};

// Null options are the defaults. Both throw Error(kInvalidArgument) naming the field.
EngineRequest engine_request(const jiff_reconstructor_options* options);
ReconstructRequest reconstruct_request(const jiff_reconstruct_options* options);

}  // namespace jiff::api
