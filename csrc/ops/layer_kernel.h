// The inner loops of the implicit function, compiled once for each SIMD level. This header and the
// kernel files include nothing with inline code: a standard function compiled with wide instructions
// could otherwise be linked into code that must run without them.
#pragma once

#include <cstdint>

#include "core/precision.h"

namespace jiff {

// What a product starts from: row p begins at rows[p] + offset.
struct LayerAddends {
    const float* const* rows;
    std::int64_t offset;
};

// Where products of bf16 go: to `rounded`, or, where that is null, to `sums` as they are.
struct Bf16Products {
    Bf16* rounded;
    float* sums;
    std::int64_t stride;
};

// A row of numbers as whole ones: number k is low + scale · levels[k], to half a `scale`.
struct QuantizedRow {
    float scale;
    float low;
    float depth;  // of the row's point, which keeps its precision
};

// What each output of a strip is multiplied with: `scale` turns sums of whole numbers into its own, `sum` is
// that of its weights, `depth` is the depth's weight.
struct StripFactors {
    const float *scale, *sum, *depth;
};

// Activations stand in rows, one a point. Weights stand in strips of `num_outputs` outputs:
// value(depth k, output o) = strip[k * num_outputs + o], in bf16 strip[(k / 2 * num_outputs + o) * 2 + k %
// 2], in eight bits strip[(k / 4 * num_outputs + o) * 4 + k % 4].
struct LayerKernel {
    int num_points;        // rows that the products take at a time
    int num_outputs;       // of a strip
    int bf16_depth_grain;  // depths of multiply_bf16 are multiples of it
    int int8_depth_grain;  // depths of multiply_int8

    // products[p][o] = addends[p][o] + Σ_k inputs[p][k] · strip(k, o), for num_points rows and num_outputs
    // outputs, then leaky ReLU 0.01 if `rectify`. Where addends.rows is null the sum goes on from what
    // products hold. Each sum runs in the order of k, whatever stands in the other rows and outputs.
    void (*multiply)(std::int64_t depth, const float* inputs, std::int64_t input_stride, const float* strip,
                     LayerAddends addends, bool rectify, float* products, std::int64_t product_stride);

    // The same of bf16 numbers, with sums in float32, for num_rows rows; what is written, and what of the
    // addends is read, may be rounded up to num_points rows. Each sum has an order of its own, which depends
    // on `depth` alone.
    void (*multiply_bf16)(std::int64_t num_rows, std::int64_t depth, const Bf16* inputs,
                          std::int64_t input_stride, const Bf16* strip, LayerAddends addends, bool rectify,
                          Bf16Products products);

    // The same of whole numbers: products[p][o] = addends[p][o]
    // + rows[p].scale · factors.scale[o] · Σ_k levels[p][k] · strip(k, o) + rows[p].low · factors.sum[o]
    // + rows[p].depth · factors.depth[o]. The sum over k is exact.
    void (*multiply_int8)(std::int64_t num_rows, std::int64_t depth, const std::uint8_t* levels,
                          std::int64_t level_stride, const QuantizedRow* rows, const std::int8_t* strip,
                          StripFactors factors, LayerAddends addends, bool rectify, float* products,
                          std::int64_t product_stride);

    // Levels from 0 to 255 over the range of `size` numbers and 0. A row that holds what is no number, or
    // infinity, has a scale that is none.
    void (*quantize_row)(std::int64_t size, const float* numbers, std::uint8_t* levels, QuantizedRow* row);

    // blend[o] = biases[offset + o] + Σ_t weights[t] · rows[t][offset + o], for `size` outputs, a multiple of
    // num_outputs.
    void (*blend)(std::int64_t num_rows, const float* const* rows, const float* weights, const float* biases,
                  std::int64_t offset, std::int64_t size, float* blend);

    // The same of rows that round_row made.
    void (*blend_bf16)(std::int64_t num_rows, const Bf16* const* rows, const float* weights,
                       const float* biases, std::int64_t offset, std::int64_t size, float* blend);

    // Rounds `size` numbers, a multiple of num_outputs, for blend_bf16: the halves of each num_outputs of
    // them lie in turns.
    void (*round_row)(std::int64_t size, const float* row, Bf16* rounded);
};

extern const LayerKernel kPortableLayerKernel;
extern const LayerKernel kAvx2LayerKernel;
extern const LayerKernel kAvx512LayerKernel;
extern const LayerKernel kAvx512VnniLayerKernel;
extern const LayerKernel kAvx512Bf16LayerKernel;
extern const LayerKernel kAmxBf16LayerKernel;

}  // namespace jiff
