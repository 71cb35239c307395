// jiff_version, jiff_build_info, jiff_engines
#include <string>

#include "api/guard.h"
#include "core/cpu_features.h"
#include "engine/registry.h"

namespace {

std::string describe_build() {
    std::string text = "jiff " JIFF_VERSION ", ";
#if defined(__clang__)
    text += "clang " __clang_version__;
#elif defined(__GNUC__)
    text += "gcc " __VERSION__;
#else
    text += "unknown compiler";
#endif
    text += std::string(", ") + jiff::name(jiff::choose_simd_level());
    const auto& engines = jiff::registered_engines();
    text += engines.empty() ? ", no engine" : "";
    for (const auto& engine : engines) text += ", " + engine.name + " " + engine.version;
    return text;
}

}  // namespace

extern "C" const char* jiff_version(void) { return JIFF_VERSION; }

extern "C" const char* jiff_build_info(void) {
    // Built once and kept for ever, like every text that is promised so.
    static const char* const text = [] {
        const std::string* made = nullptr;
        jiff::api::guarded([&] { made = new std::string(describe_build()); });
        return made == nullptr ? "jiff " JIFF_VERSION : made->c_str();
    }();
    return text;
}

extern "C" const char* const* jiff_engines(void) {
    static const char* const none[] = {nullptr};
    const char* const* names = none;
    jiff::api::guarded([&] { names = jiff::engine_names(); });
    return names;
}
