// The CUDA twin of surface_extraction.h: the surface is followed, meshed and kept on the device.
#pragma once

#include <cstdint>
#include <functional>

#include "core/cuda.h"
#include "core/progress.h"
#include "ops/surface_extraction.h"

namespace jiff::cuda {

// Enqueues the answers [N, C] at `points` [N, 3] of the view; both in device memory. `count`, where it is not
// null, is a number in device memory: of the points only so many, the first, are asked for.
using DeviceFunction = std::function<void(const float* points, std::int64_t num_points,
                                          const std::int64_t* count, float* answers, const Stream& stream)>;

struct DeviceSurface {
    DeviceSurface() = default;
    DeviceSurface(const Surface& host, const Stream& stream);  // copies, and waits

    Buffer<float> vertices;      // [num_vertices, 3], lattice coordinates
    Buffer<std::int32_t> faces;  // [num_faces, 3]
    std::int64_t num_vertices = 0, num_faces = 0;
    std::int64_t num_queries_asked = 0, num_queries_ideal = 0;

    Surface to_host() const;  // waits
};

// As jiff::extract_surface, of the first answer of `occupancy`, which gives one: the same cells, so for the
// same values the same mesh. Seeds are sought and the surface is followed on the device, several waves for
// each wait of the host. Throws as extract_surface, kInvalidArgument where dense or num_secant_steps are set
// (the host's extraction takes them), kDevice.
DeviceSurface extract_surface(const DeviceFunction& occupancy, const ExtractionOptions& options,
                              const Stream& stream, const ProgressCallback& progress = {});

// Keeps the connected component with the most faces, of equal ones that with the lowest vertex.
DeviceSurface largest_component(DeviceSurface surface, const Stream& stream);

// [num_vertices, 3] in the view.
Buffer<float> view_vertices(const DeviceSurface& surface, int resolution, const Stream& stream);

// The values [z][y][x], resolution + 1 a side, at the lattice points nearest to `points` of the view, or to
// the first `count` of them: a function that costs nothing, for tests and for measuring extraction alone.
void look_up_lattice(const float* values, int resolution, const float* points, std::int64_t num_points,
                     const std::int64_t* count, float* answers, const Stream& stream);

// A field for the host's extraction: points go to the device and answers come back. `occupancy` and `stream`
// must outlive it.
LatticeField host_field(const DeviceFunction& occupancy, int resolution, const Stream& stream);

}  // namespace jiff::cuda
