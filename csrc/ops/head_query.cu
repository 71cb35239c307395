#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "core/cuda_launch.h"
#include "core/status.h"
#include "ops/exact_query.cuh"
#include "ops/head_kernels.cuh"
#include "ops/head_program.h"
#include "ops/head_query.h"
#include "ops/tensor_core_query.cuh"
#include "ops/warpgroup_program.h"
#if defined(JIFF_HAVE_WARPGROUPS)
#include "ops/warpgroup_query.h"
#endif

namespace jiff::cuda {
namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

using TensorCoreKernel = void (*)(const Step*, int, RowLayout, FoldedView<__half>, PointBatch);

// A size of tile that the kernel was compiled for.
struct TileVariant {
    int num_points, num_pairs;
    std::size_t (*shared_bytes)(const RowLayout& layout, int num_groups);
    TensorCoreKernel kernel;
};

template <int kRowTiles, int kWarpRows>
TileVariant variant() {
    using Tile = TileQuery<kRowTiles, kWarpRows>;
    return {Tile::kPoints, Tile::kPairs, &Tile::shared_bytes, &query_on_tensor_cores<kRowTiles, kWarpRows>};
}

// The largest first: the more points share the weights, the less the second-level cache has to give.
const std::vector<TileVariant>& variants() {
    static const auto* const all = new std::vector<TileVariant>{
        variant<4, 2>(), variant<4, 1>(), variant<3, 1>(), variant<2, 1>(), variant<1, 1>()};
    return *all;
}

// Moves offsets of a program to where its data lies.
template <typename T>
void move_to(const T*& pointer, const unsigned char* data) {
    if (pointer) pointer = reinterpret_cast<const T*>(data + reinterpret_cast<std::uintptr_t>(pointer));
}

void move_to(Product& product, const unsigned char* data) {
    move_to(product.weights, data);
    move_to(product.biases, data);
    move_to(product.depth_weights, data);
}

#if defined(JIFF_HAVE_WARPGROUPS)
constexpr int kWarpgroupCapability = 90;
#endif

// Channels that the volume does not have are ones.
__global__ void put_channels_last(const float* volume, std::int64_t num_own, std::int64_t num_channels,
                                  std::int64_t num_voxels, float* voxels) {
    const std::int64_t i = global_thread();
    if (i >= num_channels * num_voxels) return;
    const std::int64_t channel = i % num_channels;
    voxels[i] = channel < num_own ? volume[channel * num_voxels + i / num_channels] : 1.0f;
}

// The first layers of `config`, checked as the CPU's twin does by making it.
std::int64_t checked_layers(const HeadConfig& config, std::int64_t num_layers) {
    const ImplicitQuery twin(config);
    if (num_layers == 0) return static_cast<std::int64_t>(config.layers.size());
    twin.num_activations(num_layers);
    return num_layers;
}

}  // namespace

Precision precision_named(const std::string& name) {
    if (name == "fp16") return Precision::kFloat16;
    if (name == "fp32") return Precision::kFloat32;
    fail("the heads' precision on the GPU must be 'fp16' or 'fp32', got '" + name + "'");
}

DeviceVolume::DeviceVolume(const DeviceView& volume, const VolumeFrame& frame, const Stream& stream,
                           bool appends_ones)
    : shape_(volume.shape), frame_(frame) {
    const bool fits = shape_.size() == 5 && shape_[0] == 1 &&
                      std::all_of(shape_.begin(), shape_.end(), [](std::int64_t side) { return side >= 1; });
    if (!fits) fail("a volume must have shape [1, C, D, H, W] with no empty axis, got " + to_string(shape_));
    const std::int64_t num_own = shape_[1], num_voxels = num_elements(shape_) / num_own;
    if (appends_ones) ++shape_[1];
    const std::int64_t size = num_elements(shape_);
    voxels_ = Buffer<float>(size, stream);
    launch(put_channels_last, grid_over(size), stream, volume.data, num_own, shape_[1], num_voxels,
           voxels_.data());
}

static Buffer<float> uploaded(const Tensor& tensor, const Stream& stream) {
    return {tensor.data(), static_cast<std::size_t>(tensor.size()), stream};
}

DeviceVolume::DeviceVolume(const VolumeSampler& volume, const VolumeFrame& frame, const Stream& stream)
    : voxels_(uploaded(volume.voxels(), stream)),
      shape_{1, volume.num_channels(), volume.sides()[2], volume.sides()[1], volume.sides()[0]},
      frame_(frame) {}

