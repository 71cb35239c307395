// The implicit function on the warpgroups of compute capability 9.0a (Hopper): faster there than the kernel
// for all GPUs, for heads that it serves. Only builds for that capability have what this declares.
#pragma once

#include <cuda_fp16.h>

#include "core/cuda.h"
#include "ops/head_kernels.cuh"
#include "ops/warpgroup_program.h"

namespace jiff::cuda {

// What the kernel takes of a WideProgram; pointers are to device memory.
struct WideHead {
    WideStart first;
    const WideStep* steps = nullptr;
    std::int32_t num_steps = 0;
    const WeightStage* stages = nullptr;
    std::int32_t num_stages = 0;
    const unsigned char* weights = nullptr;
    std::int32_t hidden_positions[2] = {0, 0};
    std::int32_t answer_positions = 0;
};

// Whether the shared memory of the GPU holds it.
bool fits_wide(const WideHead& head, int num_groups, const Device& device);

// Answers of the points; only enqueues.
void query_wide(const WideHead& head, const FoldedView<__half>& maps, const PointBatch& batch,
                const Device& device, const Stream& stream);

}  // namespace jiff::cuda
