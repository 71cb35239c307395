// What the kernels that multiply whole numbers of eight bits share, on top of layer_kernel.inl. For files
// with AVX-512 VNNI.
#include <immintrin.h>

#include "ops/layer_kernel.inl"

namespace jiff {
namespace {

// 32 registers of 16 numbers: 24 sums, 2 weights, 1 input.
using VnniBase = VectorKernel<16, 2, 12>;

inline VnniBase::Ints add_four_products(VnniBase::Ints sum, VnniBase::Ints levels, VnniBase::Ints weights) {
    return (VnniBase::Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)levels, (__m512i)weights);
}

constexpr LayerKernel vnni_kernel() {
    LayerKernel kernel = VnniBase::table();
    kernel.multiply_int8 = VnniBase::multiply_int8<add_four_products>;
    return kernel;
}

}  // namespace
}  // namespace jiff
