// Instructions of compute capability 9.0a: products of a warpgroup, barriers in shared memory, bulk copies.
// Names and meanings are those of the PTX manual.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#if defined(JIFF_CUDA_EMULATED)
#include "emulated_warpgroup.h"
#else

namespace jiff::cuda {

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- Barriers, by their addresses in shared memory --------------------------------------------------------
__device__ __forceinline__ void barrier_init(std::uint32_t barrier, int num_arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(num_arrivals) : "memory");
}

// Arrives where `does` is set: a lane that does what others do not must not branch between products.
__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier, bool does) {
    asm volatile(
        "{\n"
        ".reg .pred does;\n"
        "setp.ne.b32 does, %1, 0;\n"
        "@does mbarrier.arrive.shared::cta.b64 _, [%0];\n"
        "}" ::"r"(barrier),
        "r"(static_cast<int>(does))
        : "memory");
}

// Until the phase of this parity is over.
__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
    asm volatile(
        "{\n"
        ".reg .pred is_over;\n"
        "AGAIN:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 is_over, [%0], %1;\n"
        "@is_over bra DONE;\n"
        "bra AGAIN;\n"
        "DONE:\n"
        "}" ::"r"(barrier),
        "r"(parity)
        : "memory");
}

// Waits for `num_threads` at barrier `id` of the block; 0 is __syncthreads's.
__device__ __forceinline__ void named_barrier(int id, int num_threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(num_threads) : "memory");
}

// What was written to shared memory, by this thread or by others before a barrier, comes before the products
// and copies that are started after it.
__device__ __forceinline__ void order_for_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- Clusters: neighbouring blocks whose shared memories lie at the same addresses ------------------------
__device__ __forceinline__ std::uint32_t cluster_rank() {
    std::uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// Waits for all threads of the cluster.
__device__ __forceinline__ void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

// As barrier_arrive, at the barrier of a block of the cluster.
__device__ __forceinline__ void cluster_arrive(std::uint32_t barrier, std::uint32_t rank, bool does) {
    asm volatile(
        "{\n"
        ".reg .pred does;\n"
        ".reg .b32 remote;\n"
        "setp.ne.b32 does, %2, 0;\n"
        "@does mapa.shared::cluster.u32 remote, %0, %1;\n"
        "@does mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
        "}" ::"r"(barrier),
        "r"(rank), "r"(static_cast<int>(does))
        : "memory");
}

// Where `does` is set, the barrier's phase lasts until so many bytes were copied, and one arrival is made.
__device__ __forceinline__ void barrier_expect(std::uint32_t barrier, std::uint32_t num_bytes, bool does) {
    asm volatile(
        "{\n"
        ".reg .pred does;\n"
        "setp.ne.b32 does, %2, 0;\n"
        "@does mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n"
        "}" ::"r"(barrier),
        "r"(num_bytes), "r"(static_cast<int>(does))
        : "memory");
}

// Copies global memory to the same place of the blocks in `mask`, whose barriers count the bytes.
__device__ __forceinline__ void bulk_copy(std::uint32_t to, const void* from, std::uint32_t num_bytes,
                                          std::uint32_t barrier, std::uint16_t mask, bool does) {
    asm volatile(
        "{\n"
        ".reg .pred does;\n"
        "setp.ne.b32 does, %5, 0;\n"
        "@does cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1], %2, [%3], %4;\n"
        "}" ::"r"(to),
        "l"(from), "r"(num_bytes), "r"(barrier), "h"(mask), "r"(static_cast<int>(does))
        : "memory");
}

// ---- Registers of a warpgroup -----------------------------------------------------------------------------
template <int kCount>
__device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

template <int kCount>
__device__ __forceinline__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

// ---- Products ---------------------------------------------------------------------------------------------
// A matrix in shared memory, not swizzled: blocks of 8 rows by 8 halves, 128 bytes each, `between_inputs`
// bytes apart along the inputs and `between_rows` along points or outputs.
__device__ __forceinline__ std::uint64_t matrix_descriptor(std::uint32_t address,
                                                           std::uint32_t between_inputs,
                                                           std::uint32_t between_rows) {
    constexpr std::uint32_t kWithinBlock = 0x3ffff;  // the rest of an address tells the block of the cluster
    return static_cast<std::uint64_t>((address & kWithinBlock) >> 4) |
           static_cast<std::uint64_t>(between_inputs >> 4) << 16 |
           static_cast<std::uint64_t>(between_rows >> 4) << 32;
}

__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void products_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most kCount groups are under way.
template <int kCount>
__device__ __forceinline__ void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kCount) : "memory");
}

