#include "engine/onnxruntime.h"

#include <onnxruntime/onnxruntime_c_api.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>
#include <vector>

#include "core/cuda.h"
#include "engine/engine_checks.h"
#include "engine/shared_library.h"

namespace jiff {
namespace {

// The C API of the library that was found. `api` is null where there is none, and `problem` says why.
struct Runtime {
    const OrtApi* api = nullptr;
    std::string version, problem;
};

// Where to look: a file that the environment names alone, else what the dynamic linker finds (releases and
// wheels name the library by its major version, Debian by its minor one), else where it was at the build.
std::vector<std::string> places() {
    const char* const named = std::getenv("JIFF_ONNXRUNTIME_LIBRARY");
    if (named != nullptr && *named != '\0') return {named};
    std::vector<std::string> found = {"libonnxruntime.so.1", "libonnxruntime.so"};
#if defined(JIFF_ONNXRUNTIME_LIBRARY)
    found.emplace_back(JIFF_ONNXRUNTIME_LIBRARY);
#endif
    return found;
}

Runtime find_runtime() {
    Runtime runtime;
    for (const auto& place : places()) {
        std::string reason;
        void* const library = open_shared_library(place, &reason);
        if (library == nullptr) {
            runtime.problem += (runtime.problem.empty() ? "" : "; ") + one_line(reason);
            continue;
        }
        auto* const get_base = find_function<const OrtApiBase * ORT_API_CALL()>(library, "OrtGetApiBase");
        if (get_base == nullptr) {
            runtime.problem = "'" + place + "' is not ONNX Runtime";
            return runtime;
        }
        runtime.version = get_base()->GetVersionString();
        runtime.api = get_base()->GetApi(ORT_API_VERSION);
        runtime.problem.clear();
        if (runtime.api == nullptr) {
            runtime.problem = "'" + place + "' is ONNX Runtime " + runtime.version + "; 1." +
                              std::to_string(ORT_API_VERSION) + " or later is needed";
        }
        return runtime;
    }
    return runtime;
}

// Looked for once a process.
const Runtime& runtime() {
    static const auto* const found = new Runtime(find_runtime());
    return *found;
}

const OrtApi& api() { return *runtime().api; }

// Throws Error(kEngine): what was tried, and ONNX Runtime's own words.
void check(OrtStatus* status, const std::string& tried) {
    if (status == nullptr) return;
    const std::string reason = one_line(api().GetErrorMessage(status));
    api().ReleaseStatus(status);
    fail_engine(tried + ": " + reason + "; try another engine");
}

template <typename Object>
using Owned = std::unique_ptr<Object, void (*)(Object*)>;

// Takes over what `make` writes through the pointer that it is given.
template <typename Object, typename Make>
Owned<Object> owned(void (*release)(Object*), const std::string& tried, Make&& make) {
    Object* object = nullptr;
    check(make(&object), tried);
    return {object, release};
}

// One a process, as ONNX Runtime wants it; never released, since its threads may outlive static objects.
OrtEnv* environment() {
    static std::mutex mutex;
    static OrtEnv* instance = nullptr;
    const std::lock_guard<std::mutex> lock(mutex);
    if (instance == nullptr)
        check(api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "jiff", &instance), "ONNX Runtime does not start");
    return instance;
}

Owned<OrtMemoryInfo> host_memory() {
    return owned<OrtMemoryInfo>(
        api().ReleaseMemoryInfo, "ONNX Runtime does not know the host's memory", [](OrtMemoryInfo** memory) {
            return api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory);
        });
}

// ---- The GPU. An emulated one, for tests, computes on the processor and has the host's memory. -----------
#if defined(JIFF_HAVE_CUDA) && !defined(JIFF_CUDA_EMULATED)
constexpr char kCudaProvider[] = "CUDAExecutionProvider";

