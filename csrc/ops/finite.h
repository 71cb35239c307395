// The check that every operator on points makes first.
#pragma once

#include <cstdint>

namespace jiff {

// Throws Error(kInvalidArgument) at the first NaN or infinity of `values` [N, C]; the message gives the
// name of the array, the row and the value.
void check_finite(const float* values, std::int64_t num_rows, std::int64_t num_columns, const char* name);

}  // namespace jiff
