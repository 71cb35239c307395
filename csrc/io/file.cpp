#include "io/file.h"

#include <fstream>

#include "core/status.h"

namespace jiff {

std::vector<std::uint8_t> read_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary | std::ios::ate);
    if (!stream)
        throw Error(ErrorCode::kBundle, "cannot open '" + path + "'; check that it exists and may be read");
    const std::streamoff num_bytes = stream.tellg();
    std::vector<std::uint8_t> bytes(num_bytes > 0 ? static_cast<std::size_t>(num_bytes) : 0);
    stream.seekg(0);
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (num_bytes < 0 || !stream) {
        throw Error(ErrorCode::kBundle, "cannot read '" + path + "'; check the file and the disk it lies on");
    }
    return bytes;
}

}  // namespace jiff
