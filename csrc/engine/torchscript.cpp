// The engine "torchscript" as a module of libjiff: LibTorch on the CPU in float32, on a GPU in float32 or
// float16. Linked into nothing else.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/Device.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "jiff/engine_module.h"

namespace {

// The exporter writes into each file which tensors it takes and gives, in order.
constexpr char kInterfaceFile[] = "jiff.json";

struct Port {
    std::string name;
    std::vector<std::int64_t> shape;

    jiff_engine_tensor tensor(const float* data) const {
        return {name.c_str(), shape.data(), shape.size(), data};
    }
};

struct TorchGraph {
    torch::jit::Module module;
    c10::Device device;
    std::vector<Port> inputs, outputs;
};

struct TorchEngine {  // LibTorch keeps its state by itself
    c10::Device device;
};

// An emulated GPU, for tests, is the processor: its memory is the host's.
#if defined(JIFF_CUDA_EMULATED)
constexpr c10::DeviceType kGpu = c10::kCPU;
#else
constexpr c10::DeviceType kGpu = c10::kCUDA;
#endif

// Runs `call`; what it throws goes to the caller as the words that tell it. True when it threw nothing.
bool guarded(const jiff_engine_answer* answer, const std::function<void()>& call) noexcept {
    try {
        call();
        return true;
    } catch (const c10::Error& error) {
        answer->fail(answer->context, error.what_without_backtrace());
    } catch (const std::exception& error) {
        answer->fail(answer->context, error.what());
    } catch (...) {
        answer->fail(answer->context, "LibTorch threw something unknown");
    }
    return false;
}

std::vector<Port> ports_of(const nlohmann::json& listed) {
    std::vector<Port> ports;
    for (const auto& port : listed)
        ports.push_back({port.at(0).get<std::string>(), port.at(1).get<std::vector<std::int64_t>>()});
    return ports;
}

std::unique_ptr<TorchGraph> load_graph(const TorchEngine& engine, const char* path) {
    torch::jit::ExtraFilesMap extra = {{kInterfaceFile, ""}};
    auto module = torch::jit::load(path, engine.device, extra);
    const auto interface =
        nlohmann::json::parse(extra.at(kInterfaceFile), nullptr, /*allow_exceptions=*/false);
    if (!interface.is_object())
        throw std::runtime_error(std::string("it has no ") + kInterfaceFile + "; export the bundle again");
    module.eval();
    return std::make_unique<TorchGraph>(TorchGraph{std::move(module), engine.device,
                                                   ports_of(interface.at("inputs")),
                                                   ports_of(interface.at("outputs"))});
}

void tell(const std::vector<Port>& ports, const jiff_engine_answer* answer) {
    for (const auto& port : ports) {
        const jiff_engine_tensor tensor = port.tensor(nullptr);
        answer->tensor(answer->context, &tensor);
    }
}

std::vector<at::Tensor> tensors_of(const c10::IValue& result) {
    std::vector<at::Tensor> tensors;
    if (result.isTensor()) {
        tensors.push_back(result.toTensor());
    } else {
        for (const auto& element : result.toTupleRef().elements()) tensors.push_back(element.toTensor());
    }
    return tensors;
}

// What the graph makes of inputs in the memory of `from`, on its own device, in float32.
std::vector<at::Tensor> results_of(TorchGraph& graph, const jiff_engine_tensor* inputs,
                                   std::size_t num_inputs, c10::Device from) {
    const c10::InferenceMode mode;
    std::vector<c10::IValue> given;
    for (std::size_t i = 0; i < num_inputs; ++i) {
        // Only read, though LibTorch has no const form of it.
        const auto tensor = at::from_blob(const_cast<float*>(inputs[i].data),
                                          at::IntArrayRef(inputs[i].shape, inputs[i].rank),
                                          at::TensorOptions(at::kFloat).device(from));
        given.emplace_back(tensor.to(graph.device));
    }
    auto results = tensors_of(graph.module.forward(std::move(given)));
    if (results.size() != graph.outputs.size()) {
        throw std::runtime_error("it gives " + std::to_string(results.size()) + " tensors, its " +
                                 kInterfaceFile + " names " + std::to_string(graph.outputs.size()));
    }
    for (at::Tensor& result : results) result = result.to(at::kFloat).contiguous();
    return results;
}

void run_graph(TorchGraph& graph, const jiff_engine_tensor* inputs, std::size_t num_inputs,
               const jiff_engine_answer* answer) {
    const c10::OptionalDeviceGuard device(graph.device);
    const auto results = results_of(graph, inputs, num_inputs, c10::kCPU);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const at::Tensor result = results[i].to(c10::kCPU);
        const Port actual{graph.outputs[i].name, result.sizes().vec()};
        const jiff_engine_tensor tensor = actual.tensor(result.const_data_ptr<float>());
        answer->tensor(answer->context, &tensor);
    }
}

