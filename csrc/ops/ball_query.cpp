#include "ops/ball_query.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "ops/finite.h"

namespace jiff {

std::vector<std::int32_t> ball_query(const float* points, std::int64_t num_points, const float* centers,
                                     std::int64_t num_centers, float radius, std::int64_t group_size) {
    if (!(radius >= 0.0f && std::isfinite(radius))) {
        throw Error(ErrorCode::kInvalidArgument,
                    "radius must be a finite number from 0, got " + std::to_string(radius));
    }
    if (group_size < 1) {
        throw Error(ErrorCode::kInvalidArgument,
                    "group_size must be at least 1, got " + std::to_string(group_size));
    }
    check_finite(points, num_points, 3, "points");
    check_finite(centers, num_centers, 3, "centers");

    std::vector<std::int32_t> groups(num_centers * group_size);
    constexpr std::int64_t kChunk = 16;
    parallel_for((num_centers + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_centers, (chunk + 1) * kChunk);
        for (std::int64_t c = chunk * kChunk; c < end; ++c) {
            const float* center = centers + 3 * c;
            std::int32_t* group = groups.data() + c * group_size;
            std::int64_t count = 0;
            for (std::int64_t i = 0; i < num_points && count < group_size; ++i) {
                const float x = points[3 * i] - center[0], y = points[3 * i + 1] - center[1],
                            z = points[3 * i + 2] - center[2];
                if (x * x + y * y + z * z <= radius * radius) group[count++] = static_cast<std::int32_t>(i);
            }
            if (count == 0) {
                throw Error(ErrorCode::kInvalidArgument,
                            "centre " + std::to_string(c) + " has no point within " + std::to_string(radius));
            }
            std::fill(group + count, group + group_size, group[0]);
        }
    });
    return groups;
}

}  // namespace jiff
