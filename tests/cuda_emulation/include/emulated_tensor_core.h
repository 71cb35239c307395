// ops/tensor_core.cuh without tensor cores: the fragments that PTX describes (ISA, "Matrix Fragments for
// mma.m16n8k16" and "ldmatrix"), written from there and not from the packing that it tests.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "block.h"
#include "cuda_fp16.h"

namespace jiff::cuda {

inline float half_of(std::uint32_t word, int index) {
    const auto bits = static_cast<std::uint16_t>(word >> 16 * index);
    _Float16 value;
    std::memcpy(&value, &bits, sizeof value);
    return static_cast<float>(value);
}

// Lane 8 i + r gives row r of matrix i; each lane receives elements 2 (lane % 4) and the next of row lane
// / 4.
inline void load_inputs(std::uint32_t (&inputs)[4], const __half* row) {
    std::array<std::uint32_t, 4> words;  // the 8 halves of this lane's row
    std::memcpy(words.data(), row, sizeof words);
    emulation::exchange(words, [&](const std::array<std::uint32_t, 4>* rows, int lane) {
        for (int i = 0; i < 4; ++i) inputs[i] = rows[8 * i + lane / 4][lane % 4];
        return 0;
    });
}

inline void multiply_add(float (&sums)[4], const std::uint32_t (&inputs)[4], std::uint32_t low_weights,
                         std::uint32_t high_weights) {
    struct Fragments {
        std::uint32_t a[4], b[2];
    };
    const Fragments own{{inputs[0], inputs[1], inputs[2], inputs[3]}, {low_weights, high_weights}};
    emulation::exchange(own, [&](const Fragments* lanes, int lane) {
        const int group = lane / 4, pair = lane % 4;
        for (int i = 0; i < 4; ++i) {
            const int row = group + (i >= 2 ? 8 : 0), column = 2 * pair + i % 2;
            float sum = 0.0f;
            for (int k = 0; k < 16; ++k) {
                const int a_register = (row >= 8 ? 1 : 0) + (k >= 8 ? 2 : 0);
                const std::uint32_t a = lanes[row % 8 * 4 + k % 8 / 2].a[a_register];
                const std::uint32_t b = lanes[column * 4 + k % 8 / 2].b[k / 8];
                sum += half_of(a, k % 2) * half_of(b, k % 2);
            }
            sums[i] += sum;
        }
        return 0;
    });
}

}  // namespace jiff::cuda