bool has_cuda_provider() {
    char** names = nullptr;
    int count = 0;
    check(api().GetAvailableProviders(&names, &count), "ONNX Runtime does not tell its providers");
    const bool found = std::find(names, names + count, std::string(kCudaProvider)) != names + count;
    check(api().ReleaseAvailableProviders(names, count), "ONNX Runtime does not tell its providers");
    return found;
}

// Sessions with these settings run on the current GPU, what it has no kernel for on the processor.
void use_gpu(OrtSessionOptions* settings) {
    const std::string tried = "engine 'onnxruntime' does not start on the GPU";
    if (!has_cuda_provider()) {
        fail_engine("ONNX Runtime " + runtime().version + " has no " + kCudaProvider +
                    "; set JIFF_ONNXRUNTIME_LIBRARY to one that has, or let networks run on the processor");
    }
    const auto provider = owned<OrtCUDAProviderOptionsV2>(
        api().ReleaseCUDAProviderOptions, tried,
        [](OrtCUDAProviderOptionsV2** options) { return api().CreateCUDAProviderOptions(options); });
    const std::string device = std::to_string(cuda::current_device_index());
    const char *const key = "device_id", *const value = device.c_str();
    check(api().UpdateCUDAProviderOptions(provider.get(), &key, &value, 1), tried);
    check(api().SessionOptionsAppendExecutionProvider_CUDA_V2(settings, provider.get()), tried);
}

Owned<OrtMemoryInfo> gpu_memory() {
    return owned<OrtMemoryInfo>(
        api().ReleaseMemoryInfo, "ONNX Runtime does not know the GPU's memory", [](OrtMemoryInfo** memory) {
            return api().CreateMemoryInfo("Cuda", OrtDeviceAllocator, cuda::current_device_index(),
                                          OrtMemTypeDefault, memory);
        });
}
#else
bool has_cuda_provider() {
#if defined(JIFF_CUDA_EMULATED)
    return true;
#else
    return false;
#endif
}

void use_gpu(OrtSessionOptions*) {}
Owned<OrtMemoryInfo> gpu_memory() { return host_memory(); }
#endif

struct Port {
    std::string name;
    Shape shape;  // -1 where it is not static
};

class OnnxRuntimeGraph : public Graph {
  public:
    OnnxRuntimeGraph(const std::string& path, const OrtSessionOptions* settings, bool is_on_gpu)
        : name_(std::filesystem::path(path).filename().string()),
          session_(owned<OrtSession>(api().ReleaseSession, "onnxruntime cannot load '" + path + "'",
                                     [&](OrtSession** session) {
                                         return api().CreateSession(environment(), path.c_str(), settings,
                                                                    session);
                                     })),
          is_on_gpu_(is_on_gpu),
          memory_(host_memory()),
          gpu_memory_(is_on_gpu ? gpu_memory() : host_memory()),
          inputs_(
              ports(api().SessionGetInputCount, api().SessionGetInputName, api().SessionGetInputTypeInfo)),
          outputs_(ports(api().SessionGetOutputCount, api().SessionGetOutputName,
                         api().SessionGetOutputTypeInfo)) {}

    NamedShapes inputs() const override { return shapes_of(inputs_); }
    NamedShapes outputs() const override { return shapes_of(outputs_); }

    // Sessions may be run by several threads at once.
    NamedTensors run(const NamedViews& inputs) override {
        std::vector<Owned<OrtValue>> given;
        std::vector<const OrtValue*> input_values;
        std::vector<const char*> input_names, output_names;
        for (const auto& port : inputs_) {
            const TensorView& view = given_input(inputs, std::vector{port.name}, port.shape, name_);
            given.push_back(value_of(view.data, view.shape, *memory_));
            input_values.push_back(given.back().get());
            input_names.push_back(port.name.c_str());
        }
        for (const auto& port : outputs_) output_names.push_back(port.name.c_str());
        std::vector<OrtValue*> raw(outputs_.size());
        OrtStatus* const status =
            api().Run(session_.get(), nullptr, input_names.data(), input_values.data(), input_values.size(),
                      output_names.data(), output_names.size(), raw.data());
        std::vector<Owned<OrtValue>> results;
        for (OrtValue* value : raw) results.emplace_back(value, api().ReleaseValue);
        check(status, failed());
        NamedTensors outputs;
        for (std::size_t i = 0; i < results.size(); ++i)
            outputs.emplace(outputs_[i].name, copy(results[i].get()));
        return outputs;
    }

