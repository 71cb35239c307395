#include <cuda_runtime.h>

#include <vector>

#include "core/cuda_launch.h"
#include "preprocess/device_warp.h"

namespace jiff::cuda {
namespace {

// Taps of all output pixels behind each other: those of pixel i from first[i] to first[i + 1].
struct FlatTaps {
    std::vector<std::int32_t> first{0};
    std::vector<Tap> taps;

    explicit FlatTaps(const AxisTaps& axis) {
        for (const auto& of_pixel : axis) {
            taps.insert(taps.end(), of_pixel.begin(), of_pixel.end());
            first.push_back(static_cast<std::int32_t>(taps.size()));
        }
    }
};

struct PlainPixels {
    const std::uint8_t* values;
    int width, num_channels;
    __device__ float operator()(std::int64_t row, int column, int channel) const {
        return static_cast<float>(values[(row * width + column) * num_channels + channel]) / 255.0f;
    }
};

// Three channels of colour and their alpha, which is the fourth.
struct PremultipliedPixels {
    const std::uint8_t *rgb, *alpha;
    int width;
    __device__ float operator()(std::int64_t row, int column, int channel) const {
        const std::int64_t at = row * width + column;
        const float opacity = static_cast<float>(alpha[at]) / 255.0f;
        return channel == 3 ? opacity : rgb[3 * at + channel] / 255.0f * opacity;
    }
};

template <typename Pixels>
__global__ void warp_pixels(Pixels pixels, int num_channels, const std::int32_t* first_column,
                            const Tap* columns, const std::int32_t* first_row, const Tap* rows, int width,
                            int height, float* values) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{num_channels} * width * height) return;
    const int column = static_cast<int>(i % width), row = static_cast<int>(i / width % height);
    const int channel = static_cast<int>(i / width / height);
    float value = 0.0f;
    for (int r = first_row[row]; r < first_row[row + 1]; ++r) {
        float sum = 0.0f;
        for (int c = first_column[column]; c < first_column[column + 1]; ++c)
            sum += columns[c].weight * pixels(rows[r].source, columns[c].source, channel);
        value += rows[r].weight * sum;
    }
    values[i] = value;
}

template <typename Pixels>
void warp(const Pixels& pixels, const ImageView& image, int num_channels, const Box& box, int width_px,
          int height_px, float* values, const Stream& stream) {
    const FlatTaps columns(axis_taps(box.left_px, box.width_px, image.width_px, width_px));
    const FlatTaps rows(axis_taps(box.top_px, box.height_px, image.height_px, height_px));
    const Buffer<std::int32_t> first_column(columns.first, stream), first_row(rows.first, stream);
    const Buffer<Tap> column_taps(columns.taps, stream), row_taps(rows.taps, stream);
    launch(warp_pixels<Pixels>, grid_over(std::int64_t{num_channels} * width_px * height_px), stream, pixels,
           num_channels, first_column.data(), column_taps.data(), first_row.data(), row_taps.data(), width_px,
           height_px, values);
}

}  // namespace

void warp_image(const ImageView& image, const Box& box, int width_px, int height_px, float* values,
                const Stream& stream) {
    warp(PlainPixels{image.values, image.width_px, image.num_channels}, image, image.num_channels, box,
         width_px, height_px, values, stream);
}

void warp_premultiplied(const ImageView& rgb, const ImageView& alpha, const Box& box, int width_px,
                        int height_px, float* values, const Stream& stream) {
    warp(PremultipliedPixels{rgb.values, alpha.values, rgb.width_px}, rgb, 4, box, width_px, height_px,
         values, stream);
}

}  // namespace jiff::cuda
