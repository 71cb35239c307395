// The warpgroups that gather what layers start from out of the folded maps, and the points' own features.
#pragma once

#include "ops/warpgroup_tile.cuh"

#if defined(JIFF_ON_WARPGROUPS)

namespace jiff::cuda {

// A lane gathers eight positions of two neighbouring points; what it takes from the maps is under way a job
// ahead.
template <bool kHasOwn>
class Gathering : public WideTile<kHasOwn> {
    using Tile = WideTile<kHasOwn>;
    using Tile::arguments_, Tile::layout_, Tile::num_points_, Tile::lane_, Tile::warp_;
    using Tile::arrive, Tile::wait, Tile::first_tile, Tile::end_of_tiles;

  public:
    using Tile::Tile;

    __device__ void run() {
        const WidePlan& plan = arguments_.head.plan;
        for (std::int64_t tile = first_tile(); tile < end_of_tiles(); tile += gridDim.x, ++tile_count_) {
            locate(tile * kWidePoints);
            uint4 taken[kAhead][kCorners];
#pragma unroll
            for (int p = 0; p < kAhead; ++p) take(taken[p], p, plan.jobs[0]);
            for (int i = 0; i < plan.num_jobs; ++i) {
                const GatherJob& job = plan.jobs[i];
                wait_for_room(job);
                if (kHasOwn && job.place == GatherJob::kOwn) {
                    bring_own(tile * kWidePoints, job);
                    forget(taken);
                    take(taken[0], 0, plan.jobs[i + 1]);
                    signal(job);
                    continue;
                }
                const uint4 weights = depth_weights(job);
                const std::uint32_t column = place_of(job) + lane_ % 8 * kColumnBytes;
                __half2 sums[4];
#pragma unroll
                for (int p = 0; p < kPoints; ++p) {
                    if (p == 0 || !is_same_) add_up(sums, taken[p % kAhead], p);
                    if (p + kAhead < kPoints) {
                        take(taken[p % kAhead], p + kAhead, job);
                    } else if (i + 1 < plan.num_jobs) {
                        take(taken[p % kAhead], (p + kAhead) % kPoints, plan.jobs[i + 1]);
                    }
                    *this->template at<uint4>(column + row_of(p) * 16) = finished(sums, weights, p, job);
                }
                signal(job);
            }
        }
    }

  private:
    // Of how many points what they take is under way: the registers of more are the multiplying warpgroups'
    // where points have features.
    static constexpr int kAhead = kHasOwn ? 1 : 2;
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
        is_same_ = !kHasOwn && places[0][0] == places[1][0] && places[0][1] == places[1][1];
    }

    // Eight features of each point, rounded to half precision.
    __device__ void bring_own(std::int64_t first_point, const GatherJob& job) const {
        const int first = job.first_position + position(), num = arguments_.batch.num_features;
#pragma unroll 1
        for (int p = 0; p < kPoints; ++p) {
            const std::int64_t index = first_point + row_of(p);
            const float* features = arguments_.batch.features + index * num;
            std::uint32_t packed[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int k = first + 2 * i;
                const float even = index < num_points_ && k < num ? __ldg(features + k) : 0.0f;
                const float odd = index < num_points_ && k + 1 < num ? __ldg(features + k + 1) : 0.0f;
                packed[i] = as_halves(even, odd);
            }
            *this->template at<uint4>(layout_.own + column_bytes(first) + row_of(p) * 16) =
                make_uint4(packed[0], packed[1], packed[2], packed[3]);
        }
    }

    // So that the compiler does not keep what was taken before.
    __device__ __forceinline__ void forget(uint4 (&taken)[kAhead][kCorners]) const {
#pragma unroll
        for (auto& of_point : taken) {
#pragma unroll
            for (uint4& of_corner : of_point) of_corner = make_uint4(0, 0, 0, 0);
        }
    }

    // Points above each other see the same texels.
    __device__ __forceinline__ void take(uint4 (&taken)[kCorners], int point, const GatherJob& job) const {
        if (kHasOwn && job.place == GatherJob::kOwn) return;
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

    // The depth's part added to sampled maps; a chunk's are activations already where nothing follows.
    __device__ __forceinline__ uint4 finished(const __half2 (&sums)[4], const uint4& weights, int point,
                                              const GatherJob& job) const {
        __half2 by[4], values[4];
        memcpy(by, &weights, sizeof by);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            values[i] = __hfma2(__high2half2(depths_[point]), by[i], sums[i]);
            values[i] = __hfma2(__low2half2(depths_[point]), by[i], values[i]);
        }
        if (!kHasOwn && job.place == GatherJob::kChunkBuffer) {
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
            // Counted over all tiles. Own features stay until the last step before.
            const std::uint32_t step = tile_count_ * arguments_.head.plan.num_steps + job.step;
            if (step > 0) wait(kMultiplied + ((step - 1) & 1), (step - 1) >> 1);
        }
    }

    __device__ void signal(const GatherJob& job) {
        if (job.place == GatherJob::kChunkBuffer) {
            arrive(kChunkFull + (chunk_++ & 1));
        } else if (job.is_last && job.place == GatherJob::kAnswers) {
            arrive(kAnswersFull);
        } else if (job.is_last && job.place == GatherJob::kOwn) {
            arrive(kOwnFull);
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

}  // namespace jiff::cuda

#endif
