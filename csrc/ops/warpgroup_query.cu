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
#if defined(JIFF_CUDA_EMULATED)
constexpr int kClusterBlocks = 1;
#else
constexpr int kClusterBlocks = 2;  // share what they fetch of the weights
#endif

// Eight positions of all points, and 16 bytes that keep neighbouring columns in different banks.
constexpr int kColumnPositions = 8;
constexpr std::uint32_t kColumnBytes = kWidePoints * 16 + 16;
constexpr std::uint32_t kBlockBytes = 8 * 16;  // of 8 points by 8 positions

constexpr int kNameOfMultiplying = 1;  // a named barrier

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

// Where threads hand over to products and copies, one lane arrives for its warp. Where threads read what
// threads wrote, all lanes do: __syncwarp and one arrival would order it too, but compute-sanitizer does not
// see that.
JIFF_HOST_DEVICE constexpr bool all_lanes_arrive(int barrier) {
    return barrier == kStartFull || barrier == kStartFull + 1 || barrier == kAnswersFull ||
           barrier == kAnswersRead;
}

JIFF_HOST_DEVICE constexpr int num_arrivals(int barrier) {
    return all_lanes_arrive(barrier) ? kNumWarps * kLanes
           : barrier < kWeightsFull  ? kNumWarps
           : barrier < kWeightsEmpty ? 1
                                     : kNumWarps * kClusterBlocks;
}

// Where everything lies in shared memory.
struct WideLayout {
    std::uint32_t chunks, hidden[2], answers, weights, num_stages;

    __host__ __device__ std::uint32_t num_bytes() const { return weights + num_stages * kStageBytes; }
};

WideLayout lay_out(const WideHead& head, const Device& device) {
    WideLayout layout{};
    std::uint32_t end = kNumBarriers * 8;
    const auto take = [&](std::uint32_t num_bytes) {
        const std::uint32_t begin = (end + 15) / 16 * 16;
        end = begin + num_bytes;
        return begin;
    };
    layout.chunks = take(2 * column_bytes(kChunk));
    for (int i = 0; i < 2; ++i) layout.hidden[i] = take(column_bytes(head.plan.hidden_positions[i]));
    layout.answers = take(column_bytes(head.plan.answer_positions));
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
    FoldedGroup<__half> maps;
    std::int32_t num_rows;
    PointBatch batch;
};

#if defined(JIFF_CUDA_EMULATED)
#define JIFF_ON_WARPGROUPS
unsigned char* wide_shared() { return emulation::current_block().dynamic_shared.data(); }
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define JIFF_ON_WARPGROUPS
__device__ __forceinline__ unsigned char* wide_shared() {
    extern __shared__ __align__(128) unsigned char jiff_wide_shared[];
    return jiff_wide_shared;
}
#endif

#if defined(JIFF_ON_WARPGROUPS)

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

// The value, of which the compiler knows nothing: it cannot compute what follows from it ahead of the loops
// around, where that would take a register each.
__device__ __forceinline__ std::uint32_t opaque(std::uint32_t value) {
    asm volatile("" : "+r"(value));
    return value;
}

// What both kinds of warpgroups know.
class WideTile {
  public:
    __device__ explicit WideTile(const WideArguments& arguments)
        : arguments_(arguments),
          layout_(arguments.layout),
          shared_(shared_address(wide_shared())),
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
        barrier_arrive(barrier(number), lane_ == 0 || all_lanes_arrive(number));
    }
    __device__ void wait(int number, std::uint32_t parity) const {
        barrier_wait(barrier(number), parity & 1);
    }
    template <typename T>
    __device__ T* at(std::uint32_t offset) const {
        return reinterpret_cast<T*>(wide_shared() + offset);
    }
    // Blocks of a cluster take neighbouring tiles, equally many, the last ones perhaps without a point.
    __device__ std::int64_t first_tile() const { return blockIdx.x; }
    __device__ std::int64_t end_of_tiles() const {
        const std::int64_t num_tiles = (num_points_ + kWidePoints - 1) / kWidePoints;
        return (num_tiles + kClusterBlocks - 1) / kClusterBlocks * kClusterBlocks;
    }
    __device__ bool is_output(int step) const { return step + 1 == arguments_.head.plan.num_steps; }

    const WideArguments& arguments_;
    const WideLayout& layout_;
    const std::uint32_t shared_;
    const std::int64_t num_points_;
    const int thread_, lane_, warp_;
};

