#include "ops/joint_query.h"

#include <algorithm>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/point_panels.h"
#include "ops/shared_columns.h"

namespace jiff {
namespace {

// Raw and last channels of the MLPs.
struct Widths {
    std::int64_t raw_2d, raw_3d, last_2d, last_3d;

    std::int64_t start() const { return last_2d + last_3d; }
};

Widths check_config(const JointHeadConfig& config) {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    if (config.num_point_features < 0) {
        fail("num_point_features must be 0 or more, got " + std::to_string(config.num_point_features));
    }
    const auto raw_channels = [&](const std::vector<HeadLayer>& layers, const std::string& name,
                                  std::int64_t least) {
        if (layers.empty()) fail(name + " needs at least one layer, got none");
        const Shape& weight = layers[0].weight.shape();
        if (weight.size() == 2 && weight[1] < least) {
            fail(name + " layer 0: weight must take at least " + std::to_string(least) +
                 " input channels, got " + to_string(weight));
        }
        return weight.size() == 2 ? weight[1] : 0;
    };
    Widths widths{};
    widths.raw_2d = raw_channels(config.branch_2d, "branch_2d", config.num_point_features + 2);
    widths.raw_3d = raw_channels(config.branch_3d, "branch_3d", 1);
    raw_channels(config.joint, "joint", 1);
    check_layers(config.branch_2d, "branch_2d ", 0, widths.raw_2d);
    check_layers(config.branch_3d, "branch_3d ", 0, widths.raw_3d);
    widths.last_2d = config.branch_2d.back().weight.shape()[0];
    widths.last_3d = config.branch_3d.back().weight.shape()[0];
    check_layers(config.joint, "joint ", widths.start(), widths.raw_2d + widths.raw_3d);
    return widths;
}

std::int64_t count_rows(const std::vector<HeadLayer>& layers) {
    std::int64_t num_rows = 0;
    for (const HeadLayer& layer : layers) num_rows += layer.weight.shape()[0];
    return num_rows;
}

// Memory of one thread, kept between tiles.
struct Scratch {
    TileColumns columns;
    AlignedBuffer own, branch[2], joint[2], results;
    std::vector<float> coordinates, samples;
};

}  // namespace

struct JointQuery::Packed {
    const LayerKernel* kernel;
    Widths widths;
    std::int64_t num_point_features;
    float depth_scale;
    HeadActivation activation;
    SharedPart shared;  // of branch_2d, then of joint
    SkipMlp branch_2d, branch_3d, joint;

    Packed(const LayerKernel& kernel, const JointHeadConfig& config, const Widths& widths)
        : Packed(kernel, config, widths, widths.raw_2d - config.num_point_features - 1) {}
    Packed(const LayerKernel& kernel, const JointHeadConfig& config, const Widths& widths,
           std::int64_t num_shared)
        : kernel(&kernel),
          widths(widths),
          num_point_features(config.num_point_features),
          depth_scale(config.depth_scale),
          activation(config.activation),
          shared(kernel, {{&config.branch_2d, 0}, {&config.joint, widths.start()}}, num_shared),
          branch_2d(kernel, config.branch_2d, 0, num_shared, 0),
          branch_3d(kernel, config.branch_3d, 0, 0, 0),
          joint(kernel, config.joint, widths.start(), num_shared, count_rows(config.branch_2d)) {}

    struct Request {
        const std::vector<TensorView>& maps;
        const float* point_features;
        const VolumeSampler& volume;
        const VolumeFrame& frame;
        const float* points;
        float* values;
    };

