#include "pipeline/bundle.h"

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "preprocess/face_detection.h"

namespace jiff {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kManifest[] = "bundle.json";

[[noreturn]] void fail(const std::string& message, const std::string& remedy) {
    throw Error(ErrorCode::kBundle, message + "; " + remedy);
}

const char kCopyAgain[] = "copy or download the bundle again";
const char kExportAgain[] = "export the bundle again";

// A place in the manifest that knows its path there, so that messages can name it.
class Node {
  public:
    Node(const json& value, std::string file, std::string where)
        : value_(value), file_(std::move(file)), where_(std::move(where)) {}

    bool has(const std::string& key) const { return value_.is_object() && value_.contains(key); }

    Node at(const std::string& key) const {
        const std::string where = where_.empty() ? key : where_ + "." + key;
        if (!has(key)) fail("'" + file_ + "' has no '" + where + "'", kExportAgain);
        return Node(value_[key], file_, where);
    }

    std::map<std::string, Node> members() const {
        if (!value_.is_object()) wrong("an object");
        std::map<std::string, Node> found;
        for (const auto& [key, value] : value_.items()) found.emplace(key, at(key));
        return found;
    }

    std::vector<Node> elements() const {
        if (!value_.is_array()) wrong("a list");
        std::vector<Node> found;
        for (const auto& value : value_)
            found.emplace_back(value, file_, where_ + "[" + std::to_string(found.size()) + "]");
        return found;
    }

    std::string text() const {
        if (!value_.is_string()) wrong("a text");
        return value_.get<std::string>();
    }

    std::int64_t whole(std::int64_t low, std::int64_t high) const {
        const bool fits = value_.is_number_integer() && value_ >= low && value_ <= high;
        if (!fits) wrong("a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        return value_.get<std::int64_t>();
    }

    double number(double low, double high) const {
        const bool fits = value_.is_number() && value_ >= low && value_ <= high;
        if (!fits) wrong("a number from " + json(low).dump() + " to " + json(high).dump());
        return value_.get<double>();
    }

    bool truth() const {
        if (!value_.is_boolean()) wrong("true or false");
        return value_.get<bool>();
    }

    Shape shape() const {
        Shape sides;
        for (const Node& side : elements()) sides.push_back(side.whole(1, 1 << 20));
        return sides;
    }

    NamedShapes shapes() const {
        NamedShapes named;
        for (const auto& [name, node] : members()) named.emplace(name, node.shape());
        return named;
    }

    // `expected` completes the sentence "… must be …".
    [[noreturn]] void wrong(const std::string& expected) const {
        std::string value = value_.dump(-1, ' ', false, json::error_handler_t::replace);
        if (value.size() > 80) value = value.substr(0, 77) + "...";
        fail("'" + where_ + "' in '" + file_ + "' must be " + expected + ", got " + value, kExportAgain);
    }

    const std::string& file() const { return file_; }

  private:
    const json& value_;
    std::string file_, where_;
};

// The path of a listed file. A name that leads out of the bundle is refused.
std::string member_path(const Node& file, const std::string& directory) {
    const std::string name = file.text();
    if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos) {
        file.wrong("the plain name of a file beside it");
    }
    return (fs::path(directory) / name).string();
}

void check_listed_file(const std::string& path, const Node& record) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) fail("bundle file '" + path + "' is missing", kCopyAgain);
    const auto expected_bytes = static_cast<std::uintmax_t>(record.at("num_bytes").whole(0, INT64_MAX));
    const auto found_bytes = fs::file_size(path, error);
    if (error || found_bytes != expected_bytes) {
        fail("bundle file '" + path + "' has " + std::to_string(error ? 0 : found_bytes) +
                 " bytes, the manifest says " + std::to_string(expected_bytes),
             kCopyAgain);
    }
    const auto bytes = read_file(path);
    const std::string expected = record.at("sha256").text();
    const std::string found = sha256_hex(bytes.data(), bytes.size());
    if (found != expected) {
        fail("bundle file '" + path + "' was altered: its sha256 is " + found + ", the manifest says " +
                 expected,
             kCopyAgain);
    }
}

FrameSpec read_frame(const Node& node) {
    FrameSpec frame;
    frame.image_size_px = static_cast<int>(node.at("image_size_px").whole(16, 4096));
    frame.margin = node.at("margin").number(0.0, 1.0);
    frame.size_m = node.at("size_m").number(0.01, 100.0);
    return frame;
}

bool is_image(const NamedShapes& tensors, const std::string& name, std::int64_t min_channels,
              std::int64_t max_channels) {
    const auto found = tensors.find(name);
    return found != tensors.end() && found->second.size() == 4 && found->second[0] == 1 &&
           found->second[1] >= min_channels && found->second[1] <= max_channels;
}

