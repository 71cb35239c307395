#include "preprocess/face_detection.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>

#include "core/status.h"

namespace jiff {
namespace {

constexpr double kPyramidFactor = 0.709;  // between levels: half the area
constexpr double kDefaultMinFacePx = 20.0;
constexpr double kDefaultPhotoPx = 512.0;  // the shorter side that kDefaultMinFacePx is meant for
constexpr double kLeastMaskShare = 0.5;
constexpr int kHalf = 128;  // the least mask value above one half of 255

// Source pixels first … last - 1 that one output pixel touches.
struct Bin {
    int first = 0;
    int last = 0;
};

std::vector<Bin> bins(int num_source, int num_out) {
    std::vector<Bin> found(num_out);
    for (std::int64_t i = 0; i < num_out; ++i) {
        found[i].first = static_cast<int>(i * num_source / num_out);
        found[i].last = static_cast<int>(((i + 1) * num_source + num_out - 1) / num_out);
    }
    return found;
}

float overlap_of(const FaceWindow& a, const FaceWindow& b, OverlapMode mode) {
    // The cascade's last suppression counts last pixels, those before it do not.
    const float last = mode == OverlapMode::kSmaller ? 1.0f : 0.0f;
    const auto area = [last](const FaceWindow& w) {
        return (w.right - w.left + last) * (w.bottom - w.top + last);
    };
    const float width = std::max(0.0f, std::min(a.right, b.right) - std::max(a.left, b.left) + last);
    const float height = std::max(0.0f, std::min(a.bottom, b.bottom) - std::max(a.top, b.top) + last);
    const float shared = width * height;
    if (mode == OverlapMode::kSmaller) return shared / std::min(area(a), area(b));
    return shared / (area(a) + area(b) - shared);
}

// A window may lie far outside, or be no number where a network gives nonsense: neither may overflow an int.
int whole_pixel(float side, int low, int high) {
    if (!(side > static_cast<float>(low))) return low;
    return side < static_cast<float>(high) ? static_cast<int>(side) : high;
}

// The share of the visible box that lies on the mask.
double mask_share(const Box& box, const ImageView& mask) {
    const auto pixel = [](double side, int num_px) {
        return static_cast<int>(std::clamp(std::round(side), 0.0, static_cast<double>(num_px)));
    };
    const int left = pixel(box.left_px, mask.width_px);
    const int right = pixel(box.left_px + box.width_px, mask.width_px);
    const int top = pixel(box.top_px, mask.height_px);
    const int bottom = pixel(box.top_px + box.height_px, mask.height_px);
    if (right <= left || bottom <= top) return 0.0;
    std::int64_t num_inside = 0;
    for (int row = top; row < bottom; ++row) {
        const std::uint8_t* values = mask.values + static_cast<std::size_t>(row) * mask.width_px;
        num_inside += std::count_if(values + left, values + right, [](int value) { return value >= kHalf; });
    }
    return static_cast<double>(num_inside) / (static_cast<double>(right - left) * (bottom - top));
}

}  // namespace

double default_min_face_px(int photo_width_px, int photo_height_px) {
    const double shorter_side = std::min(photo_width_px, photo_height_px);
    return kDefaultMinFacePx * std::max(1.0, shorter_side / kDefaultPhotoPx);
}

std::vector<PyramidLevel> face_pyramid(int photo_width_px, int photo_height_px, double min_face_px) {
    if (!(min_face_px >= kLeastMinFacePx) || !std::isfinite(min_face_px)) {
        throw Error(ErrorCode::kInvalidArgument, "min_face_px must be " +
                                                     std::to_string(int(kLeastMinFacePx)) + " or more, got " +
                                                     std::to_string(min_face_px));
    }
    std::vector<PyramidLevel> levels;
    double scale = kProposalWindowPx / min_face_px;
    double shorter_side = std::min(photo_width_px, photo_height_px) * scale;
    for (; shorter_side >= kProposalWindowPx; scale *= kPyramidFactor, shorter_side *= kPyramidFactor) {
        levels.push_back({scale, static_cast<int>(photo_width_px * scale + 1),
                          static_cast<int>(photo_height_px * scale + 1)});
    }
    return levels;
}

void average_pixels(const ImageView& rgb, const PixelRect& part, int width_px, int height_px, float* values) {
    const auto columns = bins(part.right - part.left, width_px);
    const auto rows = bins(part.bottom - part.top, height_px);
    std::vector<std::uint32_t> sums;  // of the source rows of one output row; whole numbers, so exact
    for (int row = 0; row < height_px; ++row) {
        sums.assign(static_cast<std::size_t>(part.right - part.left) * 3, 0);
        for (int source = part.top + rows[row].first; source < part.top + rows[row].last; ++source) {
            const std::uint8_t* pixels =
                rgb.values + (static_cast<std::size_t>(source) * rgb.width_px + part.left) * 3;
            for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += pixels[i];
        }
        for (int column = 0; column < width_px; ++column) {
            const Bin& bin = columns[column];
            std::array<std::uint64_t, 3> total{};
            for (int source = bin.first; source < bin.last; ++source) {
                for (int channel = 0; channel < 3; ++channel) total[channel] += sums[3 * source + channel];
            }
            const double num_pixels =
                static_cast<double>(bin.last - bin.first) * (rows[row].last - rows[row].first);
            for (int channel = 0; channel < 3; ++channel) {
                const double mean = static_cast<double>(total[channel]) / num_pixels;
                values[(static_cast<std::size_t>(channel) * height_px + row) * width_px + column] =
                    static_cast<float>((mean - 127.5) / 128.0);
            }
        }
    }
}

int num_proposal_cells(int size_px) { return (size_px - kProposalWindowPx + 1) / kProposalStridePx + 1; }

FaceWindow proposal_window(const PyramidLevel& level, int column, int row, float score) {
    // Single precision on purpose: a quotient just below a whole number rounds as it did in training.
    const auto scale = static_cast<float>(level.scale);
    const auto first = [scale](int cell) {
        return std::floor(static_cast<float>(kProposalStridePx * cell + 1) / scale);
    };
    const auto last = [scale](int cell) {
        return std::floor(static_cast<float>(kProposalStridePx * cell + kProposalWindowPx) / scale);
    };
    return {first(column), first(row), last(column), last(row), score};
}

std::vector<std::size_t> suppress_overlaps(const std::vector<FaceWindow>& windows, float most_overlap,
                                           OverlapMode mode) {
    std::vector<std::size_t> order(windows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Sure faces reach the very same score, so this decides between windows that lie pixels apart.
    if (mode == OverlapMode::kSmaller) std::reverse(order.begin(), order.end());
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return windows[a].score > windows[b].score; });
    std::vector<std::size_t> kept;
    for (std::size_t candidate : order) {
        const bool covered = std::any_of(kept.begin(), kept.end(), [&](std::size_t better) {
            return overlap_of(windows[better], windows[candidate], mode) > most_overlap;
        });
        if (!covered) kept.push_back(candidate);
    }
    return kept;
}

