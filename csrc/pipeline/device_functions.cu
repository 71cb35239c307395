#include <cuda_runtime.h>

#include "core/cuda_launch.h"
#include "ops/feature_sampling.h"
#include "ops/frame_pixels.h"
#include "pipeline/device_functions.h"

namespace jiff::cuda {
namespace {

__global__ void take_region(FaceRegion region, const float* points, std::int64_t num_points,
                            const std::int64_t* count, std::int32_t* places, float* taken,
                            std::int64_t* num_taken) {
    const std::int64_t i = global_thread();
    if (i >= num_points) return;
    if (i >= (count ? *count : num_points) || !region.contains(points[3 * i], points[3 * i + 1])) {
        places[i] = -1;
        return;
    }
    using Word = unsigned long long;
    const auto place = static_cast<std::int64_t>(atomicAdd(reinterpret_cast<Word*>(num_taken), Word{1}));
    places[i] = static_cast<std::int32_t>(place);
    for (int k = 0; k < 3; ++k) taken[3 * place + k] = points[3 * i + k];
}

__global__ void place_each(HeadFrame frame, const float* points, std::int64_t num_points,
                           const std::int64_t* count, float* placed) {
    const std::int64_t i = global_thread();
    if (i < num_points && i < *count) frame.place(points + 3 * i, placed + 3 * i);
}

// A thread for each texel of each channel.
__global__ void sample_each_texel(HeadTexels texels, const float* map, std::int64_t num_channels,
                                  std::int64_t height, std::int64_t width, float* body, float* believed) {
    const std::int64_t at = global_thread(), num_texels = texels.size * texels.size;
    if (at >= num_channels * num_texels) return;
    const std::int64_t channel = at / num_texels, texel = at % num_texels;
    const float x = texels.in_view(texel % texels.size, 0), y = texels.in_view(texel / texels.size, 1);
    const float value = sample_plane(map + channel * height * width, point_texels(x, y, height, width));
    body[at] = value;
    if (channel < 2) believed[at] = texels.believed(value);
}

__global__ void take_rows(const float* rows, std::int64_t num_points, std::int64_t num_columns,
                          const std::int32_t* places, float* taken) {
    const std::int64_t at = global_thread();
    if (at >= num_points * num_columns) return;
    const std::int64_t place = places[at / num_columns];
    if (place >= 0) taken[place * num_columns + at % num_columns] = rows[at];
}

__global__ void mix_rows(FaceRegion region, const std::int32_t* places, const float* points,
                         std::int64_t num_points, std::int64_t num_channels, const float* face,
                         const float* distances_cm, float* answers) {
    const std::int64_t at = global_thread();
    if (at >= num_points * num_channels) return;
    const std::int64_t i = at / num_channels, place = places[i];
    if (place < 0) return;
    float of_face = face[place * num_channels + at % num_channels];
    if (distances_cm) {
        const float weight = face_blend_weight(distances_cm[place]);
        if (weight != 1.0f) of_face = weight * of_face + (1.0f - weight) * answers[at];
    }
    const float share = border_share(region, points[3 * i], points[3 * i + 1]);
    answers[at] = share < 1.0f ? mixed(answers[at], of_face, share, num_channels == 1) : of_face;
}

__global__ void blend_each_pixel(const float* outputs, std::int64_t num_outputs, const float* frame,
                                 std::int64_t frame_size, const float* points, std::int64_t num_points,
                                 const std::int64_t* count, float* colors) {
    const std::int64_t i = global_thread();
    if (i >= (count ? *count : num_points)) return;
    const float* inferred = outputs + i * num_outputs;
    if (num_outputs == 3) {
        for (int channel = 0; channel < 3; ++channel) colors[3 * i + channel] = inferred[channel];
        return;
    }
    const FramePixels pixels(frame, frame_size, points[3 * i], points[3 * i + 1]);
    for (int channel = 0; channel < 3; ++channel) colors[3 * i + channel] = pixels.blended(inferred, channel);
}

__global__ void place_vertices(const float* view, std::int64_t num_vertices, float scale, float* world) {
    const std::int64_t i = global_thread();
    if (i >= num_vertices) return;
    for (int axis = 0; axis < 3; ++axis)
        world[3 * i + axis] = (axis == 1 ? -scale : scale) * view[3 * i + axis];
}

__global__ void turn_faces(const std::int32_t* faces, std::int64_t num_faces, std::int32_t* turned) {
    const std::int64_t i = global_thread();
    if (i >= num_faces) return;
    turned[3 * i] = faces[3 * i];
    turned[3 * i + 1] = faces[3 * i + 2];
    turned[3 * i + 2] = faces[3 * i + 1];
}

}  // namespace

void select_region(const FaceRegion& region, const float* points, std::int64_t num_points,
                   const std::int64_t* count, SelectedPoints& selected, const Stream& stream) {
    std::int64_t* num_taken = selected.count.reserve(1, stream);
    set_bytes(num_taken, 0, sizeof *num_taken, stream);
    launch(take_region, grid_over(num_points), stream, region, points, num_points, count,
           selected.places.reserve(num_points, stream), selected.points.reserve(3 * num_points, stream),
           num_taken);
}

Buffer<float> select_rows(const SelectedPoints& selected, const float* rows, std::int64_t num_points,
                          std::int64_t num_columns, const Stream& stream) {
    Buffer<float> taken(num_points * num_columns, stream);
    launch(take_rows, grid_over(num_points * num_columns), stream, rows, num_points, num_columns,
           selected.places.data(), taken.data());
    return taken;
}

void sample_for_head(const HeadTexels& texels, const DeviceView& map, float* body, float* believed,
                     const Stream& stream) {
    const std::int64_t num_channels = map.shape[1];
    launch(sample_each_texel, grid_over(num_channels * texels.size * texels.size), stream, texels, map.data,
           num_channels, map.shape[2], map.shape[3], body, believed);
}

void place_in_head(const HeadFrame& frame, const SelectedPoints& selected, std::int64_t num_points,
                   float* placed, const Stream& stream) {
    launch(place_each, grid_over(num_points), stream, frame, selected.points.data(), num_points,
           selected.count.data(), placed);
}

void mix_face(const FaceRegion& region, const SelectedPoints& selected, const float* points,
              std::int64_t num_points, std::int64_t num_channels, const float* face,
              const float* distances_cm, float* answers, const Stream& stream) {
    launch(mix_rows, grid_over(num_points * num_channels), stream, region, selected.places.data(), points,
           num_points, num_channels, face, distances_cm, answers);
}

void blend_pixels(const float* outputs, std::int64_t num_outputs, const float* frame, std::int64_t frame_size,
                  const float* points, std::int64_t num_points, const std::int64_t* count, float* colors,
                  const Stream& stream) {
    launch(blend_each_pixel, grid_over(num_points), stream, outputs, num_outputs, frame, frame_size, points,
           num_points, count, colors);
}

void world_mesh(const DeviceSurface& surface, const float* view, double size_m, float* vertices,
                std::int32_t* faces, const Stream& stream) {
    launch(place_vertices, grid_over(surface.num_vertices), stream, view, surface.num_vertices,
           static_cast<float>(0.5 * size_m), vertices);
    launch(turn_faces, grid_over(surface.num_faces), stream, surface.faces.data(), surface.num_faces, faces);
}

}  // namespace jiff::cuda
