#include <cuda_runtime.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/cuda_launch.h"
#include "core/status.h"
#include "ops/device_algorithms.cuh"
#include "ops/device_lattice.cuh"
#include "ops/device_mesh.h"
#include "ops/device_seeds.h"
#include "ops/device_surface.h"
#include "ops/device_waves.cuh"
#include "ops/sparse_lattice.h"
#include "ops/surface_seeds.h"

namespace jiff::cuda {
namespace {

constexpr const char* kStage = "extract";
constexpr int kWavesAtOnce = 4;  // that the host enqueues before it looks whether there is another
constexpr std::int64_t kLeastCellsOfWave = 1 << 14;  // that there is room for
constexpr std::int64_t kCellsPerSquare = 32;         // of the coarse grid, for the same
constexpr int kPointsPerCell = 4;                    // that a wave asks for at most: most are known already

struct CrossedFaces {
    std::uint8_t of_corners[256];
};

// Calls with each cell behind a crossed face of a cell.
template <typename Visit>
__device__ void for_each_neighbor(const LatticeView& lattice, std::uint32_t packed,
                                  const CrossedFaces& crossed, const Visit& visit) {
    const int cell[3] = {packed_x(packed), packed_y(packed), packed_z(packed)};
    const int faces = crossed.of_corners[lattice.corners_of_cell(cell[0], cell[1], cell[2])];
    for (int face = 0; face < 6; ++face) {
        if ((faces >> face & 1) == 0) continue;
        const int step = face % 2 == 1 ? 1 : -1, axis = face / 2;
        visit(cell[0] + (axis == 0 ? step : 0), cell[1] + (axis == 1 ? step : 0),
              cell[2] + (axis == 2 ? step : 0));
    }
}

// Enters the cells behind the crossed faces of a wave. Their blocks are there: a face's corners are the
// cell's, whose blocks were made when it was entered, and a cell lies in the block of its lowest corner or in
// one that make_blocks_of_neighbors has made.
__global__ void follow_faces(LatticeView lattice, const std::uint32_t* cells, const Wave* wave,
                             const __grid_constant__ CrossedFaces crossed, std::uint32_t* next,
                             std::int64_t max_cells) {
    for (std::int64_t i = global_thread(); i < wave->num_cells; i += strided_step()) {
        for_each_neighbor(lattice, cells[i], crossed, [&](int x, int y, int z) {
            if (!lattice.enter_cell(x, y, z)) return;
            const std::int64_t at = atomicAdd(&lattice.counts->num_cells, 1);
            if (at < max_cells) next[at] = pack_point(x, y, z);
        });
    }
}

// Blocks of the cells behind every crossed face.
__global__ void make_blocks_of_neighbors(LatticeView lattice, const std::uint32_t* cells, const Wave* wave,
                                         const __grid_constant__ CrossedFaces crossed) {
    for (std::int64_t i = global_thread(); i < wave->num_cells; i += strided_step()) {
        for_each_neighbor(lattice, cells[i], crossed,
                          [&](int x, int y, int z) { lattice.make_block(lattice.place(x, y, z)); });
    }
}

__global__ void view_of_packed(const std::uint32_t* packed, std::int64_t num_points, int resolution,
                               float* points) {
    const std::int64_t i = global_thread();
    if (i < num_points) view_of_point(packed[i], resolution, points + 3 * i);
}

__global__ void view_of_lattice(const float* lattice, std::int64_t num_values, int resolution, float* view) {
    const std::int64_t i = global_thread();
    if (i < num_values) view[i] = -1.0f + 2.0f * lattice[i] / static_cast<float>(resolution);
}

__global__ void look_up(const float* values, int resolution, const float* points, std::int64_t num_points,
                        const std::int64_t* count, float* answers) {
    const std::int64_t i = global_thread();
    if (i >= (count ? *count : num_points)) return;
    std::int64_t at = 0;
    for (int axis = 2; axis >= 0; --axis) {
        const float lattice = (points[3 * i + axis] + 1.0f) * 0.5f * static_cast<float>(resolution);
        at = at * (resolution + 1) + static_cast<std::int64_t>(lattice + 0.5f);
    }
    answers[i] = values[at];
}

__global__ void count_ideal(LatticeView lattice, std::int32_t num_blocks, std::int32_t* count) {
    const std::int64_t i = global_thread();
    if (i >= std::int64_t{num_blocks} * kBlockSide) return;
    const LatticeBlock& block = lattice.blocks[i / kBlockSide];
    const int z = static_cast<int>(i % kBlockSide);
    int first[3];
    lattice.origin(block.place, first);
    const auto cells_of = [&](int c, int k) -> std::uint64_t {
        const LatticeBlock* lower =
            lattice.block(first[0] - (c & 1) * kBlockSide, first[1] - (c >> 1 & 1) * kBlockSide,
                          first[2] - (c >> 2) * kBlockSide);
        return lower ? lower->cells[k] : 0;
    };
    const std::uint64_t touched =
        touched_points(cells_of, 0, z) |
        (z > 0 ? touched_points(cells_of, 0, z - 1) : touched_points(cells_of, 4, kBlockSide - 1));
    const int num = __popcll(touched & ~lattice.fixed_points(block.place, z));
    if (num > 0) atomicAdd(count, num);
}

[[noreturn]] void fail_on_nan(std::uint32_t packed) {
    throw Error(ErrorCode::kInvalidField,
                "the field is NaN at lattice point (" + std::to_string(packed_x(packed)) + ", " +
                    std::to_string(packed_y(packed)) + ", " + std::to_string(packed_z(packed)) +
                    "): check the weights and the feature maps for NaN and infinity");
}

class Follower {
  public:
    Follower(const DeviceFunction& occupancy, const ExtractionOptions& options, const Stream& stream,
             const ProgressCallback& progress)
        : occupancy_(occupancy), options_(options), stream_(stream), progress_(progress), counts_(1, stream) {
        const int side = options.resolution / kBlockSide + 1;
        num_places_ = std::int64_t{side} * side * side;
        const std::vector<std::uint64_t> open = open_columns(options.resolution, options.columns);
        open_ = Buffer<std::uint64_t>(open, stream);
        stream.synchronize();  // `open` was read
        for (int corners = 0; corners < 256; ++corners)
            crossed_.of_corners[corners] = crossed_faces()[corners];
        view_.resolution = options.resolution;
        view_.num_blocks_along_side = side;
        view_.iso = options.iso;
        view_.open = open_.data();
        view_.coarse_stride = coarse_stride(options);
        view_.counts = counts_.data();
        // Twice what a surface takes that crosses each column of blocks twice.
        capacity_ = static_cast<std::int32_t>(std::min<std::int64_t>(num_places_, 4L * side * side));
        table_ = Buffer<std::int32_t>(num_places_, stream);
        view_.table = table_.data();
    }

