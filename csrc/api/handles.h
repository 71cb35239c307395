// Handles of the C API: numbers that stand for shared objects.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "api/guard.h"

namespace jiff::api {

// A number that no handle of any kind had before.
std::uintptr_t next_handle_number();

// A handle is a number in the clothes of a pointer. So a handle that was freed, or that is of another kind,
// is told by looking it up: nothing that a caller passes is ever dereferenced.
template <typename Handle, typename Object>
class HandleTable {
  public:
    // `kind` is for messages: "jiff_bundle".
    explicit HandleTable(std::string kind) : kind_(std::move(kind)) {}

    Handle* add(std::shared_ptr<Object> object) {
        const std::uintptr_t number = next_handle_number();
        const std::unique_lock<std::shared_mutex> lock(mutex_);
        objects_.emplace(number, std::move(object));
        return reinterpret_cast<Handle*>(number);
    }

    // The object lives at least as long as what is returned. Throws InvalidHandle.
    std::shared_ptr<Object> get(const Handle* handle) const {
        const std::shared_lock<std::shared_mutex> lock(mutex_);
        const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
        if (found == objects_.end()) throw_invalid(handle);
        return found->second;
    }

    // Throws InvalidHandle, unless `handle` is null.
    void remove(const Handle* handle) {
        if (handle == nullptr) return;
        std::shared_ptr<Object> last;  // destroyed after the lock is gone
        const std::unique_lock<std::shared_mutex> lock(mutex_);
        const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
        if (found == objects_.end()) throw_invalid(handle);
        last = std::move(found->second);
        objects_.erase(found);
    }

  private:
    [[noreturn]] void throw_invalid(const Handle* handle) const {
        throw InvalidHandle(
            handle == nullptr ? "the " + kind_ + " is null; create it first"
                              : "this is no " + kind_ +
                                    " that is alive: it was freed, or comes from elsewhere; create another");
    }

    std::string kind_;
    mutable std::shared_mutex mutex_;
    std::unordered_map<std::uintptr_t, std::shared_ptr<Object>> objects_;
};

}  // namespace jiff::api
