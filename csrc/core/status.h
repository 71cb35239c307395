// Errors of the core: one exception type with a code; codes become status values at the C
// boundary and exception classes in Python.
#pragma once

#include <stdexcept>
#include <string>

namespace jiff {

enum class ErrorCode {
    kInvalidArgument,  // an option or array that cannot be used
    kInvalidImage,     // a photograph that cannot be used
    kInvalidMask,      // a mask that is empty or of the wrong size
    kNoPerson,         // nobody was found in the photograph
    kEmptySurface,     // the implicit function has no surface inside the frame
    kInvalidField,     // the implicit function returned NaN
    kBundle,           // a bundle file is missing, altered, truncated or of a newer schema
    kEngine,           // an engine is unknown, missing or failed
    kDevice,           // a GPU is missing, too old, out of memory or failed
    kCancelled,        // the caller's progress callback asked to stop
};

// "invalid_argument" for kInvalidArgument, and so on: the spelling that Python sees.
const char* name(ErrorCode code) noexcept;

class Error : public std::runtime_error {
  public:
    Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ErrorCode code() const noexcept { return code_; }

  private:
    ErrorCode code_;
};

}  // namespace jiff
