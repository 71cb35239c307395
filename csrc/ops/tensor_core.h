// How matrices of half precision lie in the registers of a warp for m16n8k16 products with float sums, and
// the instructions themselves. Two neighbouring blocks of 8 outputs make a pair, so that a lane loads 16
// bytes of weights at once, and its four outputs of a point are four neighbours where outputs are stored
// permuted.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace jiff::cuda {

constexpr int kTile = 16;  // points, inputs and (as a pair) outputs of one step of a product
constexpr int kLanes = 32;
constexpr int kHalvesPerLane = 8;  // of the weights of a tile

// Where the weight from input k to output n, both below 16, lies among the halves of its tile:
// kHalvesPerLane · lane + register half.
JIFF_HOST_DEVICE inline int weight_position(int k, int n) {
    const int lane = n % 8 * 4 + k % 8 / 2;
    return kHalvesPerLane * lane + n / 8 * 4 + k / 8 * 2 + k % 2;
}

// Where output n of a pair stands when each lane's four follow each other: 4 · (lane % 4) + i.
JIFF_HOST_DEVICE inline int permuted_output(int n) { return n % 8 / 2 * 4 + n / 8 * 2 + n % 2; }

// The output of a pair that is the i-th of a lane.
JIFF_HOST_DEVICE inline int output_of_lane(int lane, int i) { return lane % 4 * 2 + i / 2 * 8 + i % 2; }

// Where weights of a matrix begin whose tiles lie by pairs of outputs, then by inputs.
JIFF_HOST_DEVICE inline std::int64_t tile_index(int pair, int input_tile, int num_input_tiles) {
    return static_cast<std::int64_t>(pair) * num_input_tiles + input_tile;
}

}  // namespace jiff::cuda
