#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "ops/head_program.h"
#include "ops/packed_matrix.h"
#include "ops/tensor_core.h"

namespace jiff::cuda {
namespace {

int padded(std::int64_t size) { return static_cast<int>(round_up(size, kTile)); }

// A column of a layer's weights for each input of a product; -1 for padding.
using Columns = std::vector<std::int64_t>;

void append(Columns& columns, std::int64_t first, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) columns.push_back(first + i);
    columns.resize(padded(static_cast<std::int64_t>(columns.size())), -1);
}

std::vector<std::uint16_t> tiles_of(const float* weight, std::int64_t num_out, std::int64_t num_in,
                                    const Columns& columns) {
    const int num_tiles = static_cast<int>(columns.size()) / kTile, num_pairs = padded(num_out) / kTile;
    std::vector<std::uint16_t> tiles(static_cast<std::size_t>(num_pairs) * num_tiles * kTile * kTile, 0);
    for (std::int64_t n = 0; n < num_out; ++n) {
        for (std::size_t k = 0; k < columns.size(); ++k) {
            if (columns[k] < 0) continue;
            const auto tile = tile_index(static_cast<int>(n) / kTile, static_cast<int>(k) / kTile, num_tiles);
            const int position = weight_position(static_cast<int>(k) % kTile, static_cast<int>(n) % kTile);
            tiles[tile * kTile * kTile + position] = half_bits(weight[n * num_in + columns[k]]);
        }
    }
    return tiles;
}

// Arrays behind each other, each at a multiple of 16 bytes; pointers into it are offsets plus one tile, so
// that none is null.
class Blob {
  public:
    explicit Blob(std::vector<unsigned char>& data) : data_(data) { data_.resize(kAlignment); }

    template <typename Pointer, typename T>
    const Pointer* add(const std::vector<T>& values) {
        const std::size_t offset = data_.size();
        data_.resize((offset + values.size() * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment);
        std::memcpy(data_.data() + offset, values.data(), values.size() * sizeof(T));
        return reinterpret_cast<const Pointer*>(offset);
    }

  private:
    static constexpr std::size_t kAlignment = 16;
    std::vector<unsigned char>& data_;
};

std::vector<float> permuted(std::int64_t num_out, const std::function<float(std::int64_t)>& value) {
    std::vector<float> values(padded(num_out), 0.0f);
    for (std::int64_t n = 0; n < num_out; ++n)
        values[n / kTile * kTile + permuted_output(static_cast<int>(n % kTile))] = value(n);
    return values;
}

// One of the MLPs of a head: what its layers take beside hidden channels.
struct MlpInputs {
    bool sees_maps = true, sees_features = true, sees_volume = false;
    std::int64_t start_2d = 0, start_3d = 0;  // activations of the branches before layer 0
};

class TensorCoreBuilder {
  public:
    explicit TensorCoreBuilder(const HeadLayers& head) : head_(head), blob_(program_.data) {}

    TensorCoreProgram run() {
        lay_out();
        if (head_.branch_2d) {
            const auto num_2d = static_cast<std::int64_t>(head_.branch_2d->size());
            const auto num_3d = static_cast<std::int64_t>(head_.branch_3d->size());
            add_mlp(*head_.branch_2d, num_2d, {}, program_.layout.start_2d);
            add_mlp(*head_.branch_3d, num_3d, {false, false, true, 0, 0}, program_.layout.start_3d);
            add_mlp(*head_.last, head_.num_layers,
                    {true, true, true, width(*head_.branch_2d, num_2d), width(*head_.branch_3d, num_3d)},
                    kToOutput);
        } else {
            add_mlp(*head_.last, head_.num_layers, {}, kToOutput);
        }
        return std::move(program_);
    }

  private:
    static std::int64_t width(const std::vector<HeadLayer>& layers, std::int64_t num_layers) {
        return layers[num_layers - 1].weight.shape()[0];
    }

