#include "ops/shared_columns.h"

#include <algorithm>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/feature_sampling.h"

namespace jiff {
namespace {

std::vector<Run> find_runs(const float* points, std::int64_t num_points, std::int64_t max_length) {
    std::vector<Run> runs;
    for (std::int64_t i = 0; i < num_points; ++i) {
        const float* point = points + 3 * i;
        const bool extends = i > 0 && point[0] == point[-3] && point[1] == point[-2];
        if (extends && runs.back().end - runs.back().begin < max_length) {
            ++runs.back().end;
        } else {
            runs.push_back({i, i + 1});
        }
    }
    return runs;
}

// Which lanes of every panel of the tile's points belong to which of its runs.
void assign_lanes(const std::vector<Run>& runs, const Tile& tile, std::int64_t lanes,
                  std::int64_t shared_stride, TileColumns& columns) {
    columns.segments.clear();
    columns.first_segments.assign(1, 0);
    std::int64_t run = tile.first_run;
    for (std::int64_t first_point = tile.begin; first_point < tile.end; first_point += lanes) {
        const std::int64_t end_point = std::min(first_point + lanes, tile.end);
        for (std::int64_t point = first_point; point < end_point;
             point = std::min(runs[run].end, end_point)) {
            if (point == runs[run].end) ++run;
            const std::int64_t r = run - tile.first_run;
            columns.segments.push_back({static_cast<std::int32_t>(point - first_point),
                                        static_cast<std::int32_t>(r / lanes * shared_stride + r % lanes)});
        }
        columns.first_segments.push_back(static_cast<std::int32_t>(columns.segments.size()));
    }
}

}  // namespace

Tiles cut_tiles(const float* points, std::int64_t num_points, std::int64_t num_lanes) {
    const std::int64_t max_points = std::clamp<std::int64_t>(num_points / (4 * num_threads()), 128, 1024);
    const std::int64_t max_runs = 72 / num_lanes * num_lanes;  // full panels
    Tiles cut{find_runs(points, num_points, max_points), {}};
    for (std::int64_t r = 0; r < static_cast<std::int64_t>(cut.runs.size()); ++r) {
        const Run& run = cut.runs[r];
        const bool fits = !cut.tiles.empty() && cut.tiles.back().num_runs < max_runs &&
                          run.end - cut.tiles.back().begin <= max_points;
        if (fits) {
            ++cut.tiles.back().num_runs;
            cut.tiles.back().end = run.end;
        } else {
            cut.tiles.push_back({r, 1, run.begin, run.end});
        }
    }
    return cut;
}

void check_maps(const std::vector<TensorView>& maps, std::int64_t num_channels) {
    std::int64_t num_found = 0;
    for (const TensorView& map : maps) {
        check_feature_map(map);
        num_found += map.shape[1];
    }
    if (num_found != num_channels) {
        throw Error(ErrorCode::kInvalidArgument,
                    "the implicit function takes " + std::to_string(num_channels) +
                        " feature channels, the maps have " + std::to_string(num_found));
    }
}

SharedPart::SharedPart(const LayerKernel& kernel, const std::vector<Mlp>& mlps, std::int64_t num_channels)
    : kernel_(&kernel), num_channels_(num_channels) {
    std::vector<const float*> rows;  // where the shared columns of each row begin
    for (const Mlp& mlp : mlps) {
        std::int64_t num_hidden = mlp.num_start;
        for (const HeadLayer& layer : *mlp.layers) {
            const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
            for (std::int64_t row = 0; row < num_out; ++row) {
                rows.push_back(layer.weight.data() + row * num_in + num_hidden);
            }
            biases_.insert(biases_.end(), layer.bias.data(), layer.bias.data() + num_out);
            num_hidden = num_out;
        }
    }
    weights_ = PackedMatrix(kernel, static_cast<std::int64_t>(rows.size()), num_channels,
                            [&](std::int64_t row, std::int64_t column) { return rows[row][column]; });
}

void SharedPart::evaluate(const std::vector<TensorView>& maps, const float* points,
                          const std::vector<Run>& runs, const Tile& tile, TileColumns& columns) const {
    const std::int64_t lanes = kernel_->num_lanes;
    const std::int64_t num_panels = (tile.num_runs + lanes - 1) / lanes;
    const std::int64_t feature_stride = num_channels_ * lanes;
    const std::int64_t shared_stride = weights_.padded_rows() * lanes;
    float* features = columns.features.reserve(num_panels * feature_stride);
    float* shared = columns.shared.reserve(num_panels * shared_stride);

    columns.run_xy.resize(2 * tile.num_runs);
    for (std::int64_t r = 0; r < tile.num_runs; ++r) {
        const float* point = points + 3 * runs[tile.first_run + r].begin;
        columns.run_xy[2 * r] = point[0];
        columns.run_xy[2 * r + 1] = point[1];
    }
    for (std::int64_t panel = 0; panel < num_panels; ++panel) {
        const std::int64_t first_run = panel * lanes;
        const std::int64_t count = std::min(lanes, tile.num_runs - first_run);
        float* channel = features + panel * feature_stride;
        if (count < lanes) std::fill(channel, channel + feature_stride, 0.0f);
        for (const TensorView& map : maps) {
            sample_features(map, columns.run_xy.data() + 2 * first_run, count, channel, 1, lanes);
            channel += map.shape[1] * lanes;
        }
    }
    weights_.multiply(features, feature_stride, shared, shared_stride, num_panels,
                      [&](std::int64_t, std::int64_t row, std::int64_t num_rows, float* products) {
                          kernel_->add_bias(num_rows, biases_.data() + row, products);
                      });
    assign_lanes(runs, tile, lanes, shared_stride, columns);
}

}  // namespace jiff
