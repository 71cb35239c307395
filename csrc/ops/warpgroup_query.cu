// A block of threads keeps taking tiles of 64 points. Two warpgroups multiply: sums of up to 512 outputs stay
// in their registers, activations in shared memory, weights pass through it in stages that a bulk copy
// fetches ahead. Two more warpgroups gather what layers start from out of the folded maps, meanwhile: the
// first layer in chunks of 64 outputs, the start of each later one to where its activations will stand.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "core/cuda_launch.h"
#include "ops/warpgroup_gathering.cuh"
#include "ops/warpgroup_multiplying.cuh"
#include "ops/warpgroup_query.h"
#include "ops/warpgroup_tile.cuh"

namespace jiff::cuda {
namespace {

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
    layout.own = take(column_bytes(head.plan.num_own));
    end = (end + 127) / 128 * 128;
    layout.weights = end;
    const auto room = static_cast<std::int64_t>(device.shared_bytes_per_block) - end;
    layout.num_stages =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(room / kStageBytes, 0, kMostStages));
    return layout;
}

template <bool kHasOwn>
__global__ void __cluster_dims__(kClusterBlocks, 1, 1) __launch_bounds__(kThreads, 1)
    query_wide_tiles(const __grid_constant__ WideArguments arguments) {
#if defined(JIFF_ON_WARPGROUPS)
    if (threadIdx.x == 0) {
        const std::uint32_t shared = shared_address(wide_shared());
        for (int i = 0; i < kNumBarriers; ++i) {
            barrier_init(shared + 8 * i, num_arrivals(i, kHasOwn));
        }
        order_for_async();
    }
    cluster_barrier();
    if (threadIdx.x < kMultiplyingThreads) {
        take_registers<kMultiplyingRegisters<kHasOwn>>();
        Multiplying<kHasOwn>(arguments).run();
    } else {
        give_registers<kGatheringRegisters<kHasOwn>>();
        Gathering<kHasOwn>(arguments).run();
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
    const auto kernel = head.plan.num_own > 0 ? &query_wide_tiles<true> : &query_wide_tiles<false>;
    JIFF_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
    const std::int64_t num_clusters =
        (batch.num_points + kWidePoints * kClusterBlocks - 1) / (kWidePoints * kClusterBlocks);
    const std::int64_t most_clusters = device.num_multiprocessors / kClusterBlocks;
    launch(kernel, {std::min(num_clusters, most_clusters) * kClusterBlocks, kThreads, shared}, stream,
           arguments);
}

}  // namespace jiff::cuda
