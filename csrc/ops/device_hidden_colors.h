// The CUDA twin of hidden_colors.h: pointers in device memory, vertices finite.
#pragma once

#include <cstdint>

#include "core/cuda.h"

namespace jiff::cuda {

// A mesh whose triangles name its vertices, borrowed: [num_vertices, 3] and [num_faces, 3].
struct DeviceMeshView {
    const float* vertices;
    std::int64_t num_vertices;
    const std::int32_t* faces;
    std::int64_t num_faces;
};

// What the host must know of a mesh.
struct MeshExtent {
    double low[2], high[2];  // of x and y
    double mean_edge;        // of the first edges of all triangles
};

// Waits for the stream. Of a mesh without vertices or faces all is zero.
MeshExtent extent_of(const DeviceMeshView& mesh, const Stream& stream);

// As jiff::seen_vertices; normals are summed in units of 2⁻³⁰ of the mean edge's square, so that the order
// does not matter. Throws Error(kInvalidArgument) where the mesh has too many pixels.
Buffer<std::uint8_t> seen_vertices(const DeviceMeshView& mesh, const MeshExtent& extent, double pixel,
                                   double least_facing, const Stream& stream);

// Changes `colors` [num_vertices, 3], in [0, 1], as jiff::smooth_hidden_colors.
void smooth_hidden_colors(const DeviceMeshView& mesh, const MeshExtent& extent, const std::uint8_t* seen,
                          double length, float* colors, const Stream& stream);

}  // namespace jiff::cuda
