// The CUDA twin of framing.h.
#pragma once

#include <cstdint>

#include "core/cuda.h"

namespace jiff::cuda {

// As jiff::encoder_input; `frame` [4, frame_px, frame_px] and `input` [num_channels, size_px, size_px] lie in
// device memory. Only enqueues. Throws Error(kInvalidArgument) where size_px does not divide frame_px.
void encoder_input(const float* frame, int frame_px, std::int64_t num_channels, std::int64_t size_px,
                   float* input, const Stream& stream);

}  // namespace jiff::cuda
