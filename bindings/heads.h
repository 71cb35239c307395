// Heads as Python gives them: a list of (weight (out, in), bias (out,)).
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "ops/skip_mlp.h"

namespace jiff::bindings {

using LayerArrays = std::vector<std::pair<pybind11::array, pybind11::array>>;

inline std::vector<HeadLayer> layers_of(const LayerArrays& arrays) {
    std::vector<HeadLayer> layers;
    for (const auto& [weight, bias] : arrays) {
        layers.push_back({tensor_of(checked_array<float>(weight, {-1, -1}, "weight")),
                          tensor_of(checked_array<float>(bias, {-1}, "bias"))});
    }
    return layers;
}

inline HeadActivation activation_of(const std::string& name) {
    if (name == "sigmoid") return HeadActivation::kSigmoid;
    if (name == "tanh") return HeadActivation::kTanh01;
    throw Error(ErrorCode::kInvalidArgument, "activation must be 'sigmoid' or 'tanh', got '" + name + "'");
}

}  // namespace jiff::bindings
