#include "pipeline/vertex_colors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace jiff {
namespace {

constexpr std::size_t kChunk = 32768;  // vertices at once: a head's activations are kept for all of them

// Bilinear between pixel centres at view = (2 i + 1) / S - 1; beyond the outermost centres they hold.
struct PixelAxis {
    std::int64_t first = 0, second = 0;
    float fraction = 0.0f;

    PixelAxis(float view, std::int64_t size) {
        const auto last = static_cast<float>(size - 1);
        const float position = std::clamp(0.5f * (view + 1.0f) * static_cast<float>(size) - 0.5f, 0.0f, last);
        first = static_cast<std::int64_t>(position);
        second = std::min(first + 1, size - 1);
        fraction = position - static_cast<float>(first);
    }
};

// The encoder's input un-normalised: the frame over mid-grey.
std::array<float, 3> frame_color(const Tensor& frame, float view_x, float view_y) {
    const std::int64_t size = frame.shape()[1];
    const PixelAxis x(view_x, size), y(view_y, size);
    const auto sample = [&](int channel) {
        const float* plane = frame.data() + channel * size * size;
        const auto along_row = [&](std::int64_t row) {
            const float* pixels = plane + row * size;
            return pixels[x.first] + x.fraction * (pixels[x.second] - pixels[x.first]);
        };
        const float top = along_row(y.first);
        return top + y.fraction * (along_row(y.second) - top);
    };
    const float grey = 0.5f * (1.0f - sample(3));
    return {sample(0) + grey, sample(1) + grey, sample(2) + grey};
}

}  // namespace

PointFunction with_pixels(PointFunction head, std::int64_t num_outputs, const Tensor& frame) {
    if (num_outputs == 3) return head;
    return [head = std::move(head), num_outputs, &frame](const float* points, std::int64_t num_points,
                                                         float* colors) {
        std::vector<float> outputs(static_cast<std::size_t>(num_points * num_outputs));
        head(points, num_points, outputs.data());
        for (std::int64_t i = 0; i < num_points; ++i) {
            const float* inferred = outputs.data() + i * num_outputs;
            const auto pixel = frame_color(frame, points[3 * i], points[3 * i + 1]);
            for (int channel = 0; channel < 3; ++channel) {
                colors[3 * i + channel] =
                    inferred[channel] + inferred[3] * (pixel[channel] - inferred[channel]);
            }
        }
    };
}

std::vector<std::array<float, 3>> colorize_vertices(const PointFunction& color, const Points& view,
                                                    const ProgressCallback& progress) {
    std::vector<std::array<float, 3>> colors(view.size());
    for (std::size_t begin = 0; begin < view.size(); begin += kChunk) {
        const std::size_t count = std::min(kChunk, view.size() - begin);
        color(view[begin].data(), static_cast<std::int64_t>(count), colors[begin].data());
        report(progress, "colorize", static_cast<float>(begin + count) / static_cast<float>(view.size()));
    }
    return colors;
}

}  // namespace jiff