FaceWindow regress_window(const FaceWindow& window, const std::array<float, 4>& offsets, WindowSize size) {
    const float last = size == WindowSize::kWithLastPixel ? 1.0f : 0.0f;
    const float width = window.right - window.left + last;
    const float height = window.bottom - window.top + last;
    return {window.left + offsets[0] * width, window.top + offsets[1] * height,
            window.right + offsets[2] * width, window.bottom + offsets[3] * height, window.score};
}

FaceWindow square_window(const FaceWindow& window) {
    const float width = window.right - window.left;
    const float height = window.bottom - window.top;
    const float side = std::max(width, height);
    const float left = window.left + width * 0.5f - side * 0.5f;
    const float top = window.top + height * 0.5f - side * 0.5f;
    return {left, top, left + side, top + side, window.score};
}

std::optional<PixelRect> window_pixels(const FaceWindow& window, int photo_width_px, int photo_height_px) {
    const PixelRect rect{whole_pixel(window.left, 1, photo_width_px + 1) - 1,
                         whole_pixel(window.top, 1, photo_height_px + 1) - 1,
                         whole_pixel(window.right, 0, photo_width_px),
                         whole_pixel(window.bottom, 0, photo_height_px)};
    if (rect.right <= rect.left || rect.bottom <= rect.top) return std::nullopt;
    return rect;
}

Box window_box(const FaceWindow& window) {
    return {window.left - 1.0, window.top - 1.0, window.right - window.left + 1.0,
            window.bottom - window.top + 1.0};
}

std::optional<std::size_t> main_face(const std::vector<Face>& faces, const ImageView& mask) {
    std::optional<std::size_t> main;
    double greatest = 0.0;
    for (std::size_t i = 0; i < faces.size(); ++i) {
        const Box& box = faces[i].box;
        const double weight = box.width_px * box.height_px * faces[i].score;
        if (weight > greatest && mask_share(box, mask) >= kLeastMaskShare) {
            main = i;
            greatest = weight;
        }
    }
    return main;
}

}  // namespace jiff