    void evaluate(const Request& request, const std::vector<Run>& runs, const Tile& tile) const;
    void fill_own(const Request& request, std::int64_t first, std::int64_t count, Scratch& scratch) const;
    std::int64_t num_own() const { return num_point_features + 1 + widths.raw_3d; }
};

JointQuery::JointQuery(const JointHeadConfig& config) {
    const Widths widths = check_config(config);
    packed_ = std::make_unique<Packed>(choose_layer_kernel(), config, widths);
}

JointQuery::~JointQuery() = default;
JointQuery::JointQuery(JointQuery&&) noexcept = default;
JointQuery& JointQuery::operator=(JointQuery&&) noexcept = default;

std::int64_t JointQuery::num_feature_channels() const { return packed_->shared.num_channels(); }
std::int64_t JointQuery::num_point_features() const { return packed_->num_point_features; }
std::int64_t JointQuery::num_volume_channels() const { return packed_->widths.raw_3d; }
std::int64_t JointQuery::num_outputs() const {
    return packed_->joint.num_outputs(packed_->joint.num_layers());
}

void JointQuery::query(const std::vector<TensorView>& maps, const float* point_features,
                       const VolumeSampler& volume, const VolumeFrame& frame, const float* points,
                       std::int64_t num_points, float* values) const {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    const Packed& p = *packed_;
    check_maps(maps, p.shared.num_channels());
    if (p.num_point_features > 0 && !point_features) {
        fail("the joint function takes " + std::to_string(p.num_point_features) +
             " features of each point, got none");
    }
    if (volume.num_channels() != p.widths.raw_3d) {
        fail("the joint function takes a volume of " + std::to_string(p.widths.raw_3d) +
             " channels, got one of " + std::to_string(volume.num_channels()));
    }
    const Tiles cut = cut_tiles(points, num_points, p.kernel->num_lanes);
    const Packed::Request request{maps, point_features, volume, frame, points, values};
    parallel_for(static_cast<std::int64_t>(cut.tiles.size()),
                 [&](std::int64_t i) { p.evaluate(request, cut.runs, cut.tiles[i]); });
}

// Panels of point features, depth and samples of the volume. The MLPs take their part of these.
void JointQuery::Packed::fill_own(const Request& request, std::int64_t first, std::int64_t count,
                                  Scratch& scratch) const {
    const std::int64_t lanes = kernel->num_lanes, own_stride = num_own() * lanes;
    const float* points = request.points + 3 * first;
    float* own = scratch.own.reserve(kBlockLanes / lanes * own_stride);
    if (num_point_features > 0) {
        rows_to_panels(request.point_features + first * num_point_features, count, num_point_features, lanes,
                       own, own_stride);
    }
    depth_to_panels(points, count, depth_scale, lanes, own + num_point_features * lanes, own_stride);
    scratch.coordinates.resize(3 * count);
    scratch.samples.resize(count * widths.raw_3d);
    cube_coordinates(request.frame, points, count, scratch.coordinates.data());
    request.volume.sample(scratch.coordinates.data(), count, scratch.samples.data(), widths.raw_3d);
    rows_to_panels(scratch.samples.data(), count, widths.raw_3d, lanes,
                   own + (num_point_features + 1) * lanes, own_stride);
}

void JointQuery::Packed::evaluate(const Request& request, const std::vector<Run>& runs,
                                  const Tile& tile) const {
    thread_local Scratch scratch;
    shared.evaluate(request.maps, request.points, runs, tile, scratch.columns);

    const std::int64_t lanes = kernel->num_lanes, block_points = kBlockLanes / lanes * lanes;
    const std::int64_t block_panels = block_points / lanes;
    const std::int64_t branch_stride = std::max(branch_2d.panel_rows(), branch_3d.panel_rows()) * lanes;
    // A branch's results are written with padding rows, also where the joint MLP has few own channels.
    const std::int64_t joint_stride = std::max(joint.panel_rows(), widths.start() + kernel->num_rows) * lanes;
    float* branch_inputs = scratch.branch[0].reserve(block_panels * branch_stride);
    float* branch_products = scratch.branch[1].reserve(block_panels * branch_stride);
    float* joint_inputs = scratch.joint[0].reserve(block_panels * joint_stride);
    float* joint_products = scratch.joint[1].reserve(block_panels * joint_stride);
    float* results = scratch.results.reserve(block_panels * joint_stride);
    const std::int64_t num_outputs = joint.num_outputs(joint.num_layers());

    for (std::int64_t first = tile.begin; first < tile.end; first += block_points) {
        const std::int64_t count = std::min(block_points, tile.end - first);
        fill_own(request, first, count, scratch);
        PanelBlock block = scratch.columns.block((first - tile.begin) / lanes, (count + lanes - 1) / lanes,
                                                 scratch.own.data(), num_own() * lanes);
        branch_2d.evaluate(branch_2d.num_layers(), true, block, branch_inputs, branch_products, branch_stride,
                           joint_inputs, joint_stride);
        PanelBlock block_3d = block;
        block_3d.own += (num_point_features + 1) * lanes;
        branch_3d.evaluate(branch_3d.num_layers(), true, block_3d, branch_inputs, branch_products,
                           branch_stride, joint_inputs + widths.last_2d * lanes, joint_stride);
        joint.evaluate(joint.num_layers(), false, block, joint_inputs, joint_products, joint_stride, results,
                       joint_stride);
        panels_to_rows(results, joint_stride, lanes, request.points + 3 * first, count, num_outputs,
                       &activation, request.values + first * num_outputs);
    }
}

}  // namespace jiff