struct DeviceFold::State {
    const void* owner = nullptr;  // the head that it was made for
    // One buffer a size of maps, of halves or of floats.
    std::vector<Buffer<__half>> halves;
    std::vector<Buffer<float>> floats;
    std::vector<std::pair<std::int64_t, std::int64_t>> sizes;  // height, width

    template <typename T>
    FoldedView<T> view(const std::vector<Buffer<T>>& buffers, std::int64_t num_rows) const {
        FoldedView<T> view{};
        view.num_groups = static_cast<std::int32_t>(buffers.size());
        view.num_rows = static_cast<std::int32_t>(num_rows);
        for (std::size_t g = 0; g < buffers.size(); ++g) {
            view.groups[g] = {buffers[g].data(), static_cast<std::int32_t>(sizes[g].first),
                              static_cast<std::int32_t>(sizes[g].second)};
        }
        return view;
    }
};

DeviceFold::DeviceFold(std::unique_ptr<State> state) : state_(std::move(state)) {}
DeviceFold::~DeviceFold() = default;
DeviceFold::DeviceFold(DeviceFold&&) noexcept = default;

struct HeadQuery::Packed {
    Precision precision;
    const Stream* own_stream;
    HeadLayers sizes;  // its layers are not kept
    float depth_scale;
    HeadActivation activation;
    std::int32_t is_activated = 1;
    std::int64_t num_outputs = 0;
    Device device;

    TensorCoreProgram tiles;
    ExactProgram exact;
    Buffer<unsigned char> data;
    Buffer<float> fold_biases;
    Buffer<Step> steps;
    Buffer<ExactLayer> layers;
#if defined(JIFF_HAVE_WARPGROUPS)
    struct Wide {
        WideHead head;
        Buffer<std::uint16_t> weights;
    };
    std::optional<Wide> wide;
#endif

    // Weights that fold some of the channels: of maps of one size. Made when such maps come first.
    std::mutex mutex;
    std::map<std::vector<std::int64_t>, Buffer<unsigned char>> fold_weights;

    Packed(const HeadLayers& head, float depth_scale, HeadActivation activation, Precision precision,
           const Stream& stream)
        : precision(precision),
          own_stream(&stream),
          sizes(head),
          depth_scale(depth_scale),
          activation(activation),
          num_outputs(head.num_outputs()),
          device(require_device()) {
        if (head.num_layers < static_cast<std::int64_t>(head.last->size())) is_activated = 0;
        if (precision == Precision::kFloat16) {
            tiles = make_tensor_core_program(head);
            data = Buffer<unsigned char>(tiles.data, stream);
            fold_biases = Buffer<float>(tiles.fold_biases, stream);
            std::vector<Step> moved = tiles.steps;
            for (Step& step : moved) {
                move_to(step.first, data.data());
                move_to(step.product, data.data());
            }
            steps = Buffer<Step>(moved, stream);
            stream.synchronize();
#if defined(JIFF_HAVE_WARPGROUPS)
            if (device.compute_capability == kWarpgroupCapability) make_wide(head, stream);
#endif
            if (feasible(1).empty()) {
                fail("this head is too wide for the tensor cores of " + device.name + ", which has " +
                     std::to_string(device.shared_bytes_per_block) +
                     " bytes of shared memory a block; take precision 'fp32' on the GPU, or device='cpu'");
            }
        } else {
            exact = make_exact_program(head);
            data = Buffer<unsigned char>(exact.data, stream);
            std::vector<ExactLayer> moved = exact.layers;
            for (ExactLayer& layer : moved) {
                move_to(layer.weights, data.data());
                move_to(layer.biases, data.data());
            }
            layers = Buffer<ExactLayer>(moved, stream);
            stream.synchronize();
            if (exact_shared_bytes(exact) > static_cast<std::size_t>(device.shared_bytes_per_block)) {
                fail("this head is too wide for " + device.name + "; take device='cpu'");
            }
        }
        sizes.branch_2d = sizes.branch_3d = sizes.last = nullptr;
    }

#if defined(JIFF_HAVE_WARPGROUPS)
    void make_wide(const HeadLayers& head, const Stream& stream) {
        std::optional<WideProgram> program = make_wide_program(head, tiles);
        if (!program) return;
        Wide made;
        made.weights = Buffer<std::uint16_t>(program->weights, stream);
        stream.synchronize();
        made.head = {program->plan, reinterpret_cast<const unsigned char*>(made.weights.data())};
        wide = std::move(made);
    }
#endif

