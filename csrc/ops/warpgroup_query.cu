// A block of threads keeps taking tiles of 64 points. Two warpgroups multiply: sums of up to 512 outputs stay
// in their registers, activations in shared memory, weights pass through it in stages that a bulk copy
// fetches ahead. Two more warpgroups gather what layers start from out of the folded maps, meanwhile: the
// first layer in chunks of 64 outputs, the start of each later one to where its activations will stand.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "core/cuda_launch.h"
#include "ops/tensor_core.h"
#include "ops/warpgroup.cuh"
#include "ops/warpgroup_query.h"

namespace jiff::cuda {
namespace {

constexpr int kWarpgroupThreads = 128, kNumMultiplying = 2, kNumGathering = 2;
constexpr int kMultiplyingThreads = kNumMultiplying * kWarpgroupThreads;
constexpr int kGatheringThreads = kNumGathering * kWarpgroupThreads;
constexpr int kThreads = kMultiplyingThreads + kGatheringThreads;
constexpr int kNumWarps = kMultiplyingThreads / kLanes;               // of either kind
constexpr int kMultiplyingRegisters = 176, kGatheringRegisters = 80;  // of a thread
constexpr int kMostStages = 4;
#ifndef KCLUSTER
#define KCLUSTER 2
#endif
constexpr int kClusterBlocks = KCLUSTER;  // share what they fetch of the weights

// Eight positions of all points, and 16 bytes that keep neighbouring columns in different banks.
constexpr int kColumnPositions = 8;
constexpr std::uint32_t kColumnBytes = kWidePoints * 16 + 16;
constexpr std::uint32_t kBlockBytes = 8 * 16;  // of 8 points by 8 positions

constexpr int kNameOfMultiplying = 1, kNameOfGathering = 2;  // named barriers

JIFF_HOST_DEVICE constexpr std::uint32_t column_bytes(int num_positions) {
    return num_positions / kColumnPositions * kColumnBytes;
}

// Barriers, in the order in which they lie in shared memory.
enum Barrier {
    kChunkFull = 0,                  // two, one a chunk
    kChunkEmpty = kChunkFull + 2,    // two
    kStartFull = kChunkEmpty + 2,    // two, by turns: a hidden layer's start is there
    kMultiplied = kStartFull + 2,    // two, by turns: a step's products are done
    kAnswersFull = kMultiplied + 2,  // the last layer's start is there
    kAnswersRead = kAnswersFull + 1,
    kWeightsFull = kAnswersRead + 1,  // one a stage
    kWeightsEmpty = kWeightsFull + kMostStages,
    kNumBarriers = kWeightsEmpty + kMostStages,
};

// Where everything lies in shared memory.
struct WideLayout {
    std::uint32_t depths, offsets, shares, chunks, hidden[2], answers, weights, num_stages;

    __host__ __device__ std::uint32_t num_bytes() const { return weights + num_stages * kStageBytes; }
};

WideLayout lay_out(const WideHead& head, int num_groups, const Device& device) {
    WideLayout layout{};
    std::uint32_t end = kNumBarriers * 8;
    const auto take = [&](std::uint32_t num_bytes) {
        const std::uint32_t begin = (end + 15) / 16 * 16;
        end = begin + num_bytes;
        return begin;
    };
    layout.depths = take(kWidePoints * sizeof(float));
    layout.offsets = take(4 * num_groups * kWidePoints * sizeof(std::uint32_t));
    layout.shares = take(4 * num_groups * kWidePoints * sizeof(__half2));
    layout.chunks = take(2 * column_bytes(kChunk));
    for (int i = 0; i < 2; ++i) layout.hidden[i] = take(column_bytes(head.hidden_positions[i]));
    layout.answers = take(column_bytes(head.answer_positions));
    end = (end + 127) / 128 * 128;
    layout.weights = end;
    const auto room = static_cast<std::int64_t>(device.shared_bytes_per_block) - end;
    layout.num_stages =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(room / kStageBytes, 0, kMostStages));
    return layout;
}

struct WideArguments {
    WideHead head;
    WideLayout layout;
    FoldedView<__half> maps;
    PointBatch batch;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

extern __shared__ __align__(128) unsigned char jiff_wide_shared[];

__device__ __forceinline__ float2 as_floats(std::uint32_t pair) {
    __half2 halves;
    memcpy(&halves, &pair, sizeof halves);
    return __half22float2(halves);
}

__device__ __forceinline__ std::uint32_t as_halves(float first, float second) {
    const __half2 halves = __floats2half2_rn(first, second);
    std::uint32_t pair;
    memcpy(&pair, &halves, sizeof pair);
    return pair;
}

// A value that is the same in all lanes, so that the compiler knows it: products may not stand in branches
// that it takes for divergent.
template <typename T>
__device__ __forceinline__ T uniform(T value) {
    return __shfl_sync(~0U, value, 0);
}

// What both kinds of warpgroups know.
class WideTile {
  public:
    __device__ explicit WideTile(const WideArguments& arguments)
        : arguments_(arguments),
          layout_(arguments.layout),
          shared_(shared_address(jiff_wide_shared)),
          num_points_(uniform(num_asked(arguments.batch))),
          thread_(static_cast<int>(threadIdx.x) % kMultiplyingThreads),
          lane_(thread_ % kLanes),
          warp_(uniform(thread_ / kLanes)) {
        static_assert(kMultiplyingThreads == kGatheringThreads, "threads of either kind are counted alike");
    }

