#include "api/options.h"

#include "api/structures.h"
#include "core/cpu_features.h"
#include "core/status.h"

namespace jiff::api {
namespace {

constexpr jiff_reconstructor_options kInitialEngine = JIFF_RECONSTRUCTOR_OPTIONS_INIT;
constexpr jiff_reconstruct_options kInitialReconstruct = JIFF_RECONSTRUCT_OPTIONS_INIT;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

bool truth(std::int32_t value, const char* name) {
    if (value != 0 && value != 1) refuse(std::string(name) + " must be 0 or 1, got " + std::to_string(value));
    return value == 1;
}

int dilation_px(std::int32_t given) {
    if (given == 0) return ReconstructOptions{}.silhouette_dilation_px;
    if (given == -1) return 0;
    if (given < 1 || given > 4096) {
        refuse("silhouette_dilation_px must be from 1 to 4096, 0 for the default or -1 for none, got " +
               std::to_string(given));
    }
    return given;
}

// Of the heads, where networks compute in `precision`. What only engines have leaves heads in float32.
Precision precision_beside(const std::string& precision) {
    return precision_named(precision == "auto" || precision == "bf16" ? precision : "fp32");
}

Precision head_precision(const std::string& heads) {
    if (heads == "f32") return Precision::kFp32;
    if (heads == "bf16" || heads == "int8") return precision_named(heads);
    refuse("heads is '" + heads + "'; use \"f32\", \"bf16\" or \"int8\"");
}

// With the heads on the GPU.
std::string device_of_networks(const char* given, const std::string& engine) {
    if (given == nullptr) {
        const RegisteredEngine* const found = engine_of_gpu();
        return found != nullptr && (engine == "auto" || engine == found->name) ? "cuda" : "cpu";
    }
    const std::string device = given;
    if (device == "cpu" || device == "cuda") return device;
    refuse("networks is '" + device + "'; use \"cpu\" or \"cuda\"");
}

FaceBlend face_blend(std::int32_t given) {
    if (given == JIFF_FACE_REGION) return FaceBlend::kRegion;
    if (given == JIFF_FACE_DISTANCE) return FaceBlend::kDistance;
    refuse("face_blend is " + std::to_string(given) + "; use JIFF_FACE_REGION or JIFF_FACE_DISTANCE");
}

}  // namespace

EngineRequest engine_request(const jiff_reconstructor_options* options) {
    const auto given = read_structure(options, kInitialEngine, "options");
    EngineRequest request{"auto", {}, Precision::kFp32, false};
    if (given.engine != nullptr) request.name = given.engine;
    if (given.device != nullptr) request.options.device = given.device;
    request.uses_gpu = request.options.device == "cuda";
    if (request.uses_gpu) request.options.device = device_of_networks(given.networks, request.name);
    if (given.networks != nullptr && !request.uses_gpu && std::string(given.networks) != "cpu") {
        refuse("networks is '" + std::string(given.networks) + "', but device is '" + request.options.device +
               "'; set that to \"cuda\"");
    }
    const std::string precision = given.precision == nullptr ? "auto" : given.precision;
    if (precision != "auto") request.options.precision = precision;
    request.precision = given.heads == nullptr ? precision_beside(precision) : head_precision(given.heads);
    if (request.uses_gpu && given.heads != nullptr) {
        refuse("heads is '" + std::string(given.heads) +
               "', but on the GPU they compute in half precision; leave it null");
    }
    request.options.num_threads = given.num_threads;
    request.options.keeps_memory = truth(given.keeps_memory, "keeps_memory");
    return request;
}

ReconstructRequest reconstruct_request(const jiff_reconstruct_options* options) {
    const auto given = read_structure(options, kInitialReconstruct, "options");
    ReconstructRequest request;
    if (given.resolution != 0) request.options.resolution = given.resolution;
    request.options.keep_largest_component = !truth(given.keep_all_components, "keep_all_components");
    request.options.dense = truth(given.dense, "dense");
    request.options.silhouette_dilation_px = dilation_px(given.silhouette_dilation_px);
    request.options.use_face = !truth(given.ignore_face, "ignore_face");
    request.options.face_blend = face_blend(given.face_blend);
    request.options.smooth_hidden_colors = !truth(given.keep_hidden_colors, "keep_hidden_colors");
    if (given.reserved != 0) {
        refuse("reserved of 'options' is " + std::to_string(given.reserved) +
               "; start from JIFF_RECONSTRUCT_OPTIONS_INIT");
    }
    if (given.progress != nullptr) {
        request.progress = [callback = given.progress, user_data = given.user_data](const std::string& stage,
                                                                                    float fraction) {
            return callback(stage.c_str(), fraction, user_data) == 0;
        };
    }
    return request;
}

}  // namespace jiff::api
