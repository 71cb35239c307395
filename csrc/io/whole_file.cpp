#include "io/whole_file.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <system_error>

namespace jiff {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, int code) {
    throw OutputError("cannot write '" + path + "': " + std::generic_category().message(code) +
                      "; check that its folder exists, that you may write there and that "
                      "the disk has room");
}

// A name beside `target` that nothing has yet.
fs::path partial_path(const fs::path& target) {
    std::string name = "." + target.filename().string() + ".";
    std::random_device random;
    for (int i = 0; i < 8; ++i) name += "0123456789abcdef"[random() % 16];
    return target.parent_path() / (name + ".part");
}

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

void write_new(const fs::path& partial, const std::string& content, const std::string& path) {
    std::unique_ptr<std::FILE, Close> file(std::fopen(partial.string().c_str(), "wbx"));
    if (!file) fail(path, errno);
    if (std::fwrite(content.data(), 1, content.size(), file.get()) != content.size()) fail(path, errno);
    if (std::fclose(file.release()) != 0) fail(path, errno);
}

}  // namespace

void write_whole_file(const std::string& path, const std::string& content) {
    const fs::path target(path);
    const fs::path partial = partial_path(target);
    std::error_code error;
    try {
        write_new(partial, content, path);
        fs::rename(partial, target, error);
        if (error) fail(path, error.value());
    } catch (...) {
        fs::remove(partial, error);
        throw;
    }
}

}  // namespace jiff
