#include "pipeline/loaded_graph.h"

#include <utility>

#include "core/status.h"

namespace jiff {
namespace {

std::string found_shape(const Shape* found) { return found == nullptr ? "none" : to_string(*found); }

// Sides of a graph that may be cut may be any.
bool is_told(const Shape& found, const GraphSpec& spec, const Shape& expected) {
    return spec.cut ? is_of_shape(expected, found) : found == expected;
}

void check_tensors(const GraphSpec& spec, const NamedShapes& expected, const NamedShapes& found,
                   const char* role) {
    for (const auto& [tensor, shape] : expected) {
        const auto match = found.find(tensor);
        if (match == found.end() || !is_told(match->second, spec, shape)) {
            throw Error(ErrorCode::kBundle, "graph file '" + spec.path + "' must have " + role + " '" +
                                                tensor + "' of shape " + to_string(shape) +
                                                " as the manifest says, got " +
                                                found_shape(match == found.end() ? nullptr : &match->second) +
                                                "; export the bundle again");
        }
    }
}

// The file of the graph that the engine loads.
const std::string& file_for(const GraphSpec& spec, const Engine& engine) {
    const auto [format, precision] = engine.form();
    if (format == "onnx" && precision == "fp32") return spec.path;
    const auto variant = spec.variants.find(format + " " + precision);
    if (variant != spec.variants.end()) return variant->second;
    throw Error(ErrorCode::kEngine, "engine '" + engine.name() + "' needs '" + spec.path + "' as " + format +
                                        " in " + precision + ", which the bundle does not have; export it " +
                                        "with --formats onnx" + (format == "onnx" ? "" : "," + format) +
                                        " --precision fp32" + (precision == "fp32" ? "" : "," + precision) +
                                        ", or try another engine");
}

std::unique_ptr<Graph> loaded(const GraphSpec& spec, Engine& engine) {
    const std::string& file = file_for(spec, engine);
    if (spec.decides_places) return engine.load_unrounded(file);
    return spec.cut ? engine.load_cuttable(file) : engine.load(file);
}

// An engine that gives less than it declared would be read out of bounds: checked on every run.
template <typename Outputs, typename ShapeOf>
void check_outputs(const std::string& name, const NamedShapes& expected, const Outputs& outputs,
                   const ShapeOf& shape_of) {
    for (const auto& [tensor, shape] : expected) {
        const auto found = outputs.find(tensor);
        const Shape* given = found == outputs.end() ? nullptr : &shape_of(found->second);
        if (given == nullptr || *given != shape) {
            throw Error(ErrorCode::kEngine, "graph '" + name + "' must give '" + tensor + "' of shape " +
                                                to_string(shape) + ", got " + found_shape(given) +
                                                "; try another engine");
        }
    }
}

const Shape& shape_of_tensor(const Tensor& tensor) { return tensor.shape(); }

}  // namespace

LoadedGraph::LoadedGraph(std::string name, GraphSpec spec, Engine& engine)
    : name_(std::move(name)), spec_(std::move(spec)), graph_(loaded(spec_, engine)) {
    check_tensors(spec_, spec_.inputs, graph_->inputs(), "an input");
    check_tensors(spec_, spec_.outputs, graph_->outputs(), "an output");
    takes_cut_pictures_ = spec_.cut && graph_->inputs().at("image")[2] == -1;
}

NamedTensors LoadedGraph::run(const NamedViews& inputs) const {
    auto outputs = graph_->run(inputs);
    check_outputs(name_, spec_.outputs, outputs, shape_of_tensor);
    return outputs;
}

Tensor LoadedGraph::run_cut(const Tensor& image) const {
    Shape features = spec_.outputs.at("features");
    for (const int axis : {2, 3}) features[axis] = image.shape()[axis] / spec_.cut->stride_px;
    auto outputs = graph_->run({{"image", image.view()}});
    check_outputs(name_, {{"features", features}}, outputs, shape_of_tensor);
    return std::move(outputs.at("features"));
}

GpuTensors LoadedGraph::run_on_gpu(const GpuTensors& inputs) const {
    auto outputs = graph_->run_on_gpu(inputs);
    check_outputs(name_, spec_.outputs, outputs,
                  [](const GpuTensor& tensor) -> const Shape& { return tensor.shape; });
    return outputs;
}

// Of engines that never say that they run on the GPU.
GpuTensors Graph::run_on_gpu(const GpuTensors&) {
    throw Error(ErrorCode::kEngine, "this engine does not run on the GPU; take another one");
}

}  // namespace jiff
