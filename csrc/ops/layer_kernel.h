// The inner loops of the implicit function, compiled once for each SIMD level. This header and the
// kernel files include nothing with inline code: a standard function compiled with wide instructions
// could otherwise be linked into code that must run without them.
#pragma once

#include <cstdint>

namespace jiff {

// Lanes of a panel from first_lane to that of the next segment (or the end): points of one pixel column.
struct LaneSegment {
    std::int32_t first_lane;
    std::int32_t offset;
};

// Activations stand in panels of `num_lanes` points: value(channel, lane) = panel[channel * num_lanes +
// lane]. Weights stand in strips of `num_rows` outputs:    value(row, depth)    = strip[depth * num_rows +
// row].
struct LayerKernel {
    int num_rows;
    int num_lanes;

    // products[num_rows][num_lanes] (+)= strip · panel over `depth` channels. Each product is one sum in
    // the order of the channels, whatever stands in the other rows and lanes.
    void (*multiply)(std::int64_t depth, const float* strip, const float* panel, float* products,
                     bool accumulate);

    // products[row][lane] += bias[row]
    void (*add_bias)(std::int64_t num_rows, const float* bias, float* products);

    // Lanes share addends: products[row][lane] += shared[row * num_lanes + segment.offset] for the segment
    // of the lane, then leaky ReLU 0.01 if `rectify`.
    void (*add_shared)(std::int64_t num_rows, const float* shared, const LaneSegment* segments,
                       std::int32_t num_segments, bool rectify, float* products);
};

extern const LayerKernel kPortableLayerKernel;
extern const LayerKernel kAvx2LayerKernel;
extern const LayerKernel kAvx512LayerKernel;

}  // namespace jiff
