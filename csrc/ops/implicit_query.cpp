#include "ops/implicit_query.h"

#include <algorithm>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/point_panels.h"
#include "ops/shared_columns.h"

namespace jiff {
namespace {

// The raw channels of the layers, the depth among them.
std::int64_t count_raw_channels(const HeadConfig& config) {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    if (config.layers.empty()) fail("an implicit function needs at least one layer, got none");
    if (config.num_point_features < 0) {
        fail("num_point_features must be 0 or more, got " + std::to_string(config.num_point_features));
    }
    const Shape& weight = config.layers[0].weight.shape();
    if (weight.size() == 2 && weight[1] < config.num_point_features + 2) {
        const std::string point_features =
            config.num_point_features ? ", " + std::to_string(config.num_point_features) + " point features"
                                      : "";
        fail("layer 0: weight must take at least one feature" + point_features + " and the depth, got " +
             to_string(weight));
    }
    const std::int64_t num_raw = weight.size() == 2 ? weight[1] : 0;
    check_layers(config.layers, "", 0, num_raw);
    return num_raw;
}

// Memory of one thread, kept between tiles.
struct Scratch {
    TileColumns columns;
    AlignedBuffer own, hidden[2], results;
};

}  // namespace

struct ImplicitQuery::Packed {
    const LayerKernel* kernel;
    std::int64_t num_point_features;
    float depth_scale;
    HeadActivation activation;
    SharedPart shared;
    SkipMlp mlp;

    Packed(const LayerKernel& kernel, const HeadConfig& config, std::int64_t num_shared)
        : kernel(&kernel),
          num_point_features(config.num_point_features),
          depth_scale(config.depth_scale),
          activation(config.activation),
          shared(kernel, {{&config.layers, 0}}, num_shared),
          mlp(kernel, config.layers, 0, num_shared, 0) {}

    // What a call asks for: of the first `num_layers` layers, activated by `activation` or, if that is null,
    // as hidden channels are.
    struct Request {
        const std::vector<TensorView>& maps;
        const float* point_features;
        const float* points;
        std::int64_t num_layers;
        const HeadActivation* activation;
        float* values;
    };

    void run(const Request& request, std::int64_t num_points) const;
    void evaluate(const Request& request, const std::vector<Run>& runs, const Tile& tile) const;
};

ImplicitQuery::ImplicitQuery(const HeadConfig& config) {
    const std::int64_t num_raw = count_raw_channels(config);
    packed_ =
        std::make_unique<Packed>(choose_layer_kernel(), config, num_raw - config.num_point_features - 1);
}

ImplicitQuery::~ImplicitQuery() = default;
ImplicitQuery::ImplicitQuery(ImplicitQuery&&) noexcept = default;
ImplicitQuery& ImplicitQuery::operator=(ImplicitQuery&&) noexcept = default;

std::int64_t ImplicitQuery::num_feature_channels() const { return packed_->shared.num_channels(); }
std::int64_t ImplicitQuery::num_point_features() const { return packed_->num_point_features; }
std::int64_t ImplicitQuery::num_outputs() const {
    return packed_->mlp.num_outputs(packed_->mlp.num_layers());
}

std::int64_t ImplicitQuery::num_activations(std::int64_t num_layers) const {
    if (num_layers < 1 || num_layers >= packed_->mlp.num_layers()) {
        throw Error(ErrorCode::kInvalidArgument, "the implicit function has hidden layers 1 to " +
                                                     std::to_string(packed_->mlp.num_layers() - 1) +
                                                     ", got num_layers = " + std::to_string(num_layers));
    }
    return packed_->mlp.num_outputs(num_layers);
}

void ImplicitQuery::query(const std::vector<TensorView>& maps, const float* point_features,
                          const float* points, std::int64_t num_points, float* values) const {
    packed_->run({maps, point_features, points, packed_->mlp.num_layers(), &packed_->activation, values},
                 num_points);
}

void ImplicitQuery::query(const std::vector<TensorView>& maps, const float* points, std::int64_t num_points,
                          float* values) const {
    query(maps, nullptr, points, num_points, values);
}

void ImplicitQuery::activations(const std::vector<TensorView>& maps, const float* points,
                                std::int64_t num_points, std::int64_t num_layers, float* activations) const {
    num_activations(num_layers);  // checks
    packed_->run({maps, nullptr, points, num_layers, nullptr, activations}, num_points);
}

void ImplicitQuery::Packed::run(const Request& request, std::int64_t num_points) const {
    check_maps(request.maps, shared.num_channels());
    if (num_point_features > 0 && !request.point_features) {
        throw Error(ErrorCode::kInvalidArgument, "the implicit function takes " +
                                                     std::to_string(num_point_features) +
                                                     " features of each point, got none");
    }
    const Tiles cut = cut_tiles(request.points, num_points, kernel->num_lanes);
    parallel_for(static_cast<std::int64_t>(cut.tiles.size()),
                 [&](std::int64_t i) { evaluate(request, cut.runs, cut.tiles[i]); });
}

void ImplicitQuery::Packed::evaluate(const Request& request, const std::vector<Run>& runs,
                                     const Tile& tile) const {
    thread_local Scratch scratch;
    shared.evaluate(request.maps, request.points, runs, tile, scratch.columns);

    const std::int64_t lanes = kernel->num_lanes, block_points = kBlockLanes / lanes * lanes;
    const std::int64_t stride = mlp.panel_rows() * lanes, own_stride = (num_point_features + 1) * lanes;
    const std::int64_t num_outputs = mlp.num_outputs(request.num_layers);
    const std::int64_t block_panels = block_points / lanes;
    float* own = scratch.own.reserve(block_panels * own_stride);
    float* inputs = scratch.hidden[0].reserve(block_panels * stride);
    float* products = scratch.hidden[1].reserve(block_panels * stride);
    float* results = scratch.results.reserve(block_panels * stride);
    for (std::int64_t first = tile.begin; first < tile.end; first += block_points) {
        const std::int64_t count = std::min(block_points, tile.end - first);
        const float* points = request.points + 3 * first;
        if (num_point_features > 0) {
            rows_to_panels(request.point_features + first * num_point_features, count, num_point_features,
                           lanes, own, own_stride);
        }
        depth_to_panels(points, count, depth_scale, lanes, own + num_point_features * lanes, own_stride);
        const PanelBlock block =
            scratch.columns.block((first - tile.begin) / lanes, (count + lanes - 1) / lanes, own, own_stride);
        mlp.evaluate(request.num_layers, request.activation == nullptr, block, inputs, products, stride,
                     results, stride);
        panels_to_rows(results, stride, lanes, points, count, num_outputs, request.activation,
                       request.values + first * num_outputs);
    }
}

}  // namespace jiff
