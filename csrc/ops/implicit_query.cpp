#include "ops/implicit_query.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/cpu_features.h"
#include "core/status.h"
#include "core/threads.h"
#include "ops/feature_sampling.h"
#include "ops/packed_matrix.h"

namespace jiff {
namespace {

const LayerKernel& layer_kernel(SimdLevel level) {
#if defined(JIFF_HAVE_X86_KERNELS)
    if (level == SimdLevel::kAvx512) return kAvx512LayerKernel;
    if (level == SimdLevel::kAvx2) return kAvx2LayerKernel;
#endif
    (void)level;
    return kPortableLayerKernel;
}

void check_layers(const std::vector<HeadLayer>& layers) {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    if (layers.empty()) fail("an implicit function needs at least one layer, got none");
    std::int64_t num_raw = 0, num_previous = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Shape& weight = layers[i].weight.shape();
        const Shape& bias = layers[i].bias.shape();
        const std::string layer = "layer " + std::to_string(i);
        if (weight.size() != 2 || weight[0] < 1 || weight[1] < 1) {
            fail(layer + ": weight must have shape [out, in], got " + to_string(weight));
        }
        if (i == 0) {
            num_raw = weight[1];
            if (num_raw < 2)
                fail("layer 0: weight must take at least one feature and the depth, got " +
                     to_string(weight));
        } else if (weight[1] != num_previous + num_raw) {
            fail(layer + ": weight must take " + std::to_string(num_previous) + " hidden and " +
                 std::to_string(num_raw) + " input channels, got " + to_string(weight));
        }
        if (bias != Shape{weight[0]}) {
            fail(layer + ": bias must have shape [" + std::to_string(weight[0]) + "], got " +
                 to_string(bias));
        }
        num_previous = weight[0];
    }
}

// Consecutive points of one pixel column.
struct Run {
    std::int64_t begin, end;
};

// A number of whole or cut runs that one thread takes at a time.
struct Tile {
    std::int64_t first_run, num_runs;
    std::int64_t begin, end;  // points
};

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

std::vector<Tile> cut_tiles(const std::vector<Run>& runs, std::int64_t max_runs, std::int64_t max_points) {
    std::vector<Tile> tiles;
    for (std::int64_t r = 0; r < static_cast<std::int64_t>(runs.size()); ++r) {
        const Run& run = runs[r];
        if (!tiles.empty() && tiles.back().num_runs < max_runs &&
            run.end - tiles.back().begin <= max_points) {
            ++tiles.back().num_runs;
            tiles.back().end = run.end;
        } else {
            tiles.push_back({r, 1, run.begin, run.end});
        }
    }
    return tiles;
}

// Memory of one thread, kept between tiles.
struct Scratch {
    AlignedBuffer features;   // panels of runs, feature channels
    AlignedBuffer shared;     // panels of runs, the feature part of every layer
    AlignedBuffer hidden[2];  // panels of points, hidden channels and depth
    std::vector<float> run_xy;
    std::vector<LaneSegment> segments;         // of all panels of points, offsets into `shared`
    std::vector<std::int32_t> first_segments;  // of each panel, and the end
};

}  // namespace

struct ImplicitQuery::Packed {
    const LayerKernel* kernel;
    std::int64_t num_features;
    float depth_scale;
    HeadActivation activation;
    PackedMatrix feature_part;               // rows of all layers below each other, × features
    std::vector<float> biases;               // of all layers
    std::vector<std::int64_t> first_rows;    // of each layer in feature_part
    std::vector<PackedMatrix> hidden_parts;  // × (previous outputs, depth); layer 0: × depth alone

    void evaluate(const std::vector<TensorView>& maps, const float* points, const std::vector<Run>& runs,
                  const Tile& tile, float* values) const;
    void share_columns(const std::vector<TensorView>& maps, const float* points, const std::vector<Run>& runs,
                       const Tile& tile, Scratch& scratch) const;
    float activate(float value) const;
};

