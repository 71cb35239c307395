// Products of bf16 by AMX tiles: an instruction multiplies 16 points by 32 inputs with 16 outputs. All else
// is AVX-512's.
#if defined(JIFF_HAVE_AMX)
#include "ops/layer_kernel_bf16.inl"

namespace jiff {
namespace {

constexpr int kTileRows = 16;
constexpr int kTileDepth = 32;  // bf16 numbers in the 64 bytes of a row

// What LDTILECFG reads: palette 1 is eight tiles of at most 16 rows of 64 bytes.
struct alignas(64) TileConfig {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t num_rows[16] = {};
};

struct TileKernel {
    // Two tiles of points by two of outputs: four products for four loads, which take half as long.
    static constexpr int kPoints = 2 * kTileRows, kOutputs = 2 * kTileRows;
    static constexpr int kFp32Points = 12;
    using Fp32 = VectorKernel<16, 2, kFp32Points>;

    // What `memory` leads to is written before the instructions that follow, which do not say what they read.
    static void written(const void* memory) { asm volatile("" ::"r"(memory) : "memory"); }

    // Tiles 0 to 3 hold sums (first and second points, each first and second outputs), 4 and 5 inputs of the
    // first and second points, 6 and 7 weights of the first and second outputs.
    static void configure(std::int64_t num_points) {
        TileConfig config;
        for (int tile = 0; tile < 8; ++tile) {
            const bool is_second = tile == 2 || tile == 3 || tile == 5, is_weights = tile > 5;
            const std::int64_t left = num_points - (is_second ? kTileRows : 0);
            if (left <= 0 && !is_weights) continue;
            config.row_bytes[tile] = 64;
            config.num_rows[tile] =
                static_cast<std::uint8_t>(is_weights || left > kTileRows ? kTileRows : left);
        }
        written(&config);
        _tile_loadconfig(&config);
    }

    // Of points to `sums` [kPoints, kOutputs]; `kHasSecond` where they are more than kTileRows.
    template <bool kHasSecond>
    static void sum(std::int64_t depth, const Bf16* inputs, std::int64_t input_stride, const Bf16* strip,
                    float* sums) {
        const Bf16* second_inputs = inputs + kTileRows * input_stride;
        float* second_sums = sums + kTileRows * kOutputs;
        _tile_zero(0);
        _tile_zero(1);
        if constexpr (kHasSecond) {
            _tile_zero(2);
            _tile_zero(3);
        }
        for (std::int64_t k = 0; k < depth; k += kTileDepth) {
            _tile_loadd(4, inputs + k, input_stride * sizeof(Bf16));
            _tile_loadd(6, strip + k * kOutputs, 2 * kOutputs * sizeof(Bf16));
            _tile_loadd(7, strip + k * kOutputs + kTileDepth, 2 * kOutputs * sizeof(Bf16));
            _tile_dpbf16ps(0, 4, 6);
            if constexpr (kHasSecond) _tile_loadd(5, second_inputs + k, input_stride * sizeof(Bf16));
            _tile_dpbf16ps(1, 4, 7);
            if constexpr (kHasSecond) {
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, sums, kOutputs * sizeof(float));
        _tile_stored(1, sums + kTileRows, kOutputs * sizeof(float));
        if constexpr (kHasSecond) {
            _tile_stored(2, second_sums, kOutputs * sizeof(float));
            _tile_stored(3, second_sums + kTileRows, kOutputs * sizeof(float));
        }
    }

    // Points are few or many, a sum is the same: of each pair's first and second product apart, 32 inputs at
    // a time, then what it starts from.
    static void multiply_bf16(std::int64_t num_rows, std::int64_t depth, const Bf16* inputs,
                              std::int64_t input_stride, const Bf16* strip, LayerAddends addends,
                              bool rectify, Bf16Products products) {
        alignas(64) float sums[kPoints * kOutputs];
        written(inputs);
        std::int64_t configured = 0;
        for (std::int64_t p = 0; p < num_rows; p += kPoints) {
            const std::int64_t count = num_rows - p < kPoints ? num_rows - p : kPoints;
            if (count != configured) configure(count);
            configured = count;
            const Bf16* rows = inputs + p * input_stride;
            if (count > kTileRows) {
                sum<true>(depth, rows, input_stride, strip, sums);
            } else {
                sum<false>(depth, rows, input_stride, strip, sums);
            }
            finish(count, sums, {addends.rows + p, addends.offset}, rectify, from_row(products, p));
        }
        _tile_release();
    }

    static void finish(std::int64_t count, const float* sums, LayerAddends addends, bool rectify,
                       Bf16Products products) {
        for (std::int64_t p = 0; p < count; ++p) {
            const float* start = addends.rows[p] + addends.offset;
#pragma GCC unroll 2
            for (int o = 0; o < kOutputs; o += 16) {
                const Fp32::Vector sum = Fp32::load(sums + p * kOutputs + o) + Fp32::load(start + o);
                store_product((__m512)sum, rectify, products, p * products.stride + o);
            }
        }
    }
};

}  // namespace

const LayerKernel kAmxBf16LayerKernel = {TileKernel::kFp32Points,
                                         TileKernel::kOutputs,
                                         kTileDepth,
                                         TileKernel::Fp32::multiply,
                                         TileKernel::multiply_bf16,
                                         TileKernel::Fp32::multiply_int8<add_four_products>,
                                         TileKernel::Fp32::quantize_row,
                                         TileKernel::Fp32::blend,
                                         TileKernel::Fp32::blend_bf16,
                                         TileKernel::Fp32::round_row};

}  // namespace jiff

#endif
