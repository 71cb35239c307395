// Which instruction set the kernels use.
#pragma once

#include <string>
#include <vector>

#include "core/precision.h"

namespace jiff {

// Ascending.
enum class SimdLevel { kPortable, kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16, kAmxBf16 };

// "portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16" or "amx_bf16".
const char* name(SimdLevel level) noexcept;

// The levels that were compiled and that this processor has, ascending.
std::vector<SimdLevel> supported_simd_levels();

// The highest supported level, or the one named by the environment variable JIFF_SIMD_LEVEL, which is
// read at each call. Throws Error(kInvalidArgument) when that name is unknown or not supported here.
SimdLevel choose_simd_level();

// "fp32", "bf16", "int8", or "auto": bf16 where the kernels of choose_simd_level() gain by it. Throws
// Error(kInvalidArgument) on another name.
Precision precision_named(const std::string& name);

const char* name(Precision precision) noexcept;

// Throws Error(kEngine) when the kernels of choose_simd_level() do not compute in `precision` any faster
// than in float32, with what to do. They give the same numbers all the same.
void require_precision(Precision precision);

}  // namespace jiff
