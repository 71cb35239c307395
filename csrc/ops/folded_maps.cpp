#include "ops/folded_maps.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <string>
#include <utility>

#include "core/status.h"
#include "core/threads.h"
#include "ops/feature_sampling.h"
#include "ops/packed_matrix.h"

namespace jiff {
namespace {

// Memory grows with the texels that are touched: this many neighbours of a row come together.
constexpr std::int64_t kTexelsPerBlock = 16;
constexpr std::int64_t kTexelsPerChunk = 2 * kPointsGrain;

bool is_in_frame(const float* point) { return std::abs(point[0]) <= 1.0f && std::abs(point[1]) <= 1.0f; }

bool continues_column(const float* points, std::int64_t i) {
    return i > 0 && points[3 * i] == points[3 * i - 3] && points[3 * i + 1] == points[3 * i - 2];
}

// Maps of one size, folded together.
struct MapGroup {
    std::int64_t height, width;
    std::vector<TensorView> maps;
    PackedMatrix<float> weights;  // [rows of all layers, channels of these maps]
    std::int64_t texel_bytes;     // of a folded texel: Bf16 or float
    std::vector<AlignedArray<unsigned char>> blocks;
    std::vector<bool> is_folded;

    void* texel(std::int64_t index) {
        return blocks[index / kTexelsPerBlock].reserve(kTexelsPerBlock * texel_bytes) +
               index % kTexelsPerBlock * texel_bytes;
    }
    const void* texel(std::int64_t index) const {
        return blocks[index / kTexelsPerBlock].data() + index % kTexelsPerBlock * texel_bytes;
    }

