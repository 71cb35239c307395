// What engines share: their errors, and what they ask of their options and inputs.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

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

// What an engine computes in on each of its devices.
using DevicesAndPrecisions = std::map<std::string, std::vector<std::string>>;

// Throws Error(kEngine) when `options` ask for something else.
inline void check_options(const std::string& engine, const EngineOptions& options,
                          const DevicesAndPrecisions& has) {
    const auto refuse = [&](const std::string& what, const std::string& got, const std::string& there) {
        fail_engine("engine '" + engine + "' has no " + what + " '" + got + "'; it has: " + there);
    };
    const auto join = [](const std::string& list, const std::string& name) {
        return list.empty() ? name : list + ", " + name;
    };
    std::string devices, precisions;
    for (const auto& device : has) devices = join(devices, device.first);
    const auto device = has.find(options.device);
    if (device == has.end()) refuse("device", options.device, devices);
    for (const auto& precision : device->second) precisions = join(precisions, precision);
    const auto& there = device->second;
    if (std::find(there.begin(), there.end(), options.precision) == there.end())
        refuse("precision", options.precision, precisions);
}

// Of the files, for an engine that takes other ones for "f16".
inline std::string precision_of_files(const EngineOptions& options) {
    return options.precision == "f16" ? "fp16" : "fp32";
}

// What `inputs` hold under any of the `names` of one input, views or tensors of the GPU. Throws
// Error(kEngine) when that is nothing of this shape.
template <typename Tensors, typename Names>
const typename Tensors::mapped_type& given_input(const Tensors& inputs, const Names& names,
                                                 const Shape& shape, const std::string& graph) {
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
