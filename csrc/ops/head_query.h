// The CUDA twin of implicit_query.h and joint_query.h: heads on the GPU, all pointers in device memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/cuda.h"
#include "core/tensor.h"
#include "ops/implicit_query.h"
#include "ops/joint_query.h"

namespace jiff::cuda {

// What products are computed in; sums are always float32.
//   kFloat16  on tensor cores; folded maps and hidden activations are kept in half precision, depth is not
//   kFloat32  in the order of the CPU's sums: answers agree with the CPU's to rounding, slowly
enum class Precision { kFloat16, kFloat32 };

Precision precision_named(const std::string& name);  // "fp16", "fp32"; throws Error(kInvalidArgument)

// A contiguous float tensor in device memory, borrowed.
struct DeviceView {
    const float* data = nullptr;
    Shape shape;
};

// A tensor copied to the device.
class DeviceTensor {
  public:
    // The host's values must stay until the stream has read them.
    DeviceTensor(const TensorView& host, const Stream& stream)
        : values_(host.data, static_cast<std::size_t>(host.size()), stream), shape_(host.shape) {}
    DeviceView view() const { return {values_.data(), shape_}; }

  private:
    Buffer<float> values_;
    Shape shape_;
};

// A face volume in device memory, its channels side by side.
class DeviceVolume {
  public:
    // Takes [1, C, D, H, W], with `appends_ones` with a channel of ones after its own. Throws
    // Error(kInvalidArgument) on another shape.
    DeviceVolume(const DeviceView& volume, const VolumeFrame& frame, const Stream& stream,
                 bool appends_ones = false);
    // Copies the host's, whose values must stay until the stream has read them.
    DeviceVolume(const VolumeSampler& volume, const VolumeFrame& frame, const Stream& stream);

    const float* voxels() const { return voxels_.data(); }
    const Shape& shape() const { return shape_; }
    const VolumeFrame& frame() const { return frame_; }

  private:
    Buffer<float> voxels_;
    Shape shape_;
    VolumeFrame frame_;
};

class HeadQuery;

// The maps of one image, for one head. May be asked on streams that wait for the one it was made on.
class DeviceFold {
  public:
    ~DeviceFold();
    DeviceFold(DeviceFold&&) noexcept;

  private:
    friend class HeadQuery;
    struct State;
    explicit DeviceFold(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

class HeadQuery {
  public:
    // Checks the shapes as the CPU's twins do and copies the weights to the device, on a stream that must
    // outlive this. With `num_layers` the answers are the activations of so many layers, which must be fewer
    // than all. Throws Error(kInvalidArgument), also where kFloat16 does not fit the shared memory of this
    // GPU; kDevice.
    HeadQuery(const HeadConfig& config, Precision precision, const Stream& stream,
              std::int64_t num_layers = 0);
    HeadQuery(const JointHeadConfig& config, Precision precision, const Stream& stream);
    ~HeadQuery();
    HeadQuery(HeadQuery&&) noexcept;

    std::int64_t num_outputs() const;
    std::int64_t num_point_features() const;

    // Multiplies the maps, each [1, C, H, W], into the features' part of all layers. Thread-safe.
    DeviceFold fold(const std::vector<DeviceView>& maps, const Stream& stream) const;

    // `points` [N, 3] and `features` [N, num_point_features()] to `values` [N, num_outputs()], as
    // ImplicitQuery::query and JointQuery::query; a joint head takes a volume, another null. A point's answer
    // does not depend on the others. Where `count`, in device memory, is not null, only so many points, the
    // first, are asked for. Only enqueues. Thread-safe.
    void query(const DeviceFold& maps, const DeviceVolume* volume, const float* features, const float* points,
               std::int64_t num_points, const std::int64_t* count, float* values, const Stream& stream) const;

    // Takes the kernel that every GPU has where this one has a faster one: to test and to compare.
    void use_common_kernel();

    // Points that a block of threads takes when there are `num_points`, for reports.
    int tile_points(const DeviceFold& maps, std::int64_t num_points) const;

  private:
    struct Packed;
    std::unique_ptr<Packed> packed_;
};

}  // namespace jiff::cuda
