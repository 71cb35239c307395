#include "engine/module_engine.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <sstream>
#include <utility>

#include "core/cuda.h"
#include "engine/engine_checks.h"
#include "engine/shared_library.h"
#include "jiff/engine_module.h"

namespace jiff {
namespace {

namespace fs = std::filesystem;
constexpr char kPrefix[] = "libjiff_engine_";
constexpr char kSuffix[] = ".so";

// Collects what a module's function answers. What goes wrong while its answer is copied is kept until the
// function has returned, since nothing may be thrown through it.
class Answer {
  public:
    jiff_engine_answer view() { return {this, take_tensor, take_failure, take_gpu_tensor}; }

    // Throws Error(kEngine) in the words of the module, unless it did what it was asked.
    void check(bool succeeded, const std::string& tried) const {
        if (fault_) std::rethrow_exception(fault_);
        if (succeeded && failure_.empty()) return;
        fail_engine(tried + ": " + (failure_.empty() ? "the module does not say why" : one_line(failure_)));
    }

    std::vector<std::pair<std::string, Shape>> shapes;
    NamedTensors tensors;
    GpuTensors gpu_tensors;

  private:
    static void take_tensor(void* context, const jiff_engine_tensor* given) {
        Answer& self = *static_cast<Answer*>(context);
        try {
            self.take(*given);
        } catch (...) {
            self.fault_ = std::current_exception();
        }
    }

    static void take_failure(void* context, const char* message) {
        Answer& self = *static_cast<Answer*>(context);
        try {
            self.failure_ = message != nullptr && *message != '\0' ? message : "it gives no reason";
        } catch (...) {
            self.fault_ = std::current_exception();
        }
    }

    // What it owns is released also where the tensor is refused.
    static void take_gpu_tensor(void* context, const jiff_engine_tensor* given, void* owner,
                                void (*release)(void*)) {
        Answer& self = *static_cast<Answer*>(context);
        try {
            const std::shared_ptr<const void> kept(owner, release);
            const Shape shape = checked_shape(*given);
            self.gpu_tensors.insert_or_assign(given->name, GpuTensor{given->data, shape, kept});
        } catch (...) {
            self.fault_ = std::current_exception();
        }
    }

    static Shape checked_shape(const jiff_engine_tensor& given) {
        constexpr std::size_t kMostSides = 16;
        constexpr std::int64_t kMostElements = std::int64_t{1} << 40;
        if (given.name == nullptr || given.rank > kMostSides || (given.rank > 0 && given.shape == nullptr))
            fail_engine("an engine's module gives a tensor without a name or with more than 16 sides");
        Shape shape(given.shape, given.shape + given.rank);
        std::int64_t num_elements = 1;
        for (const std::int64_t side : shape) {
            if (side < 0 || (side > 0 && num_elements > kMostElements / side))
                fail_engine("an engine's module gives tensor '" + std::string(given.name) +
                            "' the impossible shape " + to_string(shape));
            num_elements *= side;
        }
        return shape;
    }

    void take(const jiff_engine_tensor& given) {
        Shape shape = checked_shape(given);
        if (given.data != nullptr) {
            Tensor tensor(shape);
            std::copy_n(given.data, tensor.size(), tensor.data());
            tensors.insert_or_assign(given.name, std::move(tensor));
        }
        shapes.emplace_back(given.name, std::move(shape));
    }

    std::string failure_;
    std::exception_ptr fault_;
};

using EngineHandle = std::shared_ptr<void>;

class ModuleGraph : public Graph {
  public:
    ModuleGraph(const jiff_engine_module& module, EngineHandle engine, const std::string& path,
                bool is_on_gpu)
        : module_(module),
          engine_(std::move(engine)),
          is_on_gpu_(is_on_gpu),
          name_(fs::path(path).filename().string()),
          graph_(nullptr, Unload{module.unload}) {
        Answer answer;
        const auto view = answer.view();
        graph_.reset(module.load(engine_.get(), path.c_str(), &view));
        answer.check(graph_ != nullptr,
                     "engine '" + std::string(module.name) + "' cannot load '" + path + "'");
        inputs_ = told(module.inputs);
        outputs_ = told(module.outputs);
    }

    NamedShapes inputs() const override { return {inputs_.begin(), inputs_.end()}; }
    NamedShapes outputs() const override { return {outputs_.begin(), outputs_.end()}; }

    NamedTensors run(const NamedViews& inputs) override {
        return std::move(answer_of(module_.run, inputs).tensors);
    }

    bool is_on_gpu() const override { return is_on_gpu_; }
    GpuTensors run_on_gpu(const GpuTensors& inputs) override {
        if (!is_on_gpu_) return Graph::run_on_gpu(inputs);
        return std::move(answer_of(module_.run_on_gpu, inputs).gpu_tensors);
    }

  private:
    template <typename Run, typename Inputs>
    Answer answer_of(Run run, const Inputs& inputs) const {
        std::vector<jiff_engine_tensor> given;
        for (const auto& [name, shape] : inputs_) {
            const auto& tensor = given_input(inputs, std::vector{name}, shape, name_);
            given.push_back({name.c_str(), shape.data(), shape.size(), tensor.data});
        }
        Answer answer;
        const auto view = answer.view();
        const bool succeeded = run(graph_.get(), given.data(), given.size(), &view) == 0;
        answer.check(succeeded, "graph '" + name_ + "' failed");
        return answer;
    }