void check_graph(const std::string& name, const GraphSpec& graph, const Node& node, int image_size_px) {
    if (name == "segmentation") {
        if (graph.inputs.size() != 1 || !is_image(graph.inputs, "image", 3, 3)) {
            node.at("inputs").wrong("one \"image\" of [1, 3, height, width]");
        }
        if (!is_image(graph.outputs, "matte", 1, 1))
            node.at("outputs").wrong("\"matte\" of [1, 1, height, width]");
        return;
    }
    const auto image = graph.inputs.find("image");
    if (graph.inputs.size() != 1 || !is_image(graph.inputs, "image", 3, 4) ||
        image->second[2] != image->second[3] || image->second[2] < 1 ||
        image_size_px % image->second[2] != 0) {
        node.at("inputs").wrong("one \"image\" of [1, 3 or 4, S, S] with S the frame's " +
                                std::to_string(image_size_px) + " px or a whole fraction of it");
    }
    if (!is_image(graph.outputs, "features", 1, 1 << 20)) {
        node.at("outputs").wrong("\"features\" of [1, channels, height, width]");
    }
    const auto size = graph.outputs.find("log_size_m");
    if (size != graph.outputs.end() && num_elements(size->second) != 1) {
        node.at("outputs").at("log_size_m").wrong("[1, 1]");
    }
}

GraphSpec read_graph(const Node& node, const std::string& directory) {
    return {member_path(node.at("file"), directory), node.at("inputs").shapes(), node.at("outputs").shapes()};
}

std::map<std::string, GraphSpec> read_graphs(const Node& nodes, const std::string& directory,
                                             int image_size_px) {
    std::map<std::string, GraphSpec> graphs;
    for (const auto& [name, node] : nodes.members()) {
        GraphSpec graph = read_graph(node, directory);
        check_graph(name, graph, node, image_size_px);
        graphs.emplace(name, std::move(graph));
    }
    for (const char* required : {"shape_encoder", "color_encoder"}) nodes.at(required);
    return graphs;
}

// A network of the face detector: batches of square windows in, what `outputs` says of a batch out.
FaceStageSpec read_face_stage(
    const Node& node, const std::string& directory, std::int64_t num_channels,
    const std::function<NamedShapes(std::int64_t num_windows, std::int64_t size_px)>& outputs) {
    FaceStageSpec stage{read_graph(node, directory),
                        static_cast<float>(node.at("least_score").number(0.0, 1.0))};
    const auto image = stage.graph.inputs.find("image");
    if (stage.graph.inputs.size() != 1 || image == stage.graph.inputs.end() || image->second.size() != 4 ||
        image->second[1] != num_channels || image->second[2] != image->second[3] ||
        image->second[2] < kProposalWindowPx || image->second[2] % kProposalStridePx != 0) {
        node.at("inputs").wrong("one \"image\" of [N, " + std::to_string(num_channels) +
                                ", S, S] with S even and at least " + std::to_string(kProposalWindowPx));
    }
    for (const auto& [name, shape] : outputs(image->second[0], image->second[2])) {
        const auto found = stage.graph.outputs.find(name);
        if (found == stage.graph.outputs.end() || found->second != shape) {
            node.at("outputs").wrong("such that \"" + name + "\" is of " + to_string(shape));
        }
    }
    return stage;
}

FaceDetectionSpec read_face_detection(const Node& node, const std::string& directory) {
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
    return {read_face_stage(node.at("proposal"), directory, 4, proposal_outputs),
            read_face_stage(node.at("refinement"), directory, 3, refinement_outputs),
            read_face_stage(node.at("landmarks"), directory, 3, landmark_outputs)};
}

HeadLayer take_layer(std::map<std::string, Tensor>& tensors, const std::string& path,
                     const std::string& prefix, const Shape& weight_shape) {
    const auto take = [&](const std::string& name, const Shape& shape) {
        const auto found = tensors.find(name);
        if (found == tensors.end()) fail("'" + path + "' has no tensor '" + name + "'", kExportAgain);
        if (found->second.shape() != shape) {
            fail("tensor '" + name + "' of '" + path + "' must have shape " + to_string(shape) + ", got " +
                     to_string(found->second.shape()),
                 kExportAgain);
        }
        return std::move(found->second);
    };
    HeadLayer layer;
    layer.weight = take(prefix + ".weight", weight_shape);
    layer.bias = take(prefix + ".bias", {weight_shape[0]});
    return layer;
}

