// The checks that operators on points and meshes make first.
#pragma once

#include <cstdint>

namespace jiff {

// Throws Error(kInvalidArgument) at the first NaN or infinity of `values` [N, C]; the message gives the
// name of the array, the row and the value.
void check_finite(const float* values, std::int64_t num_rows, std::int64_t num_columns, const char* name);

// Throws Error(kInvalidArgument) on the first of `faces` [num_faces, 3] that names a vertex that is not
// there.
void check_faces(const std::int32_t* faces, std::int64_t num_faces, std::int64_t num_vertices);

}  // namespace jiff
