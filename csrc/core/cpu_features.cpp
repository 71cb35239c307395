#include "core/cpu_features.h"

#include <cstdlib>

#include "core/status.h"

namespace jiff {

const char* name(SimdLevel level) noexcept {
    switch (level) {
        case SimdLevel::kPortable:
            return "portable";
        case SimdLevel::kAvx2:
            return "avx2";
        case SimdLevel::kAvx512:
            return "avx512";
    }
    return "unknown";
}

std::vector<SimdLevel> supported_simd_levels() {
    std::vector<SimdLevel> levels = {SimdLevel::kPortable};
#if defined(JIFF_HAVE_X86_KERNELS)
    // The compiler's check also asks whether the operating system saves the wide registers.
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw");
    if (has_avx2) levels.push_back(SimdLevel::kAvx2);
    if (has_avx512) levels.push_back(SimdLevel::kAvx512);
#endif
    return levels;
}

SimdLevel choose_simd_level() {
    const std::vector<SimdLevel> levels = supported_simd_levels();
    const char* wanted = std::getenv("JIFF_SIMD_LEVEL");
    if (!wanted || !*wanted) return levels.back();
    std::string supported;
    for (const SimdLevel level : levels) {
        if (std::string(wanted) == name(level)) return level;
        supported += (supported.empty() ? "" : ", ") + std::string(name(level));
    }
    throw Error(ErrorCode::kInvalidArgument,
                "JIFF_SIMD_LEVEL is '" + std::string(wanted) +
                    "', which is unknown or not supported here; supported: " + supported);
}

}  // namespace jiff