HeadSpec read_head(const Node& node, const std::string& directory,
                   const std::map<std::string, GraphSpec>& graphs) {
    HeadSpec head;
    std::int64_t num_channels = 1;  // the depth feature
    for (const Node& feature : node.at("features").elements()) {
        const std::string name = feature.text();
        if (name != "shape_encoder" && name != "color_encoder") {
            feature.wrong("\"shape_encoder\" or \"color_encoder\"");
        }
        num_channels += graphs.at(name).outputs.at("features")[1];
        head.features.push_back(name);
    }
    const Shape widths = node.at("widths").shape();
    if (head.features.empty() || widths.size() < 2 || widths.front() != num_channels) {
        node.at("widths").wrong("two or more layer widths, the first " + std::to_string(num_channels) +
                                " (the channels of its features and the depth)");
    }
    const std::string activation = node.at("activation").text();
    if (activation == "sigmoid") {
        head.config.activation = HeadActivation::kSigmoid;
    } else if (activation == "tanh") {
        head.config.activation = HeadActivation::kTanh01;
    } else {
        node.at("activation").wrong("\"sigmoid\" or \"tanh\"");
    }
    head.config.depth_scale = static_cast<float>(node.at("depth_scale").number(-1e6, 1e6));

    const std::string path = member_path(node.at("file"), directory);
    const std::string prefix = node.at("prefix").text();
    auto tensors = read_safetensors(path);
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
        const Shape weight_shape = {widths[i + 1], i == 0 ? widths[0] : widths[i] + widths[0]};
        head.config.layers.push_back(
            take_layer(tensors, path, prefix + ".layers." + std::to_string(i), weight_shape));
    }
    return head;
}

std::map<std::string, HeadSpec> read_heads(const Node& nodes, const std::string& directory,
                                           const std::map<std::string, GraphSpec>& graphs) {
    std::map<std::string, HeadSpec> heads;
    for (const auto& [name, node] : nodes.members()) heads.emplace(name, read_head(node, directory, graphs));
    const auto require_outputs = [&](const char* name, int num_outputs, const std::string& reason) {
        const Node widths = nodes.at(name).at("widths");
        if (widths.shape().back() == num_outputs) return;
        widths.elements().back().wrong(std::to_string(num_outputs) + reason);
    };
    require_outputs("shape", 1, " (occupancy)");
    const Node color = nodes.at("color");
    if (color.has("blends_image") && color.at("blends_image").truth()) {
        require_outputs("color", 4, " (RGB and the weight of the photograph's own pixel)");
    } else {
        require_outputs("color", 3, " (RGB)");
    }
    return heads;
}

}  // namespace

Bundle load_bundle(const std::string& directory) {
    const std::string manifest_path = (fs::path(directory) / kManifest).string();
    std::error_code error;
    if (!fs::is_regular_file(manifest_path, error)) {
        fail("'" + directory + "' is no bundle: it has no bundle.json",
             "give the directory that an export wrote");
    }
    const auto text = read_file(manifest_path);
    const json manifest = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!manifest.is_object()) fail("'" + manifest_path + "' is not JSON", kCopyAgain);
    const Node root(manifest, manifest_path, "");

    const auto schema_version = root.at("schema_version").whole(1, INT32_MAX);
    if (schema_version > kBundleSchemaVersion) {
        fail("'" + manifest_path + "' has schema version " + std::to_string(schema_version) +
                 ", this reader knows up to " + std::to_string(kBundleSchemaVersion),
             "upgrade jiffsdk or export the bundle with this version");
    }
    const auto files = root.at("files").members();
    for (const auto& [name, record] : files) {
        const json key = name;
        check_listed_file(member_path(Node(key, manifest_path, "files"), directory), record);
    }

    Bundle bundle;
    bundle.directory = directory;
    bundle.name = root.at("name").text();
    bundle.version = root.at("version").text();
    bundle.license = root.at("license").text();
    bundle.provenance = root.at("provenance").text();
    bundle.frame = read_frame(root.at("frame"));
    // A graph or head whose file the manifest does not list has not been checked.
    std::vector<std::string> groups = {"graphs", "heads"};
    if (root.has("face_detection")) groups.push_back("face_detection");
    for (const std::string& group : groups) {
        for (const auto& [name, part] : root.at(group).members()) {
            if (files.count(part.at("file").text()) == 0)
                part.at("file").wrong("a file listed under 'files'");
        }
    }
    bundle.graphs = read_graphs(root.at("graphs"), directory, bundle.frame.image_size_px);
    bundle.heads = read_heads(root.at("heads"), directory, bundle.graphs);
    if (root.has("face_detection")) {
        bundle.face_detection = read_face_detection(root.at("face_detection"), directory);
    }
    return bundle;
}

}  // namespace jiff