  protected:
    __device__ std::uint32_t barrier(int number) const { return shared_ + 8 * number; }
    __device__ void arrive(int number) const {
        __syncwarp();
        barrier_arrive(barrier(number), lane_ == 0);
    }
    __device__ void wait(int number, std::uint32_t parity) const {
        barrier_wait(barrier(number), parity & 1);
    }
    template <typename T>
    __device__ T* at(std::uint32_t offset) const {
        return reinterpret_cast<T*>(jiff_wide_shared + offset);
    }
    // Blocks of a cluster take neighbouring tiles, equally many, the last ones perhaps without a point.
    __device__ std::int64_t first_tile() const { return blockIdx.x; }
    __device__ std::int64_t end_of_tiles() const {
        const std::int64_t num_tiles = (num_points_ + kWidePoints - 1) / kWidePoints;
        return (num_tiles + kClusterBlocks - 1) / kClusterBlocks * kClusterBlocks;
    }
    __device__ bool is_output(int step) const { return step + 1 == arguments_.head.num_steps; }

    const WideArguments& arguments_;
    const WideLayout& layout_;
    const std::uint32_t shared_;
    const std::int64_t num_points_;
    const int thread_, lane_, warp_;
};

class Gathering : public WideTile {
  public:
    using WideTile::WideTile;

    __device__ void run() {
        const WideHead& head = arguments_.head;
        const int num_chunks = (head.first.num_positions + kChunk - 1) / kChunk;
        std::uint32_t chunk = 0, hidden_step = 0, step = 0;  // counted over all tiles
        std::uint32_t tile_count = 0;
        for (std::int64_t tile = first_tile(); tile < end_of_tiles(); tile += gridDim.x, ++tile_count) {
            locate_points(tile * kWidePoints);
            const int num_first = head.steps[0].num_columns / kChunk;
            int num_started = 0;
            const auto start_some = [&](int end) {
                if (num_started == end) return;
                if (num_started == 0) wait_for_room(0, step, tile_count);
                for (; num_started < end; ++num_started)
                    gather(head.steps[0].start, num_started, place(0, num_started), false);
            };
            for (int i = 0; i < num_chunks; ++i, ++chunk) {
                const std::uint32_t buffer = chunk & 1;
                wait(kChunkEmpty + buffer, (chunk >> 1) + 1);
                gather(head.first, i, layout_.chunks + buffer * column_bytes(kChunk), true);
                publish_to_async();
                arrive(kChunkFull + buffer);
                // Spread over the chunks, and never before the second: the products wait for these.
                start_some(num_first * i / num_chunks);
            }
            start_some(num_first);
            if (is_output(0)) {
                arrive(kAnswersFull);
            } else {
                arrive(kStartFull + (hidden_step++ & 1));
                start(head.num_steps - 1, step, tile_count);
                arrive(kAnswersFull);
            }
            for (int i = 1; i + 1 < head.num_steps; ++i) {
                start(i, step + i, tile_count);
                arrive(kStartFull + (hidden_step++ & 1));
            }
            step += head.num_steps;
        }
    }

