#include "pipeline/loaded_graph.h"

#include <utility>

#include "core/status.h"

namespace jiff {
namespace {

std::string found_shape(const Shape* found) { return found == nullptr ? "none" : to_string(*found); }

void check_tensors(const GraphSpec& spec, const NamedShapes& expected, const NamedShapes& found,
                   const char* role) {
    for (const auto& [tensor, shape] : expected) {
        const auto match = found.find(tensor);
        if (match == found.end() || match->second != shape) {
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
    const std::string format = engine.format();
    if (format == "onnx") return spec.path;
    if (format == "torchscript" && !spec.torchscript_path.empty()) return spec.torchscript_path;
    throw Error(ErrorCode::kEngine, "engine '" + engine.name() + "' needs '" + spec.path + "' as " + format +
                                        " in float32, which the bundle does not have; export it with "
                                        "--formats onnx," +
                                        format + " --precision fp32, or try another engine");
}

std::unique_ptr<Graph> loaded(const GraphSpec& spec, Engine& engine) {
    const std::string& file = file_for(spec, engine);
    return spec.decides_places ? engine.load_unrounded(file) : engine.load(file);
}

// An engine that gives less than it declared would be read out of bounds: checked on every run.
template <typename Outputs, typename ShapeOf>
void check_outputs(const std::string& name, const GraphSpec& spec, const Outputs& outputs,
                   const ShapeOf& shape_of) {
    for (const auto& [tensor, shape] : spec.outputs) {
        const auto found = outputs.find(tensor);
        const Shape* given = found == outputs.end() ? nullptr : &shape_of(found->second);
        if (given == nullptr || *given != shape) {
            throw Error(ErrorCode::kEngine, "graph '" + name + "' must give '" + tensor + "' of shape " +
                                                to_string(shape) + ", got " + found_shape(given) +
                                                "; try another engine");
        }
    }
}

}  // namespace

LoadedGraph::LoadedGraph(std::string name, GraphSpec spec, Engine& engine)
    : name_(std::move(name)), spec_(std::move(spec)), graph_(loaded(spec_, engine)) {
    check_tensors(spec_, spec_.inputs, graph_->inputs(), "an input");
    check_tensors(spec_, spec_.outputs, graph_->outputs(), "an output");
}

NamedTensors LoadedGraph::run(const NamedViews& inputs) const {
    auto outputs = graph_->run(inputs);
    check_outputs(name_, spec_, outputs, [](const Tensor& tensor) -> const Shape& { return tensor.shape(); });
    return outputs;
}

GpuTensors LoadedGraph::run_on_gpu(const GpuTensors& inputs) const {
    auto outputs = graph_->run_on_gpu(inputs);
    check_outputs(name_, spec_, outputs,
                  [](const GpuTensor& tensor) -> const Shape& { return tensor.shape; });
    return outputs;
}

// Of engines that never say that they run on the GPU.
GpuTensors Graph::run_on_gpu(const GpuTensors&) {
    throw Error(ErrorCode::kEngine, "this engine does not run on the GPU; take another one");
}

}  // namespace jiff
