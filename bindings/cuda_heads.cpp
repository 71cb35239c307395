// Heads and surfaces on the GPU, for tests and tools: arrays are copied there and back.
#if defined(JIFF_HAVE_CUDA)

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "core/cuda.h"
#include "heads.h"
#include "ops/device_surface.h"
#include "ops/head_query.h"
#include "ops/warpgroup_program.h"

namespace py = pybind11;

namespace jiff::bindings {
namespace {

using FloatArray = py::array_t<float, py::array::c_style>;

// A head on the GPU with the stream that it works on.
class CudaHead {
  public:
    CudaHead(const HeadConfig& config, const std::string& precision, std::int64_t num_layers)
        : head_(config, cuda::precision_named(precision), stream_, num_layers) {}
    CudaHead(const JointHeadConfig& config, const std::string& precision)
        : head_(config, cuda::precision_named(precision), stream_) {}

    void fold(const std::vector<py::array>& maps) {
        std::vector<FloatArray> arrays;
        std::vector<cuda::DeviceTensor> tensors;
        std::vector<cuda::DeviceView> views;
        for (const py::array& map : maps) {
            arrays.push_back(checked_array<float>(map, {1, -1, -1, -1}, "map"));
            tensors.emplace_back(view_of(arrays.back()), stream_);
            views.push_back(tensors.back().view());
        }
        fold_.emplace(head_.fold(views, stream_));
        stream_.synchronize();
    }

    void set_volume(const py::array& volume, const std::array<float, 3>& scale,
                    const std::array<float, 3>& offset) {
        const auto array = checked_array<float>(volume, {1, -1, -1, -1, -1}, "volume");
        const cuda::DeviceTensor tensor(view_of(array), stream_);
        volume_.emplace(tensor.view(), VolumeFrame{scale, offset}, stream_);
        stream_.synchronize();
    }

    // With a count the device alone is told how many of the points are asked for.
    FloatArray query(const py::array& points, const std::optional<py::array>& features,
                     const std::optional<std::int64_t>& count) {
        const auto given = checked_array<float>(points, {-1, 3}, "points");
        const std::int64_t num_points = given.shape(0);
        FloatArray values({count.value_or(num_points), head_.num_outputs()});
        FloatArray own;
        if (features)
            own = checked_array<float>(*features, {num_points, head_.num_point_features()}, "point_features");
        if (!fold_) throw Error(ErrorCode::kInvalidArgument, "fold maps before a query");
        const cuda::Buffer<float> device_points(given.data(), given.size(), stream_);
        const cuda::Buffer<float> device_own(own.data(), own.size(), stream_);
        cuda::Buffer<float> device_values(num_points * head_.num_outputs(), stream_);
        const std::vector<std::int64_t> counts(count ? 1 : 0, count.value_or(0));
        const cuda::Buffer<std::int64_t> device_count(counts, stream_);
        head_.query(*fold_, volume_ ? &*volume_ : nullptr, features ? device_own.data() : nullptr,
                    device_points.data(), num_points, device_count.data(), device_values.data(), stream_);
        cuda::copy_to_host(values.mutable_data(), device_values.data(), values.nbytes(), stream_);
        stream_.synchronize();
        return values;
    }

    // Seconds of one query, of `repeats` in a row on points that lie on the device.
    double time_query(const py::array& points, const std::optional<py::array>& features, int repeats) {
        const auto given = checked_array<float>(points, {-1, 3}, "points");
        FloatArray own;
        if (features)
            own = checked_array<float>(*features, {given.shape(0), head_.num_point_features()},
                                       "point_features");
        const cuda::Buffer<float> device_points(given.data(), given.size(), stream_);
        const cuda::Buffer<float> device_own(own.data(), own.size(), stream_);
        cuda::Buffer<float> values(given.shape(0) * head_.num_outputs(), stream_);
        return seconds_of(repeats, [&] {
            head_.query(*fold_, volume_ ? &*volume_ : nullptr, features ? device_own.data() : nullptr,
                        device_points.data(), given.shape(0), nullptr, values.data(), stream_);
        });
    }

    // Seconds of folding maps that lie on the device.
    double time_fold(const std::vector<py::array>& maps, int repeats) {
        std::vector<FloatArray> arrays;
        std::vector<cuda::DeviceTensor> tensors;
        std::vector<cuda::DeviceView> views;
        for (const py::array& map : maps) {
            arrays.push_back(checked_array<float>(map, {1, -1, -1, -1}, "map"));
            tensors.emplace_back(view_of(arrays.back()), stream_);
            views.push_back(tensors.back().view());
        }
        return seconds_of(repeats, [&] { head_.fold(views, stream_); });
    }

