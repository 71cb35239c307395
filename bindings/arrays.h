// Arrays at the border between NumPy and the core.
#pragma once

#include <pybind11/numpy.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"

namespace jiff::bindings {

inline Shape shape_of(const pybind11::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

// `array` as contiguous values of type T; nothing is converted from another type.
// `expected` has -1 for axes of any length. Throws Error(kInvalidArgument) with what came.
template <typename T>
pybind11::array_t<T, pybind11::array::c_style> checked_array(const pybind11::array& array,
                                                             const Shape& expected, const std::string& name) {
    const Shape shape = shape_of(array);
    const auto type = pybind11::dtype::of<T>();
    if (!is_of_shape(shape, expected) || !array.dtype().is(type)) {
        std::string wanted = to_string(expected);
        for (std::size_t at; (at = wanted.find("-1")) != std::string::npos;) wanted.replace(at, 2, "*");
        throw Error(ErrorCode::kInvalidArgument,
                    name + " must have shape " + wanted + " and type " + std::string(pybind11::str(type)) +
                        ", got " + to_string(shape) + " and " + std::string(pybind11::str(array.dtype())));
    }
    return pybind11::array_t<T, pybind11::array::c_style>::ensure(array);
}

// Rows of three of `array`; `num_rows` as in `checked_array`.
template <typename T>
std::vector<std::array<T, 3>> rows_of(const pybind11::array& array, std::int64_t num_rows,
                                      const std::string& name) {
    const auto checked = checked_array<T>(array, {num_rows, 3}, name);
    std::vector<std::array<T, 3>> rows(checked.shape(0));
    if (!rows.empty()) std::memcpy(rows.data(), checked.data(), sizeof(T) * checked.size());
    return rows;
}

inline TensorView view_of(const pybind11::array& array) {
    return {static_cast<const float*>(array.data()), shape_of(array)};
}

// A copy.
inline Tensor tensor_of(const pybind11::array_t<float, pybind11::array::c_style>& array) {
    Tensor tensor(shape_of(array));
    std::memcpy(tensor.data(), array.data(), sizeof(float) * tensor.size());
    return tensor;
}

// A NumPy array that owns the memory of `values`, rows of `num_columns`.
template <typename T, typename Row>
pybind11::array_t<T> array_from_rows(std::vector<Row>&& values, std::int64_t num_columns) {
    auto owner = std::make_unique<std::vector<Row>>(std::move(values));
    auto* data = reinterpret_cast<T*>(owner->data());
    const auto num_rows = static_cast<std::int64_t>(owner->size());
    const pybind11::capsule capsule(owner.release(),
                                    [](void* pointer) { delete static_cast<std::vector<Row>*>(pointer); });
    return pybind11::array_t<T>({num_rows, num_columns}, data, capsule);
}

}  // namespace jiff::bindings
