// What is asked of points, on the GPU: the twin of head_functions.h, point_function.h and vertex_colors.h.
// All pointers are in device memory.
#pragma once

#include <cstdint>

#include "ops/device_surface.h"
#include "ops/face_blend.h"
#include "ops/head_query.h"
#include "pipeline/head_frame.h"

namespace jiff::cuda {

// Some of a batch of points, with the way back: made on the device, how many only it knows.
struct SelectedPoints {
    Buffer<std::int32_t> places;  // of each point among those taken; -1: it was not
    Buffer<std::int64_t> count;   // one number
    Buffer<float> points;         // [num_points, 3], the first `count` have a meaning
};

// Takes the points in a face's region, of the first `count` where that is not null, in any order: answers do
// not depend on it. What `selected` holds is used again where it is large enough.
void select_region(const FaceRegion& region, const float* points, std::int64_t num_points,
                   const std::int64_t* count, SelectedPoints& selected, const Stream& stream);

// Rows [num_points, num_columns] of the selected points, in their order.
Buffer<float> select_rows(const SelectedPoints& selected, const float* rows, std::int64_t num_points,
                          std::int64_t num_columns, const Stream& stream);

// Of the body's map [1, D, H, W], what a head's encoder takes as jiff::HeadEncoder::inputs makes it: "body"
// [1, D, T, T] and "believed" [1, 2, T, T].
void sample_for_head(const HeadTexels& texels, const DeviceView& map, float* body, float* believed,
                     const Stream& stream);

// The selected points in the frame of a head, [num_points, 3].
void place_in_head(const HeadFrame& frame, const SelectedPoints& selected, std::int64_t num_points,
                   float* placed, const Stream& stream);

// Mixes the face's answers, one row a selected point, into those of all points [num_points, num_channels], as
// jiff::joined does: wholly, or with distances by a share that falls with the distance of each selected
// point; along the region's border the body's pass into that. One channel is an occupancy, several are
// colours.
void mix_face(const FaceRegion& region, const SelectedPoints& selected, const float* points,
              std::int64_t num_points, std::int64_t num_channels, const float* face,
              const float* distances_cm, float* answers, const Stream& stream);

// RGB [num_points, 3], or of the first `count` where that is not null, from the outputs of a colour head,
// three, or four over the pixels of `frame` [4, S, S].
void blend_pixels(const float* outputs, std::int64_t num_outputs, const float* frame, std::int64_t frame_size,
                  const float* points, std::int64_t num_points, const std::int64_t* count, float* colors,
                  const Stream& stream);

// The surface, whose vertices are at `view`, in the world of a frame of `size_m` metres, as world_from_view
// and world_triangles give it.
void world_mesh(const DeviceSurface& surface, const float* view, double size_m, float* vertices,
                std::int32_t* faces, const Stream& stream);

}  // namespace jiff::cuda
