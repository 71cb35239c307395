#include "ops/joint_query.h"

#include <algorithm>
#include <string>
#include <variant>

#include "core/status.h"
#include "core/threads.h"
#include "ops/quantized_mlp.h"

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

// Memory of one thread, kept between blocks.
template <typename Element>
struct Scratch {
    PointColumns columns;
    AlignedArray<Element> branch[2], joint[2];
    AlignedBuffer own, results;
    std::vector<float> coordinates;
};

template <typename Mlp>
struct Mlps {
    Mlp branch_2d, branch_3d, joint;

    Mlps(const LayerKernel& kernel, const JointHeadConfig& config, const Widths& widths,
         std::int64_t num_mapped)
        : branch_2d(kernel, config.branch_2d, 0, num_mapped, config.num_point_features, 0),
          branch_3d(kernel, config.branch_3d, 0, 0, -1, 0),
          joint(kernel, config.joint, widths.start(), num_mapped, config.num_point_features,
                branch_2d.end_row()) {}

    std::int64_t num_outputs() const { return joint.num_outputs(joint.num_layers()); }
};

using AnyMlps = std::variant<Mlps<SkipMlp<float>>, Mlps<SkipMlp<Bf16>>, Mlps<QuantizedMlp>>;

AnyMlps make_mlps(Precision precision, const LayerKernel& kernel, const JointHeadConfig& config,
                  const Widths& widths, std::int64_t num_mapped) {
    if (precision == Precision::kBf16) return Mlps<SkipMlp<Bf16>>(kernel, config, widths, num_mapped);
    if (precision == Precision::kInt8) return Mlps<QuantizedMlp>(kernel, config, widths, num_mapped);
    return Mlps<SkipMlp<float>>(kernel, config, widths, num_mapped);
}

}  // namespace

struct JointQuery::Packed {
    const LayerKernel* kernel;
    Widths widths;
    std::int64_t num_point_features;
    float depth_scale;
    HeadActivation activation;
    FeaturePart features;  // of branch_2d, then of joint
    BiasSource biases_3d;
    AnyMlps any_mlps;

    Packed(const LayerKernel& kernel, const JointHeadConfig& config, const Widths& widths,
           std::int64_t num_mapped, Precision precision)
        : kernel(&kernel),
          widths(widths),
          num_point_features(config.num_point_features),
          depth_scale(config.depth_scale),
          activation(config.activation),
          features(kernel, precision, {{&config.branch_2d, 0}, {&config.joint, widths.start()}}, num_mapped),
          biases_3d(kernel, config.branch_3d),
          any_mlps(make_mlps(precision, kernel, config, widths, num_mapped)) {}

    struct Request {
        const FoldedMaps& maps;
        const float* point_features;
        const VolumeSampler& volume;
        const VolumeFrame& frame;
        const float* points;
        float* values;
    };

    template <typename Mlp>
    void evaluate(const Mlps<Mlp>& mlps, const Request& request, std::int64_t first,
                  std::int64_t count) const;
    template <typename Element>
    void fill_own(const Request& request, std::int64_t first, std::int64_t count,
                  Scratch<Element>& scratch) const;
    std::int64_t num_own() const { return num_point_features + 1 + widths.raw_3d; }
};

JointQuery::JointQuery(const JointHeadConfig& config, Precision precision) {
    const Widths widths = check_config(config);
    packed_ = std::make_unique<Packed>(choose_layer_kernel(), config, widths,
                                       widths.raw_2d - config.num_point_features - 1, precision);
}

JointQuery::~JointQuery() = default;
JointQuery::JointQuery(JointQuery&&) noexcept = default;
JointQuery& JointQuery::operator=(JointQuery&&) noexcept = default;

std::int64_t JointQuery::num_feature_channels() const { return packed_->features.num_channels(); }
std::int64_t JointQuery::num_point_features() const { return packed_->num_point_features; }
std::int64_t JointQuery::num_volume_channels() const { return packed_->widths.raw_3d; }
std::int64_t JointQuery::num_outputs() const {
    return std::visit([](const auto& mlps) { return mlps.num_outputs(); }, packed_->any_mlps);
}

