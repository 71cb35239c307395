#include "ops/farthest_point_sampling.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/finite.h"

namespace jiff {
namespace {

struct Farthest {
    float squared_distance = -1.0f;
    std::int64_t index = 0;
};

}  // namespace

std::vector<std::int32_t> farthest_point_sampling(const float* points, std::int64_t num_points,
                                                  std::int64_t num_samples) {
    if (num_samples < 1 || num_samples > num_points) {
        throw Error(ErrorCode::kInvalidArgument, "num_samples must be from 1 to the " +
                                                     std::to_string(num_points) + " points, got " +
                                                     std::to_string(num_samples));
    }
    check_finite(points, num_points, 3, "points");

    // Chunks are large, since a step over all points is short; their borders depend on no thread count.
    constexpr std::int64_t kChunk = 8192;
    const std::int64_t num_chunks = (num_points + kChunk - 1) / kChunk;
    std::vector<float> nearest(num_points, std::numeric_limits<float>::infinity());
    std::vector<Farthest> farthest(num_chunks);
    std::vector<std::int32_t> chosen{0};
    while (static_cast<std::int64_t>(chosen.size()) < num_samples) {
        const float* from = points + 3 * static_cast<std::int64_t>(chosen.back());
        parallel_for(num_chunks, [&](std::int64_t chunk) {
            Farthest best;
            const std::int64_t end = std::min(num_points, (chunk + 1) * kChunk);
            for (std::int64_t i = chunk * kChunk; i < end; ++i) {
                const float x = points[3 * i] - from[0], y = points[3 * i + 1] - from[1],
                            z = points[3 * i + 2] - from[2];
                nearest[i] = std::min(nearest[i], x * x + y * y + z * z);
                if (nearest[i] > best.squared_distance) best = {nearest[i], i};
            }
            farthest[chunk] = best;
        });
        Farthest best;
        for (const Farthest& candidate : farthest) {
            if (candidate.squared_distance > best.squared_distance) best = candidate;
        }
        chosen.push_back(static_cast<std::int32_t>(best.index));
    }
    return chosen;
}

}  // namespace jiff
