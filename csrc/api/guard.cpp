#include "api/guard.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "core/status.h"
#include "io/whole_file.h"

namespace jiff::api {
namespace {

// Storing a message must not fail, so it has its place beforehand.
constexpr std::size_t kMostMessageBytes = 2047;
thread_local char last_error[kMostMessageBytes + 1] = "";

void store(const char* message) noexcept {
    std::size_t length = std::strlen(message);
    if (length > kMostMessageBytes) {
        length = kMostMessageBytes;
        // Not within a character of several bytes: those after the first begin with the bits 10.
        while (length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0u) == 0x80u) --length;
    }
    std::memcpy(last_error, message, length);
    last_error[length] = '\0';
}

jiff_status status_of(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::kInvalidArgument:
            return JIFF_INVALID_ARGUMENT;
        case ErrorCode::kInvalidImage:
            return JIFF_INVALID_IMAGE;
        case ErrorCode::kInvalidMask:
            return JIFF_INVALID_MASK;
        case ErrorCode::kNoPerson:
            return JIFF_NO_PERSON;
        case ErrorCode::kEmptySurface:
            return JIFF_EMPTY_SURFACE;
        case ErrorCode::kInvalidField:
            return JIFF_INVALID_FIELD;
        case ErrorCode::kBundle:
            return JIFF_BUNDLE_ERROR;
        case ErrorCode::kEngine:
        case ErrorCode::kDevice:
            return JIFF_ENGINE_ERROR;
        case ErrorCode::kCancelled:
            return JIFF_CANCELLED;
    }
    return JIFF_INTERNAL_ERROR;
}

}  // namespace

jiff_status status_of_current_exception() noexcept {
    try {
        throw;
    } catch (const Error& error) {
        store(error.what());
        return status_of(error.code());
    } catch (const OutputError& error) {
        store(error.what());
        return JIFF_OUTPUT_ERROR;
    } catch (const InvalidHandle& error) {
        store(error.what());
        return JIFF_INVALID_HANDLE;
    } catch (const std::bad_alloc&) {
        store("there is not enough memory; lower the resolution or the size of the photograph");
        return JIFF_OUT_OF_MEMORY;
    } catch (const std::exception& error) {
        store(error.what());
        return JIFF_INTERNAL_ERROR;
    } catch (...) {
        store("a callback threw an exception of unknown type");
        return JIFF_INTERNAL_ERROR;
    }
}

void require(const void* pointer, const char* name) {
    if (pointer == nullptr)
        throw Error(ErrorCode::kInvalidArgument, "'" + std::string(name) + "' is null; give it a place");
}

}  // namespace jiff::api

extern "C" const char* jiff_last_error(void) { return jiff::api::last_error; }

extern "C" const char* jiff_status_name(jiff_status status) {
    switch (status) {
#define JIFF_NAME(status) \
    case status:          \
        return #status;
        JIFF_NAME(JIFF_OK)
        JIFF_NAME(JIFF_INVALID_ARGUMENT)
        JIFF_NAME(JIFF_INVALID_HANDLE)
        JIFF_NAME(JIFF_INVALID_IMAGE)
        JIFF_NAME(JIFF_INVALID_MASK)
        JIFF_NAME(JIFF_NO_PERSON)
        JIFF_NAME(JIFF_EMPTY_SURFACE)
        JIFF_NAME(JIFF_INVALID_FIELD)
        JIFF_NAME(JIFF_BUNDLE_ERROR)
        JIFF_NAME(JIFF_ENGINE_ERROR)
        JIFF_NAME(JIFF_OUTPUT_ERROR)
        JIFF_NAME(JIFF_CANCELLED)
        JIFF_NAME(JIFF_OUT_OF_MEMORY)
        JIFF_NAME(JIFF_INTERNAL_ERROR)
#undef JIFF_NAME
        default:
            return "unknown status";
    }
}
