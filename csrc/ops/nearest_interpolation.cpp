#include "ops/nearest_interpolation.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/finite.h"

namespace jiff {
namespace {

struct Neighbour {
    float squared_distance = std::numeric_limits<float>::infinity();
    std::int64_t index = 0;
};

// Ascending by distance; the index breaks ties, since sources are looked at in order.
std::array<Neighbour, 3> three_nearest(const float* target, const float* sources, std::int64_t num_sources) {
    std::array<Neighbour, 3> nearest;
    for (std::int64_t i = 0; i < num_sources; ++i) {
        const float x = sources[3 * i] - target[0], y = sources[3 * i + 1] - target[1],
                    z = sources[3 * i + 2] - target[2];
        const Neighbour candidate{x * x + y * y + z * z, i};
        if (!(candidate.squared_distance < nearest[2].squared_distance)) continue;
        int slot = 2;
        for (; slot > 0 && candidate.squared_distance < nearest[slot - 1].squared_distance; --slot) {
            nearest[slot] = nearest[slot - 1];
        }
        nearest[slot] = candidate;
    }
    return nearest;
}

}  // namespace

void interpolate_nearest(const float* values, const float* sources, std::int64_t num_sources,
                         std::int64_t num_channels, const float* targets, std::int64_t num_targets,
                         float* out) {
    if (num_sources < 3) {
        throw Error(ErrorCode::kInvalidArgument,
                    "interpolation needs at least 3 sources, got " + std::to_string(num_sources));
    }
    check_finite(sources, num_sources, 3, "sources");
    check_finite(targets, num_targets, 3, "targets");

    constexpr std::int64_t kChunk = 64;
    parallel_for((num_targets + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_targets, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) {
            const std::array<Neighbour, 3> nearest = three_nearest(targets + 3 * i, sources, num_sources);
            float weights[3], sum = 0.0f;
            for (int k = 0; k < 3; ++k) {
                weights[k] = 1.0f / (nearest[k].squared_distance + 1e-8f);
                sum += weights[k];
            }
            float* row = out + i * num_channels;
            std::fill(row, row + num_channels, 0.0f);
            for (int k = 0; k < 3; ++k) {
                const float* value = values + nearest[k].index * num_channels;
                const float weight = weights[k] / sum;
                for (std::int64_t c = 0; c < num_channels; ++c) row[c] += weight * value[c];
            }
        }
    });
}

}  // namespace jiff
