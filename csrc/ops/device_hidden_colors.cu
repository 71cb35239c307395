#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/cuda_launch.h"
#include "core/status.h"
#include "ops/chebyshev_steps.h"
#include "ops/depth_picture.h"
#include "ops/device_algorithms.cuh"
#include "ops/device_hidden_colors.h"
#include "ops/hidden_colors.h"
#include "ops/tensor_core.h"

namespace jiff::cuda {
namespace {

using Word = unsigned long long;

constexpr int kThreads = 256;
constexpr Grid kMeasuringGrid{128, kThreads};
constexpr double kEdgeUnits = 68719476736.0;   // 2³⁶ a unit of length
constexpr double kNormalUnits = 1073741824.0;  // 2³⁰ a square of the mean edge

// Unsigned numbers in the order of the floating-point numbers.
__device__ unsigned ordered(float value) {
    const unsigned bits = __float_as_uint(value);
    return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ Word ordered(double value) {
    const auto bits = static_cast<Word>(__double_as_longlong(value));
    return (bits >> 63) != 0 ? ~bits : bits | 0x8000000000000000u;
}

float number_of(unsigned ordered) {
    const unsigned bits = (ordered >> 31) != 0 ? ordered & 0x7fffffffu : ~ordered;
    float value;
    static_assert(sizeof value == sizeof bits);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct Measures {
    unsigned high[2], lowest[2];  // ordered; `lowest` of the coordinates with their signs changed
    Word edge_units;
};

__global__ void measure_mesh(DeviceMeshView mesh, Measures* measures) {
    const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
    unsigned high[2] = {0, 0}, lowest[2] = {0, 0};
    for (std::int64_t i = global_thread(); i < mesh.num_vertices; i += step) {
        for (int axis = 0; axis < 2; ++axis) {
            const float value = mesh.vertices[3 * i + axis];
            high[axis] = max(high[axis], ordered(value));
            lowest[axis] = max(lowest[axis], ordered(-value));
        }
    }
    Word units = 0;
    for (std::int64_t f = global_thread(); f < mesh.num_faces; f += step) {
        const float* a = mesh.vertices + 3 * std::int64_t{mesh.faces[3 * f]};
        const float* b = mesh.vertices + 3 * std::int64_t{mesh.faces[3 * f + 1]};
        double squared = 0.0;
        for (int axis = 0; axis < 3; ++axis)
            squared += (double{b[axis]} - a[axis]) * (double{b[axis]} - a[axis]);
        units += static_cast<Word>(sqrt(squared) * kEdgeUnits + 0.5);
    }
    for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int axis = 0; axis < 2; ++axis) {
            high[axis] = max(high[axis], __shfl_xor_sync(~0U, high[axis], half));
            lowest[axis] = max(lowest[axis], __shfl_xor_sync(~0U, lowest[axis], half));
        }
        units += __shfl_xor_sync(~0U, units, half);
    }
    if (threadIdx.x % kLanes != 0) return;
    for (int axis = 0; axis < 2; ++axis) {
        atomicMax(measures->high + axis, high[axis]);
        atomicMax(measures->lowest + axis, lowest[axis]);
    }
    atomicAdd(&measures->edge_units, units);
}

// Depths into the picture, and normals to the vertices.
__global__ void draw_triangles(DeviceMeshView mesh, PictureGrid grid, double units, Word* picture,
                               Word* normals) {
    const std::int64_t f = global_thread();
    if (f >= mesh.num_faces) return;
    const std::int32_t* corners = mesh.faces + 3 * f;
    const float* points[3];
    for (int k = 0; k < 3; ++k) points[k] = mesh.vertices + 3 * std::int64_t{corners[k]};
    const TreeVector normal = triangle_normal(points[0], points[1], points[2]);
    grid.draw(points[0], points[1], points[2], normal,
              [&](std::int64_t at, double depth) { atomicMax(picture + at, ordered(depth)); });
    for (int axis = 0; axis < 3; ++axis) {
        // Sums of signed numbers are those of their bits.
        const auto part = static_cast<Word>(static_cast<long long>(normal[axis] * units));
        for (int k = 0; k < 3; ++k) atomicAdd(normals + 3 * std::int64_t{corners[k]} + axis, part);
    }
}

__global__ void find_seen(DeviceMeshView mesh, PictureGrid grid, double least_facing, const Word* picture,
                          const Word* normals, std::uint8_t* seen) {
    const std::int64_t i = global_thread();
    if (i >= mesh.num_vertices) return;
    TreeVector normal;
    for (int axis = 0; axis < 3; ++axis)
        normal[axis] = static_cast<double>(static_cast<long long>(normals[3 * i + axis]));
    const float* point = mesh.vertices + 3 * i;
    const Word* upper = picture + grid.pixel_before(point);
    const Word* lower = upper + grid.size[0];
    const Word farthest = min(min(upper[0], upper[1]), min(lower[0], lower[1]));
    seen[i] = is_facing(normal, least_facing) && farthest <= ordered(grid.most_depth(point)) ? 1 : 0;
}

// Edges from hidden vertices, by these; all others come last.
__global__ void make_edges(DeviceMeshView mesh, const std::uint8_t* seen, Word* edges) {
    const std::int64_t i = global_thread();
    if (i >= 3 * mesh.num_faces) return;
    const std::int32_t from = mesh.faces[i], to = mesh.faces[i / 3 * 3 + (i + 1) % 3];
    const auto num = static_cast<Word>(mesh.num_vertices);
    edges[i] = seen[from] ? num * num : static_cast<Word>(from) * num + static_cast<Word>(to);
}

struct NeighborRange {
    std::int32_t begin, end;
};

__global__ void find_neighbors(const Word* edges, std::int64_t num_edges, std::int64_t num_vertices,
                               NeighborRange* ranges, std::int32_t* neighbors) {
    const std::int64_t i = global_thread();
    if (i >= num_edges) return;
    const auto num = static_cast<Word>(num_vertices);
    const Word from = edges[i] / num;
    if (from == num) return;
    neighbors[i] = static_cast<std::int32_t>(edges[i] % num);
    if (i == 0 || edges[i - 1] / num != from) ranges[from].begin = static_cast<std::int32_t>(i);
    if (i + 1 == num_edges || edges[i + 1] / num != from) ranges[from].end = static_cast<std::int32_t>(i + 1);
}

// One step of Chebyshev's iteration.
__global__ void step_colors(const std::uint8_t* seen, std::int64_t num_vertices, const NeighborRange* ranges,
                            const std::int32_t* neighbors, const float* given, float keep, ChebyshevStep by,
                            const float* now, float* steps, float* next) {
    const std::int64_t i = global_thread();
    if (i >= num_vertices || seen[i]) return;
    const NeighborRange range = ranges[i];
    float sums[3];
    for (int c = 0; c < 3; ++c) sums[c] = keep * given[3 * i + c];
    for (std::int32_t at = range.begin; at < range.end; ++at) {
        const float* other = now + 3 * std::int64_t{neighbors[at]};
        for (int c = 0; c < 3; ++c) sums[c] += other[c];
    }
    const float total = keep + static_cast<float>(range.end - range.begin);
    for (int c = 0; c < 3; ++c) {
        const float missing = sums[c] / total - now[3 * i + c];
        const float step = by.of_last * steps[3 * i + c] + by.of_missing * missing;
        steps[3 * i + c] = step;
        next[3 * i + c] = now[3 * i + c] + step;
    }
}

// Chebyshev's steps may pass what they go to.
__global__ void keep_colors_in_range(const std::uint8_t* seen, std::int64_t num_vertices, float* colors) {
    const std::int64_t i = global_thread();
    if (i >= num_vertices || seen[i]) return;
    for (int c = 0; c < 3; ++c) colors[3 * i + c] = min(max(colors[3 * i + c], 0.0f), 1.0f);
}

int num_bits(Word most) {
    int bits = 0;
    while (bits < 64 && most >> bits != 0) ++bits;
    return bits;
}

}  // namespace

MeshExtent extent_of(const DeviceMeshView& mesh, const Stream& stream) {
    MeshExtent extent{};
    if (mesh.num_vertices == 0 || mesh.num_faces == 0) return extent;
    Buffer<Measures> measures(1, stream);
    measures.fill_bytes(0);
    launch(measure_mesh, kMeasuringGrid, stream, mesh, measures.data());
    const Measures found = measures.to_host()[0];
    for (int axis = 0; axis < 2; ++axis) {
        extent.low[axis] = -double{number_of(found.lowest[axis])};
        extent.high[axis] = number_of(found.high[axis]);
    }
    extent.mean_edge =
        static_cast<double>(found.edge_units) / kEdgeUnits / static_cast<double>(mesh.num_faces);
    return extent;
}

Buffer<std::uint8_t> seen_vertices(const DeviceMeshView& mesh, const MeshExtent& extent, double pixel,
                                   double least_facing, const Stream& stream) {
    Buffer<std::uint8_t> seen(mesh.num_vertices, stream);
    if (extent.mean_edge == 0.0) {  // no surface
        seen.fill_bytes(0);
        return seen;
    }
    const PictureGrid grid = PictureGrid::around(extent.low, extent.high, pixel);
    if (grid.is_too_large()) {
        throw Error(ErrorCode::kInvalidArgument,
                    "a pixel of " + std::to_string(pixel) + " is too small for the mesh");
    }
    Buffer<Word> picture(grid.num_pixels(), stream), normals(3 * mesh.num_vertices, stream);
    picture.fill_bytes(0);  // farther than everything
    normals.fill_bytes(0);
    const double units = kNormalUnits / (extent.mean_edge * extent.mean_edge);
    launch(draw_triangles, grid_over(mesh.num_faces), stream, mesh, grid, units, picture.data(),
           normals.data());
    launch(find_seen, grid_over(mesh.num_vertices), stream, mesh, grid, least_facing, picture.data(),
           normals.data(), seen.data());
    return seen;
}

void smooth_hidden_colors(const DeviceMeshView& mesh, const MeshExtent& extent, const std::uint8_t* seen,
                          double length, float* colors, const Stream& stream) {
    const std::int64_t num_edges = 3 * mesh.num_faces, num_values = 3 * mesh.num_vertices;
    if (num_edges == 0 || extent.mean_edge == 0.0) return;
    Buffer<Word> unsorted(num_edges, stream), edges(num_edges, stream);
    launch(make_edges, grid_over(num_edges), stream, mesh, seen, unsorted.data());
    const auto num = static_cast<Word>(mesh.num_vertices);
    sort_keys(unsorted.data(), edges.data(), num_edges, num_bits(num * num), stream);
    Buffer<NeighborRange> ranges(mesh.num_vertices, stream);
    ranges.fill_bytes(0);
    Buffer<std::int32_t> neighbors(num_edges, stream);
    launch(find_neighbors, grid_over(num_edges), stream, edges.data(), num_edges, mesh.num_vertices,
           ranges.data(), neighbors.data());

    Buffer<float> given(num_values, stream), other(num_values, stream), steps(num_values, stream);
    const std::size_t num_bytes = num_values * sizeof(float);
    copy_on_device(given.data(), colors, num_bytes, stream);
    copy_on_device(other.data(), colors, num_bytes, stream);  // those that are seen stay
    steps.fill_bytes(0);
    const double keep = (extent.mean_edge / length) * (extent.mean_edge / length);
    float *now = colors, *next = other.data();
    for (const ChebyshevStep& step : chebyshev_steps(keep / (keep + kUsualNeighbors), kSmoothingRest)) {
        launch(step_colors, grid_over(mesh.num_vertices), stream, seen, mesh.num_vertices, ranges.data(),
               neighbors.data(), given.data(), static_cast<float>(keep), step, now, steps.data(), next);
        std::swap(now, next);
    }
    if (now != colors) copy_on_device(colors, now, num_bytes, stream);
    launch(keep_colors_in_range, grid_over(mesh.num_vertices), stream, seen, mesh.num_vertices, colors);
}

}  // namespace jiff::cuda
