#include "pipeline/bundle_heads.h"

#include <utility>
#include <vector>

#include "io/safetensors.h"

namespace jiff {
namespace {

HeadActivation read_activation(const ManifestNode& node) {
    const std::string activation = node.text();
    if (activation == "sigmoid") return HeadActivation::kSigmoid;
    if (activation == "tanh") return HeadActivation::kTanh01;
    node.wrong("\"sigmoid\" or \"tanh\"");
}

float read_depth_scale(const ManifestNode& node) { return static_cast<float>(node.number(-1e6, 1e6)); }

// Layer widths that begin with `first`; `meaning` says what that counts.
Shape read_widths(const ManifestNode& node, std::int64_t first, const std::string& meaning) {
    Shape widths = node.shape();
    if (widths.size() < 2 || widths.front() != first) {
        node.wrong("two or more layer widths, the first " + std::to_string(first) + " (" + meaning + ")");
    }
    return widths;
}

Tensor copy_tensor(const std::map<std::string, Tensor>& tensors, const std::string& path,
                   const std::string& name, const Shape& shape) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail_bundle("'" + path + "' has no tensor '" + name + "'", kExportAgain);
    if (found->second.shape() != shape) {
        fail_bundle("tensor '" + name + "' of '" + path + "' must have shape " + to_string(shape) + ", got " +
                        to_string(found->second.shape()),
                    kExportAgain);
    }
    return found->second;
}

}  // namespace

std::map<std::string, HeadSpec> HeadReader::heads(const ManifestNode& node,
                                                  const std::map<std::string, GraphSpec>& graphs) {
    std::map<std::string, HeadSpec> heads;
    for (const auto& [name, entry] : node.members()) {
        HeadSpec spec;
        std::int64_t num_channels = 0;
        spec.features = features(entry.at("features"), graphs, num_channels);
        spec.config = head(entry, num_channels, 0);
        heads.emplace(name, std::move(spec));
    }
    const ManifestNode shape = node.at("shape").at("widths");
    if (shape.shape().back() != 1) shape.elements().back().wrong("1 (occupancy)");
    require_color_outputs(node.at("color"), "widths");
    return heads;
}

HeadConfig HeadReader::head(const ManifestNode& node, std::int64_t num_map_channels,
                            std::int64_t num_point_features) {
    const std::int64_t num_raw = num_map_channels + num_point_features + 1;
    const Shape widths =
        read_widths(node.at("widths"), num_raw, "the channels of its features and the depth");
    HeadConfig config;
    config.activation = read_activation(node.at("activation"));
    config.depth_scale = read_depth_scale(node.at("depth_scale"));
    config.num_point_features = num_point_features;
    config.layers = layers(node, node.at("prefix").text(), widths, num_raw, /*starts_from_raw=*/true);
    return config;
}

JointHeadConfig HeadReader::joint_head(const ManifestNode& node, std::int64_t num_map_channels,
                                       std::int64_t num_point_features, std::int64_t num_volume_channels) {
    const std::int64_t num_raw_2d = num_map_channels + num_point_features + 1;
    const Shape widths_2d =
        read_widths(node.at("widths_2d"), num_raw_2d, "the channels of its features and the depth");
    const Shape widths_3d =
        read_widths(node.at("widths_3d"), num_volume_channels, "the channels of its volume");
    const Shape widths_joint = read_widths(node.at("widths_joint"), widths_2d.back() + widths_3d.back(),
                                           "what both branches end with");
    JointHeadConfig config;
    config.activation = read_activation(node.at("activation"));
    config.depth_scale = read_depth_scale(node.at("depth_scale"));
    config.num_point_features = num_point_features;
    const std::string prefix = node.at("prefix").text();
    config.branch_2d = layers(node, prefix + ".branch_2d", widths_2d, num_raw_2d, true);
    config.branch_3d = layers(node, prefix + ".branch_3d", widths_3d, num_volume_channels, true);
    config.joint = layers(node, prefix + ".joint", widths_joint, num_raw_2d + num_volume_channels, false);
    return config;
}

std::vector<std::string> HeadReader::features(const ManifestNode& node,
                                              const std::map<std::string, GraphSpec>& graphs,
                                              std::int64_t& num_channels) {
    std::vector<std::string> names;
    num_channels = 0;
    for (const ManifestNode& feature : node.elements()) {
        const std::string name = feature.text();
        if (name != "shape_encoder" && name != "color_encoder") {
            feature.wrong("\"shape_encoder\" or \"color_encoder\"");
        }
        num_channels += graphs.at(name).outputs.at("features")[1];
        names.push_back(name);
    }
    if (names.empty()) node.wrong("a list of one graph or more");
    return names;
}

const std::map<std::string, Tensor>& HeadReader::tensors_of(const std::string& path) {
    const auto found = opened_.find(path);
    return found != opened_.end() ? found->second
                                  : opened_.emplace(path, read_safetensors(path)).first->second;
}

// Every layer takes what the one before gave, then `num_raw` channels; the first one only the latter where it
// `starts_from_raw`.
std::vector<HeadLayer> HeadReader::layers(const ManifestNode& node, const std::string& prefix,
                                          const Shape& widths, std::int64_t num_raw, bool starts_from_raw) {
    const std::string path = files_.path_of(node.at("file"));
    const auto& tensors = tensors_of(path);
    std::vector<HeadLayer> layers;
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
        const bool takes_raw_alone = i == 0 && starts_from_raw;
        const std::string name = prefix + ".layers." + std::to_string(i);
        HeadLayer layer;
        layer.weight = copy_tensor(tensors, path, name + ".weight",
                                   {widths[i + 1], takes_raw_alone ? num_raw : widths[i] + num_raw});
        layer.bias = copy_tensor(tensors, path, name + ".bias", {widths[i + 1]});
        layers.push_back(std::move(layer));
    }
    return layers;
}

void require_color_outputs(const ManifestNode& head, const char* widths) {
    const bool blends = head.has("blends_image") && head.at("blends_image").truth();
    const ManifestNode found = head.at(widths);
    if (found.shape().back() == (blends ? 4 : 3)) return;
    found.elements().back().wrong(blends ? "4 (RGB and the weight of the photograph's own pixel)"
                                         : "3 (RGB)");
}

}  // namespace jiff
