// How long work tells its caller where it stands, and how the caller stops it.
#pragma once

#include <functional>
#include <string>

#include "core/status.h"

namespace jiff {

// Called with a stage name and the finished fraction of the whole, 0 to 1. Returning false cancels.
using ProgressCallback = std::function<bool(const std::string& stage, float fraction)>;

// Reports, and throws Error(kCancelled) when the caller asks to stop.
inline void report(const ProgressCallback& progress, const std::string& stage, float fraction) {
    if (progress && !progress(stage, fraction)) {
        throw Error(ErrorCode::kCancelled,
                    "reconstruction cancelled by its progress callback during '" + stage + "'");
    }
}

}  // namespace jiff
