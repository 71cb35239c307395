#include "core/cpu_features.h"

#include <cstdlib>

#include "core/status.h"

#if defined(JIFF_HAVE_AMX) && !defined(JIFF_AMX_EMULATED) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define JIFF_ASKS_FOR_AMX
#endif

namespace jiff {
namespace {

// Whether AMX tiles can be used, for which the system must be asked: it then saves 8 KB more of a thread.
bool may_use_amx() {
#if defined(JIFF_ASKS_FOR_AMX)
    static const bool is_permitted = [] {
        constexpr unsigned kTiles = 1u << 24 | 1u << 22 | 1u << 25;     // of leaf 7's edx: for bf16, for int8
        constexpr unsigned kSaved = 3u << 17, kSystemSaves = 1u << 27;  // of XCR0; of leaf 1's ecx
        constexpr long kRequestPermission = 0x1023, kTileData = 18;     // of arch_prctl
        unsigned a = 0, b = 0, c = 0, d = 0;
        if (!__get_cpuid(1, &a, &b, &c, &d) || (c & kSystemSaves) == 0) return false;
        if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTiles) != kTiles) return false;
        asm("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        if ((a & kSaved) != kSaved) return false;
        return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    }();
    return is_permitted;
#elif defined(JIFF_AMX_EMULATED)
    return std::getenv("JIFF_EMULATED_AMX") != nullptr;
#else
    return false;
#endif
}

// Whether the kernels of `level` gain by it.
bool computes_in(Precision precision, SimdLevel level) {
    switch (precision) {
        case Precision::kBf16:
            return level >= SimdLevel::kAvx512Bf16;
        case Precision::kInt8:
            return level >= SimdLevel::kAvx512Vnni;
        case Precision::kFp32:
            break;
    }
    return true;
}

}  // namespace

const char* name(SimdLevel level) noexcept {
    switch (level) {
        case SimdLevel::kPortable:
            return "portable";
        case SimdLevel::kAvx2:
            return "avx2";
        case SimdLevel::kAvx512:
            return "avx512";
        case SimdLevel::kAvx512Vnni:
            return "avx512_vnni";
        case SimdLevel::kAvx512Bf16:
            return "avx512_bf16";
        case SimdLevel::kAmxBf16:
            return "amx_bf16";
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
    const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
    if (has_vnni) levels.push_back(SimdLevel::kAvx512Vnni);
    const bool has_bf16 = has_vnni && __builtin_cpu_supports("avx512bf16");
    if (has_bf16) levels.push_back(SimdLevel::kAvx512Bf16);
    if (has_bf16 && may_use_amx()) levels.push_back(SimdLevel::kAmxBf16);
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
    if (name == "int8") return Precision::kInt8;
    if (name == "auto") {
        return computes_in(Precision::kBf16, choose_simd_level()) ? Precision::kBf16 : Precision::kFp32;
    }
    throw Error(ErrorCode::kInvalidArgument,
                "precision must be 'auto', 'fp32', 'bf16' or 'int8', got '" + name + "'");
}

const char* name(Precision precision) noexcept {
    switch (precision) {
        case Precision::kFp32:
            return "fp32";
        case Precision::kBf16:
            return "bf16";
        case Precision::kInt8:
            return "int8";
    }
    return "unknown";
}

void require_precision(Precision precision) {
    if (computes_in(precision, choose_simd_level())) return;
    const std::string wanted = name(precision), needed = precision == Precision::kBf16 ? "BF16" : "VNNI";
    const bool is_forced = computes_in(precision, supported_simd_levels().back());
    throw Error(ErrorCode::kEngine, is_forced
                                        ? "JIFF_SIMD_LEVEL is '" + std::string(name(choose_simd_level())) +
                                              "', which does not compute in " + wanted +
                                              "; unset it, or ask for precision 'fp32'"
                                        : "this processor does not compute in " + wanted +
                                              " (it needs AVX-512 " + needed + "); ask for precision 'fp32'");
}

}  // namespace jiff
