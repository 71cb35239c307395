// The layers of a head as the warpgroups of compute capability 9.0a take them (warpgroup_query.h).
//
// Outputs of a layer stand at positions: within 16 as permuted_output says, the order that folded maps have.
// Activations lie in shared memory by positions, 64 points side by side in each column of eight positions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/head_program.h"

namespace jiff::cuda {

constexpr int kWidePoints = 64;  // of a block of threads
constexpr int kChunk = 64;       // positions of the first layer that are made at once
constexpr int kMostWideSteps = 8;
constexpr int kWidestLayer = 512;   // positions of two warpgroups, whose sums stay in registers
constexpr int kWidestAnswer = 256;  // of the last layer

// What a layer's outputs start from: biases + sample(folded maps) + depth · depth_weights.
struct WideStart {
    const float4* biases = nullptr;  // by positions
    const float4* depth_weights = nullptr;
    std::int32_t first_row = 0;      // of the folded maps
    std::int32_t num_positions = 0;  // beyond them outputs are zero
};

// A layer after the first.
struct WideStep {
    WideStart start;
    std::int32_t num_columns = 0;  // positions that are computed: 64, 128, 256 or 512
    std::int32_t num_inputs = 0;
    std::int32_t num_outputs = 0;
    std::int32_t is_rectified = 0;
};

// Whose weights are copied at once.
JIFF_HOST_DEVICE constexpr int inputs_per_stage(int num_columns) {
    return num_columns == kWidestLayer ? kChunk / 2 : kChunk;
}

// Some inputs of a step's weights, copied at once.
struct WeightStage {
    std::uint32_t offset = 0, num_bytes = 0;
};
constexpr int kStageBytes = 32 * 1024;  // at most

// Pointers are those of the TensorCoreProgram that it was made of.
struct WideProgram {
    WideStart first;
    std::vector<WideStep> steps;
    std::vector<WeightStage> stages;            // of a tile of points, in order
    std::vector<std::uint16_t> weights;         // halves; a stage's lie by eights of inputs, then outputs
    std::int32_t hidden_positions[2] = {0, 0};  // of the two buffers that layers read and write by turns
    std::int32_t answer_positions = 0;
};

// Nothing for heads that it does not serve: those with features of points or a volume, of one layer, or with
// a later layer of too many outputs, or more than kMostWideSteps of these.
std::optional<WideProgram> make_wide_program(const HeadLayers& head, const TensorCoreProgram& tiles);

}  // namespace jiff::cuda
