// What the threads of the warpgroups' kernel share: who they are, where everything lies in shared memory, and
// the barriers at which they hand it over. For warpgroup_query.cu alone.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "ops/tensor_core.h"
#include "ops/warpgroup.cuh"
#include "ops/warpgroup_query.h"

namespace jiff::cuda {

constexpr int kWarpgroupThreads = 128, kNumMultiplying = 2, kNumGathering = 2;
constexpr int kMultiplyingThreads = kNumMultiplying * kWarpgroupThreads;
constexpr int kGatheringThreads = kNumGathering * kWarpgroupThreads;
constexpr int kThreads = kMultiplyingThreads + kGatheringThreads;
constexpr int kNumWarps = kMultiplyingThreads / kLanes;  // of either kind
// Of a thread; 256 in all.
template <bool kHasOwn>
constexpr int kMultiplyingRegisters = kHasOwn ? 192 : 176;
template <bool kHasOwn>
constexpr int kGatheringRegisters = 256 - kMultiplyingRegisters<kHasOwn>;
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
    kOwnFull = kAnswersRead + 1,  // the points' own features are there
    kWeightsFull = kOwnFull + 1,  // one a stage
    kWeightsEmpty = kWeightsFull + kMostStages,
    kNumBarriers = kWeightsEmpty + kMostStages,
};

// Where threads hand over to products and copies, one lane arrives for its warp. Where threads read what
// threads wrote, all lanes do: __syncwarp and one arrival would order it too, but compute-sanitizer does not
// see that.
JIFF_HOST_DEVICE constexpr bool all_lanes_arrive(int barrier, bool has_own) {
    return barrier == kStartFull || barrier == kStartFull + 1 || barrier == kAnswersFull ||
           barrier == kAnswersRead || (has_own && (barrier == kChunkFull || barrier == kChunkFull + 1));
}

JIFF_HOST_DEVICE constexpr int num_arrivals(int barrier, bool has_own) {
    return all_lanes_arrive(barrier, has_own) ? kNumWarps * kLanes
           : barrier < kWeightsFull           ? kNumWarps
           : barrier < kWeightsEmpty          ? 1
                                              : kNumWarps * kClusterBlocks;
}

// Where everything lies in shared memory.
struct WideLayout {
    std::uint32_t chunks, hidden[2], answers, own, weights, num_stages;

    __host__ __device__ std::uint32_t num_bytes() const { return weights + num_stages * kStageBytes; }
};

struct WideArguments {
    WideHead head;
    WideLayout layout;
    FoldedGroup<__half> maps;
    std::int32_t num_rows;
    PointBatch batch;
};

#if defined(JIFF_CUDA_EMULATED)
#define JIFF_ON_WARPGROUPS
inline unsigned char* wide_shared() { return emulation::current_block().dynamic_shared.data(); }
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

// What both kinds of warpgroups know. kHasOwn: points have features of their own, which every layer
// multiplies.
template <bool kHasOwn>
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
        barrier_arrive(barrier(number), lane_ == 0 || all_lanes_arrive(number, kHasOwn));
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

#endif

}  // namespace jiff::cuda
