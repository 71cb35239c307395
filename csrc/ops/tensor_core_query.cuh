// The implicit function on tensor cores: a block of threads takes a tile of points from their pixels to their
// answers. Hidden activations stay in shared memory, sums in registers; weights come from the second-level
// cache, each once a tile and group of points. The first layer of an MLP is made in stages of 64 channels
// while the second one's product consumes them.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "ops/head_kernels.cuh"
#include "ops/head_program.h"
#include "ops/tensor_core.cuh"

namespace jiff::cuda {

constexpr int kNumWarps = 8;
constexpr int kPairsPerWarp = 4;

#if defined(JIFF_CUDA_EMULATED)
inline unsigned char* dynamic_shared() { return emulation::current_block().dynamic_shared.data(); }
#else
__device__ __forceinline__ unsigned char* dynamic_shared() {
    extern __shared__ __align__(16) unsigned char jiff_dynamic_shared[];
    return jiff_dynamic_shared;
}
#endif

// Four permuted halves as floats.
__device__ __forceinline__ float4 halves(uint2 packed) {
    __half values[4];
    memcpy(values, &packed, sizeof values);
    return make_float4(__half2float(values[0]), __half2float(values[1]), __half2float(values[2]),
                       __half2float(values[3]));
}

// kRowTiles · kWarpRows tiles of points; kNumWarps / kWarpRows warps side by side along the outputs.
template <int kRowTiles, int kWarpRows>
class TileQuery {
  public:
    static constexpr int kPoints = kTile * kRowTiles * kWarpRows;
    static constexpr int kWarpColumns = kNumWarps / kWarpRows;
    static constexpr int kPairs = kWarpColumns * kPairsPerWarp;  // outputs of a pass, in pairs

    // Of shared memory: rows of activations, then what is known of each point.
    static std::size_t shared_bytes(const RowLayout& layout, int num_groups) {
        return kPoints * (layout.stride * sizeof(__half) + (1 + 8 * num_groups) * sizeof(float));
    }

    __device__ TileQuery(const RowLayout& layout, const FoldedView<__half>& maps, const PointBatch& batch)
        : layout_(layout),
          maps_(maps),
          batch_(batch),
          rows_(reinterpret_cast<__half*>(dynamic_shared())),
          depths_(reinterpret_cast<float*>(rows_ + kPoints * layout.stride)),
          weights_(depths_ + kPoints),
          offsets_(reinterpret_cast<unsigned*>(weights_ + 4 * kPoints * maps.num_groups)),
          first_point_(static_cast<std::int64_t>(blockIdx.x) * kPoints),
          num_points_(num_asked(batch)),
          thread_(static_cast<int>(threadIdx.x)),
          lane_(thread_ % kLanes),
          warp_(thread_ / kLanes) {}

    __device__ void run(const Step* steps, int num_steps) {
        if (first_point_ >= num_points_) return;
        locate_points();
        fill_own();
        __syncthreads();
        for (int i = 0; i < num_steps; ++i) run_step(steps[i]);
    }

  private:
    // A lane's four outputs of two points, for the pairs of its warp.
    using Sums = float[kRowTiles][kPairsPerWarp][2][4];  // [tile][pair][block of 8 outputs]

    __device__ bool is_point(int row) const { return first_point_ + row < num_points_; }

    __device__ void locate_points() {
        for (int row = thread_; row < kPoints; row += kNumWarps * kLanes) {
            const float* point = batch_.points + 3 * (first_point_ + row);
            depths_[row] = is_point(row) ? point[2] * batch_.depth_scale : 0.0f;
            for (int g = 0; g < maps_.num_groups; ++g) {
                PointTexels texels{{0, 0, 0, 0}, {0.0f, 0.0f, 0.0f, 0.0f}, false, 0.0f};
                if (is_point(row))
                    texels = point_texels(point[0], point[1], maps_.groups[g].height, maps_.groups[g].width);
                for (int c = 0; c < 4; ++c) {
                    offsets_[(4 * g + c) * kPoints + row] =
                        static_cast<unsigned>(texels.offset[c]) * static_cast<unsigned>(maps_.num_rows);
                    weights_[(4 * g + c) * kPoints + row] = texels.weight[c];
                }
            }
        }
    }

