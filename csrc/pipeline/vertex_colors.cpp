#include "pipeline/vertex_colors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "ops/frame_pixels.h"
#include "ops/hidden_colors.h"

namespace jiff {
namespace {

constexpr std::size_t kChunk = 8192;  // vertices at once: a head's activations are kept for all of them

}  // namespace

PointFunction with_pixels(PointFunction head, std::int64_t num_outputs, const Tensor& frame) {
    if (num_outputs == 3) return head;
    return [head = std::move(head), num_outputs, &frame](const float* points, std::int64_t num_points,
                                                         float* colors) {
        std::vector<float> outputs(static_cast<std::size_t>(num_points * num_outputs));
        head(points, num_points, outputs.data());
        for (std::int64_t i = 0; i < num_points; ++i) {
            const float* inferred = outputs.data() + i * num_outputs;
            const FramePixels pixels(frame.data(), frame.shape()[1], points[3 * i], points[3 * i + 1]);
            for (int channel = 0; channel < 3; ++channel)
                colors[3 * i + channel] = pixels.blended(inferred, channel);
        }
    };
}

std::vector<std::array<float, 3>> colorize_vertices(const PointFunction& color, const Points& view,
                                                    const ProgressCallback& progress) {
    std::vector<std::array<float, 3>> colors(view.size());
    for (std::size_t begin = 0; begin < view.size(); begin += kChunk) {
        const std::size_t count = std::min(kChunk, view.size() - begin);
        color(view[begin].data(), static_cast<std::int64_t>(count), colors[begin].data());
        report(progress, "colorize", static_cast<float>(begin + count) / static_cast<float>(view.size()));
    }
    return colors;
}

void smooth_hidden_colors(Mesh& mesh, double cell_m) {
    const float* vertices = mesh.vertices.data()->data();
    const std::int32_t* faces = mesh.faces.data()->data();
    const auto num_vertices = static_cast<std::int64_t>(mesh.vertices.size()),
               num_faces = static_cast<std::int64_t>(mesh.faces.size());
    const std::vector<std::uint8_t> seen =
        seen_vertices(vertices, num_vertices, faces, num_faces, cell_m, kLeastFacing);
    smooth_hidden_colors(vertices, num_vertices, faces, num_faces, seen.data(), kHiddenDetailM,
                         mesh.colors.data()->data());
}

}  // namespace jiff