    struct Unload {
        void (*unload)(void*);
        void operator()(void* graph) const { unload(graph); }
    };
    using GraphHandle = std::unique_ptr<void, Unload>;

    std::vector<std::pair<std::string, Shape>> told(std::int32_t (*ask)(void*,
                                                                        const jiff_engine_answer*)) const {
        Answer answer;
        const auto view = answer.view();
        const bool succeeded = ask(graph_.get(), &view) == 0;
        answer.check(succeeded, "graph '" + name_ + "' does not tell its tensors");
        return std::move(answer.shapes);
    }

    const jiff_engine_module& module_;
    EngineHandle engine_;  // lives as long as its graphs
    bool is_on_gpu_;
    std::string name_;
    GraphHandle graph_;
    std::vector<std::pair<std::string, Shape>> inputs_, outputs_;
};

class ModuleEngine : public Engine {
  public:
    ModuleEngine(const jiff_engine_module& module, const EngineOptions& options)
        : module_(module), is_on_gpu_(options.device == "cuda"), precision_(precision_of_files(options)) {
        if (is_on_gpu_ && module.run_on_gpu == nullptr)
            fail_engine("engine '" + name() + "' has no device 'cuda'; it has: cpu");
        Answer answer;
        const auto view = answer.view();
        const jiff_engine_options wanted{options.device.c_str(), options.precision.c_str(),
                                         options.num_threads, device_index()};
        void* const engine = module.create(&wanted, &view);
        if (engine != nullptr) engine_ = EngineHandle(engine, module.destroy);
        answer.check(engine != nullptr, "engine '" + name() + "' does not start");
    }

    std::string name() const override { return module_.name; }
    GraphForm form() const override { return {module_.format, precision_}; }

    std::unique_ptr<Graph> load(const std::string& path) override {
        return std::make_unique<ModuleGraph>(module_, engine_, path, is_on_gpu_);
    }

  private:
    int device_index() const {
#if defined(JIFF_HAVE_CUDA)
        if (is_on_gpu_) return cuda::current_device_index();
#endif
        return 0;
    }

    const jiff_engine_module& module_;
    bool is_on_gpu_;
    std::string precision_;
    EngineHandle engine_;
};

// The directories, the environment's first.
std::vector<std::string> places() {
    std::vector<std::string> found;
    if (const char* const text = std::getenv("JIFF_ENGINE_PATH")) {
        std::istringstream list(text);
        for (std::string place; std::getline(list, place, ':');)
            if (!place.empty()) found.push_back(std::move(place));
    }
    if (auto own = own_directory(); !own.empty()) found.push_back(std::move(own));
    return found;
}

bool is_whole(const jiff_engine_module& module) {
    return module.name != nullptr && module.format != nullptr && module.create != nullptr &&
           module.destroy != nullptr && module.load != nullptr && module.unload != nullptr &&
           module.inputs != nullptr && module.outputs != nullptr && module.run != nullptr;
}

const jiff_engine_module& load_module(const FoundModule& found) {
    const std::string begin = "engine '" + found.name + "' cannot be used: '" + found.path + "' ";
    std::string reason;
    void* const library = open_shared_library(found.path, &reason);
    if (library == nullptr) fail_engine(begin + "cannot be loaded: " + one_line(reason));
    auto* const get = find_function<const jiff_engine_module*()>(library, "jiff_engine_module_get");
    const jiff_engine_module* const module = get != nullptr ? get() : nullptr;
    if (module == nullptr) fail_engine(begin + "is no engine's module");
    if (module->interface_version != JIFF_ENGINE_MODULE_VERSION) {
        fail_engine(begin + "is of version " + std::to_string(module->interface_version) +
                    " of the interface, this library of " + std::to_string(JIFF_ENGINE_MODULE_VERSION) +
                    "; install both from one build");
    }
    if (!is_whole(*module)) fail_engine(begin + "lacks functions");
    if (module->name != found.name) {
        fail_engine(begin + "holds engine '" + module->name + "'; rename it " + kPrefix + module->name +
                    kSuffix);
    }
    return *module;
}

}  // namespace

std::vector<FoundModule> find_engine_modules() {
    const std::string prefix = kPrefix, suffix = kSuffix;
    std::map<std::string, std::string> paths;
    for (const auto& place : places()) {
        std::error_code error;
        for (fs::directory_iterator entry(place, error), end; !error && entry != end;
             entry.increment(error)) {
            const std::string file = entry->path().filename().string();
            if (file.size() <= prefix.size() + suffix.size() || file.compare(0, prefix.size(), prefix) != 0 ||
                file.compare(file.size() - suffix.size(), suffix.size(), suffix) != 0) {
                continue;
            }
            paths.emplace(file.substr(prefix.size(), file.size() - prefix.size() - suffix.size()),
                          entry->path().string());
        }
    }
    std::vector<FoundModule> found;
    for (auto& [name, path] : paths) found.push_back({name, path});
    return found;
}

std::shared_ptr<Engine> create_module_engine(const FoundModule& module, const EngineOptions& options) {
    return std::make_shared<ModuleEngine>(load_module(module), options);
}

}  // namespace jiff
