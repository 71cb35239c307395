#include "api/log.h"

#include <mutex>

#include "api/guard.h"

namespace jiff::api {
namespace {

struct Sink {
    std::recursive_mutex mutex;  // held during a call, which may come back
    jiff_log_callback callback = nullptr;
    void* user_data = nullptr;
};

// Never destroyed: other threads may still speak while the process ends.
Sink& sink() {
    static Sink* const instance = new Sink;
    return *instance;
}

void say(std::int32_t level, const std::string& message) {
    Sink& to = sink();
    const std::lock_guard<std::recursive_mutex> lock(to.mutex);
    if (to.callback == nullptr) return;
    try {
        to.callback(level, message.c_str(), to.user_data);
    } catch (...) {
        // What is only told must not fail what is done.
    }
}

}  // namespace

void log_info(const std::string& message) { say(JIFF_LOG_INFO, message); }
void log_warning(const std::string& message) { say(JIFF_LOG_WARNING, message); }

}  // namespace jiff::api

extern "C" jiff_status jiff_set_log_callback(jiff_log_callback callback, void* user_data) {
    return jiff::api::guarded([&] {
        jiff::api::Sink& to = jiff::api::sink();
        const std::lock_guard<std::recursive_mutex> lock(to.mutex);
        to.callback = callback;
        to.user_data = user_data;
    });
}
