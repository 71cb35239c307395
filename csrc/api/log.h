// What the library has to say, to the callback of jiff_set_log_callback.
#pragma once

#include <string>

namespace jiff::api {

void log_info(const std::string& message);
void log_warning(const std::string& message);

}  // namespace jiff::api
