#include "ops/implicit_query.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "core/status.h"
#include "core/threads.h"
#include "ops/quantized_mlp.h"

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

// Memory of one thread, kept between blocks.
template <typename Element>
struct Scratch {
    PointColumns columns;
    AlignedArray<Element> hidden[2];
    AlignedBuffer own, results;
};

using AnyMlp = std::variant<SkipMlp<float>, SkipMlp<Bf16>, QuantizedMlp>;

AnyMlp make_mlp(Precision precision, const LayerKernel& kernel, const HeadConfig& config,
                std::int64_t num_mapped) {
    const std::int64_t depth_channel = config.num_point_features;
    if (precision == Precision::kBf16) {
        return SkipMlp<Bf16>(kernel, config.layers, 0, num_mapped, depth_channel, 0);
    }
    if (precision == Precision::kInt8) {
        return QuantizedMlp(kernel, config.layers, 0, num_mapped, depth_channel, 0);
    }
    return SkipMlp<float>(kernel, config.layers, 0, num_mapped, depth_channel, 0);
}

}  // namespace

struct ImplicitQuery::Packed {
    std::int64_t num_point_features;
    float depth_scale;
    HeadActivation activation;
    FeaturePart features;
    AnyMlp any_mlp;

    Packed(const LayerKernel& kernel, const HeadConfig& config, std::int64_t num_mapped, Precision precision)
        : num_point_features(config.num_point_features),
          depth_scale(config.depth_scale),
          activation(config.activation),
          features(kernel, precision, {{&config.layers, 0}}, num_mapped),
          any_mlp(make_mlp(precision, kernel, config, num_mapped)) {}

    std::int64_t num_layers() const {
        return std::visit([](const auto& mlp) { return mlp.num_layers(); }, any_mlp);
    }
    std::int64_t num_outputs(std::int64_t num_layers) const {
        return std::visit([&](const auto& mlp) { return mlp.num_outputs(num_layers); }, any_mlp);
    }

    // What a call asks for: of the first `num_layers` layers, activated by `activation` or, if that is null,
    // as hidden channels are.
    struct Request {
        const FoldedMaps& maps;
        const float* point_features;
        const float* points;
        std::int64_t num_layers;
        const HeadActivation* activation;
        float* values;
    };

    void run(const Request& request, std::int64_t num_points) const;
    template <typename Mlp>
    void evaluate(const Mlp& mlp, const Request& request, std::int64_t first, std::int64_t count) const;
};

ImplicitQuery::ImplicitQuery(const HeadConfig& config, Precision precision) {
    const std::int64_t num_mapped = count_raw_channels(config) - config.num_point_features - 1;
    packed_ = std::make_unique<Packed>(choose_layer_kernel(), config, num_mapped, precision);
}

ImplicitQuery::~ImplicitQuery() = default;
ImplicitQuery::ImplicitQuery(ImplicitQuery&&) noexcept = default;
ImplicitQuery& ImplicitQuery::operator=(ImplicitQuery&&) noexcept = default;

std::int64_t ImplicitQuery::num_feature_channels() const { return packed_->features.num_channels(); }
std::int64_t ImplicitQuery::num_point_features() const { return packed_->num_point_features; }
std::int64_t ImplicitQuery::num_outputs() const { return packed_->num_outputs(packed_->num_layers()); }

std::int64_t ImplicitQuery::num_activations(std::int64_t num_layers) const {
    if (num_layers < 1 || num_layers >= packed_->num_layers()) {
        throw Error(ErrorCode::kInvalidArgument, "the implicit function has hidden layers 1 to " +
                                                     std::to_string(packed_->num_layers() - 1) +
                                                     ", got num_layers = " + std::to_string(num_layers));
    }
    return packed_->num_outputs(num_layers);
}

FoldedMaps ImplicitQuery::fold(const std::vector<TensorView>& maps) const {
    return FoldedMaps(packed_->features, maps);
}

void ImplicitQuery::query(const FoldedMaps& maps, const float* point_features, const float* points,
                          std::int64_t num_points, float* values) const {
    packed_->run({maps, point_features, points, packed_->num_layers(), &packed_->activation, values},
                 num_points);
}

void ImplicitQuery::activations(const FoldedMaps& maps, const float* points, std::int64_t num_points,
                                std::int64_t num_layers, float* activations) const {
    num_activations(num_layers);  // checks
    packed_->run({maps, nullptr, points, num_layers, nullptr, activations}, num_points);
}

void ImplicitQuery::Packed::run(const Request& request, std::int64_t num_points) const {
    const auto fail = [](const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); };
    if (&request.maps.part() != &features) fail("the maps were folded for another implicit function");
    if (num_point_features > 0 && !request.point_features) {
        fail("the implicit function takes " + std::to_string(num_point_features) +
             " features of each point, got none");
    }
    request.maps.prepare(request.points, num_points);
    const std::int64_t size = block_size(num_points);
    parallel_for((num_points + size - 1) / size, [&](std::int64_t block) {
        const std::int64_t first = block * size, count = std::min(size, num_points - first);
        std::visit([&](const auto& mlp) { evaluate(mlp, request, first, count); }, any_mlp);
    });
}

template <typename Mlp>
void ImplicitQuery::Packed::evaluate(const Mlp& mlp, const Request& request, std::int64_t first,
                                     std::int64_t count) const {
    thread_local Scratch<typename Mlp::Element> scratch;
    const std::int64_t stride = mlp.row_size(), own_stride = num_point_features + 1;
    const float* points = request.points + 3 * first;
    scratch.columns.assign(request.maps, points, count);

    float* own = scratch.own.reserve(kMaxBlockPoints * own_stride);
    write_own(request.point_features + first * num_point_features, num_point_features, points, count,
              depth_scale, own, own_stride);
    float* results = scratch.results.reserve(kMaxBlockPoints * stride);
    mlp.evaluate(request.num_layers, request.activation == nullptr, {count, own, own_stride}, scratch.columns,
                 scratch.hidden[0].reserve(kMaxBlockPoints * stride),
                 scratch.hidden[1].reserve(kMaxBlockPoints * stride), stride, results, stride);
    const std::int64_t num_outputs = mlp.num_outputs(request.num_layers);
    write_values(results, stride, points, count, num_outputs, request.activation,
                 request.values + first * num_outputs);
}

}  // namespace jiff
