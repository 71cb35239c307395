// The colour of the frame's own pixels at a point of the view. Shared by the CPU and the GPU.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace jiff {

// Bilinear between pixel centres at view = (2 i + 1) / S - 1; beyond the outermost centres they hold.
struct PixelAxis {
    std::int64_t first = 0, second = 0;
    float fraction = 0.0f;

    JIFF_HOST_DEVICE PixelAxis(float view, std::int64_t size) {
        const auto last = static_cast<float>(size - 1);
        const float unbounded = 0.5f * (view + 1.0f) * static_cast<float>(size) - 0.5f;
        const float position = unbounded < 0.0f ? 0.0f : unbounded > last ? last : unbounded;
        if (!(position >= 0.0f)) {  // a NaN coordinate: no pixel, and NaN for a colour
            fraction = position;
            return;
        }
        first = static_cast<std::int64_t>(position);
        second = first + 1 < size ? first + 1 : size - 1;
        fraction = position - static_cast<float>(first);
    }
};

// The encoder's input un-normalised: the frame, [4, S, S] premultiplied, over mid-grey.
class FramePixels {
  public:
    JIFF_HOST_DEVICE FramePixels(const float* frame, std::int64_t size, float view_x, float view_y)
        : frame_(frame), size_(size), x_(view_x, size), y_(view_y, size) {}

    JIFF_HOST_DEVICE float color(int channel) const { return sample(channel) + 0.5f * (1.0f - sample(3)); }

    // What a head of four outputs makes of it: the last one is the weight of the pixel.
    JIFF_HOST_DEVICE float blended(const float* outputs, int channel) const {
        return outputs[channel] + outputs[3] * (color(channel) - outputs[channel]);
    }

  private:
    JIFF_HOST_DEVICE float along_row(const float* plane, std::int64_t row) const {
        const float* pixels = plane + row * size_;
        return pixels[x_.first] + x_.fraction * (pixels[x_.second] - pixels[x_.first]);
    }
    JIFF_HOST_DEVICE float sample(int channel) const {
        const float* plane = frame_ + channel * size_ * size_;
        const float top = along_row(plane, y_.first);
        return top + y_.fraction * (along_row(plane, y_.second) - top);
    }

    const float* frame_;
    std::int64_t size_;
    PixelAxis x_, y_;
};

}  // namespace jiff
