#include "engine/shared_library.h"

#include <dlfcn.h>

#include <filesystem>

namespace jiff {

void* open_shared_library(const std::string& path, std::string* reason) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* const text = dlerror();
        *reason = text != nullptr ? text : "'" + path + "' cannot be loaded";
    }
    return library;
}

void* find_symbol(void* library, const char* name) { return dlsym(library, name); }

std::string own_directory() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(&open_shared_library), &info) == 0 || info.dli_fname == nullptr)
        return {};
    std::error_code error;
    const auto path = std::filesystem::canonical(info.dli_fname, error);
    return error ? std::string() : path.parent_path().string();
}

}  // namespace jiff