    void run(DeviceSurface& surface) {
        while (!follow(surface)) {
            capacity_ = static_cast<std::int32_t>(std::min<std::int64_t>(num_places_, 4L * capacity_));
            room_ *= 4;
        }
        count_queries(surface);
        mesh_lattice(view_, num_places_, surface, stream_);
    }

  private:
    // False: there was too little room for blocks, seeds or a wave.
    bool follow(DeviceSurface& surface) {
        start();
        SeedSearch search(options_, room_, stream_);
        view_.num_coarse_points = search.num_coarse_points();
        view_.coarse_values = search.coarse_values();
        const std::int64_t square = std::int64_t{view_.num_coarse_points} * view_.num_coarse_points;
        const std::int64_t max_cells = std::max(kLeastCellsOfWave, kCellsPerSquare * square) * room_;
        Buffer<std::uint32_t> cells(max_cells, stream_), next(max_cells, stream_);
        Asking asking(occupancy_, std::max(search.max_points(), kPointsPerCell * max_cells), stream_);
        search.enqueue(view_, asking, cells.data(), max_cells);

        float fraction = 0.5f;
        report(progress_, kStage, fraction);
        for (;;) {
            for (int i = 0; i < kWavesAtOnce; ++i) {
                asking.ask_for_cells(view_, cells.data(), max_cells);
                launch(make_blocks_of_neighbors, kStridedGrid, stream_, view_, cells.data(), asking.wave(),
                       crossed_);
                launch(follow_faces, kStridedGrid, stream_, view_, cells.data(), asking.wave(), crossed_,
                       next.data(), max_cells);
                std::swap(cells, next);
            }
            const WaveCounts counts = counts_.to_host()[0];
            const Wave last = asking.wave_on_host();
            num_blocks_ = counts.num_blocks;
            if (counts.nan_point != kNoPoint) fail_on_nan(counts.nan_point);
            if (counts.num_blocks > capacity_ || last.has_overflowed != 0) return false;
            if (counts.num_cells == 0) {
                surface.num_queries_asked = last.num_asked;
                return !search.has_overflowed();
            }
            fraction += (0.95f - fraction) * 0.25f;  // how many waves there are is not known before
            report(progress_, kStage, fraction);
        }
    }