  private:
    // Where a step's outputs stand, from 64 · block on.
    __device__ std::uint32_t place(int step, int block) const {
        return (is_output(step) ? layout_.answers : layout_.hidden[step & 1]) + block * column_bytes(kChunk);
    }

    // Until the start of a step, the `counted`th of all, has a place.
    __device__ void wait_for_room(int step, std::uint32_t counted, std::uint32_t tile_count) const {
        if (is_output(step)) {
            wait(kAnswersRead, tile_count + 1);
        } else if (counted > 0) {
            wait(kMultiplied + ((counted - 1) & 1), (counted - 1) >> 1);
        }
    }

    __device__ void start(int step, std::uint32_t counted, std::uint32_t tile_count) const {
        wait_for_room(step, counted, tile_count);
        const WideStep& made = arguments_.head.steps[step];
        for (int i = 0; i < made.num_columns / kChunk; ++i) gather(made.start, i, place(step, i), false);
    }

    __device__ void locate_points(std::int64_t first_point) const {
        named_barrier(kNameOfGathering, kGatheringThreads);  // the last tile's are no more needed
        const auto& maps = arguments_.maps;
        for (int i = thread_; i < kWidePoints * maps.num_groups; i += kGatheringThreads) {
            const int row = i % kWidePoints, group = i / kWidePoints;
            PointTexels texels{{0, 0, 0, 0}, {0.0f, 0.0f, 0.0f, 0.0f}, false, 0.0f};
            float depth = 0.0f;
            if (first_point + row < num_points_) {
                const float* point = arguments_.batch.points + 3 * (first_point + row);
                texels =
                    point_texels(point[0], point[1], maps.groups[group].height, maps.groups[group].width);
                depth = point[2] * arguments_.batch.depth_scale;
            }
            if (group == 0) at<float>(layout_.depths)[row] = depth;
            for (int c = 0; c < 4; ++c) {
                const int corner = (4 * group + c) * kWidePoints + row;
                at<std::uint32_t>(layout_.offsets)[corner] =
                    static_cast<std::uint32_t>(texels.offset[c]) * static_cast<std::uint32_t>(maps.num_rows);
                at<__half2>(layout_.shares)[corner] = __float2half2_rn(texels.weight[c]);
            }
        }
        named_barrier(kNameOfGathering, kGatheringThreads);
    }

    // 64 positions of all points, from 64 · block on, to the columns at `to`: a warp takes four points at
    // once, a lane eight positions of one.
    __device__ __forceinline__ void gather(const WideStart& start, int block, std::uint32_t to,
                                           bool is_activated) const {
        constexpr int kPointsAtOnce = 4, kTasks = kWidePoints / kPointsAtOnce / kNumWarps;
        const auto& maps = arguments_.maps;
        const int position = block * kChunk + lane_ % 8 * kColumnPositions;
        const bool is_there = position < start.num_positions;
        const std::uint32_t column = to + lane_ % 8 * kColumnBytes;
        __half2 sums[kTasks][4];
#pragma unroll
        for (int t = 0; t < kTasks; ++t) {
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[t][i] = __float2half2_rn(0.0f);
        }
        if (is_there) {
            for (int g = 0; g < maps.num_groups; ++g) {
                const __half* texels = maps.groups[g].texels + start.first_row + position;
                uint4 taken[kTasks][4];
#pragma unroll
                for (int t = 0; t < kTasks; ++t) {
#pragma unroll
                    for (int c = 0; c < 4; ++c) {
                        const std::uint32_t offset =
                            at<std::uint32_t>(layout_.offsets)[(4 * g + c) * kWidePoints + row_of(t)];
                        taken[t][c] = __ldg(reinterpret_cast<const uint4*>(texels + offset));
                    }
                }
#pragma unroll
                for (int t = 0; t < kTasks; ++t) {
#pragma unroll
                    for (int c = 0; c < 4; ++c) {
                        const __half2 share =
                            at<__half2>(layout_.shares)[(4 * g + c) * kWidePoints + row_of(t)];
                        __half2 values[4];
                        memcpy(values, &taken[t][c], sizeof values);
#pragma unroll
                        for (int i = 0; i < 4; ++i) sums[t][i] = __hfma2(share, values[i], sums[t][i]);
                    }
                }
            }
        }
        float biases[8] = {}, depth_weights[8] = {};
        if (is_there) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const float4 bias = __ldg(start.biases + position / 4 + i);
                const float4 weight = __ldg(start.depth_weights + position / 4 + i);
                biases[4 * i] = bias.x, biases[4 * i + 1] = bias.y;
                biases[4 * i + 2] = bias.z, biases[4 * i + 3] = bias.w;
                depth_weights[4 * i] = weight.x, depth_weights[4 * i + 1] = weight.y;
                depth_weights[4 * i + 2] = weight.z, depth_weights[4 * i + 3] = weight.w;
            }
        }
#pragma unroll
        for (int t = 0; t < kTasks; ++t) {
            const float depth = at<float>(layout_.depths)[row_of(t)];
            std::uint32_t packed[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float2 sum = __half22float2(sums[t][i]);
                float first = sum.x + fmaf(depth, depth_weights[2 * i], biases[2 * i]);
                float second = sum.y + fmaf(depth, depth_weights[2 * i + 1], biases[2 * i + 1]);
                if (is_activated) first = leaky(first), second = leaky(second);
                packed[i] = as_halves(first, second);
            }
            *at<uint4>(column + row_of(t) * 16) = make_uint4(packed[0], packed[1], packed[2], packed[3]);
        }
    }

