// The kernels of layer_kernel.h, written once for vectors of any width. Included by the three files
// layer_kernel_*.cpp, each compiled with its own instructions.
#include "ops/layer_kernel.h"

namespace jiff {
namespace {

// kWidth floats a vector, kVectors vectors of outputs, kPoints points. The kPoints × kVectors sums must
// fit the registers of the instruction set.
template <int kWidth, int kVectors, int kPoints>
struct VectorKernel {
    typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
    static constexpr int kOutputs = kWidth * kVectors;

    static Vector load(const float* from) {
        Vector vector;
        __builtin_memcpy(&vector, from, sizeof(vector));
        return vector;
    }
    static void store(Vector vector, float* to) { __builtin_memcpy(to, &vector, sizeof(vector)); }

    static void multiply(std::int64_t depth, const float* inputs, std::int64_t input_stride,
                         const float* strip, LayerAddends addends, bool rectify, float* products,
                         std::int64_t product_stride) {
        Vector sum[kPoints][kVectors];
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
            const float* from =
                addends.rows ? addends.rows[p] + addends.offset : products + p * product_stride;
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) sum[p][v] = load(from + v * kWidth);
        }
        for (std::int64_t k = 0; k < depth; ++k) {
            Vector weight[kVectors];
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) weight[v] = load(strip + k * kOutputs + v * kWidth);
#pragma GCC unroll 16
            for (int p = 0; p < kPoints; ++p) {
                const Vector input = inputs[p * input_stride + k] - Vector{};
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) sum[p][v] += input * weight[v];
            }
        }
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                // A NaN is not positive and stays NaN when scaled.
                const Vector value = sum[p][v];
                const Vector rectified = value > 0.0f ? value : value * 0.01f;
                store(rectify ? rectified : value, products + p * product_stride + v * kWidth);
            }
        }
    }

    static void blend(std::int64_t num_rows, const float* const* rows, const float* weights,
                      const float* biases, std::int64_t offset, std::int64_t size, float* blend) {
        for (std::int64_t o = 0; o < size; o += kOutputs) {
            Vector sum[kVectors];
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) sum[v] = load(biases + offset + o + v * kWidth);
            for (std::int64_t t = 0; t < num_rows; ++t) {
                const Vector weight = weights[t] - Vector{};
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) sum[v] += weight * load(rows[t] + offset + o + v * kWidth);
            }
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) store(sum[v], blend + o + v * kWidth);
        }
    }

    static constexpr LayerKernel table() { return {kPoints, kOutputs, multiply, blend}; }
};

}  // namespace
}  // namespace jiff