    std::vector<std::int64_t> find_missing(const float* points, std::int64_t num_points) const;
    void fold(const FeaturePart& part, const std::int64_t* texels, std::int64_t num_texels);
};

std::vector<std::int64_t> MapGroup::find_missing(const float* points, std::int64_t num_points) const {
    std::vector<std::int64_t> missing;
    for (std::int64_t i = 0; i < num_points; ++i) {
        if (continues_column(points, i) || !is_in_frame(points + 3 * i)) continue;
        const PointTexels texels = point_texels(points[3 * i], points[3 * i + 1], height, width);
        for (int corner = 0; corner < 4; ++corner) {
            if (!is_folded[texels.offset[corner]]) missing.push_back(texels.offset[corner]);
        }
    }
    std::sort(missing.begin(), missing.end());
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
    return missing;
}

void MapGroup::fold(const FeaturePart& part, const std::int64_t* texels, std::int64_t num_texels) {
    const std::int64_t num_rows = part.num_rows();
    thread_local AlignedBuffer input_rows, product_rows;
    thread_local std::vector<float> zeros;
    std::int64_t num_channels = 0;
    for (const TensorView& map : maps) num_channels += map.shape[1];
    float* inputs = input_rows.reserve(kTexelsPerChunk * num_channels);
    float* products = product_rows.reserve(kTexelsPerChunk * num_rows);
    zeros.assign(num_rows, 0.0f);
    const std::vector<const float*> addends(kTexelsPerChunk, zeros.data());

    std::int64_t channel = 0;
    for (const TensorView& map : maps) {
        for (std::int64_t c = 0; c < map.shape[1]; ++c, ++channel) {
            const float* plane = map.data + c * height * width;
            for (std::int64_t i = 0; i < num_texels; ++i)
                inputs[i * num_channels + channel] = plane[texels[i]];
        }
    }
    weights.multiply(inputs, num_channels, num_texels, {addends.data(), 0}, false, products, num_rows);
    for (std::int64_t i = 0; i < num_texels; ++i) {
        const float* folded = products + i * num_rows;
        if (part.is_rounded()) {
            part.kernel().round_row(num_rows, folded, static_cast<Bf16*>(texel(texels[i])));
        } else {
            std::copy_n(folded, num_rows, static_cast<float*>(texel(texels[i])));
        }
    }
}

}  // namespace

FeaturePart::FeaturePart(const LayerKernel& kernel, Precision precision, const std::vector<Mlp>& mlps,
                         std::int64_t num_channels)
    : kernel_(&kernel), is_rounded_(precision != Precision::kFp32), num_channels_(num_channels) {
    for (const Mlp& mlp : mlps) {
        std::int64_t num_hidden = mlp.num_start;
        for (const HeadLayer& layer : *mlp.layers) {
            const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
            for (std::int64_t row = 0; row < num_out; ++row) {
                const float* from = layer.weight.data() + row * num_in + num_hidden;
                weights_.insert(weights_.end(), from, from + num_channels);
            }
            biases_.insert(biases_.end(), layer.bias.data(), layer.bias.data() + num_out);
            biases_.resize(padded_outputs(kernel, static_cast<std::int64_t>(biases_.size())), 0.0f);
            weights_.resize(biases_.size() * num_channels, 0.0f);
            num_hidden = num_out;
        }
    }
}

struct FoldedMaps::State {
    const FeaturePart* part;
    std::mutex mutex;  // guards is_folded and the allocation of blocks
    std::vector<MapGroup> groups;
};

FoldedMaps::FoldedMaps(const FeaturePart& part, const std::vector<TensorView>& maps)
    : state_(std::make_unique<State>()) {
    state_->part = &part;
    std::vector<std::vector<std::int64_t>> channels_of_group;  // of the weights
    std::int64_t num_channels = 0;
    for (const TensorView& map : maps) {
        check_feature_map(map);
        const std::int64_t height = map.shape[2], width = map.shape[3];
        std::size_t g = 0;
        while (g < state_->groups.size() &&
               (state_->groups[g].height != height || state_->groups[g].width != width)) {
            ++g;
        }
        if (g == state_->groups.size()) {
            const std::size_t bytes = part.is_rounded() ? sizeof(Bf16) : sizeof(float);
            const auto texel_bytes = static_cast<std::int64_t>(bytes) * part.num_rows();
            state_->groups.push_back({height, width, {}, {}, texel_bytes, {}, {}});
            channels_of_group.emplace_back();
        }
        state_->groups[g].maps.push_back(map);
        for (std::int64_t c = 0; c < map.shape[1]; ++c) channels_of_group[g].push_back(num_channels++);
    }
    if (num_channels != part.num_channels()) {
        throw Error(ErrorCode::kInvalidArgument,
                    "the implicit function takes " + std::to_string(part.num_channels()) +
                        " feature channels, the maps have " + std::to_string(num_channels));
    }
    for (std::size_t g = 0; g < state_->groups.size(); ++g) {
        MapGroup& group = state_->groups[g];
        const std::vector<std::int64_t>& channels = channels_of_group[g];
        group.weights = PackedMatrix<float>(
            part.kernel(), part.num_rows(), static_cast<std::int64_t>(channels.size()),
            [&](std::int64_t row, std::int64_t k) { return part.weight(row, channels[k]); });
        const std::int64_t num_texels = group.height * group.width;
        group.blocks.resize((num_texels + kTexelsPerBlock - 1) / kTexelsPerBlock);
        group.is_folded.resize(num_texels, false);
    }
}

FoldedMaps::~FoldedMaps() = default;
FoldedMaps::FoldedMaps(FoldedMaps&&) noexcept = default;
FoldedMaps& FoldedMaps::operator=(FoldedMaps&&) noexcept = default;

const FeaturePart& FoldedMaps::part() const { return *state_->part; }

void FoldedMaps::prepare(const float* points, std::int64_t num_points) const {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    for (MapGroup& group : state_->groups) {
        const std::vector<std::int64_t> missing = group.find_missing(points, num_points);
        for (const std::int64_t texel : missing) group.texel(texel);  // allocates
        const auto num_missing = static_cast<std::int64_t>(missing.size());
        parallel_for((num_missing + kTexelsPerChunk - 1) / kTexelsPerChunk, [&](std::int64_t chunk) {
            const std::int64_t first = chunk * kTexelsPerChunk;
            group.fold(*state_->part, missing.data() + first, std::min(kTexelsPerChunk, num_missing - first));
        });
        for (const std::int64_t texel : missing) group.is_folded[texel] = true;
    }
}

void PointColumns::assign(const FoldedMaps& maps, const float* points, std::int64_t num_points) {
    part_ = maps.state_->part;
    columns_.clear();
    texels_.clear();
    rounded_texels_.clear();
    weights_.clear();
    column_of_point_.clear();
    for (std::int64_t i = 0; i < num_points; ++i) {
        const float* point = points + 3 * i;
        if (!continues_column(points, i)) {
            const auto first_texel = static_cast<std::int32_t>(weights_.size());
            for (const MapGroup& group : maps.state_->groups) {
                if (!is_in_frame(point)) continue;
                const PointTexels texels = point_texels(point[0], point[1], group.height, group.width);
                for (int corner = 0; corner < 4; ++corner) {
                    const void* folded = group.texel(texels.offset[corner]);
                    if (part_->is_rounded()) {
                        rounded_texels_.push_back(static_cast<const Bf16*>(folded));
                    } else {
                        texels_.push_back(static_cast<const float*>(folded));
                    }
                    weights_.push_back(texels.weight[corner]);
                }
            }
            columns_.push_back({first_texel, static_cast<std::int32_t>(weights_.size()) - first_texel});
        }
        column_of_point_.push_back(static_cast<std::int32_t>(columns_.size()) - 1);
    }
}

LayerAddends PointColumns::addends(std::int64_t first_row, std::int64_t num_rows) const {
    float* blends = blends_.reserve(columns_.size() * num_rows);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        const auto [first, count] = columns_[c];
        const float* weights = weights_.data() + first;
        float* blend = blends + c * num_rows;
        if (part_->is_rounded()) {
            part_->kernel().blend_bf16(count, rounded_texels_.data() + first, weights, part_->biases(),
                                       first_row, num_rows, blend);
        } else {
            part_->kernel().blend(count, texels_.data() + first, weights, part_->biases(), first_row,
                                  num_rows, blend);
        }
    }
    blend_of_point_.clear();
    for (const std::int32_t column : column_of_point_) blend_of_point_.push_back(blends + column * num_rows);
    while (blend_of_point_.size() % kPointsGrain != 0) blend_of_point_.push_back(blends);
    return {blend_of_point_.data(), 0};
}

}  // namespace jiff
