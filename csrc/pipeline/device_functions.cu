#include <cuda_runtime.h>

#include "core/cuda_launch.h"
#include "ops/device_algorithms.cuh"
#include "ops/frame_pixels.h"
#include "pipeline/device_functions.h"

namespace jiff::cuda {
namespace {

__global__ void mark_region(FaceRegion region, const float* points, std::int64_t num_points,
                            const std::int64_t* count, std::int32_t* flags) {
    const std::int64_t i = global_thread();
    if (i > num_points) return;  // one more, for the total
    flags[i] = i < (count ? *count : num_points) && region.contains(points[3 * i], points[3 * i + 1]) ? 1 : 0;
}

__global__ void take_points(const float* points, std::int64_t num_points, const std::int32_t* flags,
                            const std::int32_t* sums, float* taken, std::int64_t* count) {
    const std::int64_t i = global_thread();
    if (i == 0) *count = sums[num_points];
    if (i >= num_points || flags[i] == 0) return;
    for (int k = 0; k < 3; ++k) taken[3 * std::int64_t{sums[i]} + k] = points[3 * i + k];
}

__global__ void take_rows(const float* rows, std::int64_t num_points, std::int64_t num_columns,
                          const std::int32_t* flags, const std::int32_t* sums, float* taken) {
    const std::int64_t at = global_thread();
    if (at >= num_points * num_columns) return;
    const std::int64_t i = at / num_columns;
    if (flags[i] != 0) taken[sums[i] * num_columns + at % num_columns] = rows[at];
}

__global__ void mix_rows(FaceRegion region, const std::int32_t* flags, const std::int32_t* sums,
                         const float* points, std::int64_t num_points, std::int64_t num_channels,
                         const float* face, const float* distances_cm, float* answers) {
    const std::int64_t at = global_thread();
    if (at >= num_points * num_channels) return;
    const std::int64_t i = at / num_channels;
    if (flags[i] == 0) return;
    float of_face = face[sums[i] * num_channels + at % num_channels];
    if (distances_cm) {
        const float weight = face_blend_weight(distances_cm[sums[i]]);
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

SelectedPoints select_region(const FaceRegion& region, const float* points, std::int64_t num_points,
                             const std::int64_t* count, const Stream& stream) {
    SelectedPoints selected;
    selected.flags = Buffer<std::int32_t>(num_points + 1, stream);
    selected.sums = Buffer<std::int32_t>(num_points + 1, stream);
    selected.count = Buffer<std::int64_t>(1, stream);
    selected.points = Buffer<float>(3 * num_points, stream);
    const Grid grid = grid_over(num_points + 1);
    launch(mark_region, grid, stream, region, points, num_points, count, selected.flags.data());
    exclusive_sums(selected.flags.data(), selected.sums.data(), num_points + 1, stream);
    launch(take_points, grid, stream, points, num_points, selected.flags.data(), selected.sums.data(),
           selected.points.data(), selected.count.data());
    return selected;
}

Buffer<float> select_rows(const SelectedPoints& selected, const float* rows, std::int64_t num_points,
                          std::int64_t num_columns, const Stream& stream) {
    Buffer<float> taken(num_points * num_columns, stream);
    launch(take_rows, grid_over(num_points * num_columns), stream, rows, num_points, num_columns,
           selected.flags.data(), selected.sums.data(), taken.data());
    return taken;
}

void mix_face(const FaceRegion& region, const SelectedPoints& selected, const float* points,
              std::int64_t num_points, std::int64_t num_channels, const float* face,
              const float* distances_cm, float* answers, const Stream& stream) {
    launch(mix_rows, grid_over(num_points * num_channels), stream, region, selected.flags.data(),
           selected.sums.data(), points, num_points, num_channels, face, distances_cm, answers);
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
