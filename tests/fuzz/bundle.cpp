// Bundles from anybody: a manifest that a fuzzer wrote beside files of its own. The input is the manifest,
// and behind a line of four dashes the bytes of heads.safetensors, which the manifest's hash is mended to
// fit: else nothing would ever get past it. Only Error(kBundle) may come out.
#include "pipeline/bundle.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/status.h"
#include "io/safetensors.h"
#include "io/sha256.h"

namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"heads.safetensors",
                                  "shape_encoder.onnx",
                                  "color_encoder.onnx",
                                  "segmentation.onnx",
                                  "face_model.safetensors",
                                  "regressor.onnx",
                                  "points.onnx",
                                  "shape_unet.onnx",
                                  "color_unet.onnx",
                                  "fine.onnx",
                                  "sa1.onnx",
                                  "sa2.onnx",
                                  "sa3.onnx",
                                  "fp1.onnx",
                                  "fp2.onnx",
                                  "fp3.onnx",
                                  "face_proposal.onnx",
                                  "face_refinement.onnx",
                                  "face_landmarks.onnx"};

// One directory a process, gone when it ends.
class Workplace {
  public:
    Workplace() : path_(fs::temp_directory_path() / ("fuzz_bundle_" + std::to_string(getpid()))) {
        fs::create_directories(path_);
    }
    ~Workplace() {
        std::error_code error;
        fs::remove_all(path_, error);
    }

    std::string path() const { return path_.string(); }
    void write(const std::string& name, const std::string& content) const {
        std::ofstream(path_ / name, std::ios::binary) << content;
    }

  private:
    fs::path path_;
};

std::string mended(const std::string& text, const std::string& heads) {
    auto manifest = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!manifest.is_object() || !manifest.contains("files") || !manifest["files"].is_object()) return text;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(heads.data());
    for (auto& [name, record] : manifest["files"].items()) {
        if (!record.is_object()) continue;
        record["num_bytes"] = heads.size();
        record["sha256"] = jiff::sha256_hex(bytes, heads.size());
    }
    return manifest.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

template <typename Call>
void only_bundle_errors(Call&& call) {
    try {
        call();
    } catch (const jiff::Error& error) {
        if (error.code() != jiff::ErrorCode::kBundle) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Workplace workplace;
    static const std::string kBoundary = "\n----\n";
    const std::string input(reinterpret_cast<const char*>(data), size);
    const std::size_t boundary = input.find(kBoundary);
    const std::string text = input.substr(0, boundary);
    const std::string heads = boundary == std::string::npos ? "" : input.substr(boundary + kBoundary.size());
    // Every file that the seeds list has the same content: graphs are not read, only hashed.
    static std::string last_heads = "none yet";
    if (heads != last_heads) {
        for (const char* name : kFiles) workplace.write(name, heads);
        last_heads = heads;
    }
    workplace.write("bundle.json", mended(text, heads));
    only_bundle_errors([] { jiff::load_bundle(workplace.path()); });
    only_bundle_errors([] { jiff::read_safetensors(workplace.path() + "/heads.safetensors"); });
    return 0;
}