    // Of one size, as the warpgroups' kernel takes maps, which counts their bytes in 32 bits.
    bool is_wide([[maybe_unused]] const DeviceFold::State& maps) const {
#if defined(JIFF_HAVE_WARPGROUPS)
        if (!wide || maps.sizes.size() != 1 || !fits_wide(wide->head, device)) return false;
        constexpr std::int64_t kMostHalves = std::int64_t{1} << 31;
        return maps.sizes[0].first * maps.sizes[0].second * num_rows() <= kMostHalves;
#else
        return false;
#endif
    }

    std::int64_t num_rows() const {
        return precision == Precision::kFloat16 ? tiles.num_rows : exact.num_rows;
    }

    std::vector<const TileVariant*> feasible(int num_groups) const {
        std::vector<const TileVariant*> fitting;
        for (const TileVariant& variant : variants()) {
            if (variant.shared_bytes(tiles.layout, num_groups) <=
                    static_cast<std::size_t>(device.shared_bytes_per_block) &&
                fits_pairs(tiles, variant.num_pairs))
                fitting.push_back(&variant);
        }
        return fitting;
    }

    // The largest tile of which every multiprocessor gets one; the smallest where there are few points.
    const TileVariant& choose(int num_groups, std::int64_t num_points) const {
        const auto fitting = feasible(num_groups);
        if (fitting.empty()) fail("maps of " + std::to_string(num_groups) + " sizes do not fit this GPU");
        for (const TileVariant* variant : fitting) {
            if ((num_points + variant->num_points - 1) / variant->num_points >= device.num_multiprocessors)
                return *variant;
        }
        return *fitting.back();
    }

    // A tile, for numbers of points from `least` to `most`.
    struct TileChoice {
        const TileVariant* variant;
        std::int64_t least, most;
    };

    // What `choose` says of each number of points that only the device knows, but for sizes near another.
    std::vector<TileChoice> choices(int num_groups, std::int64_t most_points) const {
        std::vector<TileChoice> all;
        std::int64_t most = most_points;
        for (const TileVariant* variant : feasible(num_groups)) {
            if (!all.empty() && 2 * variant->num_points > all.back().variant->num_points) continue;
            const std::int64_t least =
                std::int64_t{variant->num_points} * (device.num_multiprocessors - 1) + 1;
            if (least > most) continue;
            all.push_back({variant, least, most});
            most = least - 1;
        }
        if (all.empty()) return {{&choose(num_groups, most_points), 0, most_points}};
        const TileVariant* smallest = feasible(num_groups).back();
        if (all.back().variant == smallest) {
            all.back().least = 0;
        } else {
            all.push_back({smallest, 0, most});
        }
        return all;
    }

    // They outlive the stream that folds with them.
    const unsigned char* weights_of(const std::vector<std::int64_t>& channels) {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto found = fold_weights.find(channels);
        if (found != fold_weights.end()) return found->second.data();
        std::vector<unsigned char> bytes;
        if (precision == Precision::kFloat16) {
            const auto values = fold_tiles(tiles.fold_weights, tiles.num_rows, channels);
            bytes.resize(values.size() * sizeof(values[0]));
            std::memcpy(bytes.data(), values.data(), bytes.size());
        } else {
            std::vector<float> values;
            for (std::int64_t row = 0; row < exact.num_rows; ++row) {
                for (const std::int64_t channel : channels)
                    values.push_back(exact.fold_weights[row * sizes.num_map_channels + channel]);
            }
            bytes.resize(values.size() * sizeof(float));
            std::memcpy(bytes.data(), values.data(), bytes.size());
        }
        Buffer<unsigned char> buffer(bytes, *own_stream);
        own_stream->synchronize();
        return fold_weights.emplace(channels, std::move(buffer)).first->second.data();
    }

    void fold_group(const Buffer<float>& values, const std::vector<std::int64_t>& channels,
                    std::int64_t num_texels, DeviceFold::State& state, const Stream& stream);
};

HeadQuery::HeadQuery(const HeadConfig& config, Precision precision, const Stream& stream,
                     std::int64_t num_layers) {
    HeadLayers head;
    head.num_layers = checked_layers(config, num_layers);
    head.last = &config.layers;
    head.num_point_features = config.num_point_features;
    head.num_map_channels = config.layers[0].weight.shape()[1] - config.num_point_features - 1;
    packed_ = std::make_unique<Packed>(head, config.depth_scale, config.activation, precision, stream);
}

HeadQuery::HeadQuery(const JointHeadConfig& config, Precision precision, const Stream& stream) {
    const JointQuery twin(config);
    HeadLayers head;
    head.branch_2d = &config.branch_2d;
    head.branch_3d = &config.branch_3d;
    head.last = &config.joint;
    head.num_layers = static_cast<std::int64_t>(config.joint.size());
    head.num_point_features = config.num_point_features;
    head.num_map_channels = twin.num_feature_channels();
    head.num_volume_channels = twin.num_volume_channels();
    packed_ = std::make_unique<Packed>(head, config.depth_scale, config.activation, precision, stream);
}

