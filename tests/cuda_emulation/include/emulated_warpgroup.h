// ops/warpgroup.cuh without a Hopper: what its instructions do, written from PTX's description of them
// (mbarrier, cp.async.bulk, wgmma with operands in shared memory that is not swizzled). A cluster is one
// block. Copies and products are done at once, which is earlier than a GPU may do them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "block.h"
#include "cuda_fp16.h"

namespace jiff::cuda {

inline unsigned char* at_shared(std::uint32_t address) {
    return emulation::current_block().dynamic_shared.data() + address;
}

inline std::uint32_t shared_address(const void* pointer) {
    return static_cast<std::uint32_t>(static_cast<const unsigned char*>(pointer) - at_shared(0));
}

// ---- Barriers ---------------------------------------------------------------------------------------------
struct EmulatedBarrier {
    std::uint16_t expected, pending;  // arrivals of a phase, and those that are left
    std::int32_t bytes_and_phase;     // bytes that are left, times two, and the phase's parity
};
static_assert(sizeof(EmulatedBarrier) == 8, "a barrier has eight bytes");

inline EmulatedBarrier& barrier_at(std::uint32_t address) {
    return *reinterpret_cast<EmulatedBarrier*>(at_shared(address));
}

inline void end_phase_if_complete(EmulatedBarrier& barrier) {
    emulation::note_progress();
    if (barrier.pending > 0 || barrier.bytes_and_phase > 1) return;
    barrier.pending = barrier.expected;
    barrier.bytes_and_phase ^= 1;
}

inline void barrier_init(std::uint32_t barrier, int num_arrivals) {
    const auto count = static_cast<std::uint16_t>(num_arrivals);
    barrier_at(barrier) = {count, count, 0};
}

inline void barrier_arrive(std::uint32_t barrier, bool does) {
    if (!does) return;
    if (barrier_at(barrier).pending == 0) emulation::fail("more threads arrive at a barrier than it expects");
    --barrier_at(barrier).pending;
    end_phase_if_complete(barrier_at(barrier));
}

inline void barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
    while ((static_cast<std::uint32_t>(barrier_at(barrier).bytes_and_phase) & 1) == parity)
        emulation::let_others_go_on();
}

inline void named_barrier(int id, int num_threads) { emulation::wait_for_some(id, num_threads); }
inline void order_for_async() {}

// ---- Clusters ---------------------------------------------------------------------------------------------
inline std::uint32_t cluster_rank() { return 0; }
inline void cluster_barrier() { emulation::wait_for_block(); }
inline void cluster_arrive(std::uint32_t barrier, std::uint32_t rank, bool does) {
    if (does && rank != 0) emulation::fail("a cluster of the emulation has one block");
    barrier_arrive(barrier, does);
}

inline void barrier_expect(std::uint32_t barrier, std::uint32_t num_bytes, bool does) {
    if (!does) return;
    barrier_at(barrier).bytes_and_phase += 2 * static_cast<std::int32_t>(num_bytes);
    barrier_arrive(barrier, true);
}

inline void bulk_copy(std::uint32_t to, const void* from, std::uint32_t num_bytes, std::uint32_t barrier,
                      std::uint16_t mask, bool does) {
    if (!does) return;
    const auto source = reinterpret_cast<std::uintptr_t>(from);
    if (mask != 1 || to % 16 != 0 || source % 16 != 0 || num_bytes % 16 != 0)
        emulation::fail("a bulk copy is of another cluster or not of sixteens of bytes");
    std::memcpy(at_shared(to), from, num_bytes);
    barrier_at(barrier).bytes_and_phase -= 2 * static_cast<std::int32_t>(num_bytes);
    end_phase_if_complete(barrier_at(barrier));
}

// ---- Registers of a warpgroup -----------------------------------------------------------------------------
template <int kCount>
void take_registers() {}
template <int kCount>
void give_registers() {}

// ---- Products ---------------------------------------------------------------------------------------------
inline std::uint64_t matrix_descriptor(std::uint32_t address, std::uint32_t between_inputs,
                                       std::uint32_t between_rows) {
    if (address % 16 != 0 || between_inputs % 16 != 0 || between_rows % 16 != 0)
        emulation::fail("a matrix does not lie in sixteens of bytes");
    return static_cast<std::uint64_t>((address & 0x3ffff) >> 4) |
           static_cast<std::uint64_t>(between_inputs >> 4) << 16 |
           static_cast<std::uint64_t>(between_rows >> 4) << 32;
}

// Sixteen inputs of a row (a point or an output) of the matrix.
inline std::array<float, 16> row_of_matrix(std::uint64_t descriptor, int row) {
    const auto field = [&](int shift) {
        return static_cast<std::uint32_t>(descriptor >> shift & 0x3fff) << 4;
    };
    const std::uint32_t first = field(0) + row / 8 * field(32) + row % 8 * 16;
    std::array<float, 16> values;
    for (int k = 0; k < 16; ++k) {
        _Float16 half;
        std::memcpy(&half, at_shared(first + k / 8 * field(16) + k % 8 * 2), sizeof half);
        values[k] = static_cast<float>(half);
    }
    return values;
}

inline void products_begin() {}
inline void products_commit() {}
template <int kCount>
void products_wait() {}
template <int kCount>
void hold(float (&)[kCount]) {}

template <int kCount>
void multiply_add(float (&sums)[kCount], std::uint64_t inputs, std::uint64_t weights) {
    const int thread = emulation::current_thread() % 128;
    for (int lower = 0; lower < 2; ++lower) {
        const auto point = row_of_matrix(inputs, 16 * (thread / 32) + thread % 32 / 4 + 8 * lower);
        for (int block = 0; block < kCount / 4; ++block) {
            for (int i = 0; i < 2; ++i) {
                const auto by = row_of_matrix(weights, 8 * block + 2 * (thread % 4) + i);
                float sum = 0.0f;
                for (int k = 0; k < 16; ++k) sum += point[k] * by[k];
                sums[4 * block + 2 * lower + i] += sum;
            }
        }
    }
}

}  // namespace jiff::cuda
