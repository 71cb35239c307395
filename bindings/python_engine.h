// Engines written in Python (jiffsdk.engines) as engines of the core.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>

#include "arrays.h"
#include "core/status.h"
#include "engine/engine.h"

namespace jiff::bindings {

namespace py = pybind11;

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

// A Python object that the core may drop on any thread, with or without the GIL.
class PythonObject {
  public:
    explicit PythonObject(py::object object) : object_(std::move(object)) {}
    ~PythonObject() {
        const py::gil_scoped_acquire gil;
        object_ = py::object();
    }
    PythonObject(const PythonObject&) = delete;
    PythonObject& operator=(const PythonObject&) = delete;

    const py::object& get() const { return object_; }

  private:
    py::object object_;
};

// jiffsdk.engines.Graph as a jiff::Graph.
class PythonGraph : public Graph {
  public:
    explicit PythonGraph(py::object graph) : graph_(std::move(graph)) {}

    NamedShapes inputs() const override { return shapes("inputs"); }
    NamedShapes outputs() const override { return shapes("outputs"); }

    NamedTensors run(const NamedViews& inputs) override {
        const py::gil_scoped_acquire gil;
        py::dict arrays;
        for (const auto& [name, view] : inputs) arrays[py::str(name)] = array_of(view);
        NamedTensors outputs;
        for (const auto& [name, value] : graph_.get().attr("run")(arrays).cast<py::dict>())
            outputs.emplace(name.cast<std::string>(), taken(value.cast<FloatArray>()));
        return outputs;
    }

    bool is_on_gpu() const override {
        const py::gil_scoped_acquire gil;
        return graph_.get().attr("is_on_gpu").cast<bool>();
    }

    GpuTensors run_on_gpu(const GpuTensors& inputs) override {
        const py::gil_scoped_acquire gil;
        const py::object device_array =
            py::module_::import("jiffsdk.engines.device_array").attr("DeviceArray");
        const py::object float32 = py::dtype::of<float>();
        py::dict arrays;
        for (const auto& [name, tensor] : inputs) {
            const auto pointer = reinterpret_cast<std::uintptr_t>(tensor.data);
            arrays[py::str(name)] = device_array(pointer, py::tuple(py::cast(tensor.shape)), float32);
        }
        GpuTensors outputs;
        for (const auto& [name, value] : graph_.get().attr("run_on_gpu")(arrays).cast<py::dict>()) {
            const py::object array = device_array.attr("of")(value);
            if (array.is_none() || !py::object(array.attr("dtype")).equal(float32)) {
                throw Error(ErrorCode::kEngine, "output '" + name.cast<std::string>() +
                                                    "' of a graph on the GPU must be a float32 array there");
            }
            const auto* data = reinterpret_cast<const float*>(array.attr("pointer").cast<std::uintptr_t>());
            auto owner = std::make_shared<PythonObject>(py::reinterpret_borrow<py::object>(value));
            outputs.emplace(name.cast<std::string>(),
                            GpuTensor{data, array.attr("shape").cast<Shape>(), std::move(owner)});
        }
        return outputs;
    }

  private:
    // Without a copy where the array can keep the owner of the values.
    static py::array_t<float> array_of(const TensorView& view) {
        if (!view.owner) return py::array_t<float>(view.shape, view.data);
        using Owner = std::shared_ptr<const void>;
        const py::capsule keeper(new Owner(view.owner),
                                 [](void* owner) { delete static_cast<Owner*>(owner); });
        return py::array_t<float>(view.shape, view.data, keeper);
    }

    // Without a copy of an array that is writeable, and so belongs to nobody who forbids it.
    static Tensor taken(const FloatArray& array) {
        if (!array.writeable()) return tensor_of(array);
        const auto owner = std::make_shared<PythonObject>(array);
        return Tensor(shape_of(array), std::shared_ptr<float>(owner, const_cast<float*>(array.data())));
    }

    NamedShapes shapes(const char* role) const {
        const py::gil_scoped_acquire gil;
        return graph_.get().attr(role).cast<NamedShapes>();
    }

    PythonObject graph_;
};

// jiffsdk.engines.Engine as a jiff::Engine.
class PythonEngine : public Engine {
  public:
    explicit PythonEngine(py::object engine) : engine_(std::move(engine)) {}

    std::string name() const override {
        const py::gil_scoped_acquire gil;
        return engine_.get().attr("name").cast<std::string>();
    }

    std::unique_ptr<Graph> load(const std::string& path) override {
        const py::gil_scoped_acquire gil;
        return std::make_unique<PythonGraph>(engine_.get().attr("load")(path));
    }

  private:
    PythonObject engine_;
};

}  // namespace jiff::bindings