HeadQuery::~HeadQuery() = default;
HeadQuery::HeadQuery(HeadQuery&&) noexcept = default;

std::int64_t HeadQuery::num_outputs() const { return packed_->num_outputs; }
std::int64_t HeadQuery::num_point_features() const { return packed_->sizes.num_point_features; }

DeviceFold HeadQuery::fold(const std::vector<DeviceView>& maps, const Stream& stream) const {
    auto state = std::make_unique<DeviceFold::State>();
    state->owner = packed_.get();
    std::vector<std::vector<const DeviceView*>> groups;
    std::vector<std::vector<std::int64_t>> channels;
    std::int64_t num_channels = 0;
    for (const DeviceView& map : maps) {
        const bool fits =
            map.shape.size() == 4 && map.shape[0] == 1 &&
            std::all_of(map.shape.begin(), map.shape.end(), [](auto side) { return side >= 1; });
        if (!fits) {
            fail("a feature map must have shape [1, C, H, W] with no empty axis, got " +
                 to_string(map.shape));
        }
        const std::pair<std::int64_t, std::int64_t> size{map.shape[2], map.shape[3]};
        const auto g = static_cast<std::size_t>(std::find(state->sizes.begin(), state->sizes.end(), size) -
                                                state->sizes.begin());
        if (g == state->sizes.size()) {
            state->sizes.push_back(size);
            groups.emplace_back();
            channels.emplace_back();
        }
        groups[g].push_back(&map);
        for (std::int64_t c = 0; c < map.shape[1]; ++c) channels[g].push_back(num_channels++);
    }
    if (num_channels != packed_->sizes.num_map_channels) {
        fail("the head takes " + std::to_string(packed_->sizes.num_map_channels) +
             " feature channels, the maps have " + std::to_string(num_channels));
    }
    if (groups.size() > kMaxMapGroups) {
        fail("feature maps may have " + std::to_string(kMaxMapGroups) + " sizes on the GPU, got " +
             std::to_string(groups.size()));
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const std::int64_t num_texels = state->sizes[g].first * state->sizes[g].second;
        if (num_texels * packed_->num_rows() > std::int64_t{1} << 32) {
            fail("a feature map of " + std::to_string(state->sizes[g].first) + " x " +
                 std::to_string(state->sizes[g].second) + " texels is too large for this head on the GPU");
        }
        Buffer<float> values(channels[g].size() * num_texels, stream);
        float* to = values.data();
        for (const DeviceView* map : groups[g]) {
            const std::int64_t size = num_elements(map->shape);
            copy_on_device(to, map->data, size * sizeof(float), stream);
            to += size;
        }
        packed_->fold_group(values, channels[g], num_texels, *state, stream);
    }
    return DeviceFold(std::move(state));
}

