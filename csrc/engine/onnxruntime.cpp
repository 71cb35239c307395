#include "engine/onnxruntime.h"

#include <onnxruntime/onnxruntime_c_api.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>
#include <vector>

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

struct Port {
    std::string name;
    Shape shape;  // -1 where it is not static
};

class OnnxRuntimeGraph : public Graph {
  public:
    OnnxRuntimeGraph(const std::string& path, const OrtSessionOptions* settings)
        : name_(std::filesystem::path(path).filename().string()),
          session_(owned<OrtSession>(api().ReleaseSession, "onnxruntime cannot load '" + path + "'",
                                     [&](OrtSession** session) {
                                         return api().CreateSession(environment(), path.c_str(), settings,
                                                                    session);
                                     })),
          memory_(owned<OrtMemoryInfo>(api().ReleaseMemoryInfo, failed(),
                                       [](OrtMemoryInfo** memory) {
                                           return api().CreateCpuMemoryInfo(OrtArenaAllocator,
                                                                            OrtMemTypeDefault, memory);
                                       })),
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
            given.push_back(value_of(given_input(inputs, std::vector{port.name}, port.shape, name_)));
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

  private:
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
    Owned<OrtValue> value_of(const TensorView& view) const {
        return owned<OrtValue>(api().ReleaseValue, failed(), [&](OrtValue** value) {
            return api().CreateTensorWithDataAsOrtValue(
                memory_.get(), const_cast<float*>(view.data), std::size_t(view.size()) * sizeof(float),
                view.shape.data(), view.shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, value);
        });
    }

    Tensor copy(OrtValue* value) const {
        const auto info = owned<OrtTensorTypeAndShapeInfo>(
            api().ReleaseTensorTypeAndShapeInfo, failed(),
            [&](OrtTensorTypeAndShapeInfo** made) { return api().GetTensorTypeAndShape(value, made); });
        Tensor tensor(shape_of(info.get()));
        void* data = nullptr;
        check(api().GetTensorMutableData(value, &data), failed());
        std::copy_n(static_cast<const float*>(data), tensor.size(), tensor.data());
        return tensor;
    }

    std::string name_;
    Owned<OrtSession> session_;
    Owned<OrtMemoryInfo> memory_;
    std::vector<Port> inputs_, outputs_;
};

class OnnxRuntimeEngine : public Engine {
  public:
    explicit OnnxRuntimeEngine(const EngineOptions& options)
        : settings_(owned<OrtSessionOptions>(
              api().ReleaseSessionOptions, kStart,
              [](OrtSessionOptions** settings) { return api().CreateSessionOptions(settings); })) {
        require_cpu_f32("onnxruntime", options);
        check(api().SetIntraOpNumThreads(settings_.get(), options.num_threads), kStart);
    }

    std::string name() const override { return "onnxruntime"; }

    std::unique_ptr<Graph> load(const std::string& path) override {
        return std::make_unique<OnnxRuntimeGraph>(path, settings_.get());
    }

  private:
    static constexpr char kStart[] = "engine 'onnxruntime' does not start";

    Owned<OrtSessionOptions> settings_;
};

}  // namespace

std::string onnxruntime_problem() { return runtime().problem; }
std::string onnxruntime_version() { return runtime().version; }

std::shared_ptr<Engine> create_onnxruntime_engine(const EngineOptions& options) {
    if (!runtime().problem.empty()) fail_engine("engine 'onnxruntime' cannot be used: " + runtime().problem);
    return std::make_shared<OnnxRuntimeEngine>(options);
}

}  // namespace jiff
