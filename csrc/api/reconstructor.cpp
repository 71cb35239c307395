// jiff_reconstructor_*, jiff_reconstruct
#include <memory>
#include <utility>

#include "api/image_view.h"
#include "api/log.h"
#include "api/objects.h"
#include "api/options.h"
#include "engine/registry.h"

using namespace jiff::api;

extern "C" jiff_status jiff_reconstructor_create(const jiff_bundle* bundle,
                                                 const jiff_reconstructor_options* options,
                                                 jiff_reconstructor** reconstructor) {
    return guarded([&] {
        const auto model = bundles().get(bundle);
        require(reconstructor, "reconstructor");
        const EngineRequest request = engine_request(options);
        if (request.uses_gpu) jiff::require_gpu();  // before seconds of loading
        const auto engine = jiff::create_engine(request.name, request.options);
        const bool networks_on_gpu = request.options.device == "cuda";
        auto loaded = std::make_shared<const LoadedReconstructor>(*model, engine, request.precision,
                                                                  request.uses_gpu, networks_on_gpu);
        log_info("bundle '" + model->name + "' " + model->version + " loaded by engine '" + loaded->engine +
                 "', " + request.options.precision +
                 (networks_on_gpu    ? ", on the GPU"
                  : request.uses_gpu ? ", heads on the GPU"
                                     : ""));
        *reconstructor = reconstructors().add(std::move(loaded));
    });
}

extern "C" const char* jiff_reconstructor_engine(const jiff_reconstructor* reconstructor) {
    const char* name = nullptr;
    guarded([&] { name = reconstructors().get(reconstructor)->engine; });
    return name;
}

extern "C" const char* jiff_reconstructor_networks(const jiff_reconstructor* reconstructor) {
    const char* device = nullptr;
    guarded([&] { device = reconstructors().get(reconstructor)->networks; });
    return device;
}

extern "C" jiff_status jiff_reconstructor_free(jiff_reconstructor* reconstructor) {
    return guarded([&] { reconstructors().remove(reconstructor); });
}

extern "C" jiff_status jiff_reconstruct(const jiff_reconstructor* reconstructor, const jiff_image* image,
                                        const jiff_image* mask, const jiff_reconstruct_options* options,
                                        jiff_reconstruction** reconstruction) {
    return guarded([&] {
        const auto loaded = reconstructors().get(reconstructor);
        require(reconstruction, "reconstruction");
        const ReconstructRequest request = reconstruct_request(options);
        const Photo photo(image, mask);
        auto finished = std::make_shared<FinishedReconstruction>();
        finished->result = loaded->reconstructor.reconstruct(photo.view(), request.options, request.progress);
        finished->width_px = photo.view().width_px;
        finished->height_px = photo.view().height_px;
        const auto& timings_ms = finished->result.timings_ms;
        finished->stages_ms.assign(timings_ms.begin(), timings_ms.end());
        for (const auto& warning : finished->result.warnings) log_warning(warning);
        *reconstruction = reconstructions().add(std::move(finished));
    });
}