FoldedMaps JointQuery::fold(const std::vector<TensorView>& maps) const {
    return FoldedMaps(packed_->features, maps);
}

void JointQuery::query(const FoldedMaps& maps, const float* point_features, const VolumeSampler& volume,
                       const VolumeFrame& frame, const float* points, std::int64_t num_points,
                       float* values) const {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    const Packed& p = *packed_;
    if (&maps.part() != &p.features) fail("the maps were folded for another implicit function");
    if (p.num_point_features > 0 && !point_features) {
        fail("the joint function takes " + std::to_string(p.num_point_features) +
             " features of each point, got none");
    }
    if (volume.num_channels() != p.widths.raw_3d) {
        fail("the joint function takes a volume of " + std::to_string(p.widths.raw_3d) +
             " channels, got one of " + std::to_string(volume.num_channels()));
    }
    maps.prepare(points, num_points);
    const Packed::Request request{maps, point_features, volume, frame, points, values};
    const std::int64_t size = block_size(num_points);
    parallel_for((num_points + size - 1) / size, [&](std::int64_t block) {
        const std::int64_t first = block * size, count = std::min(size, num_points - first);
        std::visit([&](const auto& mlps) { p.evaluate(mlps, request, first, count); }, p.any_mlps);
    });
}

// Rows of point features, depth and samples of the volume. Each MLP takes its part of these.
template <typename Element>
void JointQuery::Packed::fill_own(const Request& request, std::int64_t first, std::int64_t count,
                                  Scratch<Element>& scratch) const {
    const float* points = request.points + 3 * first;
    float* own = scratch.own.reserve(kMaxBlockPoints * num_own());
    write_own(request.point_features + first * num_point_features, num_point_features, points, count,
              depth_scale, own, num_own());
    scratch.coordinates.resize(3 * count);
    cube_coordinates(request.frame, points, count, scratch.coordinates.data());
    request.volume.sample(scratch.coordinates.data(), count, own + num_point_features + 1, num_own());
}

template <typename Mlp>
void JointQuery::Packed::evaluate(const Mlps<Mlp>& mlps, const Request& request, std::int64_t first,
                                  std::int64_t count) const {
    using Element = typename Mlp::Element;
    thread_local Scratch<Element> scratch;
    const float* points = request.points + 3 * first;
    scratch.columns.assign(request.maps, points, count);
    fill_own(request, first, count, scratch);

    const auto& [branch_2d, branch_3d, joint] = mlps;
    const std::int64_t branch_stride = std::max(branch_2d.row_size(), branch_3d.row_size());
    // A branch's results are written with padding, also where the joint MLP has few channels of its own.
    const std::int64_t joint_stride =
        std::max(joint.row_size(), joint.hidden_offset() + widths.start() + kernel->num_outputs);
    Element* branch_inputs = scratch.branch[0].reserve(kMaxBlockPoints * branch_stride);
    Element* branch_products = scratch.branch[1].reserve(kMaxBlockPoints * branch_stride);
    Element* joint_inputs = scratch.joint[0].reserve(kMaxBlockPoints * joint_stride);
    Element* joint_products = scratch.joint[1].reserve(kMaxBlockPoints * joint_stride);
    float* results = scratch.results.reserve(kMaxBlockPoints * joint_stride);

    const PointBlock block{count, scratch.own.data(), num_own()};
    Element* start = joint_inputs + joint.hidden_offset();
    branch_2d.evaluate(branch_2d.num_layers(), true, block, scratch.columns, branch_inputs, branch_products,
                       branch_stride, start, joint_stride);
    const PointBlock block_3d{count, block.own + num_point_features + 1, num_own()};
    branch_3d.evaluate(branch_3d.num_layers(), true, block_3d, biases_3d, branch_inputs, branch_products,
                       branch_stride, start + widths.last_2d, joint_stride);
    joint.evaluate(joint.num_layers(), false, block, scratch.columns, joint_inputs, joint_products,
                   joint_stride, results, joint_stride);
    write_values(results, joint_stride, points, count, mlps.num_outputs(), &activation,
                 request.values + first * mlps.num_outputs());
}

}  // namespace jiff
