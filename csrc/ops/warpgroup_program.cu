#include <cuda_runtime.h>

#include <algorithm>
#include <utility>

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

GatherJob::Place place_of_step(int step, int num_steps) {
    if (step + 1 == num_steps) return GatherJob::kAnswers;
    return step % 2 == 0 ? GatherJob::kHidden0 : GatherJob::kHidden1;
}

// Positions `first` to `first` + kChunk of a layer.
GatherJob job_of(const Product& product, int first, GatherJob::Place place, int first_position) {
    GatherJob job;
    job.first_row = product.first_row + first;
    job.num_positions = static_cast<std::uint16_t>(std::clamp(product.num_pairs * kTile - first, 0, kChunk));
    job.place = place;
    job.first_position = static_cast<std::uint16_t>(first_position);
    return job;
}

void own_jobs(int num_own, std::vector<GatherJob>& jobs) {
    for (int first = 0; first < num_own; first += kChunk) {
        GatherJob job;
        job.place = GatherJob::kOwn;
        job.first_position = static_cast<std::uint16_t>(first);
        job.is_first = first == 0;
        job.is_last = first + kChunk == num_own;
        jobs.push_back(job);
    }
}

// Chunks of the first layer, and between them, never before the second chunk, the start of the next layer:
// then that of the answers, whose place is free early, and of all others.
std::vector<GatherJob> gather_jobs(const TensorCoreProgram& tiles, const WidePlan& plan) {
    std::vector<GatherJob> jobs;
    const int num_steps = plan.num_steps;
    const auto start = [&](int step, int begin, int end) {
        for (int i = begin; i < end; ++i) {
            jobs.push_back(
                job_of(tiles.steps[step].product, i * kChunk, place_of_step(step, num_steps), i * kChunk));
            jobs.back().step = static_cast<std::uint8_t>(step);
            jobs.back().is_first = i == 0;
            jobs.back().is_last = (i + 1) * kChunk == plan.steps[step].num_columns;
        }
    };
    const Product& first = tiles.steps[0].first;
    const int num_chunks = plan.num_chunks, num_next = plan.steps[0].num_columns / kChunk;
    for (int i = 0; i < num_chunks; ++i) {
        jobs.push_back(job_of(first, i * kChunk, GatherJob::kChunkBuffer, 0));
        // The first chunks have room before the products of the tile before this one have read its features.
        if (i == std::min(1, num_chunks - 1)) own_jobs(plan.num_own, jobs);
        start(0, num_next * std::max(i - 1, 0) / num_chunks, num_next * i / num_chunks);
    }
    start(0, num_next * (num_chunks - 1) / num_chunks, num_next);
    if (num_steps > 1) start(num_steps - 1, 0, plan.steps[num_steps - 1].num_columns / kChunk);
    for (int step = 1; step + 1 < num_steps; ++step) start(step, 0, plan.steps[step].num_columns / kChunk);
    return jobs;
}

int columns_for(std::int64_t num_outputs) {
    int columns = 64;
    while (columns < num_outputs) columns *= 2;
    return columns;
}

// The depth's weights of the jobs: of layer `step` + 1, or of the first one for its chunks.
void append_depth_weights(const HeadLayers& head, std::vector<GatherJob>& jobs,
                          std::vector<std::uint16_t>& weights) {
    std::int64_t chunk = 0;
    for (GatherJob& job : jobs) {
        if (job.place == GatherJob::kOwn) continue;
        const bool is_chunk = job.place == GatherJob::kChunkBuffer;
        const HeadLayer& layer = (*head.last)[is_chunk ? 0 : job.step + 1];
        const std::int64_t first = is_chunk ? kChunk * chunk++ : job.first_position;
        const std::int64_t num_out = layer.weight.shape()[0], num_in = layer.weight.shape()[1];
        job.depth_weights = static_cast<std::uint32_t>(weights.size() * sizeof(std::uint16_t));
        for (std::int64_t position = first; position < first + kChunk; ++position) {
            const std::int64_t output = output_at(position);
            weights.push_back(output < num_out ? half_bits(layer.weight.data()[(output + 1) * num_in - 1])
                                               : 0);
        }
    }
}

// Weights of `num_columns` outputs of a layer, from position `first` on: of its `num_hidden` activations,
// filled up to `num_inputs`, then of the points' own features.
struct WeightBlock {
    const HeadLayer* layer;
    std::int64_t num_hidden, num_inputs;
    std::int64_t first, num_columns;
};

void append_weights(const HeadLayers& head, const WeightBlock& block, std::int64_t num_own,
                    std::vector<std::uint16_t>& weights) {
    const std::int64_t num_out = block.layer->weight.shape()[0], num_in = block.layer->weight.shape()[1];
    const std::int64_t first_own = num_in - 1 - head.num_point_features;
    const float* values = block.layer->weight.data();
    for (std::int64_t run = 0; run < block.num_inputs + num_own; run += kRun) {
        for (std::int64_t column = 0; column < block.num_columns; ++column) {
            const std::int64_t output = output_at(block.first + position_of(column));
            for (std::int64_t k = run; k < run + kRun; ++k) {
                const std::int64_t own = k - block.num_inputs;
                const std::int64_t input = own >= 0 ? first_own + own : output_at(k);
                const bool is_there = own >= 0 ? own < head.num_point_features : input < block.num_hidden;
                weights.push_back(is_there && output < num_out ? half_bits(values[output * num_in + input])
                                                               : 0);
            }
        }
    }
}

