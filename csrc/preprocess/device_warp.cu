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

__global__ void warp_pixels(const std::uint8_t* pixels, int source_width, int num_channels,
                            const std::int32_t* first_column, const Tap* columns,
                            const std::int32_t* first_row, const Tap* rows, int width, int height,
                            float* values) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{num_channels} * width * height) return;
    const int column = static_cast<int>(i % width), row = static_cast<int>(i / width % height);
    const int channel = static_cast<int>(i / width / height);
    float value = 0.0f;
    for (int r = first_row[row]; r < first_row[row + 1]; ++r) {
        const std::uint8_t* line =
            pixels + std::int64_t{rows[r].source} * source_width * num_channels + channel;
        float sum = 0.0f;
        for (int c = first_column[column]; c < first_column[column + 1]; ++c) {
            const float pixel = static_cast<float>(line[columns[c].source * num_channels]) / 255.0f;
            sum += columns[c].weight * pixel;
        }
        value += rows[r].weight * sum;
    }
    values[i] = value;
}

}  // namespace

void warp_image(const ImageView& image, const Box& box, int width_px, int height_px, float* values,
                const Stream& stream) {
    const FlatTaps columns(axis_taps(box.left_px, box.width_px, image.width_px, width_px));
    const FlatTaps rows(axis_taps(box.top_px, box.height_px, image.height_px, height_px));
    const Buffer<std::int32_t> first_column(columns.first, stream), first_row(rows.first, stream);
    const Buffer<Tap> column_taps(columns.taps, stream), row_taps(rows.taps, stream);
    launch(warp_pixels, grid_over(std::int64_t{image.num_channels} * width_px * height_px), stream,
           image.values, image.width_px, image.num_channels, first_column.data(), column_taps.data(),
           first_row.data(), row_taps.data(), width_px, height_px, values);
}

}  // namespace jiff::cuda
