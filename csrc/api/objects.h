// What the handles of the C API stand for, and the tables that know which handles are alive.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/handles.h"
#include "engine/registry.h"
#include "jiff/jiff.h"
#include "pipeline/bundle.h"
#include "pipeline/reconstruction.h"

namespace jiff::api {

struct LoadedReconstructor {
    LoadedReconstructor(const Bundle& bundle, const std::shared_ptr<Engine>& engine, Precision precision,
                        bool uses_gpu, bool networks_on_gpu)
        : reconstructor(bundle, engine, precision),
          engine(registered_name(engine->name())),
          networks(networks_on_gpu ? "cuda" : "cpu") {
        if (uses_gpu) reconstructor.use_gpu("fp16");
    }

    Reconstructor reconstructor;
    const char* engine;    // a name in jiff_engines()
    const char* networks;  // where they run
};

struct FinishedReconstruction {
    Reconstruction result;
    std::int32_t width_px, height_px;                       // of the photograph
    std::vector<std::pair<std::string, double>> stages_ms;  // the result's timings, to be counted through
};

HandleTable<jiff_bundle, const Bundle>& bundles();
HandleTable<jiff_reconstructor, const LoadedReconstructor>& reconstructors();
HandleTable<jiff_reconstruction, const FinishedReconstruction>& reconstructions();

}  // namespace jiff::api