    // Features of the points and samples of the volume, with zeros up to whole tiles.
    __device__ void fill_own() {
        const int num_columns = layout_.start_2d;
        for (int i = thread_; i < kPoints * num_columns; i += kNumWarps * kLanes) {
            const int row = i / num_columns, column = i % num_columns;
            float value = 0.0f;
            if (is_point(row)) {
                const std::int64_t index = first_point_ + row;
                if (column < batch_.num_features) {
                    value = batch_.features[index * batch_.num_features + column];
                } else if (column >= layout_.volume && column < layout_.volume + batch_.volume.num_channels) {
                    value = sample_volume(batch_.volume, batch_.points + 3 * index, column - layout_.volume);
                }
            }
            rows_[row * layout_.stride + column] = __float2half_rn(value);
        }
    }

    // What a lane's outputs of kCount pairs start from, `num_pairs` of which are asked for, at the points of
    // a tile: a lane's four outputs of a pair lie side by side wherever they are kept.
    template <int kCount>
    __device__ __forceinline__ void start(float (&sums)[kCount][2][4], const Product& product, int pair,
                                          int num_pairs, int row_tile) const {
        const int upper_row = row_tile * kTile + lane_ / 4, lower_row = upper_row + 8;
        const int four = pair * 4 + lane_ % 4;
        const auto add = [&](int p, float upper_scale, float4 upper, float lower_scale, float4 lower) {
            const float uppers[4] = {upper.x, upper.y, upper.z, upper.w};
            const float lowers[4] = {lower.x, lower.y, lower.z, lower.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                float& to_upper = sums[p][i / 2][i % 2];
                float& to_lower = sums[p][i / 2][2 + i % 2];
                to_upper = fmaf(upper_scale, uppers[i], to_upper);
                to_lower = fmaf(lower_scale, lowers[i], to_lower);
            }
        };
#pragma unroll
        for (int p = 0; p < kCount; ++p) {
#pragma unroll
            for (int i = 0; i < 8; ++i) sums[p][i / 4][i % 4] = 0.0f;
            if (p >= num_pairs) continue;
            if (product.biases) {
                const float4 bias = __ldg(product.biases + four + 4 * p);
                add(p, 1.0f, bias, 1.0f, bias);
            }
            if (!product.depth_weights) continue;
            const float4 weight = __ldg(product.depth_weights + four + 4 * p);
            add(p, depths_[upper_row], weight, depths_[lower_row], weight);
        }
        const int num_corners = product.first_row >= 0 ? 4 * maps_.num_groups : 0;
        // As many loads under way as there are registers for.
        constexpr int kCornersAtOnce = kCount == 1 ? 4 : 2;
#pragma unroll kCornersAtOnce
        for (int corner = 0; corner < num_corners; ++corner) {
            const __half* texels = maps_.groups[corner / 4].texels + product.first_row;
            const int at = corner * kPoints;
            const auto* upper = reinterpret_cast<const uint2*>(texels + offsets_[at + upper_row]) + four;
            const auto* lower = reinterpret_cast<const uint2*>(texels + offsets_[at + lower_row]) + four;
            const float upper_weight = weights_[at + upper_row], lower_weight = weights_[at + lower_row];
#pragma unroll
            for (int p = 0; p < kCount; ++p) {
                if (p < num_pairs)
                    add(p, upper_weight, halves(__ldg(upper + 4 * p)), lower_weight,
                        halves(__ldg(lower + 4 * p)));
            }
        }
    }

    __device__ __forceinline__ const __half* input_row(int row_tile, int column) const {
        return rows_ + (row_tile * kTile + lane_ % kTile) * layout_.stride + column + lane_ / kTile * 8;
    }

