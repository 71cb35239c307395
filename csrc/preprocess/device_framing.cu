#include <cuda_runtime.h>

#include "core/cuda_launch.h"
#include "preprocess/device_framing.h"
#include "preprocess/framing.h"

namespace jiff::cuda {
namespace {

__global__ void average_blocks(const float* frame, std::int64_t frame_px, std::int64_t num_channels,
                               std::int64_t size_px, float* input) {
    const std::int64_t i = global_thread();
    if (i >= num_channels * size_px * size_px) return;
    const std::int64_t channel = i / (size_px * size_px), y = i / size_px % size_px, x = i % size_px;
    const std::int64_t block = frame_px / size_px;
    const float* source = frame + channel * frame_px * frame_px;
    const float* alpha = frame + 3 * frame_px * frame_px;
    float sum = 0.0f;
    for (std::int64_t row = y * block; row < (y + 1) * block; ++row) {
        for (std::int64_t at = row * frame_px + x * block; at < row * frame_px + (x + 1) * block; ++at)
            sum += encoder_value(channel, source[at], alpha[at]);
    }
    input[i] = sum * (1.0f / static_cast<float>(block * block));
}

}  // namespace

void encoder_input(const float* frame, int frame_px, std::int64_t num_channels, std::int64_t size_px,
                   float* input, const Stream& stream) {
    check_encoder_size(frame_px, size_px);
    launch(average_blocks, grid_over(num_channels * size_px * size_px), stream, frame, std::int64_t{frame_px},
           num_channels, size_px, input);
}

}  // namespace jiff::cuda
