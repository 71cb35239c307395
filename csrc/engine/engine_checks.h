// What engines share: their errors, and what they ask of their options and inputs.
#pragma once

#include <algorithm>
#include <string>

#include "core/status.h"
#include "engine/engine.h"
#include "engine/registry.h"

namespace jiff {

[[noreturn]] inline void fail_engine(const std::string& message) { throw Error(ErrorCode::kEngine, message); }

// A vendor's text as a message: one line, no runs of spaces.
inline std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == ' ' && b == ' '; }),
               text.end());
    return text;
}

// For engines that run on the CPU in float32 alone. Throws Error(kEngine).
inline void require_cpu_f32(const std::string& engine, const EngineOptions& options) {
    if (options.device != "cpu")
        fail_engine("engine '" + engine + "' has no device '" + options.device + "'; it has: cpu");
    if (options.precision != "f32")
        fail_engine("engine '" + engine + "' has no precision '" + options.precision + "'; it has: f32");
}

// What `inputs` hold under any of the `names` of one input. Throws Error(kEngine) when that is nothing of
// this shape.
template <typename Names>
const TensorView& given_input(const NamedViews& inputs, const Names& names, const Shape& shape,
                              const std::string& graph) {
    std::string got = "none";
    for (const auto& name : names) {
        const auto given = inputs.find(name);
        if (given == inputs.end()) continue;
        if (is_of_shape(given->second.shape, shape)) return given->second;
        got = to_string(given->second.shape);
    }
    fail_engine("input '" + *names.begin() + "' of graph '" + graph + "' must have shape " +
                to_string(shape) + ", got " + got);
}

}  // namespace jiff