// A lane gathers eight positions of two neighbouring points; what it takes from the maps is under way a job
// ahead.
class Gathering : public WideTile {
  public:
    using WideTile::WideTile;

    __device__ void run() {
        const WidePlan& plan = arguments_.head.plan;
        for (std::int64_t tile = first_tile(); tile < end_of_tiles(); tile += gridDim.x, ++tile_count_) {
            locate(tile * kWidePoints);
            uint4 taken[kPoints][kCorners];
#pragma unroll
            for (int p = 0; p < kPoints; ++p) take(taken[p], p, plan.jobs[0]);
            for (int i = 0; i < plan.num_jobs; ++i) {
                const GatherJob& job = plan.jobs[i];
                const uint4 weights = depth_weights(job);
                const std::uint32_t column = place_of(job) + lane_ % 8 * kColumnBytes;
                wait_for_room(job);
                __half2 sums[4];
#pragma unroll
                for (int p = 0; p < kPoints; ++p) {
                    if (p == 0 || !is_same_) add_up(sums, taken[p], p);
                    if (i + 1 < plan.num_jobs) take(taken[p], p, plan.jobs[i + 1]);
                    *at<uint4>(column + row_of(p) * 16) = finished(sums, weights, p, job);
                }
                signal(job);
            }
        }
    }

  private:
    static constexpr int kPoints = 2, kCorners = 4;
    static_assert(kNumWarps * kLanes / 8 * kPoints == kWidePoints,
                  "eight lanes a point, and every point is taken");

    __device__ int row_of(int point) const { return (warp_ * 4 + lane_ / 8) * kPoints + point; }
    __device__ int position() const { return lane_ % 8 * kColumnPositions; }

    __device__ void locate(std::int64_t first_point) {
        float places[kPoints][2] = {};
#pragma unroll
        for (int p = 0; p < kPoints; ++p) {
            PointTexels texels{{0, 0, 0, 0}, {0.0f, 0.0f, 0.0f, 0.0f}, false, 0.0f};
            float depth = 0.0f;
            const std::int64_t index = first_point + row_of(p);
            if (index < num_points_) {
                const float* point = arguments_.batch.points + 3 * index;
                places[p][0] = point[0], places[p][1] = point[1];
                texels = point_texels(point[0], point[1], arguments_.maps.height, arguments_.maps.width);
                depth = point[2] * arguments_.batch.depth_scale;
            }
            const float high = __half2float(__float2half_rn(depth));
            depths_[p] = __floats2half2_rn(high, depth - high);
            shares_[p][0] = __floats2half2_rn(texels.weight[0], texels.weight[1]);
            shares_[p][1] = __floats2half2_rn(texels.weight[2], texels.weight[3]);
#pragma unroll
            for (int c = 0; c < kCorners; ++c) {
                offsets_[p][c] = (static_cast<std::uint32_t>(texels.offset[c]) *
                                      static_cast<std::uint32_t>(arguments_.num_rows) +
                                  static_cast<std::uint32_t>(position())) *
                                 static_cast<std::uint32_t>(sizeof(__half));
            }
        }
        is_same_ = places[0][0] == places[1][0] && places[0][1] == places[1][1];
    }

    // Points above each other see the same texels.
    __device__ __forceinline__ void take(uint4 (&taken)[kCorners], int point, const GatherJob& job) const {
        if (position() >= job.num_positions || (point > 0 && is_same_)) return;
        const auto* texels = reinterpret_cast<const unsigned char*>(arguments_.maps.texels + job.first_row);
#pragma unroll
        for (int c = 0; c < kCorners; ++c)
            taken[c] = __ldg(reinterpret_cast<const uint4*>(texels + offsets_[point][c]));
    }

