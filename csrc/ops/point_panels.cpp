#include "ops/point_panels.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace jiff {

void rows_to_panels(const float* rows, std::int64_t num_points, std::int64_t num_channels,
                    std::int64_t num_lanes, float* panels, std::int64_t panel_stride) {
    for (std::int64_t first = 0; first < num_points; first += num_lanes, panels += panel_stride) {
        const std::int64_t count = std::min(num_lanes, num_points - first);
        for (std::int64_t channel = 0; channel < num_channels; ++channel) {
            float* lane = panels + channel * num_lanes;
            for (std::int64_t i = 0; i < count; ++i) lane[i] = rows[(first + i) * num_channels + channel];
            std::fill(lane + count, lane + num_lanes, 0.0f);
        }
    }
}

void depth_to_panels(const float* points, std::int64_t num_points, float depth_scale, std::int64_t num_lanes,
                     float* panels, std::int64_t panel_stride) {
    for (std::int64_t first = 0; first < num_points; first += num_lanes, panels += panel_stride) {
        const std::int64_t count = std::min(num_lanes, num_points - first);
        for (std::int64_t i = 0; i < count; ++i) panels[i] = points[3 * (first + i) + 2] * depth_scale;
        std::fill(panels + count, panels + num_lanes, 0.0f);
    }
}

void panels_to_rows(const float* panels, std::int64_t panel_stride, std::int64_t num_lanes,
                    const float* points, std::int64_t num_points, std::int64_t num_channels,
                    const HeadActivation* activation, float* rows) {
    for (std::int64_t i = 0; i < num_points; ++i, rows += num_channels) {
        const float* point = points + 3 * i;
        const float* lane = panels + i / num_lanes * panel_stride + i % num_lanes;
        if (std::isnan(point[0]) || std::isnan(point[1]) || std::isnan(point[2])) {
            std::fill(rows, rows + num_channels, std::numeric_limits<float>::quiet_NaN());
        } else if (std::abs(point[0]) > 1.0f || std::abs(point[1]) > 1.0f) {
            std::fill(rows, rows + num_channels, 0.0f);
        } else {
            for (std::int64_t channel = 0; channel < num_channels; ++channel) {
                const float value = lane[channel * num_lanes];
                rows[channel] = activation ? activate(*activation, value) : value;
            }
        }
    }
}

}  // namespace jiff
