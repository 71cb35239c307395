// A bundle is a directory that holds everything a reconstruction needs; docs/bundle.md is its format.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "engine/engine.h"
#include "ops/implicit_query.h"

namespace jiff {

inline constexpr int kBundleSchemaVersion = 1;

struct FrameSpec {
    int image_size_px = 512;
    double margin = 0.1;  // of the figure's longer side, on each side of it
    double size_m = 2.0;  // metric side of the frame where no graph estimates it
};

struct GraphSpec {
    std::string path;
    NamedShapes inputs, outputs;
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

// Graphs "shape_encoder" and "color_encoder" and heads "shape" and "color" are always there.
struct Bundle {
    std::string directory;
    std::string name, version, license, provenance;
    FrameSpec frame;
    std::map<std::string, GraphSpec> graphs;
    std::map<std::string, HeadSpec> heads;
    std::optional<FaceDetectionSpec> face_detection;
};

// Reads and checks the bundle in `directory`: manifest, schema, sizes, hashes, head weights.
// Throws Error(kBundle) naming the file, the value and the remedy.
Bundle load_bundle(const std::string& directory);

}  // namespace jiff
