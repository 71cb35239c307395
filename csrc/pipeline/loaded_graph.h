// A graph of a bundle, loaded by an engine and held to what the manifest says of it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "pipeline/bundle.h"

namespace jiff {

class LoadedGraph {
  public:
    // `name` is for messages. Throws what the engine throws, and Error(kBundle) when the graph has other
    // tensors than `spec`.
    LoadedGraph(std::string name, GraphSpec spec, Engine& engine);

    const GraphSpec& spec() const { return spec_; }

    // Throws Error(kEngine) when the engine gives less than it declared.
    NamedTensors run(const NamedViews& inputs) const;

    // Whether "image" may come cut: by spec().cut, and by the engine.
    bool takes_cut_pictures() const { return takes_cut_pictures_; }

    // Gives "features" of a picture of other sides, whole multiples of the stride, where that is so.
    Tensor run_cut(const Tensor& image) const;

    // The same for tensors that stay on the GPU, where the graph runs.
    bool is_on_gpu() const { return graph_->is_on_gpu(); }
    GpuTensors run_on_gpu(const GpuTensors& inputs) const;

    // Runs on the input "image".
    NamedTensors run(const Tensor& image) const { return run(NamedViews{{"image", image.view()}}); }

    // Runs and gives the output `name`, which `spec` has.
    Tensor run(const NamedViews& inputs, const std::string& name) const {
        return std::move(run(inputs).at(name));
    }

  private:
    std::string name_;
    GraphSpec spec_;
    std::unique_ptr<Graph> graph_;
    bool takes_cut_pictures_;
};

}  // namespace jiff
