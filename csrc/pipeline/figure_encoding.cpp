#include "pipeline/figure_encoding.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/threads.h"

namespace jiff {
namespace {

// An engine prepares itself for every size that it meets: in this many texels there are fewer.
constexpr std::int64_t kStep = 2;

struct Range {
    std::int64_t first, last;
    void add(std::int64_t i) {
        first = std::min(first, i);
        last = std::max(last, i);
    }
};

// Columns and rows of pixels that are not all zero; `first` behind `last` where there are none.
struct Figure {
    Range columns, rows;
};

Figure find_figure(const Tensor& image) {
    const std::int64_t height = image.shape()[2], width = image.shape()[3];
    Figure figure{{width, -1}, {height, -1}};
    for (std::int64_t line = 0; line < image.shape()[1] * height; ++line) {
        const float* begin = image.data() + line * width;
        const float* end = begin + width;
        const auto is_figure = [](float value) { return value != 0.0f; };
        const float* first = std::find_if(begin, end, is_figure);
        if (first == end) continue;
        const float* last = end - 1;
        while (!is_figure(*last)) --last;
        figure.rows.add(line % height);
        figure.columns.add(first - begin);
        figure.columns.add(last - begin);
    }
    return figure;
}

// One side of the picture, cut: which texels are left, and where each texel of the whole map is in the map of
// what is left.
struct CutSide {
    std::int64_t begin, end;
    std::vector<std::int64_t> sources;
};

// Of a side of `size` texels with a figure from `first` to `last`. Whole where there is no room after the
// figure: what was cut off counts as the last texel that is left, which must be one of the ground.
CutSide cut_side(const CutSpec& spec, std::int64_t size, std::int64_t first, std::int64_t last) {
    CutSide side{0, size, std::vector<std::int64_t>(size)};
    // One texel of ground alone behind the figure's reach, and one between the border's reach and the
    // figure's.
    const std::int64_t least_end = last + spec.figure + 2;
    if (first <= last && least_end <= size) {
        side.begin = std::max<std::int64_t>(0, first - spec.figure - spec.border - 1) / kStep * kStep;
        side.end = std::min(size, (least_end + kStep - 1) / kStep * kStep);
    }
    for (std::int64_t i = 0; i < size; ++i) {
        const std::int64_t kept =
            side.begin == 0 ? i
                            : std::max<std::int64_t>(i - side.begin, std::min<std::int64_t>(i, spec.border));
        side.sources[i] = std::min(kept, side.end - side.begin - 1);
    }
    return side;
}

Tensor cut_out(const Tensor& image, const CutSide& columns, const CutSide& rows, std::int64_t stride) {
    const std::int64_t num_channels = image.shape()[1], height = image.shape()[2], width = image.shape()[3];
    const std::int64_t new_height = (rows.end - rows.begin) * stride,
                       new_width = (columns.end - columns.begin) * stride;
    Tensor part({1, num_channels, new_height, new_width});
    float* to = part.data();
    for (std::int64_t channel = 0; channel < num_channels; ++channel) {
        const float* from =
            image.data() + (channel * height + rows.begin * stride) * width + columns.begin * stride;
        for (std::int64_t y = 0; y < new_height; ++y, from += width, to += new_width)
            std::copy_n(from, new_width, to);
    }
    return part;
}

Tensor spread(const Tensor& part, const CutSide& columns, const CutSide& rows) {
    const std::int64_t num_channels = part.shape()[1], part_height = part.shape()[2],
                       part_width = part.shape()[3];
    const auto height = static_cast<std::int64_t>(rows.sources.size()),
               width = static_cast<std::int64_t>(columns.sources.size());
    Tensor whole({1, num_channels, height, width});
    parallel_for(num_channels, [&](std::int64_t channel) {
        float* to = whole.data() + channel * height * width;
        for (std::int64_t y = 0; y < height; ++y, to += width) {
            if (y > 0 && rows.sources[y] == rows.sources[y - 1]) {
                std::copy_n(to - width, width, to);
                continue;
            }
            const float* from = part.data() + (channel * part_height + rows.sources[y]) * part_width;
            for (std::int64_t x = 0; x < width; ++x) to[x] = from[columns.sources[x]];
        }
    });
    return whole;
}

}  // namespace

Tensor encode_figure(const LoadedGraph& encoder, const Tensor& image) {
    const CutSpec& spec = *encoder.spec().cut;
    const std::int64_t stride = spec.stride_px;
    const Figure figure = find_figure(image);
    const auto side = [&](const Range& pixels, std::int64_t size_px) {
        return cut_side(spec, size_px / stride, pixels.first / stride, pixels.last / stride);
    };
    const CutSide columns = side(figure.columns, image.shape()[3]),
                  rows = side(figure.rows, image.shape()[2]);
    const Tensor part = encoder.run_cut(cut_out(image, columns, rows, stride));
    return spread(part, columns, rows);
}

}  // namespace jiff
