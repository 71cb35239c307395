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

// Flags of a square picture, 64 pixels of a row a word.
class FlagRows {
  public:
    explicit FlagRows(int size) : size_(size), num_words_((size + 63) / 64), words_(num_words_ * size, 0) {}

    void set(int x, int y, bool flag) { row(y)[x / 64] |= std::uint64_t{flag} << x % 64; }
    bool is_set(int x, int y) const { return (row(y)[x / 64] >> x % 64 & 1) != 0; }

    // Sets each pixel within `reach` of one that is set, along rows and along columns.
    void dilate(int reach) {
        // Flags that reach so far already are united with themselves moved by one pixel more than twice that.
        for (int done = 0; done < reach;) {
            const int step = std::min(reach - done, 2 * done + 1);
            widen(step);
            heighten(step);
            done += step;
        }
    }

  private:
    std::uint64_t* row(int y) { return words_.data() + static_cast<std::size_t>(y) * num_words_; }
    const std::uint64_t* row(int y) const { return words_.data() + static_cast<std::size_t>(y) * num_words_; }

    void widen(int step) {
        const int words = step / 64, bits = step % 64;
        std::vector<std::uint64_t> old(num_words_);
        const auto word = [&](int i) { return i >= 0 && i < num_words_ ? old[i] : 0; };
        for (int y = 0; y < size_; ++y) {
            std::copy_n(row(y), num_words_, old.begin());
            for (int i = 0; i < num_words_; ++i) {
                const int low = i - words, high = i + words;
                std::uint64_t moved = word(low) << bits | word(high) >> bits;
                if (bits > 0) moved |= word(low - 1) >> (64 - bits) | word(high + 1) << (64 - bits);
                row(y)[i] |= moved;
            }
        }
    }

    void heighten(int step) {
        const std::vector<std::uint64_t> old = words_;
        const auto unite = [&](int y, int from) {
            if (from < 0 || from >= size_) return;
            const std::uint64_t* source = old.data() + static_cast<std::size_t>(from) * num_words_;
            for (int i = 0; i < num_words_; ++i) row(y)[i] |= source[i];
        };
        for (int y = 0; y < size_; ++y) {
            unite(y, y - step);
            unite(y, y + step);
        }
    }

    int size_, num_words_;
    std::vector<std::uint64_t> words_;
};

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
    FlagRows silhouette(size);
    for (int y = 0; y < size; ++y) {
        const float* row = alpha.data() + static_cast<std::int64_t>(y) * size;
        for (int x = 0; x < size; ++x) silhouette.set(x, y, row[x] > 0.5f);
    }
    silhouette.dilate(std::min(dilation_px, size));

    // Lattice index i lies at pixel i · S / R; the last one on the frame's edge.
    const int side = resolution + 1;
    std::vector<int> pixels(side);
    for (int i = 0; i < side; ++i) pixels[i] = std::min(i * size / resolution, size - 1);
    std::vector<std::uint8_t> columns(static_cast<std::size_t>(side) * side);
    std::uint8_t* column = columns.data();
    for (const int y : pixels) {
        for (const int x : pixels) *column++ = silhouette.is_set(x, y) ? 1 : 0;
    }
    return columns;
}

}  // namespace jiff
