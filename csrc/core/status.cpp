#include "core/status.h"

namespace jiff {

const char* name(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::kInvalidArgument:
            return "invalid_argument";
        case ErrorCode::kInvalidImage:
            return "invalid_image";
        case ErrorCode::kInvalidMask:
            return "invalid_mask";
        case ErrorCode::kNoPerson:
            return "no_person";
        case ErrorCode::kEmptySurface:
            return "empty_surface";
        case ErrorCode::kInvalidField:
            return "invalid_field";
        case ErrorCode::kBundle:
            return "bundle";
        case ErrorCode::kEngine:
            return "engine";
        case ErrorCode::kDevice:
            return "device";
        case ErrorCode::kCancelled:
            return "cancelled";
    }
    return "unknown";
}

}  // namespace jiff
