#include "api/image_view.h"

#include <algorithm>
#include <limits>
#include <string>

#include "api/guard.h"
#include "api/structures.h"
#include "core/status.h"

namespace jiff::api {
namespace {

constexpr std::int32_t kLeastSidePx = 64;
constexpr std::int64_t kMostPixels = 80'000'000;
constexpr jiff_image kInitial = JIFF_IMAGE_INIT;

// Where the channels of a pixel lie; alpha -1 where there is none.
struct PixelLayout {
    int num_bytes, red, green, blue, alpha;
};

PixelLayout layout_of(std::int32_t format, const std::string& role) {
    switch (format) {
        case JIFF_RGB8:
            return {3, 0, 1, 2, -1};
        case JIFF_BGR8:
            return {3, 2, 1, 0, -1};
        case JIFF_RGBA8:
            return {4, 0, 1, 2, 3};
        case JIFF_BGRA8:
            return {4, 2, 1, 0, 3};
        case JIFF_RGBX8:
            return {4, 0, 1, 2, -1};
        case JIFF_BGRX8:
            return {4, 2, 1, 0, -1};
        case JIFF_GRAY8:
            return {1, 0, 0, 0, -1};
        default:
            throw Error(ErrorCode::kInvalidArgument, "format of the " + role + " is " +
                                                         std::to_string(format) +
                                                         "; use JIFF_RGB8 or another of its kind");
    }
}

// An image whose every pixel may be read.
struct Pixels {
    const std::uint8_t* top;
    std::int64_t stride_bytes;
    std::int32_t width_px, height_px;
    PixelLayout layout;

    const std::uint8_t* row(std::int64_t y) const { return top + y * stride_bytes; }
    bool is_packed() const { return stride_bytes == std::int64_t{width_px} * layout.num_bytes; }
    std::size_t num_pixels() const { return std::size_t(width_px) * std::size_t(height_px); }
};

std::string size_of(const jiff_image& image) {
    return std::to_string(image.width_px) + " x " + std::to_string(image.height_px) + " px";
}

Pixels checked_pixels(const jiff_image* given, const std::string& role, ErrorCode code) {
    const jiff_image image = read_structure(given, kInitial, role.c_str());
    const PixelLayout layout = layout_of(image.format, role);
    if (image.reserved != 0) {
        throw Error(ErrorCode::kInvalidArgument, "reserved of the " + role + " is " +
                                                     std::to_string(image.reserved) +
                                                     "; start from JIFF_IMAGE_INIT");
    }
    if (image.data == nullptr) throw Error(code, "data of the " + role + " is null; give its pixels");
    if (std::min(image.width_px, image.height_px) < kLeastSidePx) {
        throw Error(code, "the " + role + " is " + size_of(image) + "; at least " +
                              std::to_string(kLeastSidePx) + " px on each side are needed");
    }
    if (std::int64_t{image.width_px} * image.height_px > kMostPixels) {
        throw Error(code, "the " + role + " is " + size_of(image) + ", more than " +
                              std::to_string(kMostPixels / 1'000'000) + " megapixels; scale it down");
    }
    const std::int64_t row_bytes = std::int64_t{image.width_px} * layout.num_bytes;
    const std::int64_t stride_bytes = image.stride_bytes == 0 ? row_bytes : image.stride_bytes;
    // A row of the widest picture, padded a thousandfold: products with it stay far from overflow.
    constexpr std::int64_t kMostStrideBytes = std::int64_t{1} << 40;
    if (stride_bytes < -kMostStrideBytes || stride_bytes > kMostStrideBytes ||
        std::abs(stride_bytes) < row_bytes) {
        throw Error(code, "stride_bytes of the " + role + " is " + std::to_string(stride_bytes) +
                              ", a row has " + std::to_string(row_bytes) +
                              " bytes; give the distance from one row to the one below");
    }
    const std::int64_t needed = std::abs(stride_bytes) * (image.height_px - 1) + row_bytes;
    if (image.num_bytes != 0 && image.num_bytes < static_cast<std::uint64_t>(needed)) {
        throw Error(code, "the " + role + " takes " + std::to_string(needed) + " bytes, num_bytes is " +
                              std::to_string(image.num_bytes) + "; check its size, format and stride");
    }
    return {static_cast<const std::uint8_t*>(image.data), stride_bytes, image.width_px, image.height_px,
            layout};
}

std::vector<std::uint8_t> packed_rgb(const Pixels& pixels) {
    std::vector<std::uint8_t> rgb(pixels.num_pixels() * 3);
    std::uint8_t* target = rgb.data();
    for (std::int32_t y = 0; y < pixels.height_px; ++y) {
        const std::uint8_t* source = pixels.row(y);
        for (std::int32_t x = 0; x < pixels.width_px; ++x, source += pixels.layout.num_bytes, target += 3) {
            target[0] = source[pixels.layout.red];
            target[1] = source[pixels.layout.green];
            target[2] = source[pixels.layout.blue];
        }
    }
    return rgb;
}

std::vector<std::uint8_t> packed_channel(const Pixels& pixels, int channel) {
    std::vector<std::uint8_t> values(pixels.num_pixels());
    std::uint8_t* target = values.data();
    for (std::int32_t y = 0; y < pixels.height_px; ++y) {
        const std::uint8_t* source = pixels.row(y) + channel;
        for (std::int32_t x = 0; x < pixels.width_px; ++x, source += pixels.layout.num_bytes)
            *target++ = *source;
    }
    return values;
}

bool is_opaque(const std::vector<std::uint8_t>& alpha) {
    return std::all_of(alpha.begin(), alpha.end(), [](std::uint8_t value) { return value == 255; });
}

}  // namespace

Photo::Photo(const jiff_image* image, const jiff_image* mask) {
    require(image, "image");
    const Pixels pixels = checked_pixels(image, "image", ErrorCode::kInvalidImage);
    view_.width_px = pixels.width_px;
    view_.height_px = pixels.height_px;
    if (pixels.layout.num_bytes == 3 && pixels.layout.red == 0 && pixels.is_packed()) {
        view_.rgb = pixels.top;
    } else {
        rgb_ = packed_rgb(pixels);
        view_.rgb = rgb_.data();
    }
    if (mask != nullptr) {
        const Pixels values = checked_pixels(mask, "mask", ErrorCode::kInvalidMask);
        if (values.layout.num_bytes != 1) {
            throw Error(ErrorCode::kInvalidMask, "format of the mask is not JIFF_GRAY8; give one channel");
        }
        if (values.width_px != pixels.width_px || values.height_px != pixels.height_px) {
            throw Error(ErrorCode::kInvalidMask, "the mask is " + std::to_string(values.width_px) + " x " +
                                                     std::to_string(values.height_px) + " px, the image " +
                                                     std::to_string(pixels.width_px) + " x " +
                                                     std::to_string(pixels.height_px) +
                                                     " px; give a mask of the image's size");
        }
        if (values.is_packed()) {
            view_.mask = values.top;
        } else {
            mask_ = packed_channel(values, 0);
            view_.mask = mask_.data();
        }
    } else if (pixels.layout.alpha >= 0) {
        mask_ = packed_channel(pixels, pixels.layout.alpha);
        // As a picture without transparency: nobody was cut out.
        if (!is_opaque(mask_)) view_.mask = mask_.data();
    }
}

}  // namespace jiff::api
