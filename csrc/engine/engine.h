// An engine runs graphs: named float32 tensors in, named float32 tensors out.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace jiff {

using NamedViews = std::map<std::string, TensorView>;
using NamedTensors = std::map<std::string, Tensor>;
using NamedShapes = std::map<std::string, Shape>;

// A tensor in the memory of the current GPU, as long as its owner is there.
struct GpuTensor {
    const float* data = nullptr;
    Shape shape;
    std::shared_ptr<const void> owner;
};
using GpuTensors = std::map<std::string, GpuTensor>;

// May be run from several threads at once.
class Graph {
  public:
    virtual ~Graph() = default;
    // What the graph takes and gives: all static but for a picture that may come cut (Engine::load_cuttable),
    // whose height and width are -1.
    virtual NamedShapes inputs() const = 0;
    virtual NamedShapes outputs() const = 0;
    // Throws Error(kEngine) naming the graph and the tensor when inputs do not fit.
    virtual NamedTensors run(const NamedViews& inputs) = 0;
    // Whether tensors may stay on the current GPU, where the graph runs.
    virtual bool is_on_gpu() const { return false; }
    // As run, where is_on_gpu: inputs are complete, and so are the outputs when this returns.
    virtual GpuTensors run_on_gpu(const GpuTensors& inputs);
};

// In what form a graph lies in a file: its own is the first, others are its variants in the bundle.
struct GraphForm {
    std::string format = "onnx", precision = "fp32";
};

class Engine {
  public:
    virtual ~Engine() = default;
    virtual std::string name() const = 0;
    // Of the files that it loads.
    virtual GraphForm form() const { return {}; }
    // Loads the graph file at `path`. Throws Error(kEngine) naming the file.
    virtual std::unique_ptr<Graph> load(const std::string& path) = 0;
    // The same for a graph that must not be rounded to the precision that the engine was asked for.
    virtual std::unique_ptr<Graph> load_unrounded(const std::string& path) { return load(path); }
    // The same for a graph whose "image" may come cut (docs/bundle.md, Cut pictures). An engine that takes
    // one size of it alone does what load does.
    virtual std::unique_ptr<Graph> load_cuttable(const std::string& path) { return load(path); }
};

}  // namespace jiff