ImplicitQuery::ImplicitQuery(const HeadConfig& config) : packed_(std::make_unique<Packed>()) {
    check_layers(config.layers);
    Packed& p = *packed_;
    p.kernel = &layer_kernel(choose_simd_level());
    p.num_features = config.layers[0].weight.shape()[1] - 1;
    p.depth_scale = config.depth_scale;
    p.activation = config.activation;

    std::vector<const float*> feature_rows;  // where the feature columns of each row begin
    std::int64_t num_previous = 0;
    for (const HeadLayer& layer : config.layers) {
        const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
        const float* weight = layer.weight.data();
        p.first_rows.push_back(static_cast<std::int64_t>(feature_rows.size()));
        for (std::int64_t row = 0; row < num_out; ++row)
            feature_rows.push_back(weight + row * num_in + num_previous);
        p.biases.insert(p.biases.end(), layer.bias.data(), layer.bias.data() + num_out);
        p.hidden_parts.emplace_back(
            *p.kernel, num_out, num_previous + 1, [&](std::int64_t row, std::int64_t column) {
                return weight[row * num_in + (column < num_previous ? column : num_in - 1)];
            });
        num_previous = num_out;
    }
    p.feature_part =
        PackedMatrix(*p.kernel, static_cast<std::int64_t>(feature_rows.size()), p.num_features,
                     [&](std::int64_t row, std::int64_t column) { return feature_rows[row][column]; });
}

ImplicitQuery::~ImplicitQuery() = default;
ImplicitQuery::ImplicitQuery(ImplicitQuery&&) noexcept = default;
ImplicitQuery& ImplicitQuery::operator=(ImplicitQuery&&) noexcept = default;

std::int64_t ImplicitQuery::num_feature_channels() const { return packed_->num_features; }
std::int64_t ImplicitQuery::num_outputs() const { return packed_->hidden_parts.back().num_rows(); }

void ImplicitQuery::query(const std::vector<TensorView>& maps, const float* points, std::int64_t num_points,
                          float* values) const {
    std::int64_t num_channels = 0;
    for (const TensorView& map : maps) {
        check_feature_map(map);
        num_channels += map.shape[1];
    }
    if (num_channels != packed_->num_features) {
        throw Error(ErrorCode::kInvalidArgument,
                    "the implicit function takes " + std::to_string(packed_->num_features) +
                        " feature channels, the maps have " + std::to_string(num_channels));
    }
    // Large tiles share more; small ones keep every thread busy when there are few points.
    const std::int64_t max_points = std::clamp<std::int64_t>(num_points / (4 * num_threads()), 128, 1024);
    const std::vector<Run> runs = find_runs(points, num_points, max_points);
    const std::int64_t max_runs =
        72 / packed_->kernel->num_lanes * packed_->kernel->num_lanes;  // full panels
    const std::vector<Tile> tiles = cut_tiles(runs, max_runs, max_points);
    parallel_for(static_cast<std::int64_t>(tiles.size()),
                 [&](std::int64_t i) { packed_->evaluate(maps, points, runs, tiles[i], values); });
}

// Fills scratch.shared with W_features · f + bias of every layer, a lane for each run of the tile.
void ImplicitQuery::Packed::share_columns(const std::vector<TensorView>& maps, const float* points,
                                          const std::vector<Run>& runs, const Tile& tile,
                                          Scratch& scratch) const {
    const std::int64_t lanes = kernel->num_lanes;
    const std::int64_t num_panels = (tile.num_runs + lanes - 1) / lanes;
    const std::int64_t feature_stride = num_features * lanes;
    const std::int64_t shared_stride = feature_part.padded_rows() * lanes;
    float* features = scratch.features.reserve(num_panels * feature_stride);
    float* shared = scratch.shared.reserve(num_panels * shared_stride);

    scratch.run_xy.resize(2 * tile.num_runs);
    for (std::int64_t r = 0; r < tile.num_runs; ++r) {
        const float* point = points + 3 * runs[tile.first_run + r].begin;
        scratch.run_xy[2 * r] = point[0];
        scratch.run_xy[2 * r + 1] = point[1];
    }
    for (std::int64_t panel = 0; panel < num_panels; ++panel) {
        const std::int64_t first_run = panel * lanes;
        const std::int64_t count = std::min(lanes, tile.num_runs - first_run);
        float* channel = features + panel * feature_stride;
        if (count < lanes) std::fill(channel, channel + feature_stride, 0.0f);
        for (const TensorView& map : maps) {
            sample_features(map, scratch.run_xy.data() + 2 * first_run, count, channel, 1, lanes);
            channel += map.shape[1] * lanes;
        }
    }
    feature_part.multiply(features, feature_stride, shared, shared_stride, num_panels,
                          [&](std::int64_t, std::int64_t row, std::int64_t num_rows, float* products) {
                              kernel->add_bias(num_rows, biases.data() + row, products);
                          });
}

