// Images from anybody: the fields of a view from the first bytes, its pixels the rest. Whatever the fields
// claim, a view that tells its number of bytes is read within them or refused.
#include "api/image_view.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>

#include "api/guard.h"
#include "core/status.h"

namespace {

jiff_image taken(const std::uint8_t*& data, std::size_t& size) {
    jiff_image image = JIFF_IMAGE_INIT;
    std::uint16_t fields[4] = {};
    const std::size_t num_bytes = std::min(size, sizeof fields + 2);
    std::uint8_t bytes[sizeof fields + 2] = {};
    if (num_bytes > 0) std::memcpy(bytes, data, num_bytes);
    std::memcpy(fields, bytes, sizeof fields);
    data += num_bytes;
    size -= num_bytes;
    image.width_px = static_cast<std::int16_t>(fields[0]);
    image.height_px = static_cast<std::int16_t>(fields[1]);
    image.stride_bytes = static_cast<std::int16_t>(fields[2]);
    image.format = bytes[sizeof fields] % 9;
    // Now and then the numbers from the far ends.
    switch (bytes[sizeof fields + 1]) {
        case 1:
            image.width_px = image.height_px = INT32_MAX;
            break;
        case 2:
            image.stride_bytes = INT64_MIN;
            break;
        case 3:
            image.stride_bytes = INT64_MAX;
            break;
        case 4:
            image.struct_size += fields[3];
            break;
        case 5:
            image.reserved = fields[3];
            break;
        default:
            break;
    }
    return image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    jiff_image image = taken(data, size), mask = taken(data, size);
    // An allocation of its own, so that a read past either end is seen. Structures that claim to be longer
    // than they are would rightly be read further: they get room.
    const std::unique_ptr<std::uint8_t[]> pixels(new std::uint8_t[size + 1]);
    if (size > 0) std::memcpy(pixels.get(), data, size);
    struct Roomy {
        jiff_image image;
        char room[4096];
    };
    Roomy roomy_image{image, {}}, roomy_mask{mask, {}};
    for (jiff_image* view : {&roomy_image.image, &roomy_mask.image}) {
        view->num_bytes = size + 1;
        view->data = view->stride_bytes < 0 ? pixels.get() + size + 1 : pixels.get();
        if (view->stride_bytes < 0 && view->stride_bytes > -4096 && view->width_px > 0) {
            // The top row is the last one in memory.
            static constexpr int kBytesPerPixel[] = {1, 3, 3, 4, 4, 4, 4, 1, 1};
            const std::size_t row_bytes =
                std::size_t(view->width_px) * std::size_t(kBytesPerPixel[view->format]);
            view->data = row_bytes <= size + 1 ? pixels.get() + (size + 1 - row_bytes) : pixels.get();
        }
    }
    const bool has_mask = size % 2 == 1;
    try {
        const jiff::api::Photo photo(&roomy_image.image, has_mask ? &roomy_mask.image : nullptr);
        // All that it promises can be read.
        const jiff::PhotoView& view = photo.view();
        const auto num_pixels = std::size_t(view.width_px) * std::size_t(view.height_px);
        volatile std::size_t sum = std::accumulate(view.rgb, view.rgb + 3 * num_pixels, std::size_t{0});
        if (view.mask != nullptr) sum = std::accumulate(view.mask, view.mask + num_pixels, std::size_t{sum});
    } catch (const jiff::Error& error) {
        if (error.code() != jiff::ErrorCode::kInvalidArgument &&
            error.code() != jiff::ErrorCode::kInvalidImage && error.code() != jiff::ErrorCode::kInvalidMask) {
            std::abort();
        }
    }
    return 0;
}