    void lay_out() {
        RowLayout& layout = program_.layout;
        layout.volume = padded(head_.num_point_features);
        layout.start_2d = layout.volume + padded(head_.num_volume_channels);
        layout.start_3d = layout.start_2d;
        std::int64_t widest = 0;
        // First layers are made in stages and last ones go elsewhere.
        const auto see = [&](const std::vector<HeadLayer>& layers, std::int64_t num_layers) {
            for (std::int64_t i = 1; i + 1 < num_layers; ++i) widest = std::max(widest, width(layers, i + 1));
        };
        layout.stages = layout.start_3d;
        if (head_.branch_2d) {
            const auto num_2d = static_cast<std::int64_t>(head_.branch_2d->size());
            const auto num_3d = static_cast<std::int64_t>(head_.branch_3d->size());
            layout.start_3d += padded(width(*head_.branch_2d, num_2d));
            layout.stages = layout.start_3d + padded(width(*head_.branch_3d, num_3d));
            see(*head_.branch_2d, num_2d);
            see(*head_.branch_3d, num_3d);
        }
        see(*head_.last, head_.num_layers);
        layout.hidden = layout.stages + 2 * kStagePairs * kTile;
        // Rows 16 bytes beyond a multiple of 128: eight rows of a matrix lie in different banks.
        constexpr int kBankHalves = 64, kShift = 8;
        layout.stride = static_cast<int>(round_up(layout.hidden + padded(widest), kBankHalves)) + kShift;
    }

    Product product(const HeadLayer& layer, const MlpInputs& inputs, bool is_first, std::int64_t num_hidden) {
        const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
        const float* weight = layer.weight.data();
        const RowLayout& layout = program_.layout;
        Product product;
        product.num_pairs = padded(num_out) / kTile;
        Columns columns;
        if (is_first) {
            append(columns, 0, inputs.start_2d);
            append(columns, inputs.start_2d, inputs.start_3d);
            product.hidden_column = layout.start_2d;
        } else {
            append(columns, 0, num_hidden);
            product.hidden_column = layout.hidden;
        }
        product.num_hidden_tiles = static_cast<int>(columns.size()) / kTile;
        const std::int64_t num_maps = inputs.sees_maps ? head_.num_map_channels : 0;
        const std::int64_t num_features = inputs.sees_features ? head_.num_point_features : 0;
        const std::int64_t features = num_hidden + num_maps, depth = features + num_features;
        append(columns, features, num_features);
        const std::int64_t volume = inputs.sees_features ? depth + 1 : features;
        if (inputs.sees_volume) append(columns, volume, head_.num_volume_channels);
        product.num_own_tiles = static_cast<int>(columns.size()) / kTile - product.num_hidden_tiles;
        product.own_column = inputs.sees_features ? layout.features : layout.volume;

        product.weights = blob_.add<uint4>(tiles_of(weight, num_out, num_in, columns));
        const std::vector<float> biases =
            permuted(num_out, [&](std::int64_t n) { return layer.bias.data()[n]; });
        if (!inputs.sees_maps) product.biases = blob_.add<float4>(biases);
        if (inputs.sees_features) {
            product.depth_weights = blob_.add<float4>(
                permuted(num_out, [&](std::int64_t n) { return weight[n * num_in + depth]; }));
        }
        if (inputs.sees_maps) {
            product.first_row = static_cast<std::int32_t>(program_.num_rows);
            program_.num_rows += product.num_pairs * kTile;
            for (std::int64_t n = 0; n < num_out; ++n) {
                const float* from = weight + n * num_in + num_hidden;
                program_.fold_weights.insert(program_.fold_weights.end(), from, from + num_maps);
            }
            program_.fold_weights.resize(program_.num_rows * num_maps, 0.0f);
            program_.fold_biases.insert(program_.fold_biases.end(), biases.begin(), biases.end());
        }
        return product;
    }

    void add_mlp(const std::vector<HeadLayer>& layers, std::int64_t num_layers, const MlpInputs& inputs,
                 int destination) {
        std::int64_t num_hidden = inputs.start_2d + inputs.start_3d;
        Product first;
        for (std::int64_t i = 0; i < num_layers; ++i) {
            const Product made = product(layers[i], inputs, i == 0, num_hidden);
            num_hidden = width(layers, i + 1);
            const bool is_last = i + 1 == num_layers;
            if (i == 0 && !is_last) {
                first = made;
                continue;
            }
            Step step;
            step.product = made;
            if (i == 1) step.first = first;
            step.destination = is_last ? destination : program_.layout.hidden;
            step.num_outputs = static_cast<std::int32_t>(num_hidden);
            // Activations are rectified, answers are not.
            const bool is_answer =
                is_last && destination == kToOutput && num_layers == static_cast<std::int64_t>(layers.size());
            step.is_rectified = is_answer ? 0 : 1;
            program_.steps.push_back(step);
        }
    }

    const HeadLayers& head_;
    TensorCoreProgram program_;
    Blob blob_;
};

class ExactBuilder {
  public:
    explicit ExactBuilder(const HeadLayers& head) : head_(head), blob_(program_.data) {}

