// What kernels compute in. No code: kernel files of every instruction set include it.
#pragma once

#include <cstdint>

namespace jiff {

// kBf16: products of bfloat16 numbers, sums in float32. kInt8: products and sums of whole numbers of eight
// bits, scaled to each row's range.
enum class Precision { kFp32, kBf16, kInt8 };

// The upper half of a float32: its range, with eight bits of precision.
struct Bf16 {
    std::uint16_t bits;
};

}  // namespace jiff
