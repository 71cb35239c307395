// Images of the C API as the pipeline takes them: packed RGB and a packed mask.
#pragma once

#include <cstdint>
#include <vector>

#include "jiff/jiff.h"
#include "pipeline/reconstruction.h"

namespace jiff::api {

// A photograph, borrowed from the caller where it is packed RGB already, else copied.
class Photo {
  public:
    // `mask` may be null. Throws Error: kInvalidArgument, kInvalidImage, kInvalidMask.
    Photo(const jiff_image* image, const jiff_image* mask);

    const PhotoView& view() const { return view_; }

  private:
    std::vector<std::uint8_t> rgb_, mask_;
    PhotoView view_;
};

}  // namespace jiff::api
