// The boundary of the C API: exceptions become status values and a message for jiff_last_error.
#pragma once

#include <stdexcept>

#include "jiff/jiff.h"

namespace jiff::api {

// A handle that is null, freed or of another kind.
class InvalidHandle : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Stores the message of the exception that is being handled and returns its status.
jiff_status status_of_current_exception() noexcept;

// Throws Error(kInvalidArgument) when `pointer` is null. `name` is the parameter's name in the header.
void require(const void* pointer, const char* name);

template <typename Call>
jiff_status guarded(Call&& call) noexcept {
    try {
        call();
        return JIFF_OK;
    } catch (...) {
        return status_of_current_exception();
    }
}

}  // namespace jiff::api