void ImplicitQuery::Packed::evaluate(const std::vector<TensorView>& maps, const float* points,
                                     const std::vector<Run>& runs, const Tile& tile, float* values) const {
    thread_local Scratch scratch;
    share_columns(maps, points, runs, tile, scratch);
    const std::int64_t lanes = kernel->num_lanes;
    const std::int64_t shared_stride = feature_part.padded_rows() * lanes;

    const std::int64_t num_points = tile.end - tile.begin;
    const std::int64_t num_panels = (num_points + lanes - 1) / lanes;
    scratch.segments.clear();
    scratch.first_segments.assign(1, 0);
    std::int64_t run = tile.first_run;
    for (std::int64_t panel = 0; panel < num_panels; ++panel) {
        const std::int64_t first_point = tile.begin + panel * lanes;
        const std::int64_t end_point = std::min(first_point + lanes, tile.end);
        for (std::int64_t point = first_point; point < end_point;
             point = std::min(runs[run].end, end_point)) {
            if (point == runs[run].end) ++run;
            const std::int64_t r = run - tile.first_run;
            scratch.segments.push_back({static_cast<std::int32_t>(point - first_point),
                                        static_cast<std::int32_t>(r / lanes * shared_stride + r % lanes)});
        }
        scratch.first_segments.push_back(static_cast<std::int32_t>(scratch.segments.size()));
    }

    std::int64_t max_rows = 0;
    for (const PackedMatrix& part : hidden_parts) max_rows = std::max(max_rows, part.padded_rows());
    const std::int64_t panel_stride = (max_rows + 1) * lanes;
    const std::int64_t num_outputs = hidden_parts.back().num_rows();
    constexpr std::int64_t kMaxBlockPoints = 144;  // a multiple of every panel; its activations stay in cache
    const std::int64_t block_panels = kMaxBlockPoints / lanes;
    float* inputs = scratch.hidden[0].reserve(block_panels * panel_stride);
    float* products = scratch.hidden[1].reserve(block_panels * panel_stride);

    for (std::int64_t first_panel = 0; first_panel < num_panels; first_panel += block_panels) {
        const std::int64_t count = std::min(block_panels, num_panels - first_panel);
        const std::int64_t first_point = tile.begin + first_panel * lanes;
        const std::int64_t num_block_points = std::min(count * lanes, tile.end - first_point);
        std::int64_t depth_row = 0;  // of the layer's input, after the hidden channels
        for (std::size_t layer = 0; layer < hidden_parts.size(); ++layer) {
            for (std::int64_t i = 0; i < count * lanes; ++i) {
                const float z = i < num_block_points ? points[3 * (first_point + i) + 2] * depth_scale : 0.0f;
                inputs[i / lanes * panel_stride + depth_row * lanes + i % lanes] = z;
            }
            const bool rectify = layer + 1 < hidden_parts.size();
            const float* shared = scratch.shared.data() + first_rows[layer] * lanes;
            hidden_parts[layer].multiply(
                inputs, panel_stride, products, panel_stride, count,
                [&](std::int64_t panel, std::int64_t row, std::int64_t num_rows, float* rows) {
                    const std::int32_t* first = scratch.first_segments.data() + first_panel + panel;
                    kernel->add_shared(num_rows, shared + row * lanes, scratch.segments.data() + first[0],
                                       first[1] - first[0], rectify, rows);
                });
            std::swap(inputs, products);
            depth_row = hidden_parts[layer].num_rows();
        }
        for (std::int64_t i = 0; i < num_block_points; ++i) {
            const float* point = points + 3 * (first_point + i);
            const bool not_a_number = std::isnan(point[0]) || std::isnan(point[1]) || std::isnan(point[2]);
            const bool outside = std::abs(point[0]) > 1.0f || std::abs(point[1]) > 1.0f;
            for (std::int64_t output = 0; output < num_outputs; ++output) {
                const float value = inputs[i / lanes * panel_stride + output * lanes + i % lanes];
                values[(first_point + i) * num_outputs + output] =
                    not_a_number ? std::numeric_limits<float>::quiet_NaN()
                    : outside    ? 0.0f
                                 : activate(value);
            }
        }
    }
}

float ImplicitQuery::Packed::activate(float value) const {
    return activation == HeadActivation::kSigmoid ? 1.0f / (1.0f + std::exp(-value))
                                                  : (std::tanh(value) + 1.0f) * 0.5f;
}

}  // namespace jiff
