// What belongs to single points, to and from panels (ops/layer_kernel.h).
#pragma once

#include <cstdint>

#include "ops/skip_mlp.h"

namespace jiff {

// `rows` [num_points, num_channels] to the channels of panels; lanes without a point become zero.
void rows_to_panels(const float* rows, std::int64_t num_points, std::int64_t num_channels,
                    std::int64_t num_lanes, float* panels, std::int64_t panel_stride);

// view.z · depth_scale of `points` [num_points, 3] to one channel of panels; lanes without a point become
// zero.
void depth_to_panels(const float* points, std::int64_t num_points, float depth_scale, std::int64_t num_lanes,
                     float* panels, std::int64_t panel_stride);

// The first `num_channels` channels of panels, activated unless `activation` is null, to `rows`
// [num_points, num_channels]. A point with |x| or |y| > 1 has zeros, one with a NaN coordinate NaN.
void panels_to_rows(const float* panels, std::int64_t panel_stride, std::int64_t num_lanes,
                    const float* points, std::int64_t num_points, std::int64_t num_channels,
                    const HeadActivation* activation, float* rows);

}  // namespace jiff
