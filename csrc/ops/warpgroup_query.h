// The implicit function on the warpgroups of compute capability 9.0a (Hopper): faster there than the kernel
// for all GPUs, for heads that it serves. Only builds for that capability have what this declares.
#pragma once

#include <cuda_fp16.h>

#include "core/cuda.h"
#include "ops/head_kernels.cuh"
#include "ops/warpgroup_program.h"

namespace jiff::cuda {

// A WideProgram, the weights in device memory.
struct WideHead {
    WidePlan plan;
    const unsigned char* weights = nullptr;
};

// Whether the shared memory of the GPU holds it.
bool fits_wide(const WideHead& head, const Device& device);

// Answers of the points, from maps of one size; only enqueues.
void query_wide(const WideHead& head, const FoldedGroup<__half>& maps, std::int32_t num_rows,
                const PointBatch& batch, const Device& device, const Stream& stream);

}  // namespace jiff::cuda
