// Products of bf16 and of whole numbers of eight bits by AMX tiles: an instruction multiplies 16 points by 32
// or 64 inputs with 16 outputs. All else is AVX-512's.
#if defined(JIFF_HAVE_AMX)
#include "ops/layer_kernel_bf16.inl"

namespace jiff {
namespace {

constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;  // of a row

// What LDTILECFG reads: palette 1 is eight tiles of at most 16 rows of 64 bytes.
struct alignas(64) TileConfig {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t num_rows[16] = {};
};

// Tiles 0 to 3 hold sums (first and second points, each first and second outputs), 4 and 5 inputs of the
// first and second points, 6 and 7 weights of the first and second outputs.
struct Bf16Tiles {
    using Input = Bf16;
    using Weight = Bf16;
    using Sum = float;
    static void first_with_first() { _tile_dpbf16ps(0, 4, 6); }
    static void first_with_second() { _tile_dpbf16ps(1, 4, 7); }
    static void second_with_first() { _tile_dpbf16ps(2, 5, 6); }
    static void second_with_second() { _tile_dpbf16ps(3, 5, 7); }
};

struct Int8Tiles {
    using Input = std::uint8_t;
    using Weight = std::int8_t;
    using Sum = std::int32_t;
    static void first_with_first() { _tile_dpbusd(0, 4, 6); }
    static void first_with_second() { _tile_dpbusd(1, 4, 7); }
    static void second_with_first() { _tile_dpbusd(2, 5, 6); }
    static void second_with_second() { _tile_dpbusd(3, 5, 7); }
};

struct TileKernel {
    // Two tiles of points by two of outputs: four products for four loads, which take half as long.
    static constexpr int kPoints = 2 * kTileRows, kOutputs = 2 * kTileRows;
    using Fp32 = VnniBase;

    // What `memory` leads to is written before the instructions that follow, which do not say what they read.
    static void written(const void* memory) { asm volatile("" ::"r"(memory) : "memory"); }

    static void configure(std::int64_t num_points) {
        TileConfig config;
        for (int tile = 0; tile < 8; ++tile) {
            const bool is_second = tile == 2 || tile == 3 || tile == 5, is_weights = tile > 5;
            const std::int64_t left = num_points - (is_second ? kTileRows : 0);
            if (left <= 0 && !is_weights) continue;
            config.row_bytes[tile] = kTileBytes;
            config.num_rows[tile] =
                static_cast<std::uint8_t>(is_weights || left > kTileRows ? kTileRows : left);
        }
        written(&config);
        _tile_loadconfig(&config);
    }

    // Of points to `sums` [kPoints, kOutputs]; `kHasSecond` where they are more than kTileRows.
    template <typename Tiles, bool kHasSecond>
    static void sum(std::int64_t depth, const typename Tiles::Input* inputs, std::int64_t input_stride,
                    const typename Tiles::Weight* strip, typename Tiles::Sum* sums) {
        constexpr std::int64_t kDepth = kTileBytes / sizeof(typename Tiles::Input);
        constexpr std::int64_t kStripBytes = 4 * kOutputs, kSumBytes = 4 * kOutputs;
        const std::int64_t input_bytes = input_stride * sizeof(typename Tiles::Input);
        const typename Tiles::Input* second_inputs = inputs + kTileRows * input_stride;
        typename Tiles::Sum* second_sums = sums + kTileRows * kOutputs;
        _tile_zero(0);
        _tile_zero(1);
        if constexpr (kHasSecond) {
            _tile_zero(2);
            _tile_zero(3);
        }
        for (std::int64_t k = 0; k < depth; k += kDepth) {
            _tile_loadd(4, inputs + k, input_bytes);
            _tile_loadd(6, strip + k * kOutputs, kStripBytes);
            _tile_loadd(7, strip + k * kOutputs + kDepth, kStripBytes);
            Tiles::first_with_first();
            if constexpr (kHasSecond) _tile_loadd(5, second_inputs + k, input_bytes);
            Tiles::first_with_second();
            if constexpr (kHasSecond) {
                Tiles::second_with_first();
                Tiles::second_with_second();
            }
        }
        _tile_stored(0, sums, kSumBytes);
        _tile_stored(1, sums + kTileRows, kSumBytes);
        if constexpr (kHasSecond) {
            _tile_stored(2, second_sums, kSumBytes);
            _tile_stored(3, second_sums + kTileRows, kSumBytes);
        }
    }