    __device__ __forceinline__ void add_up(__half2 (&sums)[4], const uint4 (&taken)[kCorners],
                                           int point) const {
#pragma unroll
        for (int c = 0; c < kCorners; ++c) {
            __half2 values[4];
            memcpy(values, &taken[c], sizeof values);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const __half2 pair = shares_[point][c / 2];
                const __half2 share = c % 2 == 0 ? __low2half2(pair) : __high2half2(pair);
                sums[i] = c == 0 ? __hmul2(share, values[i]) : __hfma2(share, values[i], sums[i]);
            }
        }
    }

    __device__ __forceinline__ uint4 depth_weights(const GatherJob& job) const {
        return __ldg(reinterpret_cast<const uint4*>(arguments_.head.weights + job.depth_weights) + lane_ % 8);
    }

    // The depth's part added to sampled maps; a chunk's are activations already.
    __device__ __forceinline__ uint4 finished(const __half2 (&sums)[4], const uint4& weights, int point,
                                              const GatherJob& job) const {
        __half2 by[4], values[4];
        memcpy(by, &weights, sizeof by);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            values[i] = __hfma2(__high2half2(depths_[point]), by[i], sums[i]);
            values[i] = __hfma2(__low2half2(depths_[point]), by[i], values[i]);
        }
        if (job.place == GatherJob::kChunkBuffer) {
#pragma unroll
            for (__half2& value : values) value = __hmax2(value, __hmul2(value, __float2half2_rn(0.01f)));
        }
        uint4 packed;
        memcpy(&packed, values, sizeof packed);
        return position() < job.num_positions ? packed : make_uint4(0, 0, 0, 0);
    }

    __device__ std::uint32_t place_of(const GatherJob& job) const {
        const std::uint32_t first = column_bytes(job.first_position);
        switch (job.place) {
            case GatherJob::kChunkBuffer:
                return layout_.chunks + (chunk_ & 1) * column_bytes(kChunk);
            case GatherJob::kHidden0:
                return layout_.hidden[0] + first;
            case GatherJob::kHidden1:
                return layout_.hidden[1] + first;
            default:
                return layout_.answers + first;
        }
    }

    // Until what stood at the job's place was read.
    __device__ void wait_for_room(const GatherJob& job) const {
        if (job.place == GatherJob::kChunkBuffer) {
            wait(kChunkEmpty + (chunk_ & 1), (chunk_ >> 1) + 1);
        } else if (job.is_first && job.place == GatherJob::kAnswers) {
            wait(kAnswersRead, tile_count_ + 1);
        } else if (job.is_first) {
            const std::uint32_t step =
                tile_count_ * arguments_.head.plan.num_steps + job.step;  // of all tiles
            if (step > 0) wait(kMultiplied + ((step - 1) & 1), (step - 1) >> 1);
        }
    }

    __device__ void signal(const GatherJob& job) {
        if (job.place == GatherJob::kChunkBuffer) {
            arrive(kChunkFull + (chunk_++ & 1));
        } else if (job.is_last && job.place == GatherJob::kAnswers) {
            arrive(kAnswersFull);
        } else if (job.is_last) {
            arrive(kStartFull + (hidden_step_++ & 1));
        }
    }

    // Of this lane's points in the tile.
    std::uint32_t offsets_[kPoints][kCorners];
    __half2 shares_[kPoints][kCorners / 2];
    __half2 depths_[kPoints];  // as it is in half precision, and the rest
    bool is_same_ = false;
    // Counted over all tiles.
    std::uint32_t chunk_ = 0, hidden_step_ = 0, tile_count_ = 0;
};

class Multiplying : public WideTile {
  public:
    __device__ explicit Multiplying(const WideArguments& arguments)
        : WideTile(arguments), warpgroup_(warp_ / 4) {}