void HeadQuery::Packed::fold_group(const Buffer<float>& values, const std::vector<std::int64_t>& channels,
                                   std::int64_t num_texels, DeviceFold::State& state, const Stream& stream) {
    const auto num_channels = static_cast<std::int32_t>(channels.size());
    const auto rows = static_cast<std::int32_t>(num_rows());
    const unsigned char* weights = weights_of(channels);
    if (precision == Precision::kFloat16) {
        const int num_tiles = (num_channels + kTile - 1) / kTile;
        const std::size_t shared = kFoldTexels * fold_stride(num_tiles) * sizeof(__half);
        if (shared > static_cast<std::size_t>(device.shared_bytes_per_block)) {
            fail("maps of " + std::to_string(num_channels) + " channels are too wide for this GPU");
        }
        JIFF_CUDA_CHECK(cudaFuncSetAttribute(
            fold_on_tensor_cores, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
        Buffer<__half> texels(num_texels * rows, stream);
        // Once: a point's shares of the texels add up to one in the maps of each size.
        const auto* biases =
            state.halves.empty() ? reinterpret_cast<const float4*>(fold_biases.data()) : nullptr;
        launch(fold_on_tensor_cores,
               {(num_texels + kFoldTexels - 1) / kFoldTexels, kNumWarps * kLanes, shared}, stream,
               values.data(), num_channels, num_texels, reinterpret_cast<const uint4*>(weights), biases,
               num_tiles, rows / kTile, texels.data());
        state.halves.push_back(std::move(texels));
    } else {
        Buffer<float> texels(num_texels * rows, stream);
        constexpr int kThreads = 128;
        const std::int64_t num_row_blocks = (rows + kExactFoldRows - 1) / kExactFoldRows;
        launch(fold_exactly, {(num_texels + kThreads - 1) / kThreads * num_row_blocks, kThreads}, stream,
               values.data(), num_channels, num_texels, reinterpret_cast<const float*>(weights), num_channels,
               rows, texels.data());
        state.floats.push_back(std::move(texels));
    }
}

void HeadQuery::use_common_kernel() {
#if defined(JIFF_HAVE_WARPGROUPS)
    packed_->wide.reset();
#endif
}

int HeadQuery::tile_points(const DeviceFold& maps, std::int64_t num_points) const {
    if (packed_->precision == Precision::kFloat32) return kExactPoints;
    const auto num_groups = static_cast<int>(maps.state_->halves.size());
    return packed_->is_wide(*maps.state_) ? kWidePoints : packed_->choose(num_groups, num_points).num_points;
}

void HeadQuery::query(const DeviceFold& maps, const DeviceVolume* volume, const float* features,
                      const float* points, std::int64_t num_points, const std::int64_t* count, float* values,
                      const Stream& stream) const {
    const Packed& p = *packed_;
    if (maps.state_->owner != packed_.get()) fail("the maps were folded for another head");
    if (p.sizes.num_point_features > 0 && !features) {
        fail("the head takes " + std::to_string(p.sizes.num_point_features) +
             " features of each point, got none");
    }
    const std::int64_t num_volume_channels = volume ? volume->shape()[1] : 0;
    if (num_volume_channels != p.sizes.num_volume_channels) {
        fail("the head takes a volume of " + std::to_string(p.sizes.num_volume_channels) +
             " channels, got one of " + std::to_string(num_volume_channels));
    }
    PointBatch batch{};
    batch.points = points;
    batch.features = features;
    batch.num_points = num_points;
    batch.count = count;
    batch.most = num_points;
    batch.num_features = static_cast<std::int32_t>(p.sizes.num_point_features);
    batch.depth_scale = p.depth_scale;
    batch.activation = p.activation;
    batch.is_activated = p.is_activated;
    batch.num_outputs = static_cast<std::int32_t>(p.num_outputs);
    batch.values = values;
    if (volume) {
        batch.volume.voxels = volume->voxels();
        batch.volume.num_channels = static_cast<std::int32_t>(num_volume_channels);
        for (int axis = 0; axis < 3; ++axis) {
            batch.volume.sides[axis] = static_cast<std::int32_t>(volume->shape()[4 - axis]);
            batch.volume.scale[axis] = volume->frame().scale[axis];
            batch.volume.offset[axis] = volume->frame().offset[axis];
        }
    }
    if (p.precision == Precision::kFloat16) {
        const auto num_groups = static_cast<int>(maps.state_->halves.size());
#if defined(JIFF_HAVE_WARPGROUPS)
        if (p.is_wide(*maps.state_)) {
            const auto view = maps.state_->view(maps.state_->halves, p.tiles.num_rows);
            query_wide(p.wide->head, view.groups[0], view.num_rows, batch, p.device, stream);
            return;
        }
#endif
        const auto choices =
            count ? p.choices(num_groups, num_points)
                  : std::vector<Packed::TileChoice>{{&p.choose(num_groups, num_points), 0, num_points}};
        for (const auto& [variant, least, most] : choices) {
            const std::size_t shared = variant->shared_bytes(p.tiles.layout, num_groups);
            JIFF_CUDA_CHECK(cudaFuncSetAttribute(variant->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(shared)));
            batch.least = least;
            batch.most = most;
            launch(variant->kernel,
                   {(most + variant->num_points - 1) / variant->num_points, kNumWarps * kLanes, shared},
                   stream, p.steps.data(), static_cast<int>(p.steps.size()), p.tiles.layout,
                   maps.state_->view(maps.state_->halves, p.tiles.num_rows), batch);
        }
    } else {
        const std::size_t shared = exact_shared_bytes(p.exact);
        JIFF_CUDA_CHECK(cudaFuncSetAttribute(query_exactly, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shared)));
        launch(query_exactly, {(num_points + kExactPoints - 1) / kExactPoints, kExactThreads, shared}, stream,
               p.layers.data(), static_cast<int>(p.layers.size()), static_cast<std::int32_t>(p.exact.num_own),
               static_cast<std::int32_t>(p.exact.num_start), static_cast<std::int32_t>(p.exact.most_outputs),
               maps.state_->view(maps.state_->floats, p.exact.num_rows), batch);
    }
}

}  // namespace jiff::cuda
