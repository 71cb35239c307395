// The warpgroups that multiply, and fetch the weights for it.
#pragma once

#include "ops/warpgroup_tile.cuh"

#if defined(JIFF_ON_WARPGROUPS)

namespace jiff::cuda {

template <bool kHasOwn>
class Multiplying : public WideTile<kHasOwn> {
    using Tile = WideTile<kHasOwn>;
    using Tile::arguments_, Tile::layout_, Tile::shared_, Tile::num_points_;
    using Tile::arrive, Tile::barrier, Tile::wait, Tile::first_tile, Tile::end_of_tiles, Tile::is_output;
    using Tile::thread_, Tile::lane_, Tile::warp_;

  public:
    __device__ explicit Multiplying(const WideArguments& arguments)
        : Tile(arguments), warpgroup_(Tile::warp_ / 4) {}

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

    // This warp has read the stage before the current one, of inputs up to `input`.
    __device__ __forceinline__ void release(int number, int input) {
        if (!kHasOwn && number == 0 && input % kChunk == 0)
            arrive(kChunkEmpty + ((chunk_ + input / kChunk - 1) & 1));
        release();
    }

    // Once all warps of the cluster have, its slot is filled again.
    __device__ __forceinline__ void release() {
        const std::uint32_t slot = slot_ == 0 ? layout_.num_stages - 1 : slot_ - 1;
        __syncwarp();
        cluster_arrive(barrier(kWeightsEmpty + slot), lane_, lane_ < kClusterBlocks);
        if (warpgroup_ != 0) return;
        wait(kWeightsEmpty + slot, slot_ == 0 ? round_ - 1 : round_);
        fetch(slot);
    }

    __device__ __forceinline__ void next_slot() {
        if (++slot_ == layout_.num_stages) slot_ = 0, ++round_;
    }

    // Starts the products of the next stage's weights with `inputs`.
    template <int kWidth, int kParts, int kSums>
    __device__ __forceinline__ void multiply_stage(float (&sums)[kParts][kSums], std::uint32_t inputs) {
        constexpr int kColumns = 2 * kWidth, kPart = kWidth / kParts;
        constexpr int kInputs = inputs_per_stage(kColumns);
        wait(kWeightsFull + slot_, round_);
        const std::uint32_t weights = opaque(shared_) + layout_.weights + slot_ * kStageBytes +
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
    }

    // The second layer's products of the first layer's chunks, which the points' own features are part of. A
    // chunk's own product is under way while the one before it is consumed.
    template <int kWidth, int kParts, int kSums>
    __device__ __forceinline__ void multiply_chunks(float (&sums)[kParts][kSums]) {
        constexpr int kOwnWidth = kChunk / kNumMultiplying, kInputs = inputs_per_stage(2 * kWidth);
        const int num_chunks = arguments_.head.plan.num_chunks;
        float own_sums[kOwnWidth / 2];
        wait(kOwnFull, tile_count_);
        order_for_async();
        multiply_own(own_sums);
        products_wait<0>();
        hold(own_sums);
        next_slot();
        finish_chunk(chunk_, own_sums);
#pragma unroll 1
        for (int i = 0; i < num_chunks; ++i) {
            const std::uint32_t chunk = chunk_ + i;
            const bool is_last = i + 1 == num_chunks;
            if (!is_last) {
                multiply_own(own_sums);
                products_wait<1>();
                if (i > 0) arrive(kChunkEmpty + ((chunk - 1) & 1));
                release();
                next_slot();
            }
            const std::uint32_t inputs =
                opaque(shared_) + layout_.chunks + (chunk & 1) * column_bytes(kChunk);
#pragma unroll 1
            for (int input = 0; input < kChunk; input += kInputs) {
                multiply_stage<kWidth>(sums, inputs + column_bytes(input));
                products_wait<1>();
                if (is_last && input == 0 && i > 0) arrive(kChunkEmpty + ((chunk - 1) & 1));
                release();
                next_slot();
            }
            if (is_last) break;
            hold(own_sums);
            finish_chunk(chunk + 1, own_sums);
        }
        products_wait<0>();
        arrive(kChunkEmpty + ((chunk_ + num_chunks - 1) & 1));
    }

