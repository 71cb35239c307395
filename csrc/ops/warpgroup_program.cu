#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>

#include "ops/packed_matrix.h"
#include "ops/tensor_core.h"
#include "ops/warpgroup_program.h"

namespace jiff::cuda {
namespace {

constexpr int kRun = 8;  // positions of a column, and halves that lie side by side

// The output at a position.
std::int64_t output_at(std::int64_t position) {
    const auto within = static_cast<int>(position % kTile);
    return position / kTile * kTile + output_of_lane(within / 4, within % 4);
}

// The position of a column of a warpgroup's products: of each 32, a thread's eight sums of a point follow
// each other, two from each of four blocks.
std::int64_t position_of(std::int64_t column) {
    const std::int64_t within = column % 32, block = within / 8, lane = within % 8 / 2;
    return column - within + 8 * lane + 2 * block + within % 2;
}

std::uint16_t half_bits(float value) {
    const __half half = __float2half_rn(value);
    std::uint16_t bits;
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
}

WideStart start_of(const Product& product) {
    return {product.biases, product.depth_weights, product.first_row, product.num_pairs * kTile};
}

int columns_for(std::int64_t num_outputs) {
    int columns = 64;
    while (columns < num_outputs) columns *= 2;
    return columns;
}

// Weights of a layer, its `num_hidden` inputs filled up to `num_inputs`.
void append_weights(const HeadLayer& layer, std::int64_t num_hidden, const WideStep& step,
                    std::vector<std::uint16_t>& weights) {
    const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
    for (std::int64_t run = 0; run < step.num_inputs; run += kRun) {
        for (std::int64_t column = 0; column < step.num_columns; ++column) {
            const std::int64_t output = output_at(position_of(column));
            for (std::int64_t k = run; k < run + kRun; ++k) {
                const std::int64_t input = output_at(k);
                const bool is_there = output < num_out && input < num_hidden;
                weights.push_back(is_there ? half_bits(layer.weight.data()[output * num_in + input]) : 0);
            }
        }
    }
}

}  // namespace

std::optional<WideProgram> make_wide_program(const HeadLayers& head, const TensorCoreProgram& tiles) {
    if (head.branch_2d || head.num_point_features > 0 || head.num_volume_channels > 0 ||
        head.num_layers < 2 || head.num_layers > kMostWideSteps + 1)
        return std::nullopt;
    WideProgram program;
    program.first = start_of(tiles.steps[0].first);
    std::int64_t num_hidden = (*head.last)[0].weight.shape()[0];
    for (std::int64_t i = 1; i < head.num_layers; ++i) {
        const HeadLayer& layer = (*head.last)[i];
        const Step& tile_step = tiles.steps[i - 1];
        const bool is_last = i + 1 == head.num_layers;
        WideStep step;
        step.start = start_of(tile_step.product);
        step.num_outputs = tile_step.num_outputs;
        step.is_rectified = tile_step.is_rectified;
        step.num_columns = columns_for(step.num_outputs);
        if (step.num_columns > (is_last ? kWidestAnswer : kWidestLayer)) return std::nullopt;
        step.num_inputs = static_cast<std::int32_t>(round_up(num_hidden, kChunk));
        const int bytes_per_input = step.num_columns * static_cast<int>(sizeof(std::uint16_t));
        const int num = inputs_per_stage(step.num_columns);
        for (int input = 0; input < step.num_inputs; input += num) {
            const auto offset = program.weights.size() * sizeof(std::uint16_t) +
                                static_cast<std::size_t>(input) * bytes_per_input;
            program.stages.push_back(
                {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(num * bytes_per_input)});
        }
        append_weights(layer, num_hidden, step, program.weights);
        std::int32_t& room = is_last ? program.answer_positions : program.hidden_positions[(i - 1) % 2];
        room = std::max(room, step.num_columns);
        program.steps.push_back(step);
        num_hidden = step.num_outputs;
    }
    return program;
}

}  // namespace jiff::cuda
