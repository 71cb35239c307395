#include "pipeline/manifest.h"

#include <filesystem>

#include "core/status.h"
#include "io/file.h"
#include "io/sha256.h"

namespace jiff {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void check_listed_file(const std::string& path, const ManifestNode& record) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) fail_bundle("bundle file '" + path + "' is missing", kCopyAgain);
    const auto expected_bytes = static_cast<std::uintmax_t>(record.at("num_bytes").whole(0, INT64_MAX));
    const auto found_bytes = fs::file_size(path, error);
    if (error || found_bytes != expected_bytes) {
        fail_bundle("bundle file '" + path + "' has " + std::to_string(error ? 0 : found_bytes) +
                        " bytes, the manifest says " + std::to_string(expected_bytes),
                    kCopyAgain);
    }
    const auto bytes = read_file(path);
    const std::string expected = record.at("sha256").text();
    const std::string found = sha256_hex(bytes.data(), bytes.size());
    if (found != expected) {
        fail_bundle("bundle file '" + path + "' was altered: its sha256 is " + found +
                        ", the manifest says " + expected,
                    kCopyAgain);
    }
}

// A name that would lead out of the bundle is none.
bool is_plain_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." && name.find_first_of("/\\") == std::string::npos;
}

}  // namespace

void fail_bundle(const std::string& message, const std::string& remedy) {
    throw Error(ErrorCode::kBundle, message + "; " + remedy);
}

ManifestNode ManifestNode::at(const std::string& key) const {
    const std::string where = where_.empty() ? key : where_ + "." + key;
    if (!value_.is_object()) wrong("an object");
    if (!has(key)) fail_bundle("'" + file_ + "' has no '" + where + "'", kExportAgain);
    return ManifestNode(value_[key], file_, where);
}

std::map<std::string, ManifestNode> ManifestNode::members() const {
    if (!value_.is_object()) wrong("an object");
    std::map<std::string, ManifestNode> found;
    for (const auto& [key, value] : value_.items()) found.emplace(key, at(key));
    return found;
}

std::vector<ManifestNode> ManifestNode::elements() const {
    if (!value_.is_array()) wrong("a list");
    std::vector<ManifestNode> found;
    for (const auto& value : value_)
        found.emplace_back(value, file_, where_ + "[" + std::to_string(found.size()) + "]");
    return found;
}

std::string ManifestNode::text() const {
    if (!value_.is_string()) wrong("a text");
    return value_.get<std::string>();
}

std::int64_t ManifestNode::whole(std::int64_t low, std::int64_t high) const {
    const bool fits = value_.is_number_integer() && value_ >= low && value_ <= high;
    if (!fits) wrong("a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    return value_.get<std::int64_t>();
}

double ManifestNode::number(double low, double high) const {
    const bool fits = value_.is_number() && value_ >= low && value_ <= high;
    if (!fits) wrong("a number from " + json(low).dump() + " to " + json(high).dump());
    return value_.get<double>();
}

bool ManifestNode::truth() const {
    if (!value_.is_boolean()) wrong("true or false");
    return value_.get<bool>();
}

Shape ManifestNode::shape() const {
    Shape sides;
    for (const ManifestNode& side : elements()) sides.push_back(side.whole(1, 1 << 20));
    return sides;
}

NamedShapes ManifestNode::shapes() const {
    NamedShapes named;
    for (const auto& [name, node] : members()) named.emplace(name, node.shape());
    return named;
}

void ManifestNode::wrong(const std::string& expected) const {
    std::string value = value_.dump(-1, ' ', false, json::error_handler_t::replace);
    if (value.size() > 80) value = value.substr(0, 77) + "...";
    fail_bundle("'" + where_ + "' in '" + file_ + "' must be " + expected + ", got " + value, kExportAgain);
}

BundleFiles::BundleFiles(std::string directory, const ManifestNode& files)
    : directory_(std::move(directory)) {
    for (const auto& [name, record] : files.members()) {
        if (!is_plain_name(name)) files.wrong("plain names of files beside it, not '" + name + "'");
        check_listed_file((fs::path(directory_) / name).string(), record);
        names_.insert(name);
    }
}

std::string BundleFiles::path_of(const ManifestNode& file) const {
    const std::string name = file.text();
    if (names_.count(name) == 0) file.wrong("a file listed under 'files'");
    return (fs::path(directory_) / name).string();
}

}  // namespace jiff
