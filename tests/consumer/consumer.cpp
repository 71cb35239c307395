// consumer BUNDLE RGB WIDTH HEIGHT RESOLUTION OUT ENGINE: reconstructs raw pixels and writes OUT.vertices,
// OUT.faces and OUT.colors as they lie in memory, and OUT.glb. Also holds the C++ API to what it promises.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "jiff/jiff.hpp"

extern "C" std::size_t total_struct_size(void);

namespace {

void expect(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(std::string("expected: ") + what);
}

template <typename T>
constexpr bool moves_only =
    std::is_move_constructible_v<T>&& std::is_move_assignable_v<T> && !std::is_copy_constructible_v<T>;
static_assert(moves_only<jiff::Bundle> && moves_only<jiff::Reconstructor> &&
              moves_only<jiff::Reconstruction>);

template <typename T>
void write_raw(const std::string& path, jiff::Span<const T> values) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(T)));
    expect(bool(file), "the raw file can be written");
}

struct Stop {};  // no std::exception: what a callback throws arrives as it is

void check_errors(const jiff::Reconstructor& reconstructor, const jiff::Image& photo) {
    const auto missing = jiff::Bundle::try_open("/no/such/bundle");
    expect(!missing && missing.status() == JIFF_BUNDLE_ERROR, "a missing bundle is a bundle error");
    expect(missing.message().find("/no/such/bundle") != std::string::npos, "the message names the bundle");

    jiff::ReconstructOptions options;
    options.resolution = 33;
    try {
        (void)reconstructor(photo, options);
        expect(false, "a resolution of 33 is refused");
    } catch (const jiff::Error& error) {
        expect(error.status() == JIFF_INVALID_ARGUMENT, "a wrong resolution is an invalid argument");
    }
    options.resolution = 32;
    options.progress = [](std::string_view, float) -> bool { throw Stop(); };
    try {
        (void)reconstructor(photo, options);
        expect(false, "a callback that throws ends the reconstruction");
    } catch (const Stop&) {
    }
    options.progress = [](std::string_view, float) { return false; };
    expect(reconstructor.try_reconstruct(photo, options).status() == JIFF_CANCELLED, "false cancels");
}

void run(char** arguments) {
    std::ifstream file(arguments[2], std::ios::binary);
    const std::vector<std::uint8_t> pixels{std::istreambuf_iterator<char>(file), {}};
    const jiff::Image photo(jiff::Span<const std::uint8_t>(pixels.data(), pixels.size()),
                            std::atoi(arguments[3]), std::atoi(arguments[4]), jiff::PixelFormat::kRgb);

    jiff::Reconstructor reconstructor = [&] {
        const auto bundle = jiff::Bundle::open(arguments[1]);
        jiff::EngineOptions options;
        options.engine = arguments[7];
        return jiff::Reconstructor(bundle, options);
    }();  // lives on without the bundle
    const bool is_auto = std::string_view(arguments[7]) == "auto";
    expect(reconstructor.engine() == (is_auto ? jiff::engines().front() : arguments[7]),
           "the engine is the one that was asked for, and auto the first one");
    check_errors(reconstructor, photo);

    jiff::ReconstructOptions options;
    options.resolution = std::atoi(arguments[5]);
    jiff::Reconstruction first = reconstructor(photo, options);
    const jiff::Reconstruction person = std::move(first);
    const std::string out = arguments[6];
    write_raw(out + ".vertices", person.mesh().vertices());
    write_raw(out + ".faces", person.mesh().faces());
    write_raw(out + ".colors", person.mesh().colors());
    write_raw(out + ".mask", person.mask().bytes());
    person.mesh().write(out + ".glb");
    expect(person.stages().size() == person.info().num_stages, "every stage is there");
    std::printf("%s\n%zu vertices\n", jiff_build_info(), person.mesh().num_vertices());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8 || total_struct_size() == 0) return 2;
    try {
        run(argv);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
