// The tile instructions of AMX in plain C++, included before layer_kernel_amx_bf16.cpp where they are to be
// played on a processor that has none. From Intel's description: sums of the first and the second products of
// pairs apart, over the depth of a tile, then both to the tile; what is too small to be normal is zero. What
// the processor would refuse ends the program.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace amx_emulation {

struct Tile {
    int num_rows = 0, row_bytes = 0;
    unsigned char rows[16][64] = {};
};

struct State {
    bool is_configured = false;
    Tile tiles[8];
};

inline State& state() {
    static thread_local State of_thread;
    return of_thread;
}

[[noreturn]] inline void refuse(const char* why) {
    std::fprintf(stderr, "amx_emulation: %s\n", why);
    std::abort();
}

inline void load_config(const void* config) {
    unsigned char bytes[64];
    std::memcpy(bytes, config, sizeof(bytes));
    if (bytes[0] != 1) refuse("the palette must be 1");
    for (int i = 1; i < 16; ++i) {
        if (bytes[i] != 0) refuse("start row and reserved bytes must be zero");
    }
    state() = State{};
    for (int tile = 0; tile < 16; ++tile) {
        const int row_bytes = bytes[16 + 2 * tile] + 256 * bytes[17 + 2 * tile], num_rows = bytes[48 + tile];
        if ((row_bytes == 0) != (num_rows == 0)) refuse("a tile must have both rows and bytes, or neither");
        if (row_bytes > 64 || row_bytes % 4 != 0 || num_rows > 16) refuse("a tile is too large");
        if (tile >= 8) {
            if (num_rows != 0) refuse("there are eight tiles");
            continue;
        }
        state().tiles[tile].num_rows = num_rows;
        state().tiles[tile].row_bytes = row_bytes;
    }
    state().is_configured = true;
}

inline Tile& tile(int number) {
    if (!state().is_configured) refuse("no tiles are configured");
    Tile& found = state().tiles[number];
    if (found.num_rows == 0) refuse("the tile is not configured");
    return found;
}

inline void zero(int number) { std::memset(tile(number).rows, 0, sizeof(Tile::rows)); }

inline void load(int number, const void* base, std::int64_t stride) {
    Tile& to = tile(number);
    zero(number);
    for (int row = 0; row < to.num_rows; ++row) {
        std::memcpy(to.rows[row], static_cast<const char*>(base) + row * stride, to.row_bytes);
    }
}

inline void store(int number, void* base, std::int64_t stride) {
    const Tile& from = tile(number);
    for (int row = 0; row < from.num_rows; ++row) {
        std::memcpy(static_cast<char*>(base) + row * stride, from.rows[row], from.row_bytes);
    }
}

inline float normal(float value) {
    return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}

inline float at_fp32(const Tile& from, int row, int column) {
    float value;
    std::memcpy(&value, from.rows[row] + 4 * column, sizeof(value));
    return value;
}

inline float at_bf16(const Tile& from, int row, int column) {
    std::uint32_t bits = 0;
    std::memcpy(reinterpret_cast<unsigned char*>(&bits) + 2, from.rows[row] + 2 * column, 2);
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return normal(value);
}

inline void check_product(int sums, int left, int right) {
    const Tile &to = tile(sums), &a = tile(left), &b = tile(right);
    if (sums == left || sums == right || left == right) refuse("a product takes three tiles");
    if (a.num_rows != to.num_rows || b.row_bytes != to.row_bytes || a.row_bytes != 4 * b.num_rows) {
        refuse("the tiles of a product do not fit each other");
    }
}

// Of levels without a sign with weights that have one.
inline void multiply_int8(int sums, int left, int right) {
    check_product(sums, left, right);
    Tile& to = tile(sums);
    const Tile &a = tile(left), &b = tile(right);
    for (int m = 0; m < to.num_rows; ++m) {
        for (int n = 0; n < to.row_bytes / 4; ++n) {
            std::int32_t sum;
            std::memcpy(&sum, to.rows[m] + 4 * n, sizeof(sum));
            for (int k = 0; k < a.row_bytes / 4; ++k) {
                for (int i = 0; i < 4; ++i) {
                    sum += static_cast<int>(a.rows[m][4 * k + i]) *
                           static_cast<int>(static_cast<signed char>(b.rows[k][4 * n + i]));
                }
            }
            std::memcpy(to.rows[m] + 4 * n, &sum, sizeof(sum));
        }
    }
}

inline void multiply_bf16(int sums, int left, int right) {
    check_product(sums, left, right);
    Tile& to = tile(sums);
    const Tile &a = tile(left), &b = tile(right);
    for (int m = 0; m < to.num_rows; ++m) {
        for (int n = 0; n < to.row_bytes / 4; ++n) {
            float products[2] = {0.0f, 0.0f};
            for (int k = 0; k < a.row_bytes / 4; ++k) {
                for (int i = 0; i < 2; ++i) {
                    products[i] =
                        normal(products[i] + normal(at_bf16(a, m, 2 * k + i) * at_bf16(b, k, 2 * n + i)));
                }
            }
            const float sum = normal(normal(at_fp32(to, m, n)) + normal(products[0] + products[1]));
            std::memcpy(to.rows[m] + 4 * n, &sum, sizeof(sum));
        }
    }
}

inline void release() { state() = State{}; }

}  // namespace amx_emulation

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbusd
#define _tile_loadconfig(config) amx_emulation::load_config(config)
#define _tile_release() amx_emulation::release()
#define _tile_zero(tile) amx_emulation::zero(tile)
#define _tile_loadd(tile, base, stride) amx_emulation::load(tile, base, stride)
#define _tile_stored(tile, base, stride) amx_emulation::store(tile, base, stride)
#define _tile_dpbf16ps(sums, left, right) amx_emulation::multiply_bf16(sums, left, right)
#define _tile_dpbusd(sums, left, right) amx_emulation::multiply_int8(sums, left, right)
