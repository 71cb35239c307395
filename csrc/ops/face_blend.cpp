#include "ops/face_blend.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"
#include "core/threads.h"

namespace jiff {

void blend_face(const FaceRegion& region, const float* points, std::int64_t num_points,
                std::int64_t num_channels, const float* face, const float* distances_cm, float* answers) {
    if (!(region.left <= region.right && region.top <= region.bottom)) {
        throw Error(ErrorCode::kInvalidArgument,
                    "a face region needs left <= right and top <= bottom, got left " +
                        std::to_string(region.left) + ", right " + std::to_string(region.right) + ", top " +
                        std::to_string(region.top) + ", bottom " + std::to_string(region.bottom));
    }
    constexpr std::int64_t kChunk = 4096;
    parallel_for((num_points + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_points, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) {
            if (!region.contains(points[3 * i], points[3 * i + 1])) continue;
            float weight = 1.0f;
            if (distances_cm) {
                if (!(distances_cm[i] >= 0.0f && std::isfinite(distances_cm[i]))) {
                    throw Error(ErrorCode::kInvalidArgument, "distances_cm must be finite and from 0, got " +
                                                                 std::to_string(distances_cm[i]) +
                                                                 " in row " + std::to_string(i));
                }
                weight = face_blend_weight(distances_cm[i]);
            }
            const float* from = face + i * num_channels;
            float* to = answers + i * num_channels;
            for (std::int64_t c = 0; c < num_channels; ++c) {
                to[c] = weight == 1.0f ? from[c] : weight * from[c] + (1.0f - weight) * to[c];
            }
        }
    });
}

}  // namespace jiff