// Those of a step, `num` inputs each, that lie from `begin` on.
std::vector<WeightStage> stages_of(const WideStep& step, int num_own, std::size_t begin) {
    const std::size_t bytes_per_input = step.num_columns * sizeof(std::uint16_t);
    const int num = inputs_per_stage(step.num_columns);
    std::vector<WeightStage> stages;
    for (int input = 0; input < step.num_hidden + num_own; input += num) {
        stages.push_back({static_cast<std::uint32_t>(begin + input * bytes_per_input),
                          static_cast<std::uint32_t>(num * bytes_per_input)});
    }
    return stages;
}

// The first layer's product of the own features, a chunk of outputs a stage, before the stages that consume
// the chunk before it.
void interleave_first_layer(const HeadLayers& head, const WidePlan& plan, std::vector<WeightStage>& stages,
                            std::vector<std::uint16_t>& weights) {
    std::vector<WeightStage> all;
    const int num_a_chunk = kChunk / inputs_per_stage(plan.steps[0].num_columns);
    for (int chunk = 0; chunk < plan.num_chunks; ++chunk) {
        const std::size_t begin = weights.size() * sizeof(std::uint16_t);
        append_weights(head, {&(*head.last)[0], 0, 0, chunk * kChunk, kChunk}, plan.num_own, weights);
        all.push_back({static_cast<std::uint32_t>(begin),
                       static_cast<std::uint32_t>(weights.size() * sizeof(std::uint16_t) - begin)});
        if (chunk == 0) continue;
        const auto consumed = stages.begin() + (chunk - 1) * num_a_chunk;
        all.insert(all.end(), consumed, consumed + num_a_chunk);
    }
    all.insert(all.end(), stages.begin() + (plan.num_chunks - 1) * num_a_chunk, stages.end());
    stages = std::move(all);
}

}  // namespace

std::optional<WideProgram> make_wide_program(const HeadLayers& head, const TensorCoreProgram& tiles) {
    WideProgram program;
    WidePlan& plan = program.plan;
    plan.num_steps = static_cast<std::int32_t>(head.num_layers) - 1;
    if (head.branch_2d || head.num_volume_channels > 0) return std::nullopt;
    if (head.num_point_features > kMostOwn) return std::nullopt;
    if (plan.num_steps < 1 || plan.num_steps > WidePlan::kMostSteps) return std::nullopt;
    plan.num_own = static_cast<std::int32_t>(round_up(head.num_point_features, kChunk));
    std::vector<WeightStage> stages;
    std::int64_t num_hidden = (*head.last)[0].weight.shape()[0];
    plan.num_chunks = static_cast<std::int32_t>(round_up(num_hidden, kChunk) / kChunk);
    for (int i = 0; i < plan.num_steps; ++i) {
        const bool is_last = i + 1 == plan.num_steps;
        WideStep& step = plan.steps[i];
        step.num_outputs = tiles.steps[i].num_outputs;
        step.is_rectified = tiles.steps[i].is_rectified;
        step.num_columns = columns_for(step.num_outputs);
        if (step.num_columns > (is_last ? kWidestAnswer : kWidestLayer)) return std::nullopt;
        step.num_hidden = static_cast<std::int32_t>(round_up(num_hidden, kChunk));
        std::vector<WeightStage> of_step =
            stages_of(step, plan.num_own, program.weights.size() * sizeof(std::uint16_t));
        append_weights(head, {&(*head.last)[i + 1], num_hidden, step.num_hidden, 0, step.num_columns},
                       plan.num_own, program.weights);
        if (i == 0 && plan.num_own > 0) interleave_first_layer(head, plan, of_step, program.weights);
        stages.insert(stages.end(), of_step.begin(), of_step.end());
        std::int32_t& room = is_last ? plan.answer_positions : plan.hidden_positions[i % 2];
        room = std::max(room, step.num_columns);
        num_hidden = step.num_outputs;
    }
    std::vector<GatherJob> jobs = gather_jobs(tiles, plan);
    if (jobs.size() > WidePlan::kMostJobs || stages.size() > WidePlan::kMostStages) return std::nullopt;
    append_depth_weights(head, jobs, program.weights);
    plan.num_jobs = static_cast<std::int32_t>(jobs.size());
    plan.num_stages = static_cast<std::int32_t>(stages.size());
    std::copy(jobs.begin(), jobs.end(), plan.jobs);
    std::copy(stages.begin(), stages.end(), plan.stages);
    return program;
}

}  // namespace jiff::cuda
