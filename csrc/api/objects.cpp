#include "api/objects.h"

#include <atomic>

namespace jiff::api {

std::uintptr_t next_handle_number() {
    static std::atomic<std::uintptr_t> last{0};
    return ++last;
}

// The tables are never destroyed: a program may free its handles while its own static objects go.

HandleTable<jiff_bundle, const Bundle>& bundles() {
    static auto* const table = new HandleTable<jiff_bundle, const Bundle>("jiff_bundle");
    return *table;
}

HandleTable<jiff_reconstructor, const LoadedReconstructor>& reconstructors() {
    static auto* const table =
        new HandleTable<jiff_reconstructor, const LoadedReconstructor>("jiff_reconstructor");
    return *table;
}

HandleTable<jiff_reconstruction, const FinishedReconstruction>& reconstructions() {
    static auto* const table =
        new HandleTable<jiff_reconstruction, const FinishedReconstruction>("jiff_reconstruction");
    return *table;
}

}  // namespace jiff::api