    // Gives finish(p, count, sums) the sums of `count` points from p on. Points are few or many, a sum is the
    // same: in bf16 of each pair's first and second product apart, 32 inputs at a time.
    template <typename Tiles, typename Finish>
    static void sum_all(std::int64_t num_rows, std::int64_t depth, const typename Tiles::Input* inputs,
                        std::int64_t input_stride, const typename Tiles::Weight* strip,
                        const Finish& finish) {
        alignas(64) typename Tiles::Sum sums[kPoints * kOutputs];
        written(inputs);
        std::int64_t configured = 0;
        for (std::int64_t p = 0; p < num_rows; p += kPoints) {
            const std::int64_t count = num_rows - p < kPoints ? num_rows - p : kPoints;
            if (count != configured) configure(count);
            configured = count;
            const typename Tiles::Input* rows = inputs + p * input_stride;
            if (count > kTileRows) {
                sum<Tiles, true>(depth, rows, input_stride, strip, sums);
            } else {
                sum<Tiles, false>(depth, rows, input_stride, strip, sums);
            }
            finish(p, count, sums);
        }
        _tile_release();
    }

    static void multiply_bf16(std::int64_t num_rows, std::int64_t depth, const Bf16* inputs,
                              std::int64_t input_stride, const Bf16* strip, LayerAddends addends,
                              bool rectify, Bf16Products products) {
        sum_all<Bf16Tiles>(
            num_rows, depth, inputs, input_stride, strip,
            [&](std::int64_t p, std::int64_t count, const float* sums) {
                finish(count, sums, {addends.rows + p, addends.offset}, rectify, from_row(products, p));
            });
    }

    static void multiply_int8(std::int64_t num_rows, std::int64_t depth, const std::uint8_t* levels,
                              std::int64_t level_stride, const QuantizedRow* rows, const std::int8_t* strip,
                              StripFactors factors, LayerAddends addends, bool rectify, float* products,
                              std::int64_t product_stride) {
        sum_all<Int8Tiles>(num_rows, depth, levels, level_stride, strip,
                           [&](std::int64_t first, std::int64_t count, const std::int32_t* sums) {
                               for (std::int64_t i = 0; i < count; ++i) {
                                   const std::int64_t p = first + i;
                                   float* to = products + p * product_stride;
                                   const float* start = addends.rows ? addends.rows[p] + addends.offset : to;
                                   finish_int8(sums + i * kOutputs, rows[p], factors, start, rectify, to);
                               }
                           });
    }

    static void finish_int8(const std::int32_t* sums, const QuantizedRow& row, StripFactors factors,
                            const float* start, bool rectify, float* products) {
#pragma GCC unroll 2
        for (int o = 0; o < kOutputs; o += 16) {
            Fp32::Ints sum;
            __builtin_memcpy(&sum, sums + o, sizeof(sum));
            const Fp32::Vector whole = __builtin_convertvector(sum, Fp32::Vector);
            const Fp32::Vector value = Fp32::scaled(whole, row, factors, o) + Fp32::load(start + o);
            Fp32::store(rectify ? Fp32::rectified(value) : value, products + o);
        }
    }

    // In bf16 what a sum starts from is added at the end.
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

constexpr LayerKernel tile_kernel() {
    LayerKernel kernel = vnni_kernel();
    kernel.bf16_depth_grain = kTileBytes / sizeof(Bf16);
    kernel.int8_depth_grain = kTileBytes;
    kernel.multiply_bf16 = TileKernel::multiply_bf16;
    kernel.multiply_int8 = TileKernel::multiply_int8;
    return kernel;
}

}  // namespace

const LayerKernel kAmxBf16LayerKernel = tile_kernel();

}  // namespace jiff

#endif