    __device__ int row_of(int task) const { return (task * kNumWarps + warp_) * 4 + lane_ / 8; }
};

class Multiplying : public WideTile {
  public:
    __device__ explicit Multiplying(const WideArguments& arguments)
        : WideTile(arguments), warpgroup_(warp_ / 4) {}

    __device__ void run() {
        const WideHead& head = arguments_.head;
        if (end_of_tiles() <= first_tile()) return;
        num_left_ = (end_of_tiles() - first_tile() + gridDim.x - 1) / gridDim.x * head.num_stages;
        if (warpgroup_ == 0) {
            for (std::uint32_t slot = 0; slot < layout_.num_stages; ++slot) fetch(slot);
        }
        for (std::int64_t tile = first_tile(); tile < end_of_tiles(); tile += gridDim.x, ++tile_count_) {
            first_point_ = tile * kWidePoints;
            for (int i = 0; i < head.num_steps; ++i, ++step_) {
                const int num_columns = uniform(head.steps[i].num_columns);
                if (is_output(i)) {
                    if (num_columns == 256) run_step<128, true>(i);
                    if (num_columns == 128) run_step<64, true>(i);
                    if (num_columns == 64) run_step<32, true>(i);
                } else {
                    if (num_columns == 512) run_step<256, false>(i);
                    if (num_columns == 256) run_step<128, false>(i);
                    if (num_columns == 128) run_step<64, false>(i);
                    if (num_columns == 64) run_step<32, false>(i);
                }
            }
        }
    }

  private:
    // Starts the next copy of weights; the first warpgroup does. Each block of the cluster fetches a part for
    // all of them.
    __device__ void fetch(std::uint32_t slot) {
        const WeightStage stage = arguments_.head.stages[next_stage_];
        const bool does = thread_ == 0 && num_left_ > 0;
        const std::uint32_t part = stage.num_bytes / kClusterBlocks, first = cluster_rank() * part;
        const std::uint32_t full = barrier(kWeightsFull + slot);
        barrier_expect(full, stage.num_bytes, does);
        bulk_copy(shared_ + layout_.weights + slot * kStageBytes + first,
                  arguments_.head.weights + stage.offset + first, part, full, (1 << kClusterBlocks) - 1,
                  does);
        next_stage_ = next_stage_ + 1 == arguments_.head.num_stages ? 0 : next_stage_ + 1;
        --num_left_;
    }

    // This warp has read the stage in a slot, which was filled `round` times before: once all warps of the
    // cluster have, the slot is filled again.
    __device__ void release(std::uint32_t slot, std::uint32_t round) {
        __syncwarp();
        cluster_arrive(barrier(kWeightsEmpty + slot), lane_, lane_ < kClusterBlocks);
        if (warpgroup_ != 0) return;
        wait(kWeightsEmpty + slot, round);
        fetch(slot);
    }

