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
#include "ops/device_surface.h"
#include "ops/sparse_lattice.h"
#include "ops/surface_seeds.h"

namespace jiff::cuda {
namespace {

constexpr const char* kStage = "extract";
constexpr int kThreads = 256;
constexpr int kStridedBlocks = 256;  // of kernels whose number of items only the device knows
constexpr std::uint32_t kNoPoint = ~std::uint32_t{0};

struct CrossedFaces {
    std::uint8_t of_corners[256];
};

__global__ void make_blocks_of_points(LatticeView lattice, const std::uint32_t* points,
                                      std::int64_t num_points) {
    const std::int64_t i = global_thread();
    if (i >= num_points) return;
    const std::uint32_t p = points[i];
    lattice.make_block(lattice.place(packed_x(p), packed_y(p), packed_z(p)));
}

__global__ void set_known_points(LatticeView lattice, const std::uint32_t* points, const float* values,
                                 std::int64_t num_points) {
    const std::int64_t i = global_thread();
    if (i >= num_points) return;
    const int x = packed_x(points[i]), y = packed_y(points[i]), z = packed_z(points[i]);
    LatticeBlock* block = lattice.block(x, y, z);
    if (!block) return;
    atomicOr(block->requested + z % kBlockSide, static_cast<Word>(LatticeView::bit(x, y)));
    lattice.set_value(*block, x, y, z, values[i]);
    if (isnan(values[i])) atomicMin(&lattice.counts->nan_point, points[i]);
}

__global__ void enter_seeds(LatticeView lattice, const std::uint32_t* seeds, std::int64_t num_seeds,
                            std::uint32_t* wave) {
    const std::int64_t i = global_thread();
    if (i >= num_seeds) return;
    const int x = packed_x(seeds[i]), y = packed_y(seeds[i]), z = packed_z(seeds[i]);
    if (lattice.enter_cell(x, y, z)) wave[atomicAdd(&lattice.counts->num_cells, 1)] = seeds[i];
}

// Enters the cells behind the crossed faces of a wave. Their blocks are there: a face's corners are the
// cell's, whose blocks were made when it was entered, and a cell lies in the block of its lowest corner or in
// one that make_blocks_of_neighbors has made.
__global__ void follow_faces(LatticeView lattice, const std::uint32_t* wave, std::int64_t num_cells,
                             const __grid_constant__ CrossedFaces crossed, std::uint32_t* next) {
    const std::int64_t i = global_thread();
    if (i >= num_cells) return;
    const int cell[3] = {packed_x(wave[i]), packed_y(wave[i]), packed_z(wave[i])};
    const int faces = crossed.of_corners[lattice.corners_of_cell(cell[0], cell[1], cell[2])];
    for (int face = 0; face < 6; ++face) {
        if ((faces >> face & 1) == 0) continue;
        const int step = face % 2 == 1 ? 1 : -1, axis = face / 2;
        const int x = cell[0] + (axis == 0 ? step : 0), y = cell[1] + (axis == 1 ? step : 0),
                  z = cell[2] + (axis == 2 ? step : 0);
        if (lattice.enter_cell(x, y, z)) next[atomicAdd(&lattice.counts->num_cells, 1)] = pack_point(x, y, z);
    }
}

// Blocks of the cells behind every crossed face.
__global__ void make_blocks_of_neighbors(LatticeView lattice, const std::uint32_t* wave,
                                         std::int64_t num_cells,
                                         const __grid_constant__ CrossedFaces crossed) {
    const std::int64_t i = global_thread();
    if (i >= num_cells) return;
    const int x = packed_x(wave[i]), y = packed_y(wave[i]), z = packed_z(wave[i]);
    const int faces = crossed.of_corners[lattice.corners_of_cell(x, y, z)];
    for (int face = 0; face < 6; ++face) {
        if ((faces >> face & 1) == 0) continue;
        const int step = face % 2 == 1 ? 1 : -1, axis = face / 2;
        lattice.make_block(lattice.place(x + (axis == 0 ? step : 0), y + (axis == 1 ? step : 0),
                                         z + (axis == 2 ? step : 0)));
    }
}

// Blocks of all corners of the cells of the next wave.
__global__ void make_blocks_of_cells(LatticeView lattice, const std::uint32_t* cells) {
    const std::int64_t num_cells = lattice.counts->num_cells, step = std::int64_t{gridDim.x} * blockDim.x;
    for (std::int64_t i = global_thread(); i < num_cells; i += step) {
        const int x = packed_x(cells[i]), y = packed_y(cells[i]), z = packed_z(cells[i]);
        for (int c = 0; c < 8; ++c)
            lattice.make_block(lattice.place(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2)));
    }
}

// Asks for the corners of the cells of the next wave.
__global__ void request_corners(LatticeView lattice, const std::uint32_t* cells, std::uint32_t* points) {
    const std::int64_t num_cells = lattice.counts->num_cells, step = std::int64_t{gridDim.x} * blockDim.x;
    for (std::int64_t i = global_thread(); i < num_cells; i += step) {
        for (int c = 0; c < 8; ++c) {
            const int x = packed_x(cells[i]) + (c & 1), y = packed_y(cells[i]) + (c >> 1 & 1),
                      z = packed_z(cells[i]) + (c >> 2);
            if (max(x, max(y, z)) >= lattice.resolution) continue;
            LatticeBlock* block = lattice.block(x, y, z);
            if (!block) continue;
            const Word mask = LatticeView::bit(x, y);
            if ((atomicOr(block->requested + z % kBlockSide, mask) & mask) != 0) continue;
            const int stride = lattice.coarse_stride;
            if (((x | y | z) & (stride - 1)) == 0) {
                const std::int64_t side = lattice.num_coarse_points;
                lattice.set_value(
                    *block, x, y, z,
                    lattice.coarse_values[(z / stride * side + y / stride) * side + x / stride]);
            } else {
                points[atomicAdd(&lattice.counts->num_points, 1)] = pack_point(x, y, z);
            }
        }
    }
}

__global__ void view_of_packed(const std::uint32_t* packed, std::int64_t num_points, int resolution,
                               float* points) {
    const std::int64_t i = global_thread();
    if (i >= num_points) return;
    const float step = 2.0f / static_cast<float>(resolution);
    points[3 * i] = -1.0f + step * static_cast<float>(packed_x(packed[i]));
    points[3 * i + 1] = -1.0f + step * static_cast<float>(packed_y(packed[i]));
    points[3 * i + 2] = -1.0f + step * static_cast<float>(packed_z(packed[i]));
}

__global__ void view_of_lattice(const float* lattice, std::int64_t num_values, int resolution, float* view) {
    const std::int64_t i = global_thread();
    if (i < num_values) view[i] = -1.0f + 2.0f * lattice[i] / static_cast<float>(resolution);
}

__global__ void look_up(const float* values, int resolution, const float* points, std::int64_t num_points,
                        float* answers) {
    const std::int64_t i = global_thread();
    if (i >= num_points) return;
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
    Follower(const DeviceFunction& occupancy, const ExtractionOptions& options, const SparseLattice& coarse,
             const Stream& stream, const ProgressCallback& progress)
        : occupancy_(occupancy), options_(options), stream_(stream), progress_(progress), counts_(1, stream) {
        const int side = options.resolution / kBlockSide + 1;
        num_places_ = std::int64_t{side} * side * side;
        open_ = Buffer<std::uint64_t>(coarse.open_columns(), stream);
        coarse_values_ = Buffer<float>(coarse.coarse_values(), stream);
        for (const auto& known : coarse.known_points()) {
            known_points_.push_back(known.packed);
            known_values_.push_back(known.value);
        }
        for (int corners = 0; corners < 256; ++corners)
            crossed_.of_corners[corners] = crossed_faces()[corners];
        view_ = {options.resolution,
                 side,
                 0,
                 options.iso,
                 nullptr,
                 nullptr,
                 open_.data(),
                 coarse.coarse_stride(),
                 coarse.num_coarse_cells() + 1,
                 coarse_values_.data(),
                 counts_.data()};
        // Twice what a surface takes that crosses each column of blocks twice.
        capacity_ = static_cast<std::int32_t>(std::min<std::int64_t>(num_places_, 4L * side * side));
        table_ = Buffer<std::int32_t>(num_places_, stream);
        view_.table = table_.data();
    }

    void run(const std::vector<LatticePoint>& seeds, DeviceSurface& surface) {
        std::vector<std::uint32_t> packed;
        for (const LatticePoint& seed : seeds) packed.push_back(pack_point(seed.x, seed.y, seed.z));
        while (!follow(packed, surface))
            capacity_ = static_cast<std::int32_t>(std::min<std::int64_t>(num_places_, 4L * capacity_));
        count_queries(surface);
        mesh_lattice(view_, num_places_, surface, stream_);
    }

  private:
    // False: there were more blocks than room.
    bool follow(const std::vector<std::uint32_t>& seeds, DeviceSurface& surface) {
        num_asked_ = 0;
        start();
        Buffer<std::uint32_t> wave(std::max<std::size_t>(1, seeds.size()), stream_), next, points, sorted;
        if (!seeds.empty()) {
            const Buffer<std::uint32_t> given(seeds, stream_);
            const auto num = static_cast<std::int64_t>(seeds.size());
            launch(make_blocks_of_points, grid_over(num), stream_, view_, given.data(), num);
            launch(enter_seeds, grid_over(num), stream_, view_, given.data(), num, wave.data());
            stream_.synchronize();  // `seeds` were read
        }
        std::int64_t most_cells = static_cast<std::int64_t>(seeds.size());
        float fraction = 0.5f;
        for (;;) {
            // What the cells of the wave ask for; the one wait of a wave.
            points.reserve(8 * most_cells, stream_);
            launch(make_blocks_of_cells, {kStridedBlocks, kThreads}, stream_, view_, wave.data());
            launch(request_corners, {kStridedBlocks, kThreads}, stream_, view_, wave.data(), points.data());
            const WaveCounts counts = counts_.to_host()[0];
            num_blocks_ = counts.num_blocks;
            if (counts.num_blocks > capacity_) return false;
            if (counts.nan_point != kNoPoint) fail_on_nan(counts.nan_point);
            if (counts.num_cells == 0) break;
            ask(points, sorted, counts.num_points);
            most_cells = 6 * std::int64_t{counts.num_cells};
            next.reserve(most_cells, stream_);
            reset_counts();
            const Grid grid = grid_over(counts.num_cells);
            launch(make_blocks_of_neighbors, grid, stream_, view_, wave.data(),
                   std::int64_t{counts.num_cells}, crossed_);
            launch(follow_faces, grid, stream_, view_, wave.data(), std::int64_t{counts.num_cells}, crossed_,
                   next.data());
            std::swap(wave, next);
            fraction += (0.95f - fraction) * 0.25f;  // how many waves there are is not known before
            report(progress_, kStage, fraction);
        }
        surface.num_queries_asked += num_asked_;
        return true;
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
        const auto num_known = static_cast<std::int64_t>(known_points_.size());
        if (num_known == 0) return;
        const Buffer<std::uint32_t> points(known_points_, stream_);
        const Buffer<float> values(known_values_, stream_);
        launch(make_blocks_of_points, grid_over(num_known), stream_, view_, points.data(), num_known);
        launch(set_known_points, grid_over(num_known), stream_, view_, points.data(), values.data(),
               num_known);
    }

    void reset_counts() { set_bytes(counts_.data(), 0, offsetof(WaveCounts, num_blocks), stream_); }

    void ask(const Buffer<std::uint32_t>& points, Buffer<std::uint32_t>& sorted, std::int64_t num_points) {
        if (num_points == 0) return;
        num_asked_ += num_points;
        sorted.reserve(num_points, stream_);
        sort_keys(points.data(), sorted.data(), num_points, 3 * kPackedBits, stream_);
        view_points_.reserve(3 * num_points, stream_);
        values_.reserve(num_points, stream_);
        launch(view_of_packed, grid_over(num_points), stream_, sorted.data(), num_points, options_.resolution,
               view_points_.data());
        occupancy_(view_points_.data(), num_points, nullptr, values_.data(), stream_);
        launch(set_known_points, grid_over(num_points), stream_, view_, sorted.data(), values_.data(),
               num_points);
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
    std::int64_t num_places_ = 0, num_asked_ = 0;
    std::int32_t capacity_ = 0, num_blocks_ = 0;
    std::vector<std::uint32_t> known_points_;
    std::vector<float> known_values_;
    CrossedFaces crossed_{};
    Buffer<WaveCounts> counts_;
    Buffer<std::int32_t> table_;
    Buffer<LatticeBlock> blocks_;
    Buffer<std::uint64_t> open_;
    Buffer<float> coarse_values_, view_points_, values_;
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
                     float* answers, const Stream& stream) {
    launch(look_up, grid_over(num_points), stream, values, resolution, points, num_points, answers);
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
    const LatticeField field = host_field(occupancy, options.resolution, stream);
    const LatticeField counted = [&](const LatticePoint* points, std::int64_t num_points, float* values) {
        surface.num_queries_asked += num_points;
        field(points, num_points, values);
    };
    SparseLattice coarse(options.resolution, options.iso, options.columns);
    const std::vector<LatticePoint> seeds = find_surface_seeds(counted, options, progress, coarse);
    Follower(occupancy, options, coarse, stream, progress).run(seeds, surface);
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
