// Half precision, by the compiler's own type.
#pragma once

#include <cstdint>

#include "cuda_runtime.h"

struct __half {
    _Float16 value;
};
struct alignas(4) __half2 {
    __half x, y;
};

inline float __half2float(__half half) { return static_cast<float>(half.value); }
inline __half __float2half_rn(float value) { return {static_cast<_Float16>(value)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }

// Of pairs; a product and a sum of one instruction are rounded once.
inline float2 __half22float2(__half2 pair) { return {__half2float(pair.x), __half2float(pair.y)}; }
inline __half2 __float2half2_rn(float value) { return __floats2half2_rn(value, value); }
inline __half2 __low2half2(__half2 pair) { return {pair.x, pair.x}; }
inline __half2 __high2half2(__half2 pair) { return {pair.y, pair.y}; }
inline __half2 __hmul2(__half2 a, __half2 b) {
    const float2 x = __half22float2(a), y = __half22float2(b);
    return __floats2half2_rn(x.x * y.x, x.y * y.y);
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
    const float2 x = __half22float2(a), y = __half22float2(b), z = __half22float2(c);
    return __floats2half2_rn(x.x * y.x + z.x, x.y * y.y + z.y);
}
inline __half2 __hmax2(__half2 a, __half2 b) {
    const float2 x = __half22float2(a), y = __half22float2(b);
    return __floats2half2_rn(std::max(x.x, y.x), std::max(x.y, y.y));
}
