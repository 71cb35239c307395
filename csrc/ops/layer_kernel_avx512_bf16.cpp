// AVX-512 with a product of pairs of bf16: two multiply-adds a lane, at the rate of one in float32.
#if defined(JIFF_HAVE_X86_KERNELS)
#include "ops/layer_kernel_bf16.inl"

namespace jiff {
namespace {

struct PairKernel {
    static constexpr int kWidth = 16, kVectors = 2, kPoints = 12;
    static constexpr int kOutputs = kWidth * kVectors;
    using Fp32 = VectorKernel<kWidth, kVectors, kPoints>;

    // The instruction adds the second product, then the first, and takes what is too small to be normal for
    // zero.
    static void multiply_pairs(std::int64_t num_pairs, const Bf16* inputs, std::int64_t input_stride,
                               const Bf16* strip, LayerAddends addends, bool rectify, Bf16Products products) {
        __m512 sum[kPoints][kVectors];
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                sum[p][v] = _mm512_loadu_ps(addends.rows[p] + addends.offset + v * kWidth);
            }
        }
        for (std::int64_t k = 0; k < num_pairs; ++k) {
            __m512bh weights[kVectors];
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                weights[v] = (__m512bh)_mm512_loadu_si512(strip + 2 * (k * kOutputs + v * kWidth));
            }
#pragma GCC unroll 16
            for (int p = 0; p < kPoints; ++p) {
                const __m512bh input = (__m512bh)Fp32::broadcast_pair(inputs + p * input_stride + 2 * k);
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) {
                    sum[p][v] = _mm512_dpbf16_ps(sum[p][v], input, weights[v]);
                }
            }
        }
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                store_product(sum[p][v], rectify, products, p * products.stride + v * kWidth);
            }
        }
    }
};

constexpr LayerKernel bf16_kernel() {
    LayerKernel kernel = vnni_kernel();
    kernel.multiply_bf16 = multiply_rows<PairKernel::kPoints, PairKernel::multiply_pairs>;
    return kernel;
}

}  // namespace

const LayerKernel kAvx512Bf16LayerKernel = bf16_kernel();

}  // namespace jiff

#endif
