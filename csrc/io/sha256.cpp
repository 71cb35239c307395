#include "io/sha256.h"

#include <array>
#include <cstring>

namespace jiff {
namespace {

// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<std::uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::size_t kBlockBytes = 64;

std::uint32_t rotate_right(std::uint32_t value, int bits) { return (value >> bits) | (value << (32 - bits)); }

void absorb_block(const std::uint8_t* block, std::array<std::uint32_t, 8>& state) {
    std::array<std::uint32_t, 64> schedule;
    for (int i = 0; i < 16; ++i) {
        schedule[i] = std::uint32_t{block[4 * i]} << 24 | std::uint32_t{block[4 * i + 1]} << 16 |
                      std::uint32_t{block[4 * i + 2]} << 8 | std::uint32_t{block[4 * i + 3]};
    }
    for (int i = 16; i < 64; ++i) {
        const std::uint32_t early = schedule[i - 15];
        const std::uint32_t late = schedule[i - 2];
        schedule[i] = schedule[i - 16] + (rotate_right(early, 7) ^ rotate_right(early, 18) ^ early >> 3) +
                      schedule[i - 7] + (rotate_right(late, 17) ^ rotate_right(late, 19) ^ late >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int i = 0; i < 64; ++i) {
        const std::uint32_t sum_e = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        const std::uint32_t next = h + sum_e + ((e & f) ^ (~e & g)) + kRoundConstants[i] + schedule[i];
        const std::uint32_t sum_a = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        h = g, g = f, f = e, e = d + next;
        d = c, c = b, b = a, a = next + sum_a + majority;
    }
    const std::array<std::uint32_t, 8> worked = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) state[i] += worked[i];
}

}  // namespace

std::string sha256_hex(const std::uint8_t* bytes, std::size_t num_bytes) {
    // First 32 bits of the fractional parts of the square roots of the first 8 primes.
    std::array<std::uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const std::size_t num_whole = num_bytes / kBlockBytes;
    for (std::size_t block = 0; block < num_whole; ++block) absorb_block(bytes + block * kBlockBytes, state);

    // The rest, a one bit, zeros, and the length in bits: one block or two.
    std::array<std::uint8_t, 2 * kBlockBytes> tail{};
    const std::size_t num_rest = num_bytes - num_whole * kBlockBytes;
    if (num_rest > 0) std::memcpy(tail.data(), bytes + num_whole * kBlockBytes, num_rest);
    tail[num_rest] = 0x80;
    const std::size_t num_tail = num_rest + 9 <= kBlockBytes ? kBlockBytes : 2 * kBlockBytes;
    const std::uint64_t num_bits = std::uint64_t{num_bytes} * 8;
    for (int i = 0; i < 8; ++i) tail[num_tail - 1 - i] = static_cast<std::uint8_t>(num_bits >> (8 * i));
    for (std::size_t at = 0; at < num_tail; at += kBlockBytes) absorb_block(tail.data() + at, state);

    std::string hex;
    for (const std::uint32_t word : state) {
        for (int shift = 28; shift >= 0; shift -= 4) hex += "0123456789abcdef"[word >> shift & 0xf];
    }
    return hex;
}

}  // namespace jiff
