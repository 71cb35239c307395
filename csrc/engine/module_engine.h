// Engines that come as modules: shared libraries that are found when the program runs
// (csrc/include/jiff/engine_module.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/registry.h"

namespace jiff {

struct FoundModule {
    std::string name, path;
};

// Files named libjiff_engine_NAME.so in the directories of JIFF_ENGINE_PATH and beside this library, by name.
// Of several with one name the first is taken. Nothing is loaded.
std::vector<FoundModule> find_engine_modules();

// Loads the module. Throws Error(kEngine) when it cannot be loaded, is of another version of the interface,
// or has no such device or precision.
std::shared_ptr<Engine> create_module_engine(const FoundModule& module, const EngineOptions& options);

}  // namespace jiff
