// A coloured mesh in the GPU's memory: what Mesh is on the host, to the bit. Only builds with CUDA have it.
#pragma once

#include <cstdint>

#include "core/cuda.h"

namespace jiff {

struct MeshOnDevice {
    cuda::Stream stream;  // before what belongs to it
    std::int64_t num_vertices = 0, num_faces = 0;
    cuda::Buffer<float> vertices;      // [num_vertices, 3], world, metres
    cuda::Buffer<std::int32_t> faces;  // [num_faces, 3], counter-clockwise from outside
    cuda::Buffer<float> colors;        // [num_vertices, 3], sRGB in [0, 1]
};

}  // namespace jiff
