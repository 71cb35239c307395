// The engines that this library has here, by name: built in, or found when the program runs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace jiff {

struct EngineOptions {
    std::string device = "cpu";  // or "cuda": the current GPU
    std::string precision = "f32";
    int num_threads = 0;        // 0: the engine's choice
    bool keeps_memory = false;  // of a network, between runs, where the engine could give it back
};

struct RegisteredEngine {
    std::string name;
    std::string version;  // of a module: where it lies
    std::function<std::shared_ptr<Engine>(const EngineOptions&)> create;
    // Known without starting it: a module may, of which that is not known.
    bool runs_on_gpu = false;
};

// The fastest first, modules last. Looked for once, in the first call.
const std::vector<RegisteredEngine>& registered_engines();

// The first that is known to run on the GPU, or null.
const RegisteredEngine* engine_of_gpu();

// Their names, ended by a null pointer; valid for ever.
const char* const* engine_names();

// The registry's own spelling of `name`, valid for ever. Throws Error(kEngine) when there is none.
const char* registered_name(const std::string& name);

// The engine called `name`; "auto" takes the first, for the GPU the first that is known to run there. Throws
// Error(kEngine) when there is no such engine, or it has no such device or precision, and
// Error(kInvalidArgument) on the number of threads. Nothing else is taken in its place.
std::shared_ptr<Engine> create_engine(const std::string& name, const EngineOptions& options);

}  // namespace jiff