    // kWidth outputs a warpgroup, activations or answers.
    template <int kWidth, bool kIsAnswer>
    __device__ __forceinline__ void run_step(int number) {
        constexpr int kParts = kWidth > 128 ? 2 : 1, kPart = kWidth / kParts, kColumns = 2 * kWidth;
        constexpr int kInputs = inputs_per_stage(kColumns);
        const WideStep& step = arguments_.head.steps[number];
        float sums[kParts][kPart / 2];
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
#pragma unroll
            for (int i = 0; i < kPart / 2; ++i) sums[part][i] = 0.0f;
        }
        const int num_inputs = uniform(step.num_inputs);
        std::uint32_t last_slot = 0, last_round = 0;
        bool ended_chunk = false;
#pragma unroll 1
        for (int input = 0; input < num_inputs; input += kInputs) {
            std::uint32_t inputs = shared_ + layout_.hidden[(number + 1) & 1] + column_bytes(input);
            if (number == 0) {
                const std::uint32_t buffer = chunk_ & 1;
                if (input % kChunk == 0) wait(kChunkFull + buffer, chunk_ >> 1);
                inputs =
                    shared_ + layout_.chunks + buffer * column_bytes(kChunk) + column_bytes(input % kChunk);
            }
            wait(kWeightsFull + slot_, round_);
            const std::uint32_t weights = shared_ + layout_.weights + slot_ * kStageBytes +
                                          static_cast<std::uint32_t>(warpgroup_ * kWidth * 16);
            const std::uint64_t from = matrix_descriptor(inputs, kColumnBytes, kBlockBytes);
            const std::uint64_t by = matrix_descriptor(weights, kColumns * 16, kBlockBytes);
            products_begin();
#pragma unroll
            for (int k = 0; k < kInputs; k += kTile) {
#pragma unroll
                for (int part = 0; part < kParts; ++part) {
                    multiply_add(sums[part], from + (column_bytes(k) >> 4),
                                 by + (k / 8 * kColumns + part * kPart));
                }
            }
            products_commit();
            if (input > 0) {
                products_wait<1>();
                if (ended_chunk) arrive(kChunkEmpty + ((chunk_ + 1) & 1));
                release(last_slot, last_round);
            }
            ended_chunk = number == 0 && (input + kInputs) % kChunk == 0;
            if (ended_chunk) ++chunk_;
            last_slot = slot_, last_round = round_;
            if (++slot_ == layout_.num_stages) slot_ = 0, ++round_;
        }
        products_wait<0>();
#pragma unroll
        for (int part = 0; part < kParts; ++part) hold(sums[part]);
        arrive(kMultiplied + (step_ & 1));
        if (ended_chunk) arrive(kChunkEmpty + ((chunk_ + 1) & 1));
        release(last_slot, last_round);

