// The instructions of the tensor cores, for .cu files.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "ops/tensor_core.h"

#if defined(JIFF_CUDA_EMULATED)
#include "emulated_tensor_core.h"
#else

namespace jiff::cuda {

// 16 points by 16 inputs of half precision from shared memory: `row` is the address of this lane's row, of
// point lane % 16 and inputs 8 (lane / 16) on.
__device__ __forceinline__ void load_inputs(std::uint32_t (&inputs)[4], const __half* row) {
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(inputs[0]), "=r"(inputs[1]), "=r"(inputs[2]), "=r"(inputs[3])
                 : "r"(address)
                 : "memory");
}

// sums[0 … 1] are of point lane / 4, sums[2 … 3] of the point 8 below; outputs 2 (lane % 4) and the next.
__device__ __forceinline__ void multiply_add(float (&sums)[4], const std::uint32_t (&inputs)[4],
                                             std::uint32_t low_weights, std::uint32_t high_weights) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(inputs[0]), "r"(inputs[1]), "r"(inputs[2]), "r"(inputs[3]), "r"(low_weights),
          "r"(high_weights));
#else
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(inputs[0]), "r"(inputs[1]), "r"(low_weights));
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(inputs[2]), "r"(inputs[3]), "r"(high_weights));
#endif
}

}  // namespace jiff::cuda

#endif