    // The weights of this warp's pairs, one step of inputs ahead of the product.
    struct WeightStream {
        const uint4* next;  // of the first pair, this lane's
        std::int64_t pair_stride;
        int num_pairs, num_left;
        uint4 held[kPairsPerWarp];

        __device__ __forceinline__ void advance() {
            if (num_left-- <= 0) return;
#pragma unroll
            for (int p = 0; p < kPairsPerWarp; ++p) {
                if (p < num_pairs) held[p] = __ldg(next + p * pair_stride);
            }
            next += kLanes;
        }
    };

    __device__ __forceinline__ WeightStream stream(const Product& product, int first_pair, int num_pairs,
                                                   int num_tiles) const {
        WeightStream weights;
        weights.next = product.weights + tile_index(first_pair, 0, num_tiles) * kLanes + lane_;
        weights.pair_stride = static_cast<std::int64_t>(num_tiles) * kLanes;
        weights.num_pairs = num_pairs;
        weights.num_left = num_pairs > 0 ? num_tiles : 0;
        weights.advance();
        return weights;
    }

    // Goes on with the product over `num_tiles` tiles of inputs from `column` on.
    __device__ __forceinline__ void multiply(Sums& sums, WeightStream& weights, int column,
                                             int num_tiles) const {
        const int first_tile = warp_ / kWarpColumns * kRowTiles;
        for (int k = 0; k < num_tiles; ++k) {
            uint4 now[kPairsPerWarp];
#pragma unroll
            for (int p = 0; p < kPairsPerWarp; ++p) now[p] = weights.held[p];
            weights.advance();
#pragma unroll
            for (int m = 0; m < kRowTiles; ++m) {
                std::uint32_t inputs[4];
                load_inputs(inputs, input_row(first_tile + m, column + k * kTile));
#pragma unroll
                for (int p = 0; p < kPairsPerWarp; ++p) {
                    if (p < weights.num_pairs) {
                        multiply_add(sums[m][p][0], inputs, now[p].x, now[p].y);
                        multiply_add(sums[m][p][1], inputs, now[p].z, now[p].w);
                    }
                }
            }
        }
    }

    // The activations of a pair, of the points of one tile, to columns from `column` on.
    __device__ __forceinline__ void store(const float (&sums)[2][4], int row_tile, int column) const {
        __half* upper = rows_ + (row_tile * kTile + lane_ / 4) * layout_.stride + column + lane_ % 4 * 2;
        __half* lower = upper + 8 * layout_.stride;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            *reinterpret_cast<__half2*>(upper + 8 * half) =
                __floats2half2_rn(leaky(sums[half][0]), leaky(sums[half][1]));
            *reinterpret_cast<__half2*>(lower + 8 * half) =
                __floats2half2_rn(leaky(sums[half][2]), leaky(sums[half][3]));
        }
    }

    // Makes one stage of a first layer: its pairs go to four warps, the points to two halves of the warps.
    __device__ void make_stage(const Product& first, int stage) const {
        constexpr int kAllTiles = kRowTiles * kWarpRows, kHalfTiles = (kAllTiles + 1) / 2;
        const int pair = stage * kStagePairs + warp_ % kStagePairs;
        const int first_tile = warp_ / kStagePairs * kHalfTiles;
        const int column = stage_column(stage) + warp_ % kStagePairs * kTile;
        if (pair >= first.num_pairs) return;
        const int num_tiles = first.num_hidden_tiles + first.num_own_tiles;
        const uint4* weights = first.weights + tile_index(pair, 0, num_tiles) * kLanes + lane_;
        for (int m = first_tile; m < first_tile + kHalfTiles && m < kAllTiles; ++m) {
            float sums[1][2][4];
            start<1>(sums, first, pair, 1, m);
            for (int k = 0; k < num_tiles; ++k) {
                const bool is_hidden = k < first.num_hidden_tiles;
                const int from = is_hidden ? first.hidden_column + k * kTile
                                           : first.own_column + (k - first.num_hidden_tiles) * kTile;
                const uint4 now = __ldg(weights + static_cast<std::int64_t>(k) * kLanes);
                std::uint32_t inputs[4];
                load_inputs(inputs, input_row(m, from));
                multiply_add(sums[0][0], inputs, now.x, now.y);
                multiply_add(sums[0][1], inputs, now.z, now.w);
            }
            store(sums[0], m, column);
        }
    }

