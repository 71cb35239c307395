#include "preprocess/segmentation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <queue>

#include "core/status.h"

namespace jiff {
namespace {

constexpr int kHalf = 128;                   // the least value above one half of 255
constexpr double kBystanderShare = 0.15;     // of the largest person's area
constexpr double kLeastPersonShare = 0.005;  // of the photo's area
constexpr int kLeastFigurePx = 16;           // longer side of a caller's figure
constexpr std::uint32_t kNoLabel = 0xffffffffu;

// Pixels first … last - 1 of one row, all above one half.
struct Run {
    int row = 0, first = 0, last = 0;
};

std::uint32_t find_root(std::vector<std::uint32_t>& parents, std::uint32_t node) {
    while (parents[node] != node) node = parents[node] = parents[parents[node]];
    return node;
}

std::vector<Run> find_runs(const ImageView& mask) {
    std::vector<Run> runs;
    for (int row = 0; row < mask.height_px; ++row) {
        const std::uint8_t* values = mask.values + static_cast<std::size_t>(row) * mask.width_px;
        for (int column = 0; column < mask.width_px; ++column) {
            if (values[column] < kHalf) continue;
            Run run{row, column, column + 1};
            while (run.last < mask.width_px && values[run.last] >= kHalf) ++run.last;
            runs.push_back(run);
            column = run.last;
        }
    }
    return runs;
}

// The component of every run: runs of neighbouring rows that touch, diagonally too, are one.
std::vector<std::uint32_t> connect(const std::vector<Run>& runs) {
    std::vector<std::uint32_t> parents(runs.size());
    std::iota(parents.begin(), parents.end(), 0u);
    std::size_t above = 0;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        while (runs[above].row < runs[i].row - 1 ||
               (runs[above].row == runs[i].row - 1 && runs[above].last < runs[i].first)) {
            ++above;
        }
        for (std::size_t j = above; runs[j].row == runs[i].row - 1 && runs[j].first <= runs[i].last; ++j) {
            const auto a = find_root(parents, static_cast<std::uint32_t>(i));
            const auto b = find_root(parents, static_cast<std::uint32_t>(j));
            parents[std::max(a, b)] = std::min(a, b);
        }
    }
    for (std::size_t i = 0; i < runs.size(); ++i)
        parents[i] = find_root(parents, static_cast<std::uint32_t>(i));
    return parents;
}

// Grows the components through soft pixels (above 0, at most one half), nearest first, so that every
// soft pixel belongs to the part whose edge it is; returns [height, width] labels.
std::vector<std::uint32_t> label_pixels(const ImageView& mask, const std::vector<Run>& runs,
                                        const std::vector<std::uint32_t>& components) {
    const auto width = static_cast<std::size_t>(mask.width_px);
    const std::size_t num_pixels = width * mask.height_px;
    std::vector<std::uint32_t> labels(num_pixels, kNoLabel);
    std::queue<std::size_t> front;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const std::size_t row_start = runs[i].row * width;
        std::fill(labels.begin() + row_start + runs[i].first, labels.begin() + row_start + runs[i].last,
                  components[i]);
    }
    const auto grow_from = [&](std::size_t pixel) {
        const std::size_t column = pixel % width;
        const auto visit = [&](std::size_t neighbour) {
            if (labels[neighbour] != kNoLabel || mask.values[neighbour] == 0) return;
            labels[neighbour] = labels[pixel];
            front.push(neighbour);
        };
        if (column > 0) visit(pixel - 1);
        if (column + 1 < width) visit(pixel + 1);
        if (pixel >= width) visit(pixel - width);
        if (pixel + width < num_pixels) visit(pixel + width);
    };
    for (const Run& run : runs) {
        for (int column = run.first; column < run.last; ++column) grow_from(run.row * width + column);
    }
    for (; !front.empty(); front.pop()) grow_from(front.front());
    return labels;
}

std::string percent(double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f %%", 100.0 * share);
    return text;
}

std::string size_text(const ImageView& image) {
    return std::to_string(image.width_px) + " x " + std::to_string(image.height_px);
}

Box bounding_box(const std::vector<Run>& runs, const std::vector<std::uint32_t>& components,
                 std::uint32_t chosen) {
    int left = INT32_MAX, top = INT32_MAX, right = 0, bottom = 0;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (components[i] != chosen) continue;
        left = std::min(left, runs[i].first);
        right = std::max(right, runs[i].last);
        top = std::min(top, runs[i].row);
        bottom = std::max(bottom, runs[i].row + 1);
    }
    return {double(left), double(top), double(right - left), double(bottom - top)};
}

