// What consecutive points of one pixel column share: the camera is orthographic, so they have the same
// pixel-aligned features, and sampling and the feature part of every layer are linear.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "ops/layer_kernel.h"
#include "ops/packed_matrix.h"
#include "ops/skip_mlp.h"

namespace jiff {

// Consecutive points of one pixel column.
struct Run {
    std::int64_t begin, end;
};

// A number of whole or cut runs that one thread takes at a time.
struct Tile {
    std::int64_t first_run, num_runs;
    std::int64_t begin, end;  // points
};

struct Tiles {
    std::vector<Run> runs;
    std::vector<Tile> tiles;
};

// Cuts `points` [N, 3] into tiles: large ones share more, small ones keep every thread busy.
Tiles cut_tiles(const float* points, std::int64_t num_points, std::int64_t num_lanes);

// Throws Error(kInvalidArgument) unless `maps` are feature maps of together `num_channels` channels.
void check_maps(const std::vector<TensorView>& maps, std::int64_t num_channels);

// One tile's columns on panels: what every layer takes from them, and which points take it. Memory of one
// thread, kept between tiles.
struct TileColumns {
    AlignedBuffer features;  // panels of runs, feature channels
    AlignedBuffer shared;    // panels of runs, the shared part of every layer
    std::vector<float> run_xy;
    std::vector<LaneSegment> segments;         // of all panels of points, offsets into `shared`
    std::vector<std::int32_t> first_segments;  // of each panel of points, and the end

    // The block of `num_panels` panels of points from `first_panel` on.
    PanelBlock block(std::int64_t first_panel, std::int64_t num_panels, const float* own,
                     std::int64_t own_stride) const {
        return {
            num_panels, own, own_stride, shared.data(), segments.data(), first_segments.data() + first_panel};
    }
};

// The shared part of the layers of one or several MLPs, below each other.
class SharedPart {
  public:
    struct Mlp {
        const std::vector<HeadLayer>* layers;
        std::int64_t num_start;
    };

    SharedPart() = default;
    // The first `num_channels` raw channels are shared.
    SharedPart(const LayerKernel& kernel, const std::vector<Mlp>& mlps, std::int64_t num_channels);

    std::int64_t num_channels() const { return num_channels_; }

    // Fills `columns` for the runs of a tile.
    void evaluate(const std::vector<TensorView>& maps, const float* points, const std::vector<Run>& runs,
                  const Tile& tile, TileColumns& columns) const;

  private:
    const LayerKernel* kernel_ = nullptr;
    std::int64_t num_channels_ = 0;
    PackedMatrix weights_;
    std::vector<float> biases_;
};

}  // namespace jiff