    ExactProgram run() {
        const auto num_point_own = static_cast<std::int32_t>(head_.num_point_features) + 1;
        const auto num_volume = static_cast<std::int32_t>(head_.num_volume_channels);
        program_.num_own = num_point_own + num_volume;
        if (head_.branch_2d) {
            const auto num_2d = static_cast<std::int64_t>(head_.branch_2d->size());
            const auto num_3d = static_cast<std::int64_t>(head_.branch_3d->size());
            add_mlp(*head_.branch_2d, num_2d, true, 0, num_point_own, 0, 0);
            const auto start_3d = program_.layers.back().num_outputs;
            add_mlp(*head_.branch_3d, num_3d, false, num_point_own, num_volume, 0, start_3d);
            program_.num_start = start_3d + program_.layers.back().num_outputs;
            add_mlp(*head_.last, head_.num_layers, true, 0, num_point_own + num_volume, program_.num_start,
                    -1);
        } else {
            add_mlp(*head_.last, head_.num_layers, true, 0, num_point_own, 0, -1);
        }
        return std::move(program_);
    }

  private:
    void add_mlp(const std::vector<HeadLayer>& layers, std::int64_t num_layers, bool sees_maps, int first_own,
                 int num_own, std::int64_t num_start, int start_column) {
        std::int64_t num_hidden = num_start;
        const std::int64_t num_maps = sees_maps ? head_.num_map_channels : 0;
        for (std::int64_t i = 0; i < num_layers; ++i) {
            const std::int64_t num_out = layers[i].weight.shape()[0], num_in = layers[i].weight.shape()[1];
            const float* weight = layers[i].weight.data();
            ExactLayer layer;
            std::vector<float> weights;
            for (std::int64_t k = 0; k < num_own + num_hidden; ++k) {  // own inputs first, as on the CPU
                const std::int64_t column = k < num_own ? num_hidden + num_maps + k : k - num_own;
                for (std::int64_t n = 0; n < num_out; ++n) weights.push_back(weight[n * num_in + column]);
            }
            layer.weights = blob_.add<float>(weights);
            layer.biases =
                blob_.add<float>(std::vector<float>(layers[i].bias.data(), layers[i].bias.data() + num_out));
            if (sees_maps) {
                layer.first_row = static_cast<std::int32_t>(program_.num_rows);
                program_.num_rows += num_out;
                for (std::int64_t n = 0; n < num_out; ++n) {
                    const float* from = weight + n * num_in + num_hidden;
                    program_.fold_weights.insert(program_.fold_weights.end(), from, from + num_maps);
                }
            }
            layer.num_outputs = static_cast<std::int32_t>(num_out);
            layer.num_hidden = static_cast<std::int32_t>(num_hidden);
            layer.first_own = first_own;
            layer.num_own = num_own;
            layer.reads_start = i == 0 && num_start > 0 ? 1 : 0;
            const bool is_last = i + 1 == num_layers;
            const bool is_answer =
                is_last && start_column < 0 && num_layers == static_cast<std::int64_t>(layers.size());
            layer.is_rectified = is_answer ? 0 : 1;
            if (is_last) layer.start_column = start_column;
            program_.layers.push_back(layer);
            program_.most_outputs = std::max(program_.most_outputs, num_out);
            num_hidden = num_out;
        }
    }

    const HeadLayers& head_;
    ExactProgram program_;
    Blob blob_;
};

}  // namespace

std::uint16_t half_bits(float value) {
    const __half half = __float2half_rn(value);
    std::uint16_t bits;
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
}

TensorCoreProgram make_tensor_core_program(const HeadLayers& head) { return TensorCoreBuilder(head).run(); }

std::vector<std::uint16_t> fold_tiles(const std::vector<float>& fold_weights, std::int64_t num_rows,
                                      const std::vector<std::int64_t>& channels) {
    Columns columns = channels;
    columns.resize(padded(static_cast<std::int64_t>(columns.size())), -1);
    return tiles_of(fold_weights.data(), num_rows, static_cast<std::int64_t>(fold_weights.size()) / num_rows,
                    columns);
}

bool fits_pairs(const TensorCoreProgram& program, int num_pairs) {
    return std::all_of(program.steps.begin(), program.steps.end(), [&](const Step& step) {
        const bool is_in_place = step.first.num_pairs == 0 && step.destination != kToOutput &&
                                 step.destination == step.product.hidden_column;
        return !is_in_place || step.product.num_pairs <= num_pairs;
    });
}

ExactProgram make_exact_program(const HeadLayers& head) { return ExactBuilder(head).run(); }

}  // namespace jiff::cuda
