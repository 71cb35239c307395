#include "preprocess/framing.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"

namespace jiff {
namespace {

// A matte fades out over the last pixels of a photo: this close to the border counts as cut by it.
constexpr double kBorderShare = 0.005;

struct Interval {
    double low = 0.0, high = 0.0;
    double length() const { return high - low; }
};

struct Cut {
    bool low = false, high = false;
};

Cut find_cut(const Interval& figure, int photo_px) {
    const double tolerance = std::max(1.0, kBorderShare * photo_px);
    return {figure.low<tolerance, figure.high> photo_px - tolerance};
}

Interval with_margin(const Interval& figure, const Cut& cut, int photo_px, double margin_px) {
    return {cut.low ? 0.0 : figure.low - margin_px, cut.high ? double(photo_px) : figure.high + margin_px};
}

double centred(const Interval& interval, double side) { return 0.5 * (interval.low + interval.high - side); }

// Any pixel within `reach` before or after, along rows of `stride` 1 or columns of `stride` `size`.
std::vector<std::uint8_t> dilate(const std::vector<std::uint8_t>& flags, int size, int stride, int reach) {
    std::vector<std::uint8_t> dilated(flags.size(), 0);
    const int across = stride == 1 ? size : 1;
    for (int line = 0; line < size; ++line) {
        int last_set = -reach - 1;
        int next_set = 0;
        for (int i = 0; i < size; ++i) {
            const auto at = [&](int j) {
                return static_cast<std::size_t>(line) * across + static_cast<std::size_t>(j) * stride;
            };
            if (flags[at(i)]) last_set = i;
            for (next_set = std::max(next_set, i); next_set < size && !flags[at(next_set)];) ++next_set;
            dilated[at(i)] = i - last_set <= reach || (next_set < size && next_set - i <= reach);
        }
    }
    return dilated;
}

}  // namespace

Box frame_figure(const Box& figure, int photo_width_px, int photo_height_px, double margin) {
    const double margin_px = margin * std::max(figure.width_px, figure.height_px);
    const Interval columns{figure.left_px, figure.left_px + figure.width_px};
    const Interval rows{figure.top_px, figure.top_px + figure.height_px};
    const Cut cut_x = find_cut(columns, photo_width_px);
    const Cut cut_y = find_cut(rows, photo_height_px);
    const Interval wanted_x = with_margin(columns, cut_x, photo_width_px, margin_px);
    const Interval wanted_y = with_margin(rows, cut_y, photo_height_px, margin_px);

    const double side = std::max(wanted_x.length(), wanted_y.length());
    // Room to spare goes left and right alike. Vertically the border that cuts the body stays the
    // frame's edge; the lower one where both do, for heads are never cut in training.
    double top = centred(wanted_y, side);
    if (cut_y.low) top = 0.0;
    if (cut_y.high) top = photo_height_px - side;
    return {centred(wanted_x, side), top, side, side};
}

Tensor frame_image(const ImageView& rgb, const ImageView& mask, const Box& crop, int size_px) {
    return warp_premultiplied(rgb, mask, crop, size_px, size_px);
}

void check_encoder_size(std::int64_t frame_px, std::int64_t size_px) {
    if (size_px < 1 || frame_px % size_px != 0) {
        throw Error(ErrorCode::kInvalidArgument, "an encoder's picture of " + std::to_string(size_px) +
                                                     " px is no whole fraction of the frame's " +
                                                     std::to_string(frame_px) + " px");
    }
}

Tensor encoder_input(const Tensor& frame, std::int64_t num_channels, std::int64_t size_px) {
    const std::int64_t frame_px = frame.shape()[1];
    check_encoder_size(frame_px, size_px);
    const std::int64_t block = frame_px / size_px;
    const float weight = 1.0f / static_cast<float>(block * block);
    Tensor input({1, num_channels, size_px, size_px});
    float* target = input.data();
    for (std::int64_t channel = 0; channel < num_channels; ++channel) {
        const float* source = frame.data() + channel * frame_px * frame_px;
        const float* alpha = frame.data() + 3 * frame_px * frame_px;
        for (std::int64_t y = 0; y < size_px; ++y) {
            for (std::int64_t x = 0; x < size_px; ++x) {
                float sum = 0.0f;
                for (std::int64_t row = y * block; row < (y + 1) * block; ++row) {
                    for (std::int64_t i = row * frame_px + x * block; i < row * frame_px + (x + 1) * block;
                         ++i) {
                        sum += encoder_value(channel, source[i], alpha[i]);
                    }
                }
                *target++ = sum * weight;
            }
        }
    }
    return input;
}

Tensor alpha_of(const Tensor& frame) {
    const std::int64_t size_px = frame.shape()[1];
    Tensor alpha({size_px, size_px});
    std::copy_n(frame.data() + 3 * size_px * size_px, alpha.size(), alpha.data());
    return alpha;
}

std::vector<std::uint8_t> silhouette_columns(const Tensor& alpha, int resolution, int dilation_px) {
    const int size = static_cast<int>(alpha.shape()[0]);
    std::vector<std::uint8_t> silhouette(static_cast<std::size_t>(size) * size);
    std::transform(alpha.data(), alpha.data() + silhouette.size(), silhouette.begin(),
                   [](float a) { return a > 0.5f; });
    const int reach = std::min(dilation_px, size);
    silhouette = dilate(dilate(silhouette, size, 1, reach), size, size, reach);

    // Lattice index i lies at pixel i · S / R; the last one on the frame's edge.
    const int side = resolution + 1;
    std::vector<int> pixels(side);
    for (int i = 0; i < side; ++i) pixels[i] = std::min(i * size / resolution, size - 1);
    std::vector<std::uint8_t> columns(static_cast<std::size_t>(side) * side);
    std::uint8_t* column = columns.data();
    for (const int y : pixels) {
        for (const int x : pixels) *column++ = silhouette[static_cast<std::size_t>(y) * size + x];
    }
    return columns;
}

}  // namespace jiff