void require_figure(const ImageView& mask, MaskSource source, double area, const Box& box) {
    if (source == MaskSource::kNetwork) {
        const double share = area / (double(mask.width_px) * mask.height_px);
        if (share >= kLeastPersonShare) return;
        throw Error(ErrorCode::kNoPerson, "no person was found in the photograph of " + size_text(mask) +
                                              " px (the largest candidate covers " + percent(share) +
                                              " of it, at least " + percent(kLeastPersonShare) +
                                              " is needed); crop it closer to the person or give a mask");
    }
    const double longer_side = std::max(box.width_px, box.height_px);
    if (longer_side >= kLeastFigurePx) return;
    throw Error(ErrorCode::kInvalidMask,
                area == 0 ? "the mask of " + size_text(mask) +
                                " px is empty: no value is above one half; mark the person with 255 (or 1.0)"
                          : "the mask of " + size_text(mask) + " px marks a figure of only " +
                                std::to_string(int(longer_side)) + " px; its longer side must be at least " +
                                std::to_string(kLeastFigurePx) + " px");
}

}  // namespace

// Measured on photographs from 1:2.3 to 2.3:1: a matting network trained on stretched squares follows
// the person's outline as well as in a letterboxed square, and takes less background along.
Tensor segmentation_input(const ImageView& rgb, int width_px, int height_px) {
    const Box whole{0.0, 0.0, double(rgb.width_px), double(rgb.height_px)};
    Tensor image = warp_image(rgb, whole, width_px, height_px);
    Tensor input({1, 3, height_px, width_px});
    std::transform(image.data(), image.data() + image.size(), input.data(),
                   [](float v) { return 2.0f * v - 1.0f; });
    return input;
}

std::vector<std::uint8_t> matte_to_photo(const TensorView& matte, int photo_width_px, int photo_height_px) {
    const auto to_byte = [](float v) {
        return static_cast<std::uint8_t>(std::lround(255.0f * std::clamp(v, 0.0f, 1.0f)));
    };
    std::vector<std::uint8_t> bytes(matte.size());
    for (std::int64_t i = 0; i < matte.size(); ++i) {
        if (!std::isfinite(matte.data[i])) {
            throw Error(ErrorCode::kInvalidField,
                        "the segmentation network returned a value that is not finite; give a mask instead");
        }
        bytes[i] = to_byte(matte.data[i]);
    }
    const ImageView view{bytes.data(), int(matte.shape[3]), int(matte.shape[2]), 1};
    const Box whole{0.0, 0.0, double(view.width_px), double(view.height_px)};
    const Tensor resized = warp_image(view, whole, photo_width_px, photo_height_px);
    std::vector<std::uint8_t> mask(resized.size());
    std::transform(resized.data(), resized.data() + resized.size(), mask.begin(), to_byte);
    return mask;
}

PersonMask choose_person(const ImageView& mask, MaskSource source) {
    const auto runs = find_runs(mask);
    const auto components = connect(runs);
    std::vector<double> areas(runs.size(), 0.0);  // by component
    for (std::size_t i = 0; i < runs.size(); ++i) areas[components[i]] += runs[i].last - runs[i].first;
    const auto largest = std::max_element(areas.begin(), areas.end());
    const double area = runs.empty() ? 0.0 : *largest;
    const auto chosen = static_cast<std::uint32_t>(largest - areas.begin());
    const Box box = runs.empty() ? Box{} : bounding_box(runs, components, chosen);
    require_figure(mask, source, area, box);

    PersonMask person;
    person.box = box;
    person.values.resize(static_cast<std::size_t>(mask.width_px) * mask.height_px);
    const auto labels = label_pixels(mask, runs, components);
    for (std::size_t i = 0; i < labels.size(); ++i)
        person.values[i] = labels[i] == chosen ? mask.values[i] : 0;

    const auto num_people = std::count_if(areas.begin(), areas.end(),
                                          [&](double other) { return other >= kBystanderShare * area; });
    if (num_people > 1) {
        person.warnings.push_back(
            "the photograph seems to show " + std::to_string(num_people) +
            " people; the largest was reconstructed; to take another, give a mask that shows "
            "only that person");
    }
    return person;
}

}  // namespace jiff
