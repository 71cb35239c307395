// jiff_reconstructor_*, jiff_reconstruct
#include <string>

#include "api/image_view.h"
#include "api/log.h"
#include "api/objects.h"
#include "api/structures.h"
#include "core/status.h"
#include "engine/registry.h"

using namespace jiff::api;

namespace {

std::string text_or(const char* text, const char* fallback) { return text == nullptr ? fallback : text; }

void check_reserved(std::int32_t reserved, const char* name) {
    if (reserved == 0) return;
    throw jiff::Error(jiff::ErrorCode::kInvalidArgument, "reserved of '" + std::string(name) + "' is " +
                                                             std::to_string(reserved) +
                                                             "; start from the structure's INIT macro");
}

bool truth(std::int32_t value, const char* name) {
    if (value == 0 || value == 1) return value == 1;
    throw jiff::Error(jiff::ErrorCode::kInvalidArgument,
                      std::string(name) + " must be 0 or 1, got " + std::to_string(value));
}

int dilation_px(std::int32_t given) {
    if (given == 0) return jiff::ReconstructOptions{}.silhouette_dilation_px;
    if (given == -1) return 0;
    if (given >= 1 && given <= 4096) return given;
    throw jiff::Error(
        jiff::ErrorCode::kInvalidArgument,
        "silhouette_dilation_px must be from 1 to 4096, 0 for the default or -1 for none, got " +
            std::to_string(given));
}

jiff::ReconstructOptions core_options(const jiff_reconstruct_options& given) {
    jiff::ReconstructOptions options;
    if (given.resolution != 0) options.resolution = given.resolution;
    options.keep_largest_component = !truth(given.keep_all_components, "keep_all_components");
    options.dense = truth(given.dense, "dense");
    options.silhouette_dilation_px = dilation_px(given.silhouette_dilation_px);
    return options;
}

jiff::ProgressCallback core_progress(const jiff_reconstruct_options& given) {
    if (given.progress == nullptr) return {};
    return [callback = given.progress, user_data = given.user_data](const std::string& stage, float done) {
        return callback(stage.c_str(), done, user_data) == 0;
    };
}

}  // namespace

extern "C" jiff_status jiff_reconstructor_create(const jiff_bundle* bundle,
                                                 const jiff_reconstructor_options* options,
                                                 jiff_reconstructor** reconstructor) {
    return guarded([&] {
        const auto model = bundles().get(bundle);
        require(reconstructor, "reconstructor");
        const jiff_reconstructor_options initial = JIFF_RECONSTRUCTOR_OPTIONS_INIT;
        const auto given = read_structure(options, initial, "options");
        check_reserved(given.reserved, "options");
        jiff::EngineOptions settings;
        settings.device = text_or(given.device, "cpu");
        settings.precision = text_or(given.precision, "f32");
        settings.num_threads = given.num_threads;
        const auto engine = jiff::create_engine(text_or(given.engine, "auto"), settings);
        const char* name = jiff::registered_name(engine->name());
        *reconstructor = reconstructors().add(std::make_shared<const LoadedReconstructor>(
            LoadedReconstructor{jiff::Reconstructor(*model, engine), name}));
        log_info("bundle '" + model->name + "' " + model->version + " loaded by engine '" + name + "', " +
                 settings.precision);
    });
}

extern "C" const char* jiff_reconstructor_engine(const jiff_reconstructor* reconstructor) {
    const char* name = nullptr;
    guarded([&] { name = reconstructors().get(reconstructor)->engine; });
    return name;
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
        const jiff_reconstruct_options initial = JIFF_RECONSTRUCT_OPTIONS_INIT;
        const auto given = read_structure(options, initial, "options");
        const Photo photo(image, mask);
        auto finished = std::make_shared<FinishedReconstruction>();
        finished->result =
            loaded->reconstructor.reconstruct(photo.view(), core_options(given), core_progress(given));
        finished->width_px = photo.view().width_px;
        finished->height_px = photo.view().height_px;
        const auto& timings_ms = finished->result.timings_ms;
        finished->stages_ms.assign(timings_ms.begin(), timings_ms.end());
        for (const auto& warning : finished->result.warnings) log_warning(warning);
        *reconstruction = reconstructions().add(std::move(finished));
    });
}
