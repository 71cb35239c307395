// Which instruction set the kernels use.
#pragma once

#include <string>
#include <vector>

namespace jiff {

enum class SimdLevel { kPortable, kAvx2, kAvx512 };  // ascending

const char* name(SimdLevel level) noexcept;  // "portable", "avx2", "avx512"

// The levels that were compiled and that this processor has, ascending.
std::vector<SimdLevel> supported_simd_levels();

// The highest supported level, or the one named by the environment variable JIFF_SIMD_LEVEL, which is
// read at each call. Throws Error(kInvalidArgument) when that name is unknown or not supported here.
SimdLevel choose_simd_level();

}  // namespace jiff
