#include "ops/finite.h"

#include <cmath>
#include <string>

#include "core/status.h"

namespace jiff {

void check_finite(const float* values, std::int64_t num_rows, std::int64_t num_columns, const char* name) {
    for (std::int64_t i = 0; i < num_rows * num_columns; ++i) {
        if (std::isfinite(values[i])) continue;
        throw Error(ErrorCode::kInvalidArgument, std::string(name) + " must be finite, got " +
                                                     std::to_string(values[i]) + " in row " +
                                                     std::to_string(i / num_columns));
    }
}

}  // namespace jiff
