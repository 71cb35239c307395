// Libraries that are loaded while the program runs. None is ever unloaded: their threads may live on.
#pragma once

#include <string>

namespace jiff {

// The library `path`, or of that name where the dynamic linker looks; null, and why in *reason, when it
// cannot be loaded. Its symbols stay its own.
void* open_shared_library(const std::string& path, std::string* reason);

// The symbol's address as a function of type `Function`; null when there is none.
void* find_symbol(void* library, const char* name);
template <typename Function>
Function* find_function(void* library, const char* name) {
    return reinterpret_cast<Function*>(find_symbol(library, name));
}

// Where the library, or the program, lies that this code is linked into; empty when that cannot be told.
std::string own_directory();

}  // namespace jiff
