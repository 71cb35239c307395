// photo_to_mesh BUNDLE PHOTO MESH [RESOLUTION]: a photograph in, a .glb, .ply or .obj out; in C++.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "examples/photo_file.h"
#include "jiff/jiff.hpp"

namespace {

struct PhotoFile {
    explicit PhotoFile(const char* path) {
        char message[512];
        if (photo_load(path, &pixels, message, sizeof message) != 0) throw std::runtime_error(message);
    }
    ~PhotoFile() { photo_free(&pixels); }
    PhotoFile(const PhotoFile&) = delete;
    PhotoFile& operator=(const PhotoFile&) = delete;

    jiff_image pixels = JIFF_IMAGE_INIT;
};

void run(const char* bundle_directory, const char* photo_path, const std::string& mesh_path, int resolution) {
    const PhotoFile photo(photo_path);
    const auto bundle = jiff::Bundle::open(bundle_directory);
    const jiff::Reconstructor reconstructor(bundle);

    jiff::ReconstructOptions options;
    options.resolution = resolution;
    options.progress = [](std::string_view stage, float fraction) {
        std::fprintf(stderr, "\r%3.0f %% %-16.*s", 100.0 * double(fraction), int(stage.size()), stage.data());
        return true;  // go on
    };
    const auto person = reconstructor(jiff::Image(photo.pixels), options);
    std::fprintf(stderr, "\n");
    for (const auto warning : person.warnings())
        std::fprintf(stderr, "warning: %.*s\n", int(warning.size()), warning.data());
    person.mesh().write(mesh_path);

    for (const auto& [stage, duration_ms] : person.stages())
        std::printf("%-16.*s %8.1f ms\n", int(stage.size()), stage.data(), duration_ms);
    std::printf("%s: %zu vertices, %zu faces\n", mesh_path.c_str(), person.mesh().num_vertices(),
                person.mesh().num_faces());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4 || argc > 5) {
        std::fprintf(stderr, "usage: %s BUNDLE PHOTO MESH.glb [RESOLUTION]\n", argv[0]);
        return 2;
    }
    try {
        run(argv[1], argv[2], argv[3], argc == 5 ? std::atoi(argv[4]) : 256);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "\n%s\n", error.what());
        return 1;
    }
}
