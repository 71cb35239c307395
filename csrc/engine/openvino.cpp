#include "engine/openvino.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <openvino/core/preprocess/pre_post_process.hpp>
#include <openvino/core/version.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/properties.hpp>
#include <utility>
#include <vector>

#include "core/bfloat16.h"
#include "engine/engine_checks.h"

namespace jiff {
namespace {

std::string reason_of(const std::exception& error) { return one_line(error.what()); }

Shape shape_of(const ov::PartialShape& partial) {
    Shape shape;
    for (const auto& side : partial) shape.push_back(side.is_static() ? side.get_length() : -1);
    return shape;
}

// Outputs in float32 keep all of a graph's end in it that follows no convolution: in an encoder of colour,
// whose blocks are residual, every sum and every norm of them, 8 % of its time. (Of the others' time it is 2
// %, and the surface moves.)
std::shared_ptr<ov::Model> giving_bf16(const std::shared_ptr<ov::Model>& model) {
    ov::preprocess::PrePostProcessor steps(model);
    for (std::size_t i = 0; i < model->outputs().size(); ++i) {
        if (model->output(i).get_element_type() == ov::element::f32)
            steps.output(i).tensor().set_element_type(ov::element::bf16);
    }
    return steps.build();
}

// Ports by name; OpenVINO may know one under several.
template <typename Ports>
std::map<std::string, ov::Output<const ov::Node>> by_name(const Ports& ports, const std::string& graph) {
    std::map<std::string, ov::Output<const ov::Node>> named;
    for (const auto& port : ports) {
        const ov::element::Type type = port.get_element_type();
        if (type != ov::element::f32 && type != ov::element::bf16) {
            fail_engine("tensor '" + port.get_any_name() + "' of graph '" + graph + "' holds " +
                        type.get_type_name() + "; only f32 is supported");
        }
        for (const auto& name : port.get_names()) named.emplace(name, port);
    }
    return named;
}

NamedShapes shapes_of(const std::map<std::string, ov::Output<const ov::Node>>& ports) {
    NamedShapes shapes;
    for (const auto& [name, port] : ports) shapes.emplace(name, shape_of(port.get_partial_shape()));
    return shapes;
}

// A compiled model with one inference request, which threads take in turn.
class OpenVinoGraph : public Graph {
  public:
    OpenVinoGraph(std::string name, ov::CompiledModel model, bool keeps_memory)
        : name_(std::move(name)),
          keeps_memory_(keeps_memory),
          model_(std::move(model)),
          outputs_(by_name(model_.outputs(), name_)),
          input_shapes_(shapes_of(by_name(model_.inputs(), name_))),
          output_shapes_(shapes_of(outputs_)),
          request_(model_.create_infer_request()) {}

    NamedShapes inputs() const override { return input_shapes_; }
    NamedShapes outputs() const override { return output_shapes_; }

    NamedTensors run(const NamedViews& inputs) override {
        std::vector<const TensorView*> views;
        for (const auto& port : model_.inputs()) views.push_back(&given_for(port, inputs));
        const std::lock_guard<std::mutex> lock(mutex_);
        try {
            for (std::size_t i = 0; i < views.size(); ++i) set_input(i, *views[i]);
            NamedTensors outputs;
            for (const auto& [tensor, port] : outputs_) {
                if (!is_written_in_place(port)) continue;
                Tensor& target = outputs.emplace(tensor, Tensor(output_shapes_.at(tensor))).first->second;
                request_.set_tensor(port, ov::Tensor(ov::element::f32, port.get_shape(), target.data()));
            }
            request_.infer();
            // The request keeps the rest: copied before the next thread writes there.
            for (const auto& [tensor, port] : outputs_) {
                if (!is_written_in_place(port)) outputs.emplace(tensor, copy(request_.get_tensor(port)));
            }
            // A reconstruction runs one graph after the other: all together would hold 200 MB. To take it
            // anew costs 8 to 20 % of a run.
            if (!keeps_memory_) model_.release_memory();
            return outputs;
        } catch (const ov::Exception& error) {
            fail_engine("graph '" + name_ + "' failed: " + reason_of(error) + "; try another engine");
        }
    }

  private:
    // Under any of the port's names.
    const TensorView& given_for(const ov::Output<const ov::Node>& port, const NamedViews& inputs) const {
        return given_input(inputs, port.get_names(), shape_of(port.get_partial_shape()), name_);
    }

