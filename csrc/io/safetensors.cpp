#include "io/safetensors.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "io/file.h"

namespace jiff {
namespace {

constexpr std::size_t kLengthBytes = 8;

std::uint64_t little_endian(const std::uint8_t* bytes, int num_bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < num_bytes; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
    return value;
}

float from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE 754 binary16 to binary32, subnormals, infinities and NaN included.
float from_half(std::uint16_t half) {
    const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16;
    const std::uint32_t exponent = half >> 10 & 0x1f;
    const std::uint32_t fraction = half & 0x3ff;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) / 16777216.0f;  // fraction · 2⁻²⁴
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 0x1f) return from_bits(sign | 0x7f800000u | fraction << 13);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

// One entry of the header, checked against the bytes that follow the header.
class Entry {
  public:
    Entry(const std::string& path, const std::string& name, const nlohmann::json& header,
          std::size_t num_value_bytes)
        : path_(path), name_(name) {
        if (!header.is_object() || !header.contains("dtype") || !header.contains("shape") ||
            !header.contains("data_offsets")) {
            fail("has no dtype, shape and data_offsets");
        }
        const std::string dtype = header["dtype"].is_string() ? header["dtype"].get<std::string>() : "?";
        if (dtype != "F16" && dtype != "F32") fail("has dtype '" + dtype + "'; F16 and F32 are supported");
        width_ = dtype == "F16" ? 2 : 4;

        // The product is bounded by the file's own size at every step, so it cannot overflow.
        std::size_t num_values = 1;
        if (!header["shape"].is_array()) fail("has a shape that is no list");
        for (const auto& side : header["shape"]) {
            if (!side.is_number_unsigned()) fail("has a side that is no whole number");
            const auto length = side.get<std::uint64_t>();
            if (length != 0 && num_values > num_value_bytes / length) fail("is larger than the file");
            num_values *= static_cast<std::size_t>(length);
            shape_.push_back(static_cast<std::int64_t>(length));
        }
        const auto& offsets = header["data_offsets"];
        if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
            !offsets[1].is_number_unsigned()) {
            fail("has data_offsets that are not two whole numbers");
        }
        begin_ = offsets[0].get<std::uint64_t>();
        const auto end = offsets[1].get<std::uint64_t>();
        if (begin_ > end || end > num_value_bytes) fail("reaches past the end of the file");
        if (end - begin_ != std::uint64_t{num_values} * width_) {
            fail("takes " + std::to_string(end - begin_) + " bytes, which does not fit its shape " +
                 to_string(shape_));
        }
    }

    Tensor read(const std::uint8_t* values) const {
        Tensor tensor(shape_);
        const std::uint8_t* source = values + begin_;
        for (std::int64_t i = 0; i < tensor.size(); ++i, source += width_) {
            const auto bits = static_cast<std::uint32_t>(little_endian(source, width_));
            tensor.data()[i] = width_ == 2 ? from_half(static_cast<std::uint16_t>(bits)) : from_bits(bits);
        }
        return tensor;
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorCode::kBundle,
                    "tensor '" + name_ + "' of '" + path_ + "' " + what + "; export the bundle again");
    }

    std::string path_, name_;
    Shape shape_;
    std::uint64_t begin_ = 0;
    int width_ = 4;
};

}  // namespace

std::map<std::string, Tensor> read_safetensors(const std::string& path) {
    const auto bytes = read_file(path);
    if (bytes.size() < kLengthBytes) {
        throw Error(ErrorCode::kBundle,
                    "'" + path + "' has " + std::to_string(bytes.size()) +
                        " bytes and is no safetensors file; copy or download the bundle again");
    }
    const std::uint64_t header_bytes = little_endian(bytes.data(), kLengthBytes);
    if (header_bytes > bytes.size() - kLengthBytes) {
        throw Error(ErrorCode::kBundle,
                    "the header of '" + path + "' claims " + std::to_string(header_bytes) +
                        " bytes, more than the file has; copy or download the bundle again");
    }
    const std::uint8_t* values = bytes.data() + kLengthBytes + header_bytes;
    const std::size_t num_value_bytes = bytes.size() - kLengthBytes - header_bytes;
    const auto header =
        nlohmann::json::parse(bytes.data() + kLengthBytes, values, nullptr, /*allow_exceptions=*/false);
    if (!header.is_object()) {
        throw Error(ErrorCode::kBundle,
                    "the header of '" + path + "' is not JSON; copy or download the bundle again");
    }
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, entry] : header.items()) {
        if (name != "__metadata__")
            tensors.emplace(name, Entry(path, name, entry, num_value_bytes).read(values));
    }
    return tensors;
}

}  // namespace jiff