    __device__ int stage_column(int stage) const {
        return layout_.stages + (stage & 1) * kStagePairs * kTile;
    }

    __device__ void run_step(const Step& step) {
        const Product& product = step.product;
        const bool has_first = step.first.num_pairs > 0;
        const int num_tiles = product.num_hidden_tiles + product.num_own_tiles;
        const int first_tile = warp_ / kWarpColumns * kRowTiles;
        for (int pass = 0; pass < product.num_pairs; pass += kPairs) {
            const int num_in_pass = min(kPairs, product.num_pairs - pass);
            const int per_warp = (num_in_pass + kWarpColumns - 1) / kWarpColumns;
            const int first_pair = warp_ % kWarpColumns * per_warp;
            const int num_pairs = max(0, min(per_warp, num_in_pass - first_pair));
            const int pair = pass + first_pair;

            WeightStream weights = stream(product, pair, num_pairs, num_tiles);
            Sums sums;
#pragma unroll
            for (int m = 0; m < kRowTiles; ++m) start(sums[m], product, pair, num_pairs, first_tile + m);
            // Parts of the product: the stages, of which one is made ahead, or the hidden inputs; then the
            // own.
            const int num_stages = (step.first.num_pairs + kStagePairs - 1) / kStagePairs;
            const int own_part = max(1, num_stages);
            for (int part = has_first ? -1 : 0; part <= own_part; ++part) {
                if (part + 1 < num_stages) make_stage(step.first, part + 1);
                int column = product.hidden_column, num_inputs = product.num_hidden_tiles;
                if (has_first) {
                    column = stage_column(part);
                    num_inputs = part < 0 ? 0 : min(kStagePairs, step.first.num_pairs - part * kStagePairs);
                }
                if (part == own_part) column = product.own_column, num_inputs = product.num_own_tiles;
                multiply(sums, weights, column, num_inputs);
                if (part < num_stages) __syncthreads();  // the stage was read, the next one is there
            }

            if (step.destination == kToOutput) {
                write_sums(step, sums, pair, num_pairs);
            } else {
                __syncthreads();  // what is overwritten was read
#pragma unroll
                for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
                    for (int p = 0; p < kPairsPerWarp; ++p) {
                        if (p < num_pairs)
                            store(sums[m][p], first_tile + m, step.destination + (pair + p) * kTile);
                    }
                }
            }
        }
        __syncthreads();
        if (step.destination == kToOutput) finish_answers(step);
    }

    // The sums as they are: what follows is the same for every output and would be unrolled for each here.
    __device__ void write_sums(const Step& step, const Sums& sums, int pair, int num_pairs) const {
        const int first_tile = warp_ / kWarpColumns * kRowTiles;
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
            for (int p = 0; p < kPairsPerWarp; ++p) {
                if (p >= num_pairs) continue;
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const int half = i / 4, row = (first_tile + m) * kTile + lane_ / 4 + (i % 4 / 2) * 8;
                    const int output = (pair + p) * kTile + half * 8 + lane_ % 4 * 2 + i % 2;
                    if (output < step.num_outputs && is_point(row))
                        batch_.values[(first_point_ + row) * step.num_outputs + output] =
                            sums[m][p][half][i % 4];
                }
            }
        }
    }

    // The sums that this block wrote become answers.
    __device__ void finish_answers(const Step& step) const {
        for (int i = thread_; i < kPoints * step.num_outputs; i += kNumWarps * kLanes) {
            const int row = i / step.num_outputs;
            if (!is_point(row)) return;
            const float sum = batch_.values[first_point_ * step.num_outputs + i];
            answer(batch_, first_point_ + row, i % step.num_outputs, step.is_rectified ? leaky(sum) : sum);
        }
    }

    const RowLayout& layout_;
    const FoldedView<__half>& maps_;
    const PointBatch& batch_;
    __half* const rows_;
    float* const depths_;
    float* const weights_;
    unsigned* const offsets_;
    const std::int64_t first_point_, num_points_;
    const int thread_, lane_, warp_;
};

