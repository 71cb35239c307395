// The kernels of layer_kernel.h, written once for vectors of any width. Included by the files
// layer_kernel_*.cpp, each compiled with its own instructions.
#include "ops/layer_kernel.h"

namespace jiff {
namespace {

inline Bf16Products from_row(Bf16Products products, std::int64_t row) {
    const std::int64_t at = row * products.stride;
    return {products.rounded ? products.rounded + at : nullptr, products.sums ? products.sums + at : nullptr,
            products.stride};
}

using MultiplyPairs = void (*)(std::int64_t num_pairs, const Bf16* inputs, std::int64_t input_stride,
                               const Bf16* strip, LayerAddends addends, bool rectify, Bf16Products products);

// LayerKernel::multiply_bf16 by what multiplies kPoints rows.
template <int kPoints, MultiplyPairs multiply_pairs>
void multiply_rows(std::int64_t num_rows, std::int64_t depth, const Bf16* inputs, std::int64_t input_stride,
                   const Bf16* strip, LayerAddends addends, bool rectify, Bf16Products products) {
    for (std::int64_t p = 0; p < num_rows; p += kPoints) {
        multiply_pairs(depth / 2, inputs + p * input_stride, input_stride, strip,
                       {addends.rows + p, addends.offset}, rectify, from_row(products, p));
    }
}

// kWidth floats a vector, kVectors vectors of outputs, kPoints points. The kPoints × kVectors sums must
// fit the registers of the instruction set.
template <int kWidth, int kVectors, int kPoints>
struct VectorKernel {
    typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
    typedef unsigned Bits __attribute__((vector_size(kWidth * sizeof(float))));
    static constexpr int kOutputs = kWidth * kVectors;

    static Vector load(const float* from) {
        Vector vector;
        __builtin_memcpy(&vector, from, sizeof(vector));
        return vector;
    }
    static void store(Vector vector, float* to) { __builtin_memcpy(to, &vector, sizeof(vector)); }

    // A NaN is not positive and stays NaN when scaled.
    static Vector rectified(Vector value) { return value > 0.0f ? value : value * 0.01f; }

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
                const Vector value = sum[p][v];
                store(rectify ? rectified(value) : value, products + p * product_stride + v * kWidth);
            }
        }
    }

    // Of pairs of bf16: what stands first in memory is the lower half.
    static Vector first_of(Bits pairs) { return reinterpret_cast<Vector>(pairs << 16); }
    static Vector second_of(Bits pairs) { return reinterpret_cast<Vector>(pairs & 0xffff0000u); }

    static Bits load_pairs(const Bf16* from) {
        Bits pairs;
        __builtin_memcpy(&pairs, from, sizeof(pairs));
        return pairs;
    }
    static Bits broadcast_pair(const Bf16* from) {
        std::uint32_t pair;
        __builtin_memcpy(&pair, from, sizeof(pair));
        return pair - Bits{};
    }

    // As to_bf16 in core/bfloat16.h, in the upper halves; what the lower ones hold has no meaning.
    static Bits rounded_bits(Vector value) {
        const Bits bits = reinterpret_cast<Bits>(value);
        const Bits nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
        return value != value ? bits | 0x400000u : nearest;
    }
    static void store_rounded(Vector value, Bf16* to) {
        const Bits rounded = rounded_bits(value);
        unsigned lanes[kWidth];
        __builtin_memcpy(lanes, &rounded, sizeof(lanes));
        for (int i = 0; i < kWidth; ++i) to[i].bits = static_cast<std::uint16_t>(lanes[i] >> 16);
    }

    static void multiply_pairs(std::int64_t num_pairs, const Bf16* inputs, std::int64_t input_stride,
                               const Bf16* strip, LayerAddends addends, bool rectify, Bf16Products products) {
        Vector sum[kPoints][kVectors];
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v)
                sum[p][v] = load(addends.rows[p] + addends.offset + v * kWidth);
        }
        for (std::int64_t k = 0; k < num_pairs; ++k) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                const Bits weights = load_pairs(strip + 2 * (k * kOutputs + v * kWidth));
#pragma GCC unroll 16
                for (int p = 0; p < kPoints; ++p) {
                    const Bits input = broadcast_pair(inputs + p * input_stride + 2 * k);
                    sum[p][v] += second_of(input) * second_of(weights);
                    sum[p][v] += first_of(input) * first_of(weights);
                }
            }
        }
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                const Vector value = rectify ? rectified(sum[p][v]) : sum[p][v];
                const std::int64_t at = p * products.stride + v * kWidth;
                if (products.rounded) {
                    store_rounded(value, products.rounded + at);
                } else {
                    store(value, products.sums + at);
                }
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

    static_assert(kVectors == 2, "a rounded strip is pairs of a number of the first vector and the second");

    static void blend_bf16(std::int64_t num_rows, const Bf16* const* rows, const float* weights,
                           const float* biases, std::int64_t offset, std::int64_t size, float* blend) {
        for (std::int64_t o = 0; o < size; o += kOutputs) {
            Vector first = load(biases + offset + o), second = load(biases + offset + o + kWidth);
            for (std::int64_t t = 0; t < num_rows; ++t) {
                const Vector weight = weights[t] - Vector{};
                const Bits pairs = load_pairs(rows[t] + offset + o);
                first += weight * first_of(pairs);
                second += weight * second_of(pairs);
            }
            store(first, blend + o);
            store(second, blend + o + kWidth);
        }
    }

    static void round_row(std::int64_t size, const float* row, Bf16* rounded) {
        for (std::int64_t o = 0; o < size; o += kOutputs) {
            const Bits first = rounded_bits(load(row + o)), second = rounded_bits(load(row + o + kWidth));
            const Bits pairs = (first >> 16) | (second & 0xffff0000u);
            __builtin_memcpy(rounded + o, &pairs, sizeof(pairs));
        }
    }

    static constexpr LayerKernel table() {
        return {kPoints, kOutputs,   2,        multiply, multiply_rows<kPoints, multiply_pairs>,
                blend,   blend_bf16, round_row};
    }
};

}  // namespace
}  // namespace jiff