    void use_common_kernel() { head_.use_common_kernel(); }

    int tile_points(std::int64_t num_points) const { return head_.tile_points(*fold_, num_points); }

    std::int64_t num_outputs() const { return head_.num_outputs(); }

  private:
    template <typename Run>
    double seconds_of(int repeats, const Run& run) const {
        run();
        stream_.synchronize();
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < repeats; ++i) run();
        stream_.synchronize();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
    }

    cuda::Stream stream_;
    cuda::HeadQuery head_;
    std::optional<cuda::DeviceFold> fold_;
    std::optional<cuda::DeviceVolume> volume_;
};

py::dict device() {
    const cuda::Device found = cuda::require_device();
    py::dict result;
    result["name"] = found.name;
    result["compute_capability"] = found.compute_capability;
    result["num_multiprocessors"] = found.num_multiprocessors;
    result["memory_bytes"] = found.memory_bytes;
    result["shared_bytes_per_block"] = found.shared_bytes_per_block;
    return result;
}

// A field that looks lattice points up in values [z][y][x] of side resolution + 1.
cuda::DeviceFunction table_field(const py::array& values, std::int64_t side, const cuda::Stream& stream) {
    const auto table = checked_array<float>(values, {side, side, side}, "values");
    auto device = std::make_shared<cuda::Buffer<float>>(table.data(), table.size(), stream);
    stream.synchronize();
    return [device, side](const float* points, std::int64_t num_points, const std::int64_t* count,
                          float* answers, const cuda::Stream& asked_on) {
        cuda::look_up_lattice(device->data(), static_cast<int>(side - 1), points, num_points, count, answers,
                              asked_on);
    };
}

py::tuple extract(const py::array& values, int resolution, float iso, int coarse_stride, float uncertain_band,
                  const std::optional<py::array>& columns, const std::optional<py::array>& seeds,
                  bool only_largest) {
    ExtractionOptions options;
    options.resolution = resolution;
    options.iso = iso;
    options.coarse_stride = coarse_stride;
    options.uncertain_band = uncertain_band;
    if (columns) {
        const auto flags = checked_array<std::uint8_t>(*columns, {resolution + 1, resolution + 1}, "columns");
        options.columns.assign(flags.data(), flags.data() + flags.size());
    }
    if (seeds) {
        const auto points = checked_array<std::int32_t>(*seeds, {-1, 3}, "seeds");
        for (py::ssize_t i = 0; i < points.shape(0); ++i)
            options.seeds.push_back({points.at(i, 0), points.at(i, 1), points.at(i, 2)});
    }
    const cuda::Stream stream;
    const cuda::DeviceFunction field = table_field(values, resolution + 1, stream);
    cuda::DeviceSurface found = cuda::extract_surface(field, options, stream);
    if (only_largest) found = cuda::largest_component(std::move(found), stream);
    Surface surface = found.to_host();
    return py::make_tuple(array_from_rows<float>(std::move(surface.vertices), 3),
                          array_from_rows<std::int32_t>(std::move(surface.faces), 3),
                          surface.num_queries_asked, surface.num_queries_ideal);
}

// Seconds of each of `repeats` extractions of values that cost nothing to ask for;
// the mesh stays on the device.
std::vector<double> time_extract(const py::array& values, int resolution, int repeats) {
    ExtractionOptions options;
    options.resolution = resolution;
    const cuda::Stream stream;
    const cuda::DeviceFunction field = table_field(values, resolution + 1, stream);
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const cuda::DeviceSurface found = cuda::extract_surface(field, options, stream);
        stream.synchronize();
        seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return seconds;
}

// The plan of the warpgroups' kernel for a head of one MLP, None where it has none: for tests.
py::object wide_plan(const LayerArrays& arrays, std::int64_t num_point_features) {
    const std::vector<HeadLayer> layers = layers_of(arrays);
    cuda::HeadLayers head;
    head.last = &layers;
    head.num_layers = static_cast<std::int64_t>(layers.size());
    head.num_point_features = num_point_features;
    head.num_map_channels = layers[0].weight.shape()[1] - num_point_features - 1;
    const auto program = cuda::make_wide_program(head, cuda::make_tensor_core_program(head));
    if (!program) return py::none();
    const cuda::WidePlan& plan = program->plan;
    py::list steps, jobs, stages;
    for (int i = 0; i < plan.num_steps; ++i) {
        const cuda::WideStep& step = plan.steps[i];
        steps.append(py::dict(py::arg("num_columns") = step.num_columns,
                              py::arg("num_hidden") = step.num_hidden,
                              py::arg("num_outputs") = step.num_outputs));
    }
    for (int i = 0; i < plan.num_jobs; ++i) {
        const cuda::GatherJob& job = plan.jobs[i];
        constexpr const char* kPlaces[] = {"chunk", "hidden 0", "hidden 1", "answers", "own"};
        jobs.append(py::dict(
            py::arg("depth_weights") = job.depth_weights, py::arg("first_row") = job.first_row,
            py::arg("num_positions") = job.num_positions, py::arg("first_position") = job.first_position,
            py::arg("step") = job.step, py::arg("is_first") = job.is_first != 0,
            py::arg("is_last") = job.is_last != 0, py::arg("place") = kPlaces[job.place]));
    }
    for (int i = 0; i < plan.num_stages; ++i)
        stages.append(py::make_tuple(plan.stages[i].offset, plan.stages[i].num_bytes));
    const auto* bytes = reinterpret_cast<const char*>(program->weights.data());
    return py::dict(py::arg("num_chunks") = plan.num_chunks, py::arg("num_own") = plan.num_own,
                    py::arg("steps") = steps, py::arg("jobs") = jobs, py::arg("stages") = stages,
                    py::arg("weights") = py::bytes(bytes, program->weights.size() * sizeof(std::uint16_t)));
}

void bind_heads(py::module_& module) {
    module.def("cuda_wide_plan", &wide_plan, py::arg("layers"), py::arg("num_point_features") = 0);
    py::class_<CudaHead>(module, "CudaHead", "ImplicitQuery and JointQuery on the GPU.")
        .def(py::init([](const LayerArrays& layers, float depth_scale, const std::string& activation,
                         std::int64_t num_point_features, const std::string& precision,
                         std::int64_t num_layers) {
                 return std::make_unique<CudaHead>(HeadConfig{layers_of(layers), depth_scale,
                                                              activation_of(activation), num_point_features},
                                                   precision, num_layers);
             }),
             py::arg("layers"), py::arg("depth_scale") = 1.0f, py::arg("activation") = "sigmoid",
             py::arg("num_point_features") = 0, py::arg("precision") = "fp16", py::arg("num_layers") = 0)
        .def(py::init([](const LayerArrays& branch_2d, const LayerArrays& branch_3d, const LayerArrays& joint,
                         float depth_scale, const std::string& activation, std::int64_t num_point_features,
                         const std::string& precision) {
                 return std::make_unique<CudaHead>(
                     JointHeadConfig{layers_of(branch_2d), layers_of(branch_3d), layers_of(joint),
                                     depth_scale, activation_of(activation), num_point_features},
                     precision);
             }),
             py::arg("branch_2d"), py::arg("branch_3d"), py::arg("joint"), py::arg("depth_scale") = 1.0f,
             py::arg("activation") = "sigmoid", py::arg("num_point_features") = 0,
             py::arg("precision") = "fp16")
        .def("fold", &CudaHead::fold, py::arg("maps"))
        .def("set_volume", &CudaHead::set_volume, py::arg("volume"), py::arg("scale"), py::arg("offset"))
        .def("query", &CudaHead::query, py::arg("points"), py::arg("point_features") = py::none(),
             py::arg("count") = py::none(), "Answers for the points, or for so many of them, the first.")
        .def("time_query", &CudaHead::time_query, py::arg("points"), py::arg("point_features") = py::none(),
             py::arg("repeats") = 10, "Seconds of one query.")
        .def("time_fold", &CudaHead::time_fold, py::arg("maps"), py::arg("repeats") = 10,
             "Seconds of one fold.")
        .def("use_common_kernel", &CudaHead::use_common_kernel)
        .def("tile_points", &CudaHead::tile_points, py::arg("num_points"),
             "Points that a block of threads takes when there are so many.")
        .def_property_readonly("num_outputs", &CudaHead::num_outputs);
}

}  // namespace

void bind_cuda(py::module_& module) {
    module.def("cuda_device", &device, "The current GPU.");
    bind_heads(module);
    module.def("cuda_time_extract", &time_extract, py::arg("values"), py::arg("resolution"),
               py::arg("repeats"), "Seconds of each extraction.");
    module.def("cuda_memory", &cuda::memory, "Bytes free and in all on the current GPU.");
    module.def(
        "cuda_extract_surface", &extract, py::arg("values"), py::arg("resolution"), py::arg("iso") = 0.5f,
        py::arg("coarse_stride") = 0, py::arg("uncertain_band") = 0.4f, py::arg("columns") = py::none(),
        py::arg("seeds") = py::none(), py::arg("only_largest") = false,
        "The surface of values (R + 1, R + 1, R + 1) at lattice points [z][y][x]: vertices, faces, and "
        "the numbers of points asked for and ideal.");
}

}  // namespace jiff::bindings

#endif
