// Option structures from anybody: bytes of any length that claim any size up to it. They are read within
// what they claim, or refused as an invalid argument.
#include "api/options.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>

#include "core/status.h"

namespace {

// The input as a structure, in memory of its own that is as long as struct_size says.
template <typename Options>
class Given {
  public:
    Given(const std::uint8_t* data, std::size_t size)
        : bytes_(new std::uint8_t[std::max(size, sizeof(std::size_t))]()) {
        if (size > 0) std::memcpy(bytes_.get(), data, size);
        std::size_t claimed = 0;
        std::memcpy(&claimed, bytes_.get(), sizeof claimed);
        const std::size_t there = std::max(size, sizeof(std::size_t));
        // More than is there may be claimed only where the library must refuse without a look.
        if (claimed > there && claimed <= 4096) claimed = there;
        std::memcpy(bytes_.get(), &claimed, sizeof claimed);
    }

    Options* get() const { return reinterpret_cast<Options*>(bytes_.get()); }
    bool holds(std::size_t end) const {
        std::size_t claimed = 0;
        std::memcpy(&claimed, bytes_.get(), sizeof claimed);
        return claimed >= end && claimed <= 4096;
    }

  private:
    std::unique_ptr<std::uint8_t[]> bytes_;
};

template <typename Call>
void only_invalid_arguments(Call&& call) {
    try {
        call();
    } catch (const jiff::Error& error) {
        if (error.code() != jiff::ErrorCode::kInvalidArgument) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Given<jiff_reconstruct_options> reconstruct(data, size);
    only_invalid_arguments([&] {
        const auto request = jiff::api::reconstruct_request(reconstruct.get());
        // Made only, not called: its address is the fuzzer's.
        if (request.options.silhouette_dilation_px < 0 || request.options.silhouette_dilation_px > 4096)
            std::abort();
    });

    const Given<jiff_reconstructor_options> engine(data, size);
    // Text must be text: any address would rightly crash.
    static const char* const kTexts[] = {nullptr, "",     "auto", "openvino", "cpu",
                                         "f32",   "bf16", "int8", "\xff\xfe", "cuda"};
    const auto choose = [&](const char*& field) {
        const auto place = static_cast<std::size_t>(reinterpret_cast<std::uint8_t*>(&field) -
                                                    reinterpret_cast<std::uint8_t*>(engine.get()));
        if (engine.holds(place + sizeof(field)))
            field = kTexts[place < size ? data[place] % std::size(kTexts) : 0];
    };
    choose(engine.get()->engine);
    choose(engine.get()->device);
    choose(engine.get()->precision);
    choose(engine.get()->heads);
    choose(engine.get()->networks);
    only_invalid_arguments([&] { jiff::api::engine_request(engine.get()); });
    return 0;
}
