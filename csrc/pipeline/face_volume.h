// A fitted face as feature volumes: codes of its vertices, their mean by voxel, a 3-D network
// (paper Sec. 4.2).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "ops/volume_sampling.h"
#include "pipeline/bundle.h"
#include "pipeline/loaded_graph.h"
#include "pipeline/triangle_mesh.h"

namespace jiff {

// Codes of a face's vertices, and the network that makes a volume of their means by voxel.
struct FaceCodes {
    Tensor codes;                      // [1, N, C]
    std::vector<std::int32_t> voxels;  // of each vertex
    VolumeFrame frame;                 // where the volume lies in the view
    int resolution;
    bool appends_ones;        // after the network's channels
    const LoadedGraph* unet;  // of the encoder, which must outlive this
};

// A volume to sample, and where it lies in the view.
struct FaceVolume {
    VolumeSampler sampler;
    VolumeFrame frame;
};

// On the host. Throws what the engine throws, and Error(kInvalidArgument) on codes that are not finite.
FaceVolume volume_of(const FaceCodes& face);

// Where the volume of a face lies whose `vertices` are in the view (docs/conventions.md, "Face volume").
VolumeFrame volume_frame(const VolumeSpec& spec, const Points& vertices);

// The plain mesh: a PointNet pooled by voxel between its stages (paper ref. [49]).
class ShapeVolumeEncoder {
  public:
    // Throws what the engine throws, and Error(kBundle) when a graph has other tensors than `spec`.
    ShapeVolumeEncoder(const ShapeVolumeSpec& spec, Engine& engine);

    // Of vertices in the view, as many as the bundle's face model has. May be called from several threads.
    // Throws Error: kEngine, and kInvalidArgument when a network gives codes that are not finite.
    FaceCodes encode(const Points& vertices) const;

  private:
    ShapeVolumeSpec spec_;
    std::vector<LoadedGraph> points_;
    LoadedGraph unet_;
};

// The coloured mesh: a PointNet++ of two grouping levels (paper ref. [52]).
class ColorVolumeEncoder {
  public:
    // As ShapeVolumeEncoder.
    ColorVolumeEncoder(const ColorVolumeSpec& spec, Engine& engine);

    // `colors` are sRGB in [0, 1], one a vertex.
    FaceCodes encode(const Points& vertices, const std::vector<std::array<float, 3>>& colors) const;

  private:
    ColorVolumeSpec spec_;
    LoadedGraph sa1_, sa2_, sa3_, fp3_, fp2_, fp1_, unet_;
};

}  // namespace jiff
