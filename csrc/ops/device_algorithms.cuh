// Scans and sorts over device memory, by CUB.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cub/cub.cuh>

#include "core/cuda_launch.h"

namespace jiff::cuda {

// sums[i] = values[0] + … + values[i - 1], for `size` values.
template <typename T>
void exclusive_sums(const T* values, T* sums, std::int64_t size, const Stream& stream) {
    std::size_t num_bytes = 0;
    JIFF_CUDA_CHECK(cub::DeviceScan::ExclusiveSum(nullptr, num_bytes, values, sums, size, handle_of(stream)));
    Buffer<unsigned char> space(num_bytes, stream);
    JIFF_CUDA_CHECK(
        cub::DeviceScan::ExclusiveSum(space.data(), num_bytes, values, sums, size, handle_of(stream)));
}

// Ascending, by the lowest `num_bits`.
template <typename Key>
void sort_keys(const Key* keys, Key* sorted, std::int64_t size, int num_bits, const Stream& stream) {
    std::size_t num_bytes = 0;
    JIFF_CUDA_CHECK(cub::DeviceRadixSort::SortKeys(nullptr, num_bytes, keys, sorted, size, 0, num_bits,
                                                   handle_of(stream)));
    Buffer<unsigned char> space(num_bytes, stream);
    JIFF_CUDA_CHECK(cub::DeviceRadixSort::SortKeys(space.data(), num_bytes, keys, sorted, size, 0, num_bits,
                                                   handle_of(stream)));
}

}  // namespace jiff::cuda
