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

void check_faces(const std::int32_t* faces, std::int64_t num_faces, std::int64_t num_vertices) {
    for (std::int64_t i = 0; i < 3 * num_faces; ++i) {
        if (faces[i] >= 0 && faces[i] < num_vertices) continue;
        throw Error(ErrorCode::kInvalidArgument, "face " + std::to_string(i / 3) + " names vertex " +
                                                     std::to_string(faces[i]) + " of " +
                                                     std::to_string(num_vertices));
    }
}

}  // namespace jiff
