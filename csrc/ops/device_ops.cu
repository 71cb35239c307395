#include <cuda_runtime.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "core/cuda_launch.h"
#include "ops/device_algorithms.cuh"
#include "ops/device_ops.h"
#include "ops/feature_sampling.h"
#include "ops/tensor_core.h"

namespace jiff::cuda {
namespace {

using Key = unsigned long long;

__global__ void sample_each(const float* map, int num_channels, int height, int width, const float* xy,
                            std::int64_t num_points, float* samples) {
    const std::int64_t i = global_thread();
    if (i >= num_points) return;
    const PointTexels texels = point_texels(xy[2 * i], xy[2 * i + 1], height, width);
    for (int c = 0; c < num_channels; ++c)
        samples[i * num_channels + c] = sample_plane(map + std::int64_t{c} * height * width, texels);
}

constexpr int kSamplingThreads = 512;

// One block for all: each step needs the one before. The farthest point wins, of equally far ones the first.
__global__ void __launch_bounds__(kSamplingThreads)
    sample_farthest(const float* points, std::int64_t num_points, std::int64_t num_samples, float* nearest,
                    std::int32_t* indices) {
    __shared__ Key best_of_thread[kSamplingThreads];
    const int thread = static_cast<int>(threadIdx.x);
    std::int64_t last = 0;
    for (std::int64_t i = thread; i < num_points; i += kSamplingThreads) nearest[i] = INFINITY;
    if (thread == 0) indices[0] = 0;
    for (std::int64_t sample = 1; sample < num_samples; ++sample) {
        Key best = 0;
        for (std::int64_t i = thread; i < num_points; i += kSamplingThreads) {
            const float x = points[3 * i] - points[3 * last], y = points[3 * i + 1] - points[3 * last + 1],
                        z = points[3 * i + 2] - points[3 * last + 2];
            const float distance = min(nearest[i], x * x + y * y + z * z);
            nearest[i] = distance;
            // Floats that are not negative are ordered as their bits are.
            const Key key =
                static_cast<Key>(__float_as_uint(distance)) << 32 | ~static_cast<std::uint32_t>(i);
            best = max(best, key);
        }
        best_of_thread[thread] = best;
        for (int half = kSamplingThreads / 2; half > 0; half /= 2) {
            __syncthreads();
            if (thread < half)
                best_of_thread[thread] = max(best_of_thread[thread], best_of_thread[thread + half]);
        }
        __syncthreads();
        last = ~static_cast<std::uint32_t>(best_of_thread[0]);
        __syncthreads();  // it was read before it is written again
        if (thread == 0) indices[sample] = static_cast<std::int32_t>(last);
    }
}

__global__ void make_keys(const std::int32_t* voxels, std::int64_t num_points, Key* keys) {
    const std::int64_t i = global_thread();
    if (i < num_points) keys[i] = static_cast<Key>(voxels[i]) << 32 | static_cast<std::uint32_t>(i);
}

__device__ std::uint32_t voxel_of(Key key) { return static_cast<std::uint32_t>(key >> 32); }

// The thread of a group's first point and a channel does the group.
__global__ void pool_max(const Key* keys, std::int64_t num_points, std::int64_t num_channels,
                         const float* codes, float* pooled) {
    const std::int64_t at = global_thread();
    if (at >= num_points * num_channels) return;
    const std::int64_t first = at / num_channels, c = at % num_channels;
    const std::uint32_t voxel = voxel_of(keys[first]);
    if (first > 0 && voxel_of(keys[first - 1]) == voxel) return;
    float largest = -FLT_MAX;
    std::int64_t end = first;
    for (; end < num_points && voxel_of(keys[end]) == voxel; ++end)
        largest = max(largest, codes[static_cast<std::uint32_t>(keys[end]) * num_channels + c]);
    for (std::int64_t i = first; i < end; ++i)
        pooled[static_cast<std::uint32_t>(keys[i]) * num_channels + c] = largest;
}

__global__ void pool_mean(const Key* keys, std::int64_t num_points, std::int64_t num_channels,
                          std::int64_t num_voxels, const float* codes, float* volume) {
    const std::int64_t at = global_thread();
    if (at >= num_points * num_channels) return;
    const std::int64_t first = at / num_channels, c = at % num_channels;
    const std::uint32_t voxel = voxel_of(keys[first]);
    if (first > 0 && voxel_of(keys[first - 1]) == voxel) return;
    double sum = 0.0;
    std::int64_t end = first;
    for (; end < num_points && voxel_of(keys[end]) == voxel; ++end)
        sum += codes[static_cast<std::uint32_t>(keys[end]) * num_channels + c];
    volume[c * num_voxels + voxel] = static_cast<float>(sum / static_cast<double>(end - first));
}

constexpr int kDistanceThreads = 128;

// As squared_distance of triangle_tree.h, by all lanes of a warp: one point alone would wait for every node
// and every triangle in turn. The least of all does not depend on the order.
__device__ double squared_distance_by_warp(const TreeVector& point, const TreeNode* nodes,
                                           const TreeTriangle* triangles, int lane) {
    return least_in_tree(
        nodes,
        [&](const TreeNode& leaf, double best) {
            for (std::int64_t i = leaf.begin + lane; i < leaf.end; i += kLanes)
                best = min(best, squared_distance(point, triangles[i]));
            for (int half = kLanes / 2; half > 0; half /= 2)
                best = min(best, __shfl_xor_sync(~0U, best, half));
            return best;
        },
        [&](const TreeNode& first, const TreeNode& second, double(&bounds)[2]) {
            const double bound = squared_distance(point, lane % 2 == 0 ? first : second);
            for (int child = 0; child < 2; ++child) bounds[child] = __shfl_sync(~0U, bound, child);
        });
}

__global__ void measure_distances(const TreeNode* nodes, const TreeTriangle* triangles, const float* points,
                                  std::int64_t num_points, const std::int64_t* count, float scale,
                                  float* distances) {
    const std::int64_t num = count ? *count : num_points;
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    const std::int64_t num_warps = std::int64_t{gridDim.x} * blockDim.x / kLanes;
    for (std::int64_t i = global_thread() / kLanes; i < num; i += num_warps) {
        const TreeVector point{{points[3 * i], points[3 * i + 1], points[3 * i + 2]}};
        const double squared = squared_distance_by_warp(point, nodes, triangles, lane);
        if (lane == 0) distances[i] = static_cast<float>(sqrt(squared)) * scale;
    }
}

}  // namespace

void sample_features(const DeviceView& map, const float* xy, std::int64_t num_points, float* samples,
                     const Stream& stream) {
    launch(sample_each, grid_over(num_points), stream, map.data, static_cast<int>(map.shape[1]),
           static_cast<int>(map.shape[2]), static_cast<int>(map.shape[3]), xy, num_points, samples);
}

void farthest_point_sampling(const float* points, std::int64_t num_points, std::int64_t num_samples,
                             std::int32_t* indices, const Stream& stream) {
    Buffer<float> nearest(num_points, stream);
    launch(sample_farthest, {1, kSamplingThreads}, stream, points, num_points, num_samples, nearest.data(),
           indices);
}

DeviceVoxelGroups::DeviceVoxelGroups(const std::int32_t* voxels, std::int64_t num_points,
                                     std::int64_t num_voxels, const Stream& stream)
    : stream_(&stream), num_points_(num_points), num_voxels_(num_voxels), keys_(num_points, stream) {
    Buffer<Key> keys(num_points, stream);
    launch(make_keys, grid_over(num_points), stream, voxels, num_points, keys.data());
    sort_keys(keys.data(), keys_.data(), num_points, 64, stream);
}

void DeviceVoxelGroups::max(const float* codes, std::int64_t num_channels, float* pooled) const {
    launch(pool_max, grid_over(num_points_ * num_channels), *stream_, keys_.data(), num_points_, num_channels,
           codes, pooled);
}

void DeviceVoxelGroups::mean(const float* codes, std::int64_t num_channels, float* volume) const {
    set_bytes(volume, 0, num_channels * num_voxels_ * sizeof(float), *stream_);
    launch(pool_mean, grid_over(num_points_ * num_channels), *stream_, keys_.data(), num_points_,
           num_channels, num_voxels_, codes, volume);
}

DeviceMeshDistance::DeviceMeshDistance(const MeshDistance& mesh, const Stream& stream)
    : nodes_(mesh.nodes(), stream), triangles_(mesh.triangles(), stream) {
    stream.synchronize();
}

void DeviceMeshDistance::query(const float* points, std::int64_t num_points, const std::int64_t* count,
                               float scale, float* distances, const Stream& stream) const {
    // Enough to fill any GPU; how many points there are, only it may know.
    const std::int64_t num_blocks = std::min<std::int64_t>(
        1024, (num_points + kDistanceThreads / kLanes - 1) / (kDistanceThreads / kLanes));
    launch(measure_distances, {num_blocks, kDistanceThreads}, stream, nodes_.data(), triangles_.data(),
           points, num_points, count, scale, distances);
}

}  // namespace jiff::cuda
