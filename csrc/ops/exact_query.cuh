// The implicit function in float32, each sum in the order of the CPU's: slow, for answers that must agree
// with the CPU's to rounding. A block of threads takes kExactPoints points; its threads share the outputs of
// a layer.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "ops/head_kernels.cuh"
#include "ops/head_program.h"
#include "ops/tensor_core_query.cuh"

namespace jiff::cuda {

constexpr int kExactPoints = 4;
constexpr int kExactThreads = 128;

inline std::size_t exact_shared_bytes(const ExactProgram& program) {
    return kExactPoints * (program.num_own + program.num_start + 2 * program.most_outputs) * sizeof(float);
}

__device__ inline float blended(const FoldedView<float>& maps, const float* point, int row, float bias) {
    float sum = bias;
    if (place_of(point) != PointPlace::kInFrame) return sum;
    for (int g = 0; g < maps.num_groups; ++g) {
        const FoldedGroup<float>& group = maps.groups[g];
        const PointTexels texels = point_texels(point[0], point[1], group.height, group.width);
        for (int c = 0; c < 4; ++c)
            sum = fmaf(texels.weight[c], group.texels[texels.offset[c] * maps.num_rows + row], sum);
    }
    return sum;
}

__global__ void __launch_bounds__(kExactThreads)
    query_exactly(const ExactLayer* layers, int num_layers, std::int32_t num_own, std::int32_t num_start,
                  std::int32_t most_outputs, const __grid_constant__ FoldedView<float> maps,
                  const __grid_constant__ PointBatch batch) {
    float* own = reinterpret_cast<float*>(dynamic_shared());
    float* start = own + kExactPoints * num_own;
    float* inputs = start + kExactPoints * num_start;
    float* outputs = inputs + kExactPoints * most_outputs;
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kExactPoints;
    const int thread = static_cast<int>(threadIdx.x);
    const std::int64_t num_points = num_asked(batch);
    if (first >= num_points) return;
    const auto is_point = [&](int p) { return first + p < num_points; };

    for (int i = thread; i < kExactPoints * num_own; i += kExactThreads) {
        const int p = i / num_own, k = i % num_own;
        const std::int64_t index = first + p;
        const float* point = batch.points + 3 * index;
        own[i] = !is_point(p)              ? 0.0f
                 : k < batch.num_features  ? batch.features[index * batch.num_features + k]
                 : k == batch.num_features ? point[2] * batch.depth_scale
                                           : sample_volume(batch.volume, point, k - batch.num_features - 1);
    }
    __syncthreads();
    for (int l = 0; l < num_layers; ++l) {
        const ExactLayer& layer = layers[l];
        const float* hidden = layer.reads_start ? start : inputs;
        const int hidden_stride = layer.reads_start ? num_start : most_outputs;
        const bool is_answer = l + 1 == num_layers;
        for (int output = thread; output < layer.num_outputs; output += kExactThreads) {
            float sums[kExactPoints];
            for (int p = 0; p < kExactPoints; ++p) {
                sums[p] = layer.biases[output];
                if (layer.first_row >= 0 && is_point(p))
                    sums[p] =
                        blended(maps, batch.points + 3 * (first + p), layer.first_row + output, sums[p]);
            }
            const float* weight = layer.weights + output;
            for (int k = 0; k < layer.num_own; ++k, weight += layer.num_outputs) {
                for (int p = 0; p < kExactPoints; ++p)
                    sums[p] = fmaf(own[p * num_own + layer.first_own + k], *weight, sums[p]);
            }
            for (int k = 0; k < layer.num_hidden; ++k, weight += layer.num_outputs) {
                for (int p = 0; p < kExactPoints; ++p)
                    sums[p] = fmaf(hidden[p * hidden_stride + k], *weight, sums[p]);
            }
            for (int p = 0; p < kExactPoints; ++p) {
                const float value = layer.is_rectified ? leaky(sums[p]) : sums[p];
                if (is_answer) {
                    if (is_point(p)) answer(batch, first + p, output, value);
                } else if (layer.start_column >= 0) {
                    start[p * num_start + layer.start_column + output] = value;
                } else {
                    outputs[p * most_outputs + output] = value;
                }
            }
        }
        __syncthreads();
        float* const swapped = inputs;
        inputs = outputs;
        outputs = swapped;
    }
}

// Folds one map size: texels [num_texels, num_rows]. A thread takes a texel and the rows of its block.
constexpr int kExactFoldRows = 8;

__global__ void fold_exactly(const float* channels, std::int32_t num_channels, std::int64_t num_texels,
                             const float* weights, std::int32_t weight_stride, std::int32_t num_rows,
                             float* texels) {
    const int num_row_blocks = (num_rows + kExactFoldRows - 1) / kExactFoldRows;
    const std::int64_t texel =
        static_cast<std::int64_t>(blockIdx.x / num_row_blocks) * blockDim.x + threadIdx.x;
    const int first_row = static_cast<int>(blockIdx.x % num_row_blocks) * kExactFoldRows;
    if (texel >= num_texels) return;
    float sums[kExactFoldRows] = {};
    for (int channel = 0; channel < num_channels; ++channel) {
        const float value = channels[channel * num_texels + texel];
#pragma unroll
        for (int r = 0; r < kExactFoldRows; ++r) {
            if (first_row + r < num_rows)
                sums[r] =
                    fmaf(value, weights[static_cast<std::int64_t>(first_row + r) * weight_stride + channel],
                         sums[r]);
        }
    }
#pragma unroll
    for (int r = 0; r < kExactFoldRows; ++r) {
        if (first_row + r < num_rows) texels[texel * num_rows + first_row + r] = sums[r];
    }
}

}  // namespace jiff::cuda