    void start() {
        view_.capacity = capacity_;
        blocks_ = Buffer<LatticeBlock>(capacity_, stream_);
        blocks_.fill_bytes(0);
        view_.blocks = blocks_.data();
        table_.fill_bytes(0xff);
        static_assert(kNoBlock == -1, "fill_bytes writes it");
        counts_.fill_bytes(0);
        set_bytes(&counts_.data()->nan_point, 0xff, sizeof(std::uint32_t), stream_);
    }

    void count_queries(DeviceSurface& surface) const {
        Buffer<std::int32_t> count(1, stream_);
        count.fill_bytes(0);
        launch(count_ideal, grid_over(std::int64_t{num_blocks_} * kBlockSide), stream_, view_, num_blocks_,
               count.data());
        surface.num_queries_ideal = count.to_host()[0];
    }

    const DeviceFunction& occupancy_;
    const ExtractionOptions& options_;
    const Stream& stream_;
    const ProgressCallback& progress_;
    std::int64_t num_places_ = 0, room_ = 1;
    std::int32_t capacity_ = 0, num_blocks_ = 0;
    CrossedFaces crossed_{};
    Buffer<WaveCounts> counts_;
    Buffer<std::int32_t> table_;
    Buffer<LatticeBlock> blocks_;
    Buffer<std::uint64_t> open_;
    LatticeView view_{};
};

}  // namespace

DeviceSurface::DeviceSurface(const Surface& host, const Stream& stream)
    : vertices(host.vertices.data()->data(), 3 * host.vertices.size(), stream),
      faces(host.faces.data()->data(), 3 * host.faces.size(), stream),
      num_vertices(static_cast<std::int64_t>(host.vertices.size())),
      num_faces(static_cast<std::int64_t>(host.faces.size())),
      num_queries_asked(host.num_queries_asked),
      num_queries_ideal(host.num_queries_ideal) {
    stream.synchronize();
}

Surface DeviceSurface::to_host() const {
    Surface surface;
    surface.vertices.resize(num_vertices);
    surface.faces.resize(num_faces);
    surface.num_queries_asked = num_queries_asked;
    surface.num_queries_ideal = num_queries_ideal;
    if (num_vertices > 0) vertices.to_host(surface.vertices.data()->data(), 3 * num_vertices);
    if (num_faces > 0) faces.to_host(surface.faces.data()->data(), 3 * num_faces);
    return surface;
}

void look_up_lattice(const float* values, int resolution, const float* points, std::int64_t num_points,
                     const std::int64_t* count, float* answers, const Stream& stream) {
    launch(look_up, grid_over(num_points), stream, values, resolution, points, num_points, count, answers);
}

LatticeField host_field(const DeviceFunction& occupancy, int resolution, const Stream& stream) {
    return [&occupancy, resolution, &stream](const LatticePoint* points, std::int64_t num_points,
                                             float* values) {
        if (num_points == 0) return;
        std::vector<std::uint32_t> packed(num_points);
        for (std::int64_t i = 0; i < num_points; ++i)
            packed[i] = pack_point(points[i].x, points[i].y, points[i].z);
        const Buffer<std::uint32_t> given(packed, stream);
        Buffer<float> view(3 * num_points, stream), answers(num_points, stream);
        launch(view_of_packed, grid_over(num_points), stream, given.data(), num_points, resolution,
               view.data());
        occupancy(view.data(), num_points, nullptr, answers.data(), stream);
        copy_to_host(values, answers.data(), num_points * sizeof(float), stream);
        stream.synchronize();
    };
}

DeviceSurface extract_surface(const DeviceFunction& occupancy, const ExtractionOptions& options,
                              const Stream& stream, const ProgressCallback& progress) {
    check_extraction_options(options);
    if (options.dense || options.num_secant_steps > 0) {
        throw Error(ErrorCode::kInvalidArgument,
                    "the GPU's extraction takes neither dense nor num_secant_steps; extract on the host");
    }
    report(progress, kStage, 0.0f);
    DeviceSurface surface;
    Follower(occupancy, options, stream, progress).run(surface);
    report(progress, kStage, 1.0f);
    return surface;
}

Buffer<float> view_vertices(const DeviceSurface& surface, int resolution, const Stream& stream) {
    const std::int64_t size = 3 * surface.num_vertices;
    Buffer<float> view(size, stream);
    launch(view_of_lattice, grid_over(size), stream, surface.vertices.data(), size, resolution, view.data());
    return view;
}

}  // namespace jiff::cuda
