#include <cuda_runtime.h>

#include <algorithm>

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
    const int num_chunks = (first.num_pairs * kTile + kChunk - 1) / kChunk;
    const int num_next = plan.steps[0].num_columns / kChunk;
    for (int i = 0; i < num_chunks; ++i) {
        jobs.push_back(job_of(first, i * kChunk, GatherJob::kChunkBuffer, 0));
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
    WideProgram program;
    WidePlan& plan = program.plan;
    plan.num_steps = static_cast<std::int32_t>(head.num_layers) - 1;
    if (head.branch_2d || head.num_point_features > 0 || head.num_volume_channels > 0) return std::nullopt;
    if (plan.num_steps < 1 || plan.num_steps > WidePlan::kMostSteps) return std::nullopt;
    std::vector<WeightStage> stages;
    std::int64_t num_hidden = (*head.last)[0].weight.shape()[0];
    for (int i = 0; i < plan.num_steps; ++i) {
        const bool is_last = i + 1 == plan.num_steps;
        WideStep& step = plan.steps[i];
        step.num_outputs = tiles.steps[i].num_outputs;
        step.is_rectified = tiles.steps[i].is_rectified;
        step.num_columns = columns_for(step.num_outputs);
        if (step.num_columns > (is_last ? kWidestAnswer : kWidestLayer)) return std::nullopt;
        step.num_inputs = static_cast<std::int32_t>(round_up(num_hidden, kChunk));
        const std::size_t bytes_per_input = step.num_columns * sizeof(std::uint16_t);
        const int num = inputs_per_stage(step.num_columns);
        for (int input = 0; input < step.num_inputs; input += num) {
            const std::size_t offset =
                program.weights.size() * sizeof(std::uint16_t) + input * bytes_per_input;
            stages.push_back(
                {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(num * bytes_per_input)});
        }
        append_weights((*head.last)[i + 1], num_hidden, step, program.weights);
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
