#include "engine/registry.h"

#include <algorithm>

#include "core/status.h"
#if defined(JIFF_HAVE_OPENVINO)
#include "engine/openvino.h"
#endif
#if defined(JIFF_HAVE_ONNXRUNTIME)
#include "engine/onnxruntime.h"
#endif
#include "engine/module_engine.h"

namespace jiff {
namespace {

// What to say of an engine that this project has, but which is not there.
struct KnownEngine {
    const char* name;
    const char* remedy;
};
constexpr KnownEngine kKnownEngines[] = {
    {"openvino", "build the library with -DJIFF_ENGINE_OPENVINO=ON, where OpenVINO is installed"},
    {"onnxruntime", "build the library with -DJIFF_ENGINE_ONNXRUNTIME=ON"},
    {"torchscript",
     "put its module, libjiff_engine_torchscript.so (built with -DJIFF_ENGINE_TORCHSCRIPT=ON), beside the "
     "library or into a directory of JIFF_ENGINE_PATH"},
};

std::string listed_names() {
    std::string text;
    for (const auto& engine : registered_engines()) text += (text.empty() ? "" : ", ") + engine.name;
    return text.empty() ? "none" : text;
}

const RegisteredEngine* find(const std::string& name) {
    const auto& engines = registered_engines();
    const auto found = std::find_if(engines.begin(), engines.end(),
                                    [&](const RegisteredEngine& engine) { return engine.name == name; });
    return found == engines.end() ? nullptr : &*found;
}

[[noreturn]] void fail_missing(const std::string& name) {
    for (const auto& known : kKnownEngines) {
        if (name == known.name)
            throw Error(ErrorCode::kEngine,
                        "engine '" + name + "' is not in this build of the library; " + known.remedy);
    }
    throw Error(ErrorCode::kEngine, "unknown engine '" + name + "'; there are: " + listed_names());
}

std::vector<RegisteredEngine> find_engines() {
    std::vector<RegisteredEngine> engines;
#if defined(JIFF_HAVE_OPENVINO)
    engines.push_back({"openvino", openvino_version(), create_openvino_engine});
#endif
#if defined(JIFF_HAVE_ONNXRUNTIME)
    if (onnxruntime_problem().empty()) {
        engines.push_back(
            {"onnxruntime", onnxruntime_version(), create_onnxruntime_engine, onnxruntime_runs_on_gpu()});
    }
#endif
    for (const auto& module : find_engine_modules()) {
        const bool is_built_in = std::any_of(engines.begin(), engines.end(),
                                             [&](const auto& engine) { return engine.name == module.name; });
        if (is_built_in) continue;
        engines.push_back({module.name, "in '" + module.path + "'", [module](const EngineOptions& options) {
                               return create_module_engine(module, options);
                           }});
    }
    return engines;
}

}  // namespace

const RegisteredEngine* engine_of_gpu() {
    const auto& engines = registered_engines();
    const auto found = std::find_if(engines.begin(), engines.end(),
                                    [](const RegisteredEngine& engine) { return engine.runs_on_gpu; });
    return found == engines.end() ? nullptr : &*found;
}

// What is looked for once is kept for ever: names of it are given away.
const std::vector<RegisteredEngine>& registered_engines() {
    static const auto* const engines = new std::vector<RegisteredEngine>(find_engines());
    return *engines;
}

const char* const* engine_names() {
    static const auto* const names = [] {
        auto* list = new std::vector<const char*>;
        for (const auto& engine : registered_engines()) list->push_back(engine.name.c_str());
        list->push_back(nullptr);
        return list;
    }();
    return names->data();
}

const char* registered_name(const std::string& name) {
    const auto* const engine = find(name);
    if (engine == nullptr) fail_missing(name);
    return engine->name.c_str();
}

std::shared_ptr<Engine> create_engine(const std::string& name, const EngineOptions& options) {
    if (options.num_threads < 0 || options.num_threads > 1024) {
        throw Error(ErrorCode::kInvalidArgument, "num_threads must be from 1 to 1024, got " +
                                                     std::to_string(options.num_threads) +
                                                     "; 0 lets the engine choose");
    }
    if (name == "auto") {
        if (registered_engines().empty()) {
            throw Error(ErrorCode::kEngine, std::string("there is no engine; ") + kKnownEngines[0].remedy);
        }
        if (options.device != "cuda") return registered_engines().front().create(options);
        if (const auto* const engine = engine_of_gpu()) return engine->create(options);
        throw Error(
            ErrorCode::kEngine,
            "no engine here is known to run networks on the GPU; set JIFF_ONNXRUNTIME_LIBRARY to an "
            "ONNX Runtime with CUDA, name engine 'torchscript', or let networks run on the processor");
    }
    if (const auto* const engine = find(name)) return engine->create(options);
#if defined(JIFF_HAVE_ONNXRUNTIME)
    if (name == "onnxruntime") return create_onnxruntime_engine(options);  // says why it cannot be used
#endif
    fail_missing(name);
}

}  // namespace jiff