    // OpenVINO only reads inputs, though its tensors have no const form.
    void set_input(std::size_t index, const TensorView& view) {
        const ov::Shape shape(view.shape.begin(), view.shape.end());
        request_.set_input_tensor(index, ov::Tensor(ov::element::f32, shape, const_cast<float*>(view.data)));
    }

    static bool is_written_in_place(const ov::Output<const ov::Node>& port) {
        return port.get_element_type() == ov::element::f32 && port.get_partial_shape().is_static();
    }

    static Tensor copy(const ov::Tensor& source) {
        const ov::Shape& sides = source.get_shape();
        Tensor tensor(Shape(sides.begin(), sides.end()));
        if (source.get_element_type() == ov::element::bf16) {
            static_assert(sizeof(Bf16) == sizeof(ov::bfloat16));
            const auto* from = static_cast<const Bf16*>(std::as_const(source).data());
            std::transform(from, from + tensor.size(), tensor.data(),
                           [](Bf16 value) { return to_float(value); });
        } else {
            std::copy_n(source.data<const float>(), tensor.size(), tensor.data());
        }
        return tensor;
    }

    std::string name_;
    bool keeps_memory_;
    ov::CompiledModel model_;
    std::map<std::string, ov::Output<const ov::Node>> outputs_;
    NamedShapes input_shapes_, output_shapes_;
    std::mutex mutex_;
    ov::InferRequest request_;
};

class OpenVinoEngine : public Engine {
  public:
    explicit OpenVinoEngine(const EngineOptions& options) : keeps_memory_(options.keeps_memory) {
        check_options("openvino", options, {{"cpu", {"f32", "bf16", "f16"}}});
        settings_.emplace(ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY));
        settings_.emplace(ov::hint::inference_precision(checked_precision(options.precision)));
        if (options.num_threads > 0) settings_.emplace(ov::inference_num_threads(options.num_threads));
    }

    std::string name() const override { return "openvino"; }

    std::unique_ptr<Graph> load(const std::string& path) override { return compiled(path, settings_); }

    std::unique_ptr<Graph> load_cuttable(const std::string& path) override {
        return compiled(path, settings_, true);
    }

    std::unique_ptr<Graph> load_unrounded(const std::string& path) override {
        ov::AnyMap settings = settings_;
        settings[ov::hint::inference_precision.name()] = ov::element::f32;
        return compiled(path, settings);
    }

  private:
    std::unique_ptr<Graph> compiled(const std::string& path, const ov::AnyMap& settings,
                                    bool may_be_cut = false) {
        try {
            auto model = core_.read_model(path);
            if (may_be_cut) {
                ov::PartialShape image = model->input("image").get_partial_shape();
                image[2] = image[3] = ov::Dimension::dynamic();
                model->reshape({{"image", image}});
                if (settings.at(ov::hint::inference_precision.name()) == ov::Any(ov::element::bf16))
                    model = giving_bf16(model);
            }
            return std::make_unique<OpenVinoGraph>(std::filesystem::path(path).filename().string(),
                                                   core_.compile_model(model, kDevice, settings),
                                                   keeps_memory_);
        } catch (const ov::Exception& error) {
            fail_engine("openvino cannot load '" + path + "': " + reason_of(error) + "; try another engine");
        }
    }

    static constexpr char kDevice[] = "CPU";

    // OpenVINO takes a precision that the processor lacks for a wish, and computes in another.
    ov::element::Type checked_precision(const std::string& precision) {
        const std::map<std::string, std::pair<ov::element::Type, std::string>> known = {
            {"f32", {ov::element::f32, "FP32"}},
            {"bf16", {ov::element::bf16, "BF16"}},
            {"f16", {ov::element::f16, "FP16"}}};
        const auto& [type, capability] = known.at(precision);
        const auto capabilities = core_.get_property(kDevice, ov::device::capabilities);
        if (std::find(capabilities.begin(), capabilities.end(), capability) == capabilities.end())
            fail_engine("this processor does not compute in " + precision + "; use f32");
        return type;
    }

    bool keeps_memory_;
    ov::Core core_;
    ov::AnyMap settings_;
};

}  // namespace

std::string openvino_version() { return ov::get_openvino_version().buildNumber; }

std::shared_ptr<Engine> create_openvino_engine(const EngineOptions& options) {
    try {
        return std::make_shared<OpenVinoEngine>(options);
    } catch (const ov::Exception& error) {
        fail_engine("engine 'openvino' does not start: " + reason_of(error) + "; check its installation");
    }
}

}  // namespace jiff
