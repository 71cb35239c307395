// A bundle's manifest while it is read: places in it that name themselves in errors, and the files that it
// lists.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "engine/engine.h"

namespace jiff {

inline constexpr char kCopyAgain[] = "copy or download the bundle again";
inline constexpr char kExportAgain[] = "export the bundle again";

// Throws Error(kBundle): what is wrong, and what to do about it.
[[noreturn]] void fail_bundle(const std::string& message, const std::string& remedy);

// A value of the manifest that knows its path there. Borrows the JSON document. Its readers throw
// Error(kBundle) with file, path, value and remedy.
class ManifestNode {
  public:
    ManifestNode(const nlohmann::json& value, std::string file, std::string where)
        : value_(value), file_(std::move(file)), where_(std::move(where)) {}

    bool has(const std::string& key) const { return value_.is_object() && value_.contains(key); }
    ManifestNode at(const std::string& key) const;
    std::map<std::string, ManifestNode> members() const;
    std::vector<ManifestNode> elements() const;

    std::string text() const;
    std::int64_t whole(std::int64_t low, std::int64_t high) const;
    double number(double low, double high) const;
    bool truth() const;
    Shape shape() const;
    NamedShapes shapes() const;

    // `expected` completes the sentence "… must be …".
    [[noreturn]] void wrong(const std::string& expected) const;

  private:
    const nlohmann::json& value_;
    std::string file_, where_;
};

// The files under "files": present, of the size and of the hash that the manifest says.
class BundleFiles {
  public:
    // Reads and checks every file that `files` lists. Throws Error(kBundle).
    BundleFiles(std::string directory, const ManifestNode& files);

    // Where the file lies that `file` names. Throws Error(kBundle) when it is not among the checked ones.
    std::string path_of(const ManifestNode& file) const;

  private:
    std::string directory_;
    std::set<std::string> names_;
};

}  // namespace jiff
