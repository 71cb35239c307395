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
    typedef int Ints __attribute__((vector_size(kWidth * sizeof(int))));
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

    // Of whole numbers, four in 32 bits: a sum goes on by the four products of levels with weights.
    static Ints add_products(Ints sum, Ints levels, Ints weights) {
#pragma GCC unroll 4
        for (int shift = 0; shift < 32; shift += 8) {
            sum += ((levels >> shift) & 0xff) * ((weights << (24 - shift)) >> 24);
        }
        return sum;
    }

    using AddProducts = Ints (*)(Ints sum, Ints levels, Ints weights);

    template <AddProducts add>
    static void multiply_int8(std::int64_t num_rows, std::int64_t depth, const std::uint8_t* levels,
                              std::int64_t level_stride, const QuantizedRow* rows, const std::int8_t* strip,
                              StripFactors factors, LayerAddends addends, bool rectify, float* products,
                              std::int64_t product_stride) {
        for (std::int64_t p = 0; p < num_rows; p += kPoints) {
            multiply_quads<add>(depth / 4, levels + p * level_stride, level_stride, rows + p, strip, factors,
                                {addends.rows ? addends.rows + p : nullptr, addends.offset}, rectify,
                                products + p * product_stride, product_stride);
        }
    }

    template <AddProducts add>
    static void multiply_quads(std::int64_t num_quads, const std::uint8_t* levels, std::int64_t level_stride,
                               const QuantizedRow* rows, const std::int8_t* strip, StripFactors factors,
                               LayerAddends addends, bool rectify, float* products,
                               std::int64_t product_stride) {
        Ints sum[kPoints][kVectors] = {};
        for (std::int64_t k = 0; k < num_quads; ++k) {
            Ints weights[kVectors];
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                __builtin_memcpy(&weights[v], strip + 4 * (k * kOutputs + v * kWidth), sizeof(Ints));
            }
#pragma GCC unroll 16
            for (int p = 0; p < kPoints; ++p) {
                std::int32_t quad;
                __builtin_memcpy(&quad, levels + p * level_stride + 4 * k, sizeof(quad));
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) sum[p][v] = add(sum[p][v], quad - Ints{}, weights[v]);
            }
        }
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) {
            float* to = products + p * product_stride;
            const float* start = addends.rows ? addends.rows[p] + addends.offset : to;
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                const Vector whole = __builtin_convertvector(sum[p][v], Vector);
                const Vector value = scaled(whole, rows[p], factors, v * kWidth) + load(start + v * kWidth);
                store(rectify ? rectified(value) : value, to + v * kWidth);
            }
        }
    }

    // What a sum of whole numbers stands for, with the rest of the row: of the outputs from `output` on.
    static Vector scaled(Vector sum, const QuantizedRow& row, StripFactors factors, int output) {
        Vector value = row.depth * load(factors.depth + output);
        value += row.low * load(factors.sum + output);
        value += (row.scale * load(factors.scale + output)) * sum;
        return value;
    }

    // The numbers from `first` on, and zeros after the last.
    static Vector load_part(const float* numbers, std::int64_t first, std::int64_t size) {
        if (first + kWidth <= size) return load(numbers + first);
        float part[kWidth] = {};
        for (std::int64_t i = first; i < size; ++i) part[i - first] = numbers[i];
        return load(part);
    }

    typedef float Four __attribute__((vector_size(16)));
    static Four least(Four a, Four b) { return a < b ? a : b; }
    static Four greatest(Four a, Four b) { return a > b ? a : b; }
    static Four total(Four a, Four b) { return a + b; }

    // Of all lanes, in halves.
    template <Four (*fold)(Four, Four)>
    static float fold_lanes(Vector value) {
        float lanes[kWidth];
        store(value, lanes);
        Four folded, next;
        __builtin_memcpy(&folded, lanes, sizeof(folded));
#pragma GCC unroll 4
        for (int i = 4; i < kWidth; i += 4) {
            __builtin_memcpy(&next, lanes + i, sizeof(next));
            folded = fold(folded, next);
        }
        folded = fold(folded, Four{folded[2], folded[3], 0.0f, 0.0f});
        return fold(folded, Four{folded[1], 0.0f, 0.0f, 0.0f})[0];
    }

    static void quantize_row(std::int64_t size, const float* numbers, std::uint8_t* levels,
                             QuantizedRow* row) {
        Vector lows = {}, highs = {}, zeros = {};
        for (std::int64_t k = 0; k < size; k += kWidth) {
            const Vector value = load_part(numbers, k, size);
            lows = value < lows ? value : lows;
            highs = value > highs ? value : highs;
            zeros += value * 0.0f;
        }
        const float low = fold_lanes<least>(lows), high = fold_lanes<greatest>(highs);
        const float scale = (high - low) / 255.0f + fold_lanes<total>(zeros);
        // Also where the scale is no number, which no level can mend.
        const float levels_per_one = scale > 1e-30f && scale < 1e37f ? 1.0f / scale : 0.0f;
        row->scale = scale;
        row->low = low;
        if (levels_per_one == 0.0f) {
            for (std::int64_t k = 0; k < size; ++k) levels[k] = 0;
            return;
        }
        for (std::int64_t k = 0; k < size; k += kWidth) {
            float lanes[kWidth];
            store((load_part(numbers, k, size) - low) * levels_per_one + 0.5f, lanes);
            if (k + kWidth <= size) {
                for (int i = 0; i < kWidth; ++i) levels[k + i] = whole_part(lanes[i]);
            } else {
                for (int i = 0; i < size - k; ++i) levels[k + i] = whole_part(lanes[i]);
            }
        }
    }

    static std::uint8_t whole_part(float number) {
        return static_cast<std::uint8_t>(static_cast<int>(number));
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
        return {kPoints,
                kOutputs,
                2,
                4,
                multiply,
                multiply_rows<kPoints, multiply_pairs>,
                multiply_int8<add_products>,
                quantize_row,
                blend,
                blend_bf16,
                round_row};
    }
};

}  // namespace
}  // namespace jiff