    __device__ void run() {
        const WidePlan& plan = arguments_.head.plan;
        if (end_of_tiles() <= first_tile()) return;
        num_left_ = static_cast<std::int32_t>((end_of_tiles() - first_tile() + gridDim.x - 1) / gridDim.x *
                                              plan.num_stages);
        if (warpgroup_ == 0) {
            for (std::uint32_t slot = 0; slot < layout_.num_stages; ++slot) fetch(slot);
        }
        for (std::int64_t tile = first_tile(); tile < end_of_tiles(); tile += gridDim.x, ++tile_count_) {
            first_point_ = tile * kWidePoints;
            for (int i = 0; i < plan.num_steps; ++i, ++step_) {
                const int num_columns = plan.steps[i].num_columns;
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
        const WeightStage stage = arguments_.head.plan.stages[next_stage_];
        const bool does = thread_ == 0 && num_left_ > 0;
        const std::uint32_t part = stage.num_bytes / kClusterBlocks, first = cluster_rank() * part;
        const std::uint32_t full = barrier(kWeightsFull + slot);
        barrier_expect(full, stage.num_bytes, does);
        bulk_copy(shared_ + layout_.weights + slot * kStageBytes + first,
                  arguments_.head.weights + stage.offset + first, part, full, (1 << kClusterBlocks) - 1,
                  does);
        next_stage_ = next_stage_ + 1 == arguments_.head.plan.num_stages ? 0 : next_stage_ + 1;
        --num_left_;
    }

    // This warp has read the stage before the current one, of inputs up to `input`: once all warps of the
    // cluster have, its slot is filled again.
    __device__ __forceinline__ void release(int number, int input) {
        if (number == 0 && input % kChunk == 0) arrive(kChunkEmpty + ((chunk_ + input / kChunk - 1) & 1));
        const std::uint32_t slot = slot_ == 0 ? layout_.num_stages - 1 : slot_ - 1;
        __syncwarp();
        cluster_arrive(barrier(kWeightsEmpty + slot), lane_, lane_ < kClusterBlocks);
        if (warpgroup_ != 0) return;
        wait(kWeightsEmpty + slot, slot_ == 0 ? round_ - 1 : round_);
        fetch(slot);
    }

    // kWidth outputs a warpgroup, activations or answers.
    template <int kWidth, bool kIsAnswer>
    __device__ __forceinline__ void run_step(int number) {
        // 256 outputs of an instruction are more sums than a thread has registers when the kernel starts.
        constexpr int kParts = kWidth > 128 ? 2 : 1, kPart = kWidth / kParts, kColumns = 2 * kWidth;
        constexpr int kInputs = inputs_per_stage(kColumns);
        const WideStep& step = arguments_.head.plan.steps[number];
        float sums[kParts][kPart / 2];
#pragma unroll
        for (auto& of_part : sums) {
#pragma unroll
            for (float& sum : of_part) sum = 0.0f;
        }
        const int num_inputs = step.num_inputs;
        const std::uint32_t shared = opaque(shared_);
#pragma unroll 1
        for (int input = 0; input < num_inputs; input += kInputs) {
            std::uint32_t inputs = shared + layout_.hidden[(number + 1) & 1] + column_bytes(input);
            if (number == 0) {
                const std::uint32_t chunk = chunk_ + input / kChunk, buffer = chunk & 1;
                if (input % kChunk == 0) {
                    wait(kChunkFull + buffer, chunk >> 1);
                    // Here and not where it was written: there it would wait for what is under way from the
                    // maps.
                    order_for_async();
                }
                inputs =
                    shared + layout_.chunks + buffer * column_bytes(kChunk) + column_bytes(input % kChunk);
            }
            wait(kWeightsFull + slot_, round_);
            const std::uint32_t weights = shared + layout_.weights + slot_ * kStageBytes +
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
                release(number, input);
            }
            if (++slot_ == layout_.num_stages) slot_ = 0, ++round_;
        }
        products_wait<0>();
#pragma unroll
        for (auto& of_part : sums) hold(of_part);
        arrive(kMultiplied + (step_ & 1));
        release(number, num_inputs);
        if (number == 0) chunk_ += num_inputs / kChunk;

        if constexpr (kIsAnswer) {
            wait(kAnswersFull, tile_count_);
        } else {
            wait(kStartFull + (hidden_step_ & 1), hidden_step_ >> 1);
            ++hidden_step_;
        }
        // This thread's first position and output, and what lies a constant away from them.
        const int lane = static_cast<int>(opaque(lane_));
        const int quarter = lane % 4, row = warp_ % 4 * 16 + lane / 4;
        const std::uint32_t region = kIsAnswer ? layout_.answers : layout_.hidden[number & 1];
        unsigned char* const places =
            wide_shared() + region + column_bytes(warpgroup_ * kWidth) + quarter * kColumnBytes + row * 16;
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
            order_for_async();
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
    std::int64_t first_point_ = 0;
    std::int32_t num_left_ = 0, next_stage_ = 0;
    std::uint32_t slot_ = 0, round_ = 0;  // of the next stage
    // Counted over all tiles.
    std::uint32_t chunk_ = 0, step_ = 0, hidden_step_ = 0, tile_count_ = 0;
};

#endif

__global__ void __cluster_dims__(kClusterBlocks, 1, 1) __launch_bounds__(kThreads, 1)
    query_wide_tiles(const __grid_constant__ WideArguments arguments) {
#if defined(JIFF_ON_WARPGROUPS)
    if (threadIdx.x == 0) {
        const std::uint32_t shared = shared_address(wide_shared());
        for (int i = 0; i < kNumBarriers; ++i) {
            barrier_init(shared + 8 * i, num_arrivals(i));
        }
        order_for_async();
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

bool fits_wide(const WideHead& head, const Device& device) { return lay_out(head, device).num_stages >= 2; }

void query_wide(const WideHead& head, const FoldedGroup<__half>& maps, std::int32_t num_rows,
                const PointBatch& batch, const Device& device, const Stream& stream) {
    const WideArguments arguments{head, lay_out(head, device), maps, num_rows, batch};
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