// Keeps the compiler from reading sums before a wait, or writing them after products_begin.
template <int kCount>
__device__ __forceinline__ void hold(float (&sums)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

// 64 points by 2 · kCount outputs over 16 inputs of half precision, added to the sums.
// Thread t of the warpgroup has points 16 (t / 32) + t % 32 / 4 and the one 8 below, for each block of 8
// outputs the two from 2 (t % 4) on: sums[4 · block + 2 · lower + output].
__device__ __forceinline__ void multiply_add(float (&sums)[16], std::uint64_t inputs, std::uint64_t weights) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
        "}, %16, %17, adds, 1, 1, 0, 0;\n"
        "}"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
          "+f"(sums[6]), "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]),
          "+f"(sums[12]), "+f"(sums[13]), "+f"(sums[14]), "+f"(sums[15])
        : "l"(inputs), "l"(weights));
}

__device__ __forceinline__ void multiply_add(float (&sums)[32], std::uint64_t inputs, std::uint64_t weights) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
        "}, %32, %33, adds, 1, 1, 0, 0;\n"
        "}"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
          "+f"(sums[6]), "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]),
          "+f"(sums[12]), "+f"(sums[13]), "+f"(sums[14]), "+f"(sums[15]), "+f"(sums[16]), "+f"(sums[17]),
          "+f"(sums[18]), "+f"(sums[19]), "+f"(sums[20]), "+f"(sums[21]), "+f"(sums[22]), "+f"(sums[23]),
          "+f"(sums[24]), "+f"(sums[25]), "+f"(sums[26]), "+f"(sums[27]), "+f"(sums[28]), "+f"(sums[29]),
          "+f"(sums[30]), "+f"(sums[31])
        : "l"(inputs), "l"(weights));
}

__device__ __forceinline__ void multiply_add(float (&sums)[64], std::uint64_t inputs, std::uint64_t weights) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
        "}, %64, %65, adds, 1, 1, 0, 0;\n"
        "}"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
          "+f"(sums[6]), "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]),
          "+f"(sums[12]), "+f"(sums[13]), "+f"(sums[14]), "+f"(sums[15]), "+f"(sums[16]), "+f"(sums[17]),
          "+f"(sums[18]), "+f"(sums[19]), "+f"(sums[20]), "+f"(sums[21]), "+f"(sums[22]), "+f"(sums[23]),
          "+f"(sums[24]), "+f"(sums[25]), "+f"(sums[26]), "+f"(sums[27]), "+f"(sums[28]), "+f"(sums[29]),
          "+f"(sums[30]), "+f"(sums[31]), "+f"(sums[32]), "+f"(sums[33]), "+f"(sums[34]), "+f"(sums[35]),
          "+f"(sums[36]), "+f"(sums[37]), "+f"(sums[38]), "+f"(sums[39]), "+f"(sums[40]), "+f"(sums[41]),
          "+f"(sums[42]), "+f"(sums[43]), "+f"(sums[44]), "+f"(sums[45]), "+f"(sums[46]), "+f"(sums[47]),
          "+f"(sums[48]), "+f"(sums[49]), "+f"(sums[50]), "+f"(sums[51]), "+f"(sums[52]), "+f"(sums[53]),
          "+f"(sums[54]), "+f"(sums[55]), "+f"(sums[56]), "+f"(sums[57]), "+f"(sums[58]), "+f"(sums[59]),
          "+f"(sums[60]), "+f"(sums[61]), "+f"(sums[62]), "+f"(sums[63])
        : "l"(inputs), "l"(weights));
}

}  // namespace jiff::cuda

#endif
