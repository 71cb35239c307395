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

// May be run from several threads at once.
class Graph {
  public:
    virtual ~Graph() = default;
    // What the graph takes and gives, all static.
    virtual NamedShapes inputs() const = 0;
    virtual NamedShapes outputs() const = 0;
    // Throws Error(kEngine) naming the graph and the tensor when inputs do not fit.
    virtual NamedTensors run(const NamedViews& inputs) = 0;
};

class Engine {
  public:
    virtual ~Engine() = default;
    virtual std::string name() const = 0;
    // Of the files that it loads: a graph's own file is "onnx", other forms are its variants in the bundle.
    virtual std::string format() const { return "onnx"; }
    // Loads the graph file at `path`. Throws Error(kEngine) naming the file.
    virtual std::unique_ptr<Graph> load(const std::string& path) = 0;
};

}  // namespace jiff
