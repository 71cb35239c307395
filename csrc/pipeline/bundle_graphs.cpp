#include "pipeline/bundle_graphs.h"

#include <utility>

namespace jiff {
namespace {

// "[1, *, 3]" for [1, -1, 3].
std::string spelled(const Shape& shape) {
    std::string text = to_string(shape);
    for (std::size_t at; (at = text.find("-1")) != std::string::npos;) text.replace(at, 2, "*");
    return text;
}

bool is_image(const NamedShapes& tensors, const std::string& name, std::int64_t min_channels,
              std::int64_t max_channels) {
    const auto found = tensors.find(name);
    return found != tensors.end() && found->second.size() == 4 && found->second[0] == 1 &&
           found->second[1] >= min_channels && found->second[1] <= max_channels;
}

void check_graph(const std::string& name, const GraphSpec& graph, const ManifestNode& node,
                 int image_size_px) {
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

// Of each form the first: TensorRT has one for each kind of GPU, which no engine of this library loads.
std::map<std::string, std::string> read_variants(const ManifestNode& graph, const BundleFiles& files) {
    std::map<std::string, std::string> paths;
    if (!graph.has("variants")) return paths;
    for (const auto& variant : graph.at("variants").elements()) {
        const std::string form = variant.at("format").text() + " " + variant.at("precision").text();
        paths.emplace(form, files.path_of(variant.at("file")));
    }
    return paths;
}

std::optional<CutSpec> read_cut(const ManifestNode& graph) {
    constexpr int kMostTexels = 1 << 16;
    if (!graph.has("cut")) return std::nullopt;
    const ManifestNode node = graph.at("cut");
    const auto texels = [&](const char* name, int least) {
        return static_cast<int>(node.at(name).whole(least, kMostTexels));
    };
    const CutSpec cut{texels("stride_px", 1), texels("figure", 0), texels("border", 0)};
    const NamedShapes inputs = graph.at("inputs").shapes(), outputs = graph.at("outputs").shapes();
    const auto image = inputs.find("image"), features = outputs.find("features");
    const bool fits = inputs.size() == 1 && outputs.size() == 1 && is_image(inputs, "image", 1, 1 << 20) &&
                      is_image(outputs, "features", 1, 1 << 20) &&
                      image->second[2] == cut.stride_px * features->second[2] &&
                      image->second[3] == cut.stride_px * features->second[3];
    if (!fits) node.wrong("with an \"image\" alone and \"features\" alone, each texel of stride_px pixels");
    return cut;
}

}  // namespace

GraphSpec read_graph(const ManifestNode& node, const BundleFiles& files) {
    return {files.path_of(node.at("file")),
            node.at("inputs").shapes(),
            node.at("outputs").shapes(),
            read_variants(node, files),
            false,
            read_cut(node)};
}

std::map<std::string, GraphSpec> read_graphs(const ManifestNode& nodes, const BundleFiles& files,
                                             int image_size_px) {
    std::map<std::string, GraphSpec> graphs;
    for (const auto& [name, node] : nodes.members()) {
        GraphSpec graph = read_graph(node, files);
        check_graph(name, graph, node, image_size_px);
        graph.decides_places = name == "segmentation";
        graphs.emplace(name, std::move(graph));
    }
    for (const char* required : {"shape_encoder", "color_encoder"}) nodes.at(required);
    return graphs;
}

Shape require_tensor(const ManifestNode& node, const std::string& name, const Shape& expected) {
    const NamedShapes named = node.shapes();
    const auto found = named.find(name);
    if (found == named.end() || !is_of_shape(found->second, expected))
        node.wrong("such that \"" + name + "\" is of " + spelled(expected));
    return found->second;
}

void require_inputs(const ManifestNode& graph, const NamedShapes& expected) {
    const ManifestNode inputs = graph.at("inputs");
    for (const auto& [name, shape] : expected) require_tensor(inputs, name, shape);
    if (inputs.shapes().size() != expected.size()) {
        std::string names;
        for (const auto& [name, shape] : expected) names += (names.empty() ? "\"" : ", \"") + name + "\"";
        inputs.wrong(names + " alone");
    }
}

}  // namespace jiff
