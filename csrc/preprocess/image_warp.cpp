#include "preprocess/image_warp.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace jiff {

AxisTaps axis_taps(double start, double length, int num_source, int num_out) {
    AxisTaps taps(num_out);
    const double step = length / num_out;
    for (int out = 0; out < num_out; ++out) {
        const double low = start + out * step;
        const double high = low + step;
        if (step > 1.0) {  // how much of the output pixel each source pixel covers
            const int first = static_cast<int>(std::max(0.0, std::floor(low)));
            const int last = static_cast<int>(std::min<double>(num_source, std::ceil(high)));
            for (int source = first; source < last; ++source) {
                const double cover = std::min(high, source + 1.0) - std::max<double>(low, source);
                if (cover > 0.0) taps[out].push_back({source, static_cast<float>(cover / step)});
            }
            continue;
        }
        const double centre = 0.5 * (low + high);
        if (centre < 0.0 || centre >= num_source) continue;
        // Between the two nearest pixel centres; within half a pixel of the border the border pixel holds.
        const double position = std::clamp(centre - 0.5, 0.0, num_source - 1.0);
        const int first = std::min(static_cast<int>(position), std::max(0, num_source - 2));
        const float fraction = static_cast<float>(position - first);
        if (fraction < 1.0f) taps[out].push_back({first, 1.0f - fraction});
        if (fraction > 0.0f) taps[out].push_back({first + 1, fraction});
    }
    return taps;
}

namespace {

// The same weights by source pixel: which output pixels it contributes to.
AxisTaps by_source(const AxisTaps& taps, int num_source) {
    AxisTaps inverse(num_source);
    for (std::size_t out = 0; out < taps.size(); ++out) {
        for (const Tap& tap : taps[out]) inverse[tap.source].push_back({static_cast<int>(out), tap.weight});
    }
    return inverse;
}

// Writes source row `row`, columns first … last - 1, as interleaved floats.
using RowReader = std::function<void(int row, int first, int last, float* values)>;

// Separable: each source row is read and resampled horizontally once, then added to its output rows.
Tensor warp(int source_width, int source_height, int num_channels, const RowReader& read_row, const Box& box,
            int width_px, int height_px) {
    const AxisTaps columns = axis_taps(box.left_px, box.width_px, source_width, width_px);
    const AxisTaps rows =
        by_source(axis_taps(box.top_px, box.height_px, source_height, height_px), source_height);
    int first = source_width;
    int last = 0;
    for (const auto& taps : columns) {
        if (taps.empty()) continue;
        first = std::min(first, taps.front().source);
        last = std::max(last, taps.back().source + 1);
    }

    Tensor result({num_channels, height_px, width_px});
    if (first >= last) return result;
    std::vector<float> source(static_cast<std::size_t>(last - first) * num_channels);
    std::vector<float> resampled(static_cast<std::size_t>(num_channels) * width_px);
    for (int row = 0; row < source_height; ++row) {
        if (rows[row].empty()) continue;
        read_row(row, first, last, source.data());
        for (int channel = 0; channel < num_channels; ++channel) {
            float* out = resampled.data() + static_cast<std::size_t>(channel) * width_px;
            for (int column = 0; column < width_px; ++column) {
                float sum = 0.0f;
                for (const Tap& tap : columns[column]) {
                    sum += tap.weight *
                           source[static_cast<std::size_t>(tap.source - first) * num_channels + channel];
                }
                out[column] = sum;
            }
            for (const Tap& tap : rows[row]) {
                float* target =
                    result.data() + (static_cast<std::int64_t>(channel) * height_px + tap.source) * width_px;
                for (int column = 0; column < width_px; ++column) target[column] += tap.weight * out[column];
            }
        }
    }
    return result;
}

const std::uint8_t* pixel(const ImageView& image, int row, int column) {
    return image.values + (static_cast<std::size_t>(row) * image.width_px + column) * image.num_channels;
}

}  // namespace

Tensor warp_image(const ImageView& image, const Box& box, int width_px, int height_px) {
    const auto read_row = [&](int row, int first, int last, float* values) {
        const std::uint8_t* source = pixel(image, row, first);
        const int num_values = (last - first) * image.num_channels;
        for (int i = 0; i < num_values; ++i) values[i] = static_cast<float>(source[i]) / 255.0f;
    };
    return warp(image.width_px, image.height_px, image.num_channels, read_row, box, width_px, height_px);
}

Tensor warp_premultiplied(const ImageView& rgb, const ImageView& alpha, const Box& box, int width_px,
                          int height_px) {
    const auto read_row = [&](int row, int first, int last, float* values) {
        const std::uint8_t* color = pixel(rgb, row, first);
        const std::uint8_t* cover = pixel(alpha, row, first);
        for (int column = first; column < last; ++column, color += 3, ++cover, values += 4) {
            const float opacity = static_cast<float>(*cover) / 255.0f;
            for (int channel = 0; channel < 3; ++channel) values[channel] = color[channel] / 255.0f * opacity;
            values[3] = opacity;
        }
    };
    return warp(rgb.width_px, rgb.height_px, 4, read_row, box, width_px, height_px);
}

}  // namespace jiff
