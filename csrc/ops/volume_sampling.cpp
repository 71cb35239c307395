#include "ops/volume_sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/status.h"
#include "core/threads.h"

namespace jiff {

void cube_coordinates(const VolumeFrame& frame, const float* points, std::int64_t num_points,
                      float* coordinates) {
    for (std::int64_t i = 0; i < 3 * num_points; ++i) {
        coordinates[i] = cube_coordinate(points[i], frame.scale[i % 3], frame.offset[i % 3]);
    }
}

VolumeSampler::VolumeSampler(Tensor volume, bool appends_ones) : planes_(std::move(volume)) {
    const Shape& shape = planes_.shape();
    const bool fits = shape.size() == 5 && shape[0] == 1 &&
                      std::all_of(shape.begin(), shape.end(), [](std::int64_t side) { return side >= 1; });
    if (!fits) {
        throw Error(ErrorCode::kInvalidArgument,
                    "a volume must have shape [1, C, D, H, W] with no empty axis, got " + to_string(shape));
    }
    num_channels_ = shape[1] + (appends_ones ? 1 : 0);
    sides_ = {shape[4], shape[3], shape[2]};
    voxels_ = Tensor({shape[2], shape[3], shape[4], num_channels_});
    rows_ = std::make_unique<Rows>(sides_[1] * sides_[2]);
}

const Tensor& VolumeSampler::voxels() const {
    parallel_for(sides_[2], [this](std::int64_t z) {
        for (std::int64_t y = 0; y < sides_[1]; ++y) row_of(y, z);
    });
    return voxels_;
}

const float* VolumeSampler::row_of(std::int64_t y, std::int64_t z) const {
    const std::int64_t row = z * sides_[1] + y;
    if (!rows_->is_ready[row].load(std::memory_order_acquire)) {
        const std::lock_guard<std::mutex> lock(rows_->mutexes[z % rows_->mutexes.size()]);
        if (!rows_->is_ready[row].load(std::memory_order_relaxed)) {
            arrange(row);
            rows_->is_ready[row].store(true, std::memory_order_release);
        }
    }
    return voxels_.data() + row * sides_[0] * num_channels_;
}

void VolumeSampler::arrange(std::int64_t row) const {
    const std::int64_t num_voxels = sides_[0] * sides_[1] * sides_[2];
    float* const target = voxels_.data() + row * sides_[0] * num_channels_;
    const std::int64_t num_own = planes_.shape()[1];
    for (std::int64_t c = 0; c < num_own; ++c) {
        const float* from = planes_.data() + c * num_voxels + row * sides_[0];
        for (std::int64_t x = 0; x < sides_[0]; ++x) target[x * num_channels_ + c] = from[x];
    }
    if (num_own == num_channels_) return;
    for (std::int64_t x = 0; x < sides_[0]; ++x) target[x * num_channels_ + num_own] = 1.0f;
}

void VolumeSampler::sample_one(const float* coordinates, float* row) const {
    if (std::isnan(coordinates[0]) || std::isnan(coordinates[1]) || std::isnan(coordinates[2])) {
        std::fill(row, row + num_channels_, std::numeric_limits<float>::quiet_NaN());
        return;
    }
    std::fill(row, row + num_channels_, 0.0f);
    const AxisVoxels x = axis_voxels(coordinates[0], sides_[0]), y = axis_voxels(coordinates[1], sides_[1]),
                     z = axis_voxels(coordinates[2], sides_[2]);
    for (int corner = 0; corner < 8; ++corner) {
        const int i = corner & 1, j = corner >> 1 & 1, k = corner >> 2;
        const float weight = z.weight[k] * y.weight[j] * x.weight[i];
        if (weight == 0.0f) continue;  // outside, perhaps
        const float* voxel = row_of(y.index[j], z.index[k]) + x.index[i] * num_channels_;
        for (std::int64_t c = 0; c < num_channels_; ++c) row[c] += voxel[c] * weight;
    }
}

void VolumeSampler::sample(const float* coordinates, std::int64_t num_points, float* samples,
                           std::int64_t row_stride) const {
    constexpr std::int64_t kChunk = 256;
    parallel_for((num_points + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
        const std::int64_t end = std::min(num_points, (chunk + 1) * kChunk);
        for (std::int64_t i = chunk * kChunk; i < end; ++i) {
            sample_one(coordinates + 3 * i, samples + i * row_stride);
        }
    });
}

}  // namespace jiff