    bool is_on_gpu() const override { return is_on_gpu_; }

    GpuTensors run_on_gpu(const GpuTensors& inputs) override {
        if (!is_on_gpu_) return Graph::run_on_gpu(inputs);
        const auto binding = owned<OrtIoBinding>(api().ReleaseIoBinding, failed(), [&](OrtIoBinding** made) {
            return api().CreateIoBinding(session_.get(), made);
        });
        std::vector<Owned<OrtValue>> given;
        for (const auto& port : inputs_) {
            const GpuTensor& tensor = given_input(inputs, std::vector{port.name}, port.shape, name_);
            given.push_back(value_of(tensor.data, tensor.shape, *gpu_memory_));
            check(api().BindInput(binding.get(), port.name.c_str(), given.back().get()), failed());
        }
        for (const auto& port : outputs_)
            check(api().BindOutputToDevice(binding.get(), port.name.c_str(), gpu_memory_.get()), failed());
        check(api().RunWithBinding(session_.get(), nullptr, binding.get()), failed());
        check(api().SynchronizeBoundOutputs(binding.get()), failed());
        return bound_outputs(*binding);
    }

  private:
    // In the order in which they were bound.
    GpuTensors bound_outputs(const OrtIoBinding& binding) const {
        OrtAllocator* allocator = nullptr;
        check(api().GetAllocatorWithDefaultOptions(&allocator), failed());
        OrtValue** values = nullptr;
        std::size_t count = 0;
        check(api().GetBoundOutputValues(&binding, allocator, &values, &count), failed());
        std::vector<std::shared_ptr<OrtValue>> owners;
        for (std::size_t i = 0; i < count; ++i) owners.emplace_back(values[i], api().ReleaseValue);
        check(api().AllocatorFree(allocator, values), failed());
        GpuTensors outputs;
        for (std::size_t i = 0; i < count; ++i) {
            void* data = nullptr;
            check(api().GetTensorMutableData(owners[i].get(), &data), failed());
            outputs.emplace(outputs_[i].name,
                            GpuTensor{static_cast<const float*>(data), shape_of(*owners[i]), owners[i]});
        }
        return outputs;
    }

    std::string failed() const { return "graph '" + name_ + "' failed"; }

    static NamedShapes shapes_of(const std::vector<Port>& ports) {
        NamedShapes shapes;
        for (const auto& port : ports) shapes.emplace(port.name, port.shape);
        return shapes;
    }

    template <typename GetCount, typename GetName, typename GetType>
    std::vector<Port> ports(GetCount get_count, GetName get_name, GetType get_type) const {
        std::size_t count = 0;
        check(get_count(session_.get(), &count), failed());
        OrtAllocator* allocator = nullptr;
        check(api().GetAllocatorWithDefaultOptions(&allocator), failed());
        std::vector<Port> found(count);
        for (std::size_t i = 0; i < count; ++i) {
            char* name = nullptr;
            check(get_name(session_.get(), i, allocator, &name), failed());
            found[i].name = name;
            check(api().AllocatorFree(allocator, name), failed());
            const auto type = owned<OrtTypeInfo>(api().ReleaseTypeInfo, failed(), [&](OrtTypeInfo** info) {
                return get_type(session_.get(), i, info);
            });
            const OrtTensorTypeAndShapeInfo* tensor = nullptr;
            check(api().CastTypeInfoToTensorInfo(type.get(), &tensor), failed());
            ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
            if (tensor != nullptr) check(api().GetTensorElementType(tensor, &element), failed());
            if (element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
                fail_engine("tensor '" + found[i].name + "' of graph '" + name_ +
                            "' does not hold f32; only f32 is supported");
            }
            found[i].shape = shape_of(tensor);
        }
        return found;
    }

