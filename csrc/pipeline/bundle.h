// A bundle is a directory that holds everything a reconstruction needs; docs/bundle.md is its format.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "engine/engine.h"
#include "ops/implicit_query.h"
#include "ops/joint_query.h"
#include "pipeline/face_model.h"

namespace jiff {

inline constexpr int kBundleSchemaVersion = 1;

struct FrameSpec {
    int image_size_px = 512;
    double margin = 0.1;  // of the figure's longer side, on each side of it
    double size_m = 2.0;  // metric side of the frame where no graph estimates it
};

// Where the picture of an encoder may be cut (docs/bundle.md, Cut pictures), in texels of its map.
struct CutSpec {
    int stride_px = 0;           // pixels a texel
    int figure = 0, border = 0;  // how far a figure reaches, and the left and the upper border
};

struct GraphSpec {
    std::string path;  // ONNX
    NamedShapes inputs, outputs;
    std::map<std::string, std::string> variants;  // paths of other forms, by "format precision"
    // It segments, detects a face or fits one: what it says decides where all else is, and a pixel of the
    // mask's rim that rounding turns over moves the whole surface.
    bool decides_places = false;
    std::optional<CutSpec> cut;
};

// A color head of four outputs blends the photograph's own pixel in (`blends_image` in the manifest).
struct HeadSpec {
    HeadConfig config;
    std::vector<std::string> features;  // graphs whose "features" it reads, in channel order
};

// One network of the face detector, and the score from which on a candidate goes on.
struct FaceStageSpec {
    GraphSpec graph;
    float least_score = 0.0f;
};

struct FaceDetectionSpec {
    FaceStageSpec proposal, refinement, landmarks;
};

// Where a face volume lies (docs/conventions.md, "Face volume"), and the 3-D network that ends its encoding.
struct VolumeSpec {
    enum class Frame { kBody, kFace };
    Frame frame = Frame::kFace;
    float frame_margin = 0.0f;
    int resolution = 0;
    GraphSpec unet;
    bool appends_ones = false;  // a channel, to those of the network
};

struct ShapeVolumeSpec : VolumeSpec {
    std::vector<GraphSpec> points;  // one a stage
};

struct ColorVolumeSpec : VolumeSpec {
    std::array<std::int64_t, 2> num_centers{}, group_sizes{};
    std::array<float, 2> radii{};
    GraphSpec sa1, sa2, sa3, fp3, fp2, fp1;
};

// The joint head for colour reads what the fine head reads; four outputs blend as a HeadSpec's do.
struct FaceColorSpec {
    ColorVolumeSpec volume;
    JointHeadConfig head;
};

// The encoder of the head's own picture: {"picture": [1, 4, S, S], "body": [1, D, T, T], "believed":
// [1, 2, T, T]} to "features" [1, C, T, T].
struct HeadEncoderSpec {
    GraphSpec graph;
    float reach = 0.0f;  // half the picture's side, in half sides of the volume's cube
    float body_depth_scale = 0.0f, depth_scale = 0.0f;  // of the body's head and of the joint one
};

struct FaceSpec {
    std::shared_ptr<const FaceModel> model;
    GraphSpec regressor;
    double side_m = 0.0;         // of the crop, on the mean face
    double region_margin = 0.0;  // share of the longer side of the fitted mesh's box
    ShapeVolumeSpec shape_volume;
    JointHeadConfig shape_head;
    std::vector<std::string> shape_features;  // as HeadSpec::features; none with a head encoder
    std::optional<HeadEncoderSpec> head_encoder;
    std::optional<FaceColorSpec> color;
};

// A second colour network, of a larger picture, that takes activations of the head "color".
struct FineColorSpec {
    GraphSpec encoder;
    int coarse_layers = 0;
    HeadConfig head;
};

// Graphs "shape_encoder" and "color_encoder" and heads "shape" and "color" are always there; a face only with
// a face detection.
struct Bundle {
    std::string directory;
    std::string name, version, license, provenance;
    FrameSpec frame;
    std::map<std::string, GraphSpec> graphs;
    std::map<std::string, HeadSpec> heads;
    std::optional<FaceDetectionSpec> face_detection;
    std::optional<FineColorSpec> fine_color;
    std::optional<FaceSpec> face;
};

// Reads and checks the bundle in `directory`: manifest, schema, sizes, hashes, graphs' tensors, weights.
// Throws Error(kBundle) naming the file, the value and the remedy.
Bundle load_bundle(const std::string& directory);

}  // namespace jiff
