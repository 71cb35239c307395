// Reads safetensors files: an 8-byte little-endian header length, a JSON header, the values.
#pragma once

#include <map>
#include <string>

#include "core/tensor.h"

namespace jiff {

// All tensors of the file at `path` by name, converted to float32. Float16 and float32 are known.
// Throws Error(kBundle) naming the file and the tensor when the file is not what its header says.
std::map<std::string, Tensor> read_safetensors(const std::string& path);

}  // namespace jiff