template <int kRowTiles, int kWarpRows>
__global__ void __launch_bounds__(kNumWarps* kLanes, 1)
    query_on_tensor_cores(const Step* steps, int num_steps, const __grid_constant__ RowLayout layout,
                          const __grid_constant__ FoldedView<__half> maps,
                          const __grid_constant__ PointBatch batch) {
    TileQuery<kRowTiles, kWarpRows>(layout, maps, batch).run(steps, num_steps);
}

// Folds the maps of one size: texels [num_texels, num_rows], permuted, from channels [num_channels,
// num_texels]. A block takes 32 texels; num_tiles tiles of channels, filled up with zeros. `biases`, permuted
// or null, are added.
constexpr int kFoldRowTiles = 2, kFoldTexels = kFoldRowTiles * kTile;

inline int fold_stride(int num_tiles) { return num_tiles * kTile + 8; }

__global__ void __launch_bounds__(kNumWarps* kLanes, 1)
    fold_on_tensor_cores(const float* channels, std::int32_t num_channels, std::int64_t num_texels,
                         const uint4* weights, const float4* biases, std::int32_t num_tiles,
                         std::int32_t num_pairs, __half* texels) {
    __half* rows = reinterpret_cast<__half*>(dynamic_shared());
    const int stride = num_tiles * kTile + 8;
    const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kFoldTexels;
    for (int channel = warp; channel < num_tiles * kTile; channel += kNumWarps) {
        const std::int64_t texel = first + lane;
        const bool is_there = channel < num_channels && texel < num_texels;
        rows[lane * stride + channel] =
            __float2half_rn(is_there ? channels[channel * num_texels + texel] : 0.0f);
    }
    __syncthreads();
    for (int pair = warp; pair < num_pairs; pair += kNumWarps) {
        float sums[kFoldRowTiles][2][4] = {};
        const uint4* from = weights + tile_index(pair, 0, num_tiles) * kLanes + lane;
        for (int k = 0; k < num_tiles; ++k) {
            const uint4 now = __ldg(from + static_cast<std::int64_t>(k) * kLanes);
#pragma unroll
            for (int m = 0; m < kFoldRowTiles; ++m) {
                std::uint32_t inputs[4];
                load_inputs(inputs,
                            rows + (m * kTile + lane % kTile) * stride + k * kTile + lane / kTile * 8);
                multiply_add(sums[m][0], inputs, now.x, now.y);
                multiply_add(sums[m][1], inputs, now.z, now.w);
            }
        }
        const float4 bias =
            biases ? __ldg(biases + pair * 4 + lane % 4) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
        for (int m = 0; m < kFoldRowTiles; ++m) {
#pragma unroll
            for (int lower = 0; lower < 2; ++lower) {
                const std::int64_t texel = first + m * kTile + lane / 4 + 8 * lower;
                if (texel >= num_texels) continue;
                const float* low = sums[m][0] + 2 * lower;
                const float* high = sums[m][1] + 2 * lower;
                const __half2 four[2] = {__floats2half2_rn(low[0] + bias.x, low[1] + bias.y),
                                         __floats2half2_rn(high[0] + bias.z, high[1] + bias.w)};
                uint2 packed;
                memcpy(&packed, four, sizeof packed);
                reinterpret_cast<uint2*>(texels + texel * num_pairs * kTile)[pair * 4 + lane % 4] = packed;
            }
        }
    }
}

}  // namespace jiff::cuda
