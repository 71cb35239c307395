// The kernels of layer_kernel.h, written once for vectors of any width. Included by the three files
// layer_kernel_*.cpp, each compiled with its own instructions.
#include "ops/layer_kernel.h"

namespace jiff {
namespace {

// kWidth floats a vector, kVectors vectors a panel row, kRows outputs a strip. The kRows × kVectors
// sums must fit the registers of the instruction set.
template <int kWidth, int kVectors, int kRows>
struct VectorKernel {
    typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
    typedef std::int32_t Lanes __attribute__((vector_size(kWidth * sizeof(float))));
    static constexpr int kLanes = kWidth * kVectors;

    static Vector load(const float* from) {
        Vector vector;
        __builtin_memcpy(&vector, from, sizeof(vector));
        return vector;
    }
    static void store(Vector vector, float* to) { __builtin_memcpy(to, &vector, sizeof(vector)); }

    static void multiply(std::int64_t depth, const float* strip, const float* panel, float* products,
                         bool accumulate) {
        Vector sum[kRows][kVectors];
#pragma GCC unroll 16
        for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) {
                sum[row][v] = accumulate ? load(products + row * kLanes + v * kWidth) : Vector{};
            }
        }
        for (std::int64_t k = 0; k < depth; ++k) {
            Vector x[kVectors];
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) x[v] = load(panel + k * kLanes + v * kWidth);
#pragma GCC unroll 16
            for (int row = 0; row < kRows; ++row) {
                const Vector weight = strip[k * kRows + row] - Vector{};
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) sum[row][v] += weight * x[v];
            }
        }
#pragma GCC unroll 16
        for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) store(sum[row][v], products + row * kLanes + v * kWidth);
        }
    }

    static void add_bias(std::int64_t num_rows, const float* bias, float* products) {
        for (std::int64_t row = 0; row < num_rows; ++row) {
            for (int v = 0; v < kVectors; ++v) {
                float* out = products + row * kLanes + v * kWidth;
                store(load(out) + bias[row], out);
            }
        }
    }

    static void add_shared(std::int64_t num_rows, const float* shared, const LaneSegment* segments,
                           std::int32_t num_segments, bool rectify, float* products) {
        // Scattered points: every lane has its own addend and they stand side by side.
        const bool is_contiguous =
            num_segments == kLanes && segments[kLanes - 1].offset - segments[0].offset == kLanes - 1;
        for (std::int64_t row = 0; row < num_rows; ++row) {
            const float* addends = shared + row * kLanes;
            float* out = products + row * kLanes;
            if (is_contiguous) {
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) {
                    finish(load(addends + segments[0].offset + v * kWidth), rectify, out + v * kWidth);
                }
                continue;
            }
            Vector addend[kVectors];
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) addend[v] = addends[segments[0].offset] - Vector{};
            for (std::int32_t s = 1; s < num_segments; ++s) {
                const Vector next = addends[segments[s].offset] - Vector{};
#pragma GCC unroll 16
                for (int v = 0; v < kVectors; ++v) {
                    const Lanes lanes = first_lanes() + v * kWidth;
                    addend[v] = lanes >= segments[s].first_lane ? next : addend[v];
                }
            }
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) finish(addend[v], rectify, out + v * kWidth);
        }
    }

    // 0, 1, 2, …
    static Lanes first_lanes() {
        std::int32_t values[kWidth];
        for (int lane = 0; lane < kWidth; ++lane) values[lane] = lane;
        Lanes lanes;
        __builtin_memcpy(&lanes, values, sizeof(lanes));
        return lanes;
    }

    static void finish(Vector addend, bool rectify, float* out) {
        const Vector value = load(out) + addend;
        // A NaN is not positive and stays NaN when scaled.
        const Vector rectified = value > 0.0f ? value : value * 0.01f;
        store(rectify ? rectified : value, out);
    }

    static constexpr LayerKernel table() { return {kRows, kLanes, multiply, add_bias, add_shared}; }
};

}  // namespace
}  // namespace jiff