void run_graph_on_gpu(TorchGraph& graph, const jiff_engine_tensor* inputs, std::size_t num_inputs,
                      const jiff_engine_answer* answer) {
    const c10::OptionalDeviceGuard device(graph.device);
    const auto results = results_of(graph, inputs, num_inputs, graph.device);
    if (graph.device.is_cuda()) c10::impl::VirtualGuardImpl(kGpu).getStream(graph.device).synchronize();
    for (std::size_t i = 0; i < results.size(); ++i) {
        const Port actual{graph.outputs[i].name, results[i].sizes().vec()};
        const jiff_engine_tensor tensor = actual.tensor(results[i].const_data_ptr<float>());
        auto owner = std::make_unique<at::Tensor>(results[i]);
        answer->gpu_tensor(answer->context, &tensor, owner.release(),
                           [](void* tensor) { delete static_cast<at::Tensor*>(tensor); });
    }
}

// The device that the options name. LibTorch computes float16 on a processor in a scalar loop.
c10::Device checked_device(const jiff_engine_options& options) {
    const std::string device = options.device, precision = options.precision;
    const auto refuse = [](const char* what, const std::string& got, const char* has) {
        throw std::runtime_error("it has no " + std::string(what) + " '" + got + "'; it has: " + has);
    };
    if (device == "cpu") {
        if (precision != "f32") refuse("precision", precision, "f32");
        return c10::kCPU;
    }
    if (device != "cuda") refuse("device", device, "cpu, cuda");
    if (precision != "f32" && precision != "f16") refuse("precision", precision, "f32, f16");
    if (kGpu == c10::kCUDA && !at::hasCUDA())
        throw std::runtime_error(
            "this LibTorch sees no CUDA GPU; check nvidia-smi, build the module with a "
            "LibTorch that has CUDA, or let networks run on the processor");
    if (kGpu == c10::kCPU) return c10::kCPU;
    return {kGpu, static_cast<c10::DeviceIndex>(options.device_index)};
}

void* create(const jiff_engine_options* options, const jiff_engine_answer* answer) {
    TorchEngine* engine = nullptr;
    guarded(answer, [&] {
        const c10::Device device = checked_device(*options);
        // Of the whole process, as LibTorch has it.
        if (options->num_threads > 0) at::set_num_threads(options->num_threads);
        engine = new TorchEngine{device};
    });
    return engine;
}

void destroy(void* engine) { delete static_cast<TorchEngine*>(engine); }

void* load(void* engine, const char* path, const jiff_engine_answer* answer) {
    TorchGraph* graph = nullptr;
    guarded(answer, [&] { graph = load_graph(*static_cast<TorchEngine*>(engine), path).release(); });
    return graph;
}

void unload(void* graph) { delete static_cast<TorchGraph*>(graph); }

std::int32_t inputs(void* graph, const jiff_engine_answer* answer) {
    return guarded(answer, [&] { tell(static_cast<TorchGraph*>(graph)->inputs, answer); }) ? 0 : 1;
}

std::int32_t outputs(void* graph, const jiff_engine_answer* answer) {
    return guarded(answer, [&] { tell(static_cast<TorchGraph*>(graph)->outputs, answer); }) ? 0 : 1;
}

std::int32_t run(void* graph, const jiff_engine_tensor* given, std::size_t num_given,
                 const jiff_engine_answer* answer) {
    const bool succeeded =
        guarded(answer, [&] { run_graph(*static_cast<TorchGraph*>(graph), given, num_given, answer); });
    return succeeded ? 0 : 1;
}

std::int32_t run_on_gpu(void* graph, const jiff_engine_tensor* given, std::size_t num_given,
                        const jiff_engine_answer* answer) {
    const bool succeeded = guarded(
        answer, [&] { run_graph_on_gpu(*static_cast<TorchGraph*>(graph), given, num_given, answer); });
    return succeeded ? 0 : 1;
}

}  // namespace

extern "C" const jiff_engine_module* jiff_engine_module_get(void) {
    static const jiff_engine_module module = {JIFF_ENGINE_MODULE_VERSION,
                                              0,
                                              "torchscript",
                                              "torchscript",
                                              create,
                                              destroy,
                                              load,
                                              unload,
                                              inputs,
                                              outputs,
                                              run,
                                              run_on_gpu};
    return &module;
}
