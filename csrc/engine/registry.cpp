#include "engine/registry.h"

#include "core/status.h"
#if defined(JIFF_HAVE_OPENVINO)
#include "engine/openvino.h"
#endif

namespace jiff {
namespace {

// What to say of an engine that this project has, but this build has not.
struct KnownEngine {
    const char* name;
    const char* remedy;
};
constexpr KnownEngine kKnownEngines[] = {
    {"openvino", "build the library with -DJIFF_ENGINE_OPENVINO=ON, where OpenVINO is installed"},
};

std::string listed_names() {
    std::string text;
    for (const auto& engine : registered_engines())
        text += (text.empty() ? "" : ", ") + std::string(engine.name);
    return text.empty() ? "none" : text;
}

const RegisteredEngine& find(const std::string& name) {
    for (const auto& engine : registered_engines()) {
        if (name == engine.name) return engine;
    }
    for (const auto& known : kKnownEngines) {
        if (name == known.name)
            throw Error(ErrorCode::kEngine,
                        "engine '" + name + "' is not in this build of the library; " + known.remedy);
    }
    throw Error(ErrorCode::kEngine,
                "unknown engine '" + name + "'; this build of the library has: " + listed_names());
}

}  // namespace

const std::vector<RegisteredEngine>& registered_engines() {
    static const auto* const engines = new std::vector<RegisteredEngine> {
#if defined(JIFF_HAVE_OPENVINO)
        {"openvino", openvino_version, create_openvino_engine},
#endif
    };
    return *engines;
}

const char* const* engine_names() {
    static const auto* const names = [] {
        auto* list = new std::vector<const char*>;
        for (const auto& engine : registered_engines()) list->push_back(engine.name);
        list->push_back(nullptr);
        return list;
    }();
    return names->data();
}

const char* registered_name(const std::string& name) { return find(name).name; }

std::shared_ptr<Engine> create_engine(const std::string& name, const EngineOptions& options) {
    if (options.num_threads < 0 || options.num_threads > 1024) {
        throw Error(ErrorCode::kInvalidArgument, "num_threads must be from 1 to 1024, got " +
                                                     std::to_string(options.num_threads) +
                                                     "; 0 lets the engine choose");
    }
    if (name == "auto") {
        if (registered_engines().empty()) {
            throw Error(ErrorCode::kEngine,
                        std::string("this build of the library has no engine; ") + kKnownEngines[0].remedy);
        }
        return registered_engines().front().create(options);
    }
    return find(name).create(options);
}

}  // namespace jiff
