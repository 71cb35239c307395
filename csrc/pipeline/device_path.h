// The part of a reconstruction that stays on the GPU: from feature maps to a coloured mesh. Only builds with
// CUDA have what this declares.
#pragma once

#include <memory>
#include <string>

#include "pipeline/bundle.h"
#include "pipeline/photo_functions.h"

namespace jiff {

// The heads of a bundle on the current GPU. May be used from several threads.
class DevicePath {
  public:
    // `precision` as cuda::precision_named. Throws Error: kDevice, kInvalidArgument.
    DevicePath(const Bundle& bundle, const std::string& precision);
    ~DevicePath();

    struct State;
    const State& state() const { return *state_; }

  private:
    std::unique_ptr<State> state_;
};

// One photograph on the GPU, on a stream of its own; `path` must outlive the result. What encoders give stays
// on the GPU where they run there; else it is copied. After an Error(kDevice) the heads still serve. Dense
// extraction runs on the host and asks the GPU.
std::unique_ptr<PhotoFunctions> functions_on_device(const DevicePath& path, const FramedPhoto& photo);

}  // namespace jiff
