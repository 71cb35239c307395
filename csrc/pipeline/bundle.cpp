#include "pipeline/bundle.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/file.h"
#include "pipeline/bundle_face.h"
#include "pipeline/bundle_graphs.h"
#include "pipeline/bundle_heads.h"
#include "pipeline/manifest.h"

namespace jiff {
namespace {

namespace fs = std::filesystem;
constexpr char kManifest[] = "bundle.json";

FrameSpec read_frame(const ManifestNode& node) {
    FrameSpec frame;
    frame.image_size_px = static_cast<int>(node.at("image_size_px").whole(16, 4096));
    frame.margin = node.at("margin").number(0.0, 1.0);
    frame.size_m = node.at("size_m").number(0.01, 100.0);
    return frame;
}

// Showing a value in a message takes the stack as deep as the value is nested: deeper than any manifest is
// refused before.
nlohmann::json parse_manifest(const std::vector<std::uint8_t>& text, const std::string& path) {
    constexpr int kMostDepth = 32;
    const auto check_depth = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
        if (depth > kMostDepth) {
            fail_bundle("'" + path + "' is nested more than " + std::to_string(kMostDepth) + " deep",
                        kExportAgain);
        }
        return true;
    };
    return nlohmann::json::parse(text, check_depth, /*allow_exceptions=*/false);
}

}  // namespace

Bundle load_bundle(const std::string& directory) {
    const std::string manifest_path = (fs::path(directory) / kManifest).string();
    std::error_code error;
    if (!fs::is_regular_file(manifest_path, error)) {
        fail_bundle("'" + directory + "' is no bundle: it has no bundle.json",
                    "give the directory that an export wrote");
    }
    const auto text = read_file(manifest_path);
    const auto manifest = parse_manifest(text, manifest_path);
    if (!manifest.is_object()) fail_bundle("'" + manifest_path + "' is not JSON", kCopyAgain);
    const ManifestNode root(manifest, manifest_path, "");

    const auto schema_version = root.at("schema_version").whole(1, INT32_MAX);
    if (schema_version > kBundleSchemaVersion) {
        fail_bundle("'" + manifest_path + "' has schema version " + std::to_string(schema_version) +
                        ", this reader knows up to " + std::to_string(kBundleSchemaVersion),
                    "upgrade jiffsdk or export the bundle with this version");
    }
    const BundleFiles files(directory, root.at("files"));

    Bundle bundle;
    bundle.directory = directory;
    bundle.name = root.at("name").text();
    bundle.version = root.at("version").text();
    bundle.license = root.at("license").text();
    bundle.provenance = root.at("provenance").text();
    bundle.frame = read_frame(root.at("frame"));
    bundle.graphs = read_graphs(root.at("graphs"), files, bundle.frame.image_size_px);
    HeadReader heads(files);
    bundle.heads = heads.heads(root.at("heads"), bundle.graphs);
    if (root.has("face_detection")) {
        bundle.face_detection = read_face_detection(root.at("face_detection"), files);
    }
    if (root.has("fine_color"))
        bundle.fine_color = read_fine_color(root.at("fine_color"), files, heads, bundle);
    if (root.has("face")) bundle.face = read_face(root.at("face"), files, heads, bundle);
    return bundle;
}

}  // namespace jiff
