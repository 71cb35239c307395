#include "pipeline/bundle_face.h"

#include <functional>
#include <utility>

#include "pipeline/bundle_graphs.h"
#include "preprocess/face_detection.h"

namespace jiff {
namespace {

constexpr std::int64_t kAny = -1;
constexpr std::int64_t kMostResolution = 256;
constexpr std::int64_t kLeastSources = 3;  // that codes are carried from
constexpr std::int64_t kNumDepths = 2;     // front and back

// A network of the face detector: batches of square windows in, what `outputs` says of a batch out.
FaceStageSpec read_face_stage(
    const ManifestNode& node, const BundleFiles& files, std::int64_t num_channels,
    const std::function<NamedShapes(std::int64_t num_windows, std::int64_t size_px)>& outputs) {
    FaceStageSpec stage{read_graph(node, files), static_cast<float>(node.at("least_score").number(0.0, 1.0))};
    stage.graph.decides_places = true;
    const auto image = stage.graph.inputs.find("image");
    if (stage.graph.inputs.size() != 1 || image == stage.graph.inputs.end() || image->second.size() != 4 ||
        image->second[1] != num_channels || image->second[2] != image->second[3] ||
        image->second[2] < kProposalWindowPx || image->second[2] % kProposalStridePx != 0) {
        node.at("inputs").wrong("one \"image\" of [N, " + std::to_string(num_channels) +
                                ", S, S] with S even and at least " + std::to_string(kProposalWindowPx));
    }
    for (const auto& [name, shape] : outputs(image->second[0], image->second[2])) {
        require_tensor(node.at("outputs"), name, shape);
    }
    return stage;
}

GraphSpec read_regressor(const ManifestNode& node, const BundleFiles& files) {
    require_inputs(node, {{"image", {1, 3, kAny, kAny}}});
    const Shape image = node.at("inputs").at("image").shape();
    if (image[2] != image[3]) node.at("inputs").at("image").wrong("square");
    require_tensor(node.at("outputs"), "coefficients", {1, kNumFaceCoefficients});
    GraphSpec regressor = read_graph(node, files);
    regressor.decides_places = true;
    return regressor;
}

// The square pictures that an encoder of three or four channels takes, and the channels of its features.
std::int64_t require_encoder(const ManifestNode& node) {
    require_inputs(node, {{"image", {1, kAny, kAny, kAny}}});
    const ManifestNode inputs = node.at("inputs");
    const Shape image = inputs.at("image").shape();
    if (image[1] < 3 || image[1] > 4 || image[2] != image[3])
        inputs.wrong("one \"image\" of [1, 3 or 4, S, S]");
    return require_tensor(node.at("outputs"), "features", {1, kAny, kAny, kAny})[1];
}

// All but the points. `num_codes` comes from the point stages, and `num_channels` goes to the head.
VolumeSpec read_volume(const ManifestNode& node, const BundleFiles& files, std::int64_t num_codes,
                       std::int64_t& num_channels) {
    VolumeSpec volume;
    const std::string frame = node.at("frame").text();
    if (frame != "body" && frame != "face") node.at("frame").wrong("\"body\" or \"face\"");
    volume.frame = frame == "body" ? VolumeSpec::Frame::kBody : VolumeSpec::Frame::kFace;
    volume.frame_margin = static_cast<float>(node.at("frame_margin").number(0.0, 10.0));
    const std::int64_t side = node.at("resolution").whole(1, kMostResolution);
    volume.resolution = static_cast<int>(side);
    const ManifestNode unet = node.at("unet");
    require_inputs(unet, {{"volume", {1, num_codes, side, side, side}}});
    num_channels = require_tensor(unet.at("outputs"), "features", {1, kAny, side, side, side})[1];
    volume.unet = read_graph(unet, files);
    volume.appends_ones = node.has("appends_ones") && node.at("appends_ones").truth();
    if (volume.appends_ones) ++num_channels;
    return volume;
}

// Checks one step of a point network and gives the channels of its codes.
std::int64_t require_step(const ManifestNode& node, const NamedShapes& inputs, std::int64_t num_points) {
    require_inputs(node, inputs);
    return require_tensor(node.at("outputs"), "codes", {1, num_points, kAny})[2];
}

ShapeVolumeSpec read_shape_volume(const ManifestNode& node, const BundleFiles& files,
                                  std::int64_t num_vertices, std::int64_t& num_channels) {
    std::vector<GraphSpec> points;
    std::int64_t num_codes = 0;
    for (const ManifestNode& stage : node.at("points").elements()) {
        const Shape codes = {1, num_vertices, num_codes};
        const NamedShapes inputs = points.empty() ? NamedShapes{{"coordinates", {1, num_vertices, 3}}}
                                                  : NamedShapes{{"own", codes}, {"pooled", codes}};
        num_codes = require_step(stage, inputs, num_vertices);
        points.push_back(read_graph(stage, files));
    }
    if (points.empty()) node.at("points").wrong("a list of one graph or more");
    return {read_volume(node, files, num_codes, num_channels), std::move(points)};
}

std::array<ManifestNode, 2> pair_of(const ManifestNode& node) {
    const auto elements = node.elements();
    if (elements.size() != 2) node.wrong("a list of two");
    return {elements[0], elements[1]};
}

ColorVolumeSpec read_color_volume(const ManifestNode& node, const BundleFiles& files,
                                  std::int64_t num_vertices, std::int64_t& num_channels) {
    ColorVolumeSpec spec;
    const auto centers = pair_of(node.at("num_centers"));
    const auto sizes = pair_of(node.at("group_sizes"));
    const auto radii = pair_of(node.at("radii"));
    std::int64_t most_centers = num_vertices;
    for (int level = 0; level < 2; ++level) {
        spec.num_centers[level] = centers[level].whole(kLeastSources, most_centers);
        spec.group_sizes[level] = sizes[level].whole(1, 1 << 16);
        spec.radii[level] = static_cast<float>(radii[level].number(1e-6, 10.0));
        most_centers = spec.num_centers[level];
    }
    const auto [first, second] = spec.num_centers;
    const auto [first_size, second_size] = spec.group_sizes;
    const ManifestNode points = node.at("points");
    const auto step = [&](const char* name, const NamedShapes& inputs, std::int64_t num_points,
                          GraphSpec& graph) {
        const std::int64_t num_codes = require_step(points.at(name), inputs, num_points);
        graph = read_graph(points.at(name), files);
        return num_codes;
    };
    // Groups hold offsets from their centre and codes; those of the first level are coordinates and colours.
    const auto codes1 = step("sa1", {{"groups", {1, first, first_size, 9}}}, first, spec.sa1);
    const auto codes2 = step("sa2", {{"groups", {1, second, second_size, codes1 + 3}}}, second, spec.sa2);
    const auto whole = step("sa3", {{"groups", {1, 1, second, codes2 + 3}}}, 1, spec.sa3);
    const auto back2 =
        step("fp3", {{"own", {1, second, codes2}}, {"carried", {1, second, whole}}}, second, spec.fp3);
    const auto back1 =
        step("fp2", {{"own", {1, first, codes1}}, {"carried", {1, first, back2}}}, first, spec.fp2);
    const auto codes = step("fp1", {{"carried", {1, num_vertices, back1}}}, num_vertices, spec.fp1);
    static_cast<VolumeSpec&>(spec) = read_volume(node, files, codes, num_channels);
    return spec;
}

// All but the joint head's depth scale.
HeadEncoderSpec read_head_encoder(const ManifestNode& node, const BundleFiles& files,
                                  const VolumeSpec& volume, const Bundle& bundle) {
    if (volume.frame != VolumeSpec::Frame::kFace)
        node.wrong("left out: the head's frame is that of a volume whose frame is \"face\"");
    const std::int64_t num_body = bundle.graphs.at("shape_encoder").outputs.at("features")[1];
    if (num_body < kNumDepths)
        node.wrong("left out: it takes depths from two channels of the shape encoder's features");
    require_inputs(node, {{"picture", {1, kAny, kAny, kAny}},
                          {"body", {1, num_body, kAny, kAny}},
                          {"believed", {1, kNumDepths, kAny, kAny}}});
    const ManifestNode inputs = node.at("inputs");
    const Shape picture = inputs.at("picture").shape(), body = inputs.at("body").shape();
    if (picture[1] < 3 || picture[1] > 4 || picture[2] != picture[3])
        inputs.at("picture").wrong("[1, 3 or 4, S, S]");
    if (body[2] != body[3] || body[2] < 2) inputs.at("body").wrong("[1, D, T, T], T at least 2");
    if (inputs.at("believed").shape() != Shape{1, kNumDepths, body[2], body[3]})
        inputs.at("believed").wrong("[1, 2, T, T], as large as \"body\"");
    require_tensor(node.at("outputs"), "features", {1, kAny, kAny, kAny});
    HeadEncoderSpec spec;
    spec.graph = read_graph(node, files);
    spec.reach = static_cast<float>(node.at("reach").number(0.1, 10.0));
    spec.body_depth_scale = bundle.heads.at("shape").config.depth_scale;
    return spec;
}

// What the fine colour's heads take of each point beside the depth.
struct FineInputs {
    std::int64_t num_map_channels, num_coarse;
};

FineInputs fine_inputs(const FineColorSpec& fine, const Bundle& bundle) {
    const auto& coarse = bundle.heads.at("color").config.layers[fine.coarse_layers - 1];
    return {fine.encoder.outputs.at("features")[1], coarse.weight.shape()[0]};
}

}  // namespace

FaceDetectionSpec read_face_detection(const ManifestNode& node, const BundleFiles& files) {
    const auto proposal_outputs = [](std::int64_t num_tiles, std::int64_t size_px) -> NamedShapes {
        const int side = num_proposal_cells(static_cast<int>(size_px));
        return {{"score", {num_tiles, 1, side, side}}, {"offsets", {num_tiles, 4, side, side}}};
    };
    const auto refinement_outputs = [](std::int64_t num_windows, std::int64_t) -> NamedShapes {
        return {{"score", {num_windows, 1}}, {"offsets", {num_windows, 4}}};
    };
    const auto landmark_outputs = [](std::int64_t num_windows, std::int64_t) -> NamedShapes {
        return {{"score", {num_windows, 1}}, {"offsets", {num_windows, 4}}, {"landmarks", {num_windows, 10}}};
    };
    return {read_face_stage(node.at("proposal"), files, 4, proposal_outputs),
            read_face_stage(node.at("refinement"), files, 3, refinement_outputs),
            read_face_stage(node.at("landmarks"), files, 3, landmark_outputs)};
}

FineColorSpec read_fine_color(const ManifestNode& node, const BundleFiles& files, HeadReader& heads,
                              const Bundle& bundle) {
    FineColorSpec fine;
    require_encoder(node.at("encoder"));
    fine.encoder = read_graph(node.at("encoder"), files);
    const auto num_hidden = static_cast<std::int64_t>(bundle.heads.at("color").config.layers.size()) - 1;
    const ManifestNode coarse_layers = node.at("coarse_layers");
    if (num_hidden < 1)
        coarse_layers.wrong("left out with 'fine_color': the head \"color\" has no hidden layer");
    fine.coarse_layers = static_cast<int>(coarse_layers.whole(1, num_hidden));
    const auto [num_map_channels, num_coarse] = fine_inputs(fine, bundle);
    fine.head = heads.head(node.at("head"), num_map_channels, num_coarse);
    require_color_outputs(node.at("head"), "widths");
    return fine;
}

FaceSpec read_face(const ManifestNode& node, const BundleFiles& files, HeadReader& heads,
                   const Bundle& bundle) {
    if (!bundle.face_detection) node.wrong("left out: the bundle has no 'face_detection'");
    FaceSpec face;
    face.model = std::make_shared<FaceModel>(files.path_of(node.at("model").at("file")));
    face.regressor = read_regressor(node.at("regressor"), files);
    face.side_m = node.at("regressor").at("side_m").number(0.01, 10.0);
    face.region_margin = node.at("region_margin").number(0.0, 10.0);

    const std::int64_t num_vertices = face.model->num_vertices();
    const ManifestNode shape = node.at("shape");
    std::int64_t num_volume_channels = 0, num_map_channels = 0;
    face.shape_volume = read_shape_volume(shape.at("volume"), files, num_vertices, num_volume_channels);
    if (shape.has("head_encoder")) {
        face.head_encoder = read_head_encoder(shape.at("head_encoder"), files, face.shape_volume, bundle);
        num_map_channels = face.head_encoder->graph.outputs.at("features")[1];
    } else {
        face.shape_features =
            HeadReader::features(shape.at("head").at("features"), bundle.graphs, num_map_channels);
    }
    face.shape_head = heads.joint_head(shape.at("head"), num_map_channels, 0, num_volume_channels);
    if (face.head_encoder) face.head_encoder->depth_scale = face.shape_head.depth_scale;
    const ManifestNode outputs = shape.at("head").at("widths_joint");
    if (outputs.shape().back() != 1) outputs.elements().back().wrong("1 (occupancy)");

    if (!node.has("color")) return face;
    const ManifestNode color = node.at("color");
    if (!bundle.fine_color) color.wrong("left out: the bundle has no 'fine_color'");
    const auto [num_fine_channels, num_coarse] = fine_inputs(*bundle.fine_color, bundle);
    FaceColorSpec spec;
    spec.volume = read_color_volume(color.at("volume"), files, num_vertices, num_volume_channels);
    spec.head = heads.joint_head(color.at("head"), num_fine_channels, num_coarse, num_volume_channels);
    require_color_outputs(color.at("head"), "widths_joint");
    face.color = std::move(spec);
    return face;
}

}  // namespace jiff