    Shape shape_of(const OrtTensorTypeAndShapeInfo* tensor) const {
        std::size_t rank = 0;
        check(api().GetDimensionsCount(tensor, &rank), failed());
        Shape shape(rank);
        check(api().GetDimensions(tensor, shape.data(), rank), failed());
        return shape;
    }

    // ONNX Runtime only reads inputs, though its values have no const form.
    Owned<OrtValue> value_of(const float* data, const Shape& shape, const OrtMemoryInfo& memory) const {
        return owned<OrtValue>(api().ReleaseValue, failed(), [&](OrtValue** value) {
            return api().CreateTensorWithDataAsOrtValue(
                &memory, const_cast<float*>(data), std::size_t(num_elements(shape)) * sizeof(float),
                shape.data(), shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, value);
        });
    }

    Shape shape_of(const OrtValue& value) const {
        const auto info = owned<OrtTensorTypeAndShapeInfo>(
            api().ReleaseTensorTypeAndShapeInfo, failed(),
            [&](OrtTensorTypeAndShapeInfo** made) { return api().GetTensorTypeAndShape(&value, made); });
        return shape_of(info.get());
    }

    Tensor copy(OrtValue* value) const {
        Tensor tensor(shape_of(*value));
        void* data = nullptr;
        check(api().GetTensorMutableData(value, &data), failed());
        std::copy_n(static_cast<const float*>(data), tensor.size(), tensor.data());
        return tensor;
    }

    std::string name_;
    Owned<OrtSession> session_;
    bool is_on_gpu_;
    Owned<OrtMemoryInfo> memory_, gpu_memory_;
    std::vector<Port> inputs_, outputs_;
};

class OnnxRuntimeEngine : public Engine {
  public:
    explicit OnnxRuntimeEngine(const EngineOptions& options)
        : settings_(owned<OrtSessionOptions>(
              api().ReleaseSessionOptions, kStart,
              [](OrtSessionOptions** settings) { return api().CreateSessionOptions(settings); })),
          is_on_gpu_(options.device == "cuda"),
          precision_(precision_of_files(options)) {
        check_options("onnxruntime", options, onnxruntime_devices());
        check(api().SetIntraOpNumThreads(settings_.get(), options.num_threads), kStart);
        if (is_on_gpu_) use_gpu(settings_.get());
    }

    std::string name() const override { return "onnxruntime"; }
    GraphForm form() const override { return {"onnx", precision_}; }

    std::unique_ptr<Graph> load(const std::string& path) override {
        return std::make_unique<OnnxRuntimeGraph>(path, settings_.get(), is_on_gpu_);
    }

  private:
    static constexpr char kStart[] = "engine 'onnxruntime' does not start";

    // "f16" is a form of the graphs, which on a processor gains nothing.
    static DevicesAndPrecisions onnxruntime_devices() {
#if defined(JIFF_HAVE_CUDA)
        return {{"cpu", { "f32" }}, { "cuda", { "f32", "f16" } }};
#else
        return {{"cpu", {"f32"}}};
#endif
    }

    Owned<OrtSessionOptions> settings_;
    bool is_on_gpu_;
    std::string precision_;
};

}  // namespace

std::string onnxruntime_problem() { return runtime().problem; }
std::string onnxruntime_version() { return runtime().version; }

bool onnxruntime_runs_on_gpu() { return has_cuda_provider(); }

std::shared_ptr<Engine> create_onnxruntime_engine(const EngineOptions& options) {
    if (!runtime().problem.empty()) fail_engine("engine 'onnxruntime' cannot be used: " + runtime().problem);
    return std::make_shared<OnnxRuntimeEngine>(options);
}

}  // namespace jiff
