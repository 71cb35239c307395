// What the kernels that compute in bf16 share. For files with AVX-512 BF16 and VNNI, which come together.
#include "ops/layer_kernel_vnni.inl"

namespace jiff {
namespace {

// Sixteen sums of a product become its values from `at` on.
inline void store_product(__m512 sum, bool rectify, Bf16Products products, std::int64_t at) {
    using Fp32 = VectorKernel<16, 2, 12>;
    const __m512 value = rectify ? (__m512)Fp32::rectified((Fp32::Vector)sum) : sum;
    if (products.rounded) {
        const __m256bh rounded = _mm512_cvtneps_pbh(value);
        __builtin_memcpy(products.rounded + at, &rounded, sizeof(rounded));
    } else {
        _mm512_storeu_ps(products.sums + at, value);
    }
}

}  // namespace
}  // namespace jiff
