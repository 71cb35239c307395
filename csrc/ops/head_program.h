// The layers of a head in the order and the layout in which the kernels of head_query.cu take them.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/joint_query.h"

struct uint4;
struct float4;

namespace jiff::cuda {

// A head of one MLP, or of three: branches and joint. With `num_layers` the first layers of a head of one
// MLP, whose activations are then the answer.
struct HeadLayers {
    const std::vector<HeadLayer>* branch_2d = nullptr;  // null: a head of one MLP
    const std::vector<HeadLayer>* branch_3d = nullptr;
    const std::vector<HeadLayer>* last = nullptr;
    std::int64_t num_layers = 0;
    std::int64_t num_point_features = 0, num_volume_channels = 0, num_map_channels = 0;

    std::int64_t num_outputs() const { return (*last)[num_layers - 1].weight.shape()[0]; }
};

// ---- For the tensor cores ---------------------------------------------------------------------------------
// A row of shared memory holds, for one point: its features, the samples of the volume, the last activations
// of the branches (each rounded up to tiles), two stages, and the hidden activations. Stages hold parts of a
// first layer: they are made while the second layer's product consumes them, so that it is never whole.

constexpr int kStagePairs = 4;  // pairs of outputs, each kTile wide, in a stage

struct RowLayout {
    int features = 0, volume = 0, start_2d = 0, start_3d = 0, stages = 0, hidden = 0;  // first columns
    int stride = 0;
};

// outputs = biases + sample(folded maps) + depth · depth_weights + weights · (hidden, own). Folded maps hold
// the biases of layers that take something from maps.
struct Product {
    const uint4* weights = nullptr;         // tiles as in tensor_core.h
    const float4* biases = nullptr;         // or null; permuted, as the weights of the depth are
    const float4* depth_weights = nullptr;  // or null
    std::int32_t first_row = -1;            // of the folded maps; -1: takes nothing from maps
    std::int32_t num_pairs = 0;
    std::int32_t num_hidden_tiles = 0, hidden_column = 0;
    std::int32_t num_own_tiles = 0, own_column = 0;
};

constexpr int kToOutput = -1;

struct Step {
    Product first;    // of a first layer that is made in stages for `product`; num_pairs 0: there is none
    Product product;  // with `first`, its hidden inputs are the stages
    std::int32_t destination = kToOutput;  // a column, or the answers
    std::int32_t is_rectified = 0;
    std::int32_t num_outputs = 0;
};

// Steps whose pointers are offsets into `data` until they are moved to where data was copied to.
struct TensorCoreProgram {
    std::vector<Step> steps;
    std::vector<unsigned char> data;
    RowLayout layout;
    std::int64_t num_rows = 0;        // of the folded maps, every layer's filled up to whole tiles
    std::vector<float> fold_weights;  // [num_rows, num_map_channels]
    std::vector<float> fold_biases;   // [num_rows], permuted
};

TensorCoreProgram make_tensor_core_program(const HeadLayers& head);

// A number in half precision, as the weights lie.
std::uint16_t half_bits(float value);

// Some channels of fold weights as tiles of halves, channels filled up to whole ones.
std::vector<std::uint16_t> fold_tiles(const std::vector<float>& fold_weights, std::int64_t num_rows,
                                      const std::vector<std::int64_t>& channels);

// Whether steps run with products of `num_pairs` at once: a layer that reads and writes the hidden
// activations must be one of them.
bool fits_pairs(const TensorCoreProgram& program, int num_pairs);

// ---- In float32, for exact answers ------------------------------------------------------------------------
// Sums run in the order of the CPU's.
struct ExactLayer {
    const float* weights = nullptr;  // [own and hidden inputs, outputs]
    const float* biases = nullptr;
    std::int32_t first_row = -1;
    std::int32_t num_outputs = 0, num_hidden = 0, first_own = 0, num_own = 0;
    std::int32_t is_rectified = 0;
    std::int32_t start_column =
        -1;                        // where among the start activations the result goes; -1: to the next layer
    std::int32_t reads_start = 0;  // hidden inputs are the start activations
};

struct ExactProgram {
    std::vector<ExactLayer> layers;
    std::vector<unsigned char> data;
    std::int64_t num_rows = 0;
    std::vector<float> fold_weights;  // [num_rows, num_map_channels]
    std::int64_t num_own = 0, num_start = 0, most_outputs = 0;
};

ExactProgram make_exact_program(const HeadLayers& head);

}  // namespace jiff::cuda