        if constexpr (kIsAnswer) {
            wait(kAnswersFull, tile_count_);
        } else {
            wait(kStartFull + (hidden_step_ & 1), hidden_step_ >> 1);
            ++hidden_step_;
        }
        // This thread's first position and output, and what lies a constant away from them.
        const int quarter = lane_ % 4, row = warp_ % 4 * 16 + lane_ / 4;
        const std::uint32_t region = kIsAnswer ? layout_.answers : layout_.hidden[number & 1];
        unsigned char* const places =
            jiff_wide_shared + region + column_bytes(warpgroup_ * kWidth) + quarter * kColumnBytes + row * 16;
        const int first_output = warpgroup_ * kWidth + quarter / 2 * kTile + quarter % 2 * 4;
#pragma unroll
        for (int group = 0; group < kWidth / 32; ++group) {
            const float(&of_part)[kPart / 2] = sums[group * 32 / kPart];
            const int first = group * 32 % kPart / 8 * 4;  // among the sums of its part
#pragma unroll
            for (int lower = 0; lower < 2; ++lower) {
                uint4* place =
                    reinterpret_cast<uint4*>(places + group * 4 * kColumnBytes + lower * kBlockBytes);
                const uint4 start = *place;
                const std::uint32_t starts[4] = {start.x, start.y, start.z, start.w};
                std::uint32_t packed[4];
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const float2 pair = as_floats(starts[i]);
                    const float even = pair.x + of_part[first + 4 * i + 2 * lower];
                    const float odd = pair.y + of_part[first + 4 * i + 2 * lower + 1];
                    if constexpr (kIsAnswer) {
                        const int output = first_output + 32 * group + i / 2 * 2 + i % 2 * 8;
                        write_sum(step, row + 8 * lower, output, even);
                        write_sum(step, row + 8 * lower, output + 1, odd);
                    } else {
                        packed[i] = as_halves(leaky(even), leaky(odd));
                    }
                }
                if constexpr (!kIsAnswer) *place = make_uint4(packed[0], packed[1], packed[2], packed[3]);
            }
        }
        if constexpr (kIsAnswer) {
            arrive(kAnswersRead);
            named_barrier(kNameOfMultiplying, kMultiplyingThreads);
            finish_answers(step);
        } else {
            publish_to_async();
            named_barrier(kNameOfMultiplying, kMultiplyingThreads);
        }
    }

    // The sum as it is: what follows is the same for every output and would be unrolled for each here.
    __device__ __forceinline__ void write_sum(const WideStep& step, int row, int output, float sum) const {
        if (output < step.num_outputs && first_point_ + row < num_points_)
            arguments_.batch.values[(first_point_ + row) * step.num_outputs + output] = sum;
    }

    // The sums that this block wrote become answers.
    __device__ void finish_answers(const WideStep& step) const {
        for (int i = thread_; i < kWidePoints * step.num_outputs; i += kMultiplyingThreads) {
            const int row = i / step.num_outputs;
            if (first_point_ + row >= num_points_) return;
            const float sum = arguments_.batch.values[first_point_ * step.num_outputs + i];
            answer(arguments_.batch, first_point_ + row, i % step.num_outputs,
                   step.is_rectified ? leaky(sum) : sum);
        }
    }

    const int warpgroup_;
    std::int64_t first_point_ = 0, num_left_ = 0;
    std::int32_t next_stage_ = 0;
    std::uint32_t slot_ = 0, round_ = 0;  // of the next stage
    // Counted over all tiles.
    std::uint32_t chunk_ = 0, step_ = 0, hidden_step_ = 0, tile_count_ = 0;
};

#endif

__global__ void __cluster_dims__(kClusterBlocks, 1, 1) __launch_bounds__(kThreads, 1)
    query_wide_tiles(const __grid_constant__ WideArguments arguments) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if (threadIdx.x == 0) {
        const std::uint32_t shared = shared_address(jiff_wide_shared);
        for (int i = 0; i < kNumBarriers; ++i) {
            barrier_init(shared + 8 * i, i < kWeightsFull    ? kNumWarps
                                         : i < kWeightsEmpty ? 1
                                                             : kNumWarps * kClusterBlocks);
        }
        publish_to_async();
    }
    cluster_barrier();
    if (threadIdx.x < kMultiplyingThreads) {
        take_registers<kMultiplyingRegisters>();
        Multiplying(arguments).run();
    } else {
        give_registers<kGatheringRegisters>();
        Gathering(arguments).run();
    }
    cluster_barrier();  // nobody writes to a block that has ended
#endif
}

}  // namespace

bool fits_wide(const WideHead& head, int num_groups, const Device& device) {
    return lay_out(head, num_groups, device).num_stages >= 2;
}

void query_wide(const WideHead& head, const FoldedView<__half>& maps, const PointBatch& batch,
                const Device& device, const Stream& stream) {
    const WideArguments arguments{head, lay_out(head, maps.num_groups, device), maps, batch};
    const std::size_t shared = arguments.layout.num_bytes();
    JIFF_CUDA_CHECK(cudaFuncSetAttribute(query_wide_tiles, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(shared)));
    const std::int64_t num_clusters =
        (batch.num_points + kWidePoints * kClusterBlocks - 1) / (kWidePoints * kClusterBlocks);
    const std::int64_t most_clusters = device.num_multiprocessors / kClusterBlocks;
    launch(query_wide_tiles, {std::min(num_clusters, most_clusters) * kClusterBlocks, kThreads, shared},
           stream, arguments);
}

}  // namespace jiff::cuda
