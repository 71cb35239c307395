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
        case SimdLevel::kAvx512Bf16:
            return "avx512_bf16";
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
    if (has_avx512 && __builtin_cpu_supports("avx512bf16")) levels.push_back(SimdLevel::kAvx512Bf16);
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

Precision precision_named(const std::string& name) {
    if (name == "fp32") return Precision::kFp32;
    if (name == "bf16") return Precision::kBf16;
    if (name == "auto") {
        return choose_simd_level() == SimdLevel::kAvx512Bf16 ? Precision::kBf16 : Precision::kFp32;
    }
    throw Error(ErrorCode::kInvalidArgument,
                "precision must be 'auto', 'fp32' or 'bf16', got '" + name + "'");
}

void require_precision(Precision precision) {
    if (precision == Precision::kFp32 || choose_simd_level() == SimdLevel::kAvx512Bf16) return;
    const bool is_forced = supported_simd_levels().back() == SimdLevel::kAvx512Bf16;
    throw Error(ErrorCode::kEngine,
                is_forced ? "JIFF_SIMD_LEVEL is '" + std::string(name(choose_simd_level())) +
                                "', which does not compute in bf16; unset it, or ask for precision 'fp32'"
                          : "this processor does not compute in bf16 (it needs AVX-512 BF16); ask for "
                            "precision 'fp32'");
}

}  // namespace jiff
