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

constexpr int kWidePoints = 64;     // of a block of threads
constexpr int kChunk = 64;          // positions of the first layer that are made at once
constexpr int kWidestLayer = 512;   // positions of two warpgroups, whose sums stay in registers
constexpr int kWidestAnswer = 256;  // of the last layer
constexpr int kMostOwn = 256;       // features of a point

// A layer after the first.
struct WideStep {
    std::int32_t num_columns = 0;  // positions that are computed: 64, 128, 256 or 512
    std::int32_t num_hidden = 0;   // inputs that are activations; before the point's own
    std::int32_t num_outputs = 0;
    std::int32_t is_rectified = 0;
};

// What 64 positions of a layer start from: sample(folded maps) + depth · depth_weights. Or 64 of the points'
// own features, as they are.
struct GatherJob {
    enum Place : std::uint8_t { kChunkBuffer, kHidden0, kHidden1, kAnswers, kOwn };
    std::uint32_t depth_weights = 0;                   // byte offset among the weights; by positions
    std::int32_t first_row = 0;                        // of the folded maps
    std::uint16_t num_positions = 0;                   // beyond them outputs are zero
    std::uint16_t first_position = 0;                  // within the place
    std::uint8_t step = 0, is_first = 0, is_last = 0;  // of the layer's jobs, or of the own features'
    Place place = kChunkBuffer;
};

// Some inputs of a step's weights, copied at once.
struct WeightStage {
    std::uint32_t offset = 0, num_bytes = 0;
};
constexpr int kStageBytes = 32 * 1024;  // at most

JIFF_HOST_DEVICE constexpr int inputs_per_stage(int num_columns) {
    return num_columns == kWidestLayer ? kChunk / 2 : kChunk;
}

// What a block does with a tile of points. Small enough to be an argument of the kernel, where all threads
// read it at once.
struct WidePlan {
    static constexpr int kMostSteps = 8, kMostJobs = 64, kMostStages = 96;
    WideStep steps[kMostSteps];
    GatherJob jobs[kMostJobs];
    WeightStage stages[kMostStages];
    std::int32_t num_steps = 0, num_jobs = 0, num_stages = 0;
    std::int32_t num_chunks = 0;                // of the first layer
    std::int32_t num_own = 0;                   // positions of a point's own features
    std::int32_t hidden_positions[2] = {0, 0};  // of the two buffers that layers read and write by turns
    std::int32_t answer_positions = 0;
};

struct WideProgram {
    WidePlan plan;
    // Halves: the stages', each by eights of inputs, then outputs; then the jobs', of the depth. Where points
    // have features, a stage of the first layer for each chunk comes before those of the products that
    // consume the chunk before it.
    std::vector<std::uint16_t> weights;
};

// Nothing for heads that it does not serve: those with a volume or more than kMostOwn features of points, of
// one layer, or with too many or too wide layers.
std::optional<WideProgram> make_wide_program(const HeadLayers& head, const TensorCoreProgram& tiles);

}  // namespace jiff::cuda