    // Starts a chunk's product of the own features: the next stage, half of the outputs a warpgroup.
    template <int kSums>
    __device__ __forceinline__ void multiply_own(float (&sums)[kSums]) {
#pragma unroll
        for (float& sum : sums) sum = 0.0f;
        hold(sums);
        wait(kWeightsFull + slot_, round_);
        const std::uint32_t shared = opaque(shared_);
        const std::uint32_t weights = shared + layout_.weights + slot_ * kStageBytes +
                                      static_cast<std::uint32_t>(warpgroup_ * 2 * kSums * 16);
        const std::uint64_t from = matrix_descriptor(shared + layout_.own, kColumnBytes, kBlockBytes);
        const std::uint64_t by = matrix_descriptor(weights, kChunk * 16, kBlockBytes);
        const int num_own = arguments_.head.plan.num_own;
        products_begin();
#pragma unroll 1
        for (int k = 0; k < num_own; k += kTile)
            multiply_add(sums, from + (column_bytes(k) >> 4), by + k / 8 * kChunk);
        products_commit();
    }

    // Adds them to the chunk's start: activations, for the products of all multiplying threads.
    template <int kSums>
    __device__ __forceinline__ void finish_chunk(std::uint32_t chunk, const float (&sums)[kSums]) {
        wait(kChunkFull + (chunk & 1), chunk >> 1);
        const int lane = static_cast<int>(opaque(lane_));
        unsigned char* const places = wide_shared() + layout_.chunks + (chunk & 1) * column_bytes(kChunk) +
                                      column_bytes(warpgroup_ * 2 * kSums) + lane % 4 * kColumnBytes +
                                      (warp_ % 4 * 16 + lane / 4) * 16;
        add_to_starts(places, sums, 0,
                      [](uint4* place, int, const float(&values)[8]) { *place = activations(values); });
        order_for_async();
        named_barrier(kNameOfMultiplying, kMultiplyingThreads);
    }

    // A thread's sums of 32 outputs, from sums[first] on, with what their layer starts from, which stands at
    // `places`: take(place, lower, values) for each of its two points.
    template <int kSums, typename Take>
    __device__ __forceinline__ void add_to_starts(unsigned char* places, const float (&sums)[kSums],
                                                  int first, const Take& take) {
#pragma unroll
        for (int lower = 0; lower < 2; ++lower) {
            uint4* place = reinterpret_cast<uint4*>(places + lower * kBlockBytes);
            const uint4 start = *place;
            const std::uint32_t starts[4] = {start.x, start.y, start.z, start.w};
            float values[8];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float2 pair = as_floats(starts[i]);
                values[2 * i] = pair.x + sums[first + 4 * i + 2 * lower];
                values[2 * i + 1] = pair.y + sums[first + 4 * i + 2 * lower + 1];
            }
            take(place, lower, values);
        }
    }

    static __device__ __forceinline__ uint4 activations(const float (&values)[8]) {
        std::uint32_t packed[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) packed[i] = as_halves(leaky(values[2 * i]), leaky(values[2 * i + 1]));
        return make_uint4(packed[0], packed[1], packed[2], packed[3]);
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
        const int num_inputs = step.num_hidden + (kHasOwn ? arguments_.head.plan.num_own : 0);
        const std::uint32_t shared = opaque(shared_);
        int begin = 0;
        if constexpr (kHasOwn) {
            if (number == 0) {
                multiply_chunks<kWidth>(sums);
                begin = step.num_hidden;
            }
        }
#pragma unroll 1
        for (int input = begin; input < num_inputs; input += kInputs) {
            std::uint32_t inputs = shared + layout_.hidden[(number + 1) & 1] + column_bytes(input);
            if (kHasOwn && input >= step.num_hidden) {
                inputs = shared + layout_.own + column_bytes(input - step.num_hidden);
            } else if (number == 0) {
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
            multiply_stage<kWidth>(sums, inputs);
            if (input > 0) {
                products_wait<1>();
                release(number, input);
            }
            next_slot();
        }
        products_wait<0>();
#pragma unroll
        for (auto& of_part : sums) hold(of_part);
        arrive(kMultiplied + (step_ & 1));
        release(number, num_inputs);
        if (number == 0) chunk_ += arguments_.head.plan.num_chunks;

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
            add_to_starts(places + group * 4 * kColumnBytes, of_part, first,
                          [&](uint4* place, int lower, const float(&values)[8]) {
                              if constexpr (kIsAnswer) {
#pragma unroll
                                  for (int i = 0; i < 8; ++i) {
                                      const int output =
                                          first_output + 32 * group + i / 4 * 2 + i / 2 % 2 * 8 + i % 2;
                                      write_sum(step, row + 8 * lower, output, values[i]);
                                  }
                              } else {
                                  *place = activations(values);
                              }
                          });
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

}  // namespace jiff::cuda

#endif
