// c_api_stress BUNDLE [NUM_ROUNDS]: the C API under hostile callers and under eight threads, with one
// reconstructor and with one each. Every result must be the serial one. BUNDLE must have a segmentation
// network, or is asked with a mask.
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "jiff/jiff.h"

namespace {

constexpr int kNumThreads = 8;
constexpr std::int32_t kResolution = 32;

[[noreturn]] void fail(const char* file, int line, const char* what) {
    std::fprintf(stderr, "%s:%d: %s does not hold; last error: %s\n", file, line, what, jiff_last_error());
    std::_Exit(1);
}

#define EXPECT(condition) \
    if (!(condition)) fail(__FILE__, __LINE__, #condition)

// A red person before a blue wall, with the mask that shows it.
struct Drawing {
    static constexpr int kWidthPx = 200, kHeightPx = 240;

    Drawing() : rgb(kWidthPx * kHeightPx * 3), mask(kWidthPx * kHeightPx) {
        for (int y = 0; y < kHeightPx; ++y) {
            for (int x = 0; x < kWidthPx; ++x) {
                const bool inside = std::hypot(x - 90, y - 72) < 24 || std::hypot(x - 90, y - 144) < 60;
                const std::uint8_t red[] = {220, 60, 40}, blue[] = {40, 60, 220};
                std::memcpy(&rgb[3 * std::size_t(y * kWidthPx + x)], inside ? red : blue, 3);
                mask[std::size_t(y * kWidthPx + x)] = inside ? 255 : 0;
            }
        }
    }

    jiff_image image() const { return view(rgb, JIFF_RGB8); }
    jiff_image mask_image() const { return view(mask, JIFF_GRAY8); }

    static jiff_image view(const std::vector<std::uint8_t>& bytes, std::int32_t format) {
        jiff_image view = JIFF_IMAGE_INIT;
        view.data = bytes.data();
        view.num_bytes = bytes.size();
        view.width_px = kWidthPx;
        view.height_px = kHeightPx;
        view.format = format;
        return view;
    }

    std::vector<std::uint8_t> rgb, mask;
};

struct Result {
    std::vector<float> vertices, colors;
    std::vector<std::int32_t> faces;

    bool operator==(const Result& other) const {
        return vertices == other.vertices && colors == other.colors && faces == other.faces;
    }
};

Result reconstruct(const jiff_reconstructor* reconstructor, const Drawing& drawing) {
    const jiff_image image = drawing.image(), mask = drawing.mask_image();
    jiff_reconstruct_options options = JIFF_RECONSTRUCT_OPTIONS_INIT;
    options.resolution = kResolution;
    jiff_reconstruction* person = nullptr;
    EXPECT(jiff_reconstruct(reconstructor, &image, &mask, &options, &person) == JIFF_OK);
    jiff_mesh mesh = JIFF_MESH_INIT;
    EXPECT(jiff_reconstruction_mesh(person, &mesh) == JIFF_OK && mesh.num_vertices > 0);
    Result result{{mesh.vertices, mesh.vertices + 3 * mesh.num_vertices},
                  {mesh.colors, mesh.colors + 3 * mesh.num_vertices},
                  {mesh.faces, mesh.faces + 3 * mesh.num_faces}};
    EXPECT(jiff_reconstruction_free(person) == JIFF_OK);
    return result;
}

void on_threads(const std::function<void(int)>& run) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kNumThreads; ++i) threads.emplace_back(run, i);
    for (auto& thread : threads) thread.join();
}

jiff_reconstructor* create(const jiff_bundle* bundle) {
    jiff_reconstructor_options options = JIFF_RECONSTRUCTOR_OPTIONS_INIT;
    options.num_threads = 1;
    jiff_reconstructor* reconstructor = nullptr;
    EXPECT(jiff_reconstructor_create(bundle, &options, &reconstructor) == JIFF_OK);
    return reconstructor;
}

void check_hostile_handles(jiff_bundle* bundle, const jiff_reconstructor* reconstructor,
                           const Drawing& drawing) {
    int local = 0;
    auto* foreign = reinterpret_cast<jiff_reconstruction*>(&local);
    auto* confused = reinterpret_cast<jiff_reconstruction*>(bundle);
    jiff_mesh mesh = JIFF_MESH_INIT;
    for (jiff_reconstruction* wrong : {static_cast<jiff_reconstruction*>(nullptr), foreign, confused})
        EXPECT(jiff_reconstruction_mesh(wrong, &mesh) == JIFF_INVALID_HANDLE);
    EXPECT(jiff_reconstruction_free(foreign) == JIFF_INVALID_HANDLE);
    EXPECT(jiff_reconstruction_free(nullptr) == JIFF_OK);

    const jiff_image image = drawing.image(), mask = drawing.mask_image();
    jiff_reconstruct_options options = JIFF_RECONSTRUCT_OPTIONS_INIT;
    options.resolution = kResolution;
    jiff_reconstruction* person = nullptr;
    EXPECT(jiff_reconstruct(reconstructor, &image, &mask, &options, &person) == JIFF_OK);
    EXPECT(jiff_reconstruction_mesh(person, nullptr) == JIFF_INVALID_ARGUMENT);
    EXPECT(jiff_reconstruction_free(person) == JIFF_OK);
    EXPECT(jiff_reconstruction_free(person) == JIFF_INVALID_HANDLE);
    EXPECT(jiff_reconstruction_mesh(person, &mesh) == JIFF_INVALID_HANDLE);
    EXPECT(jiff_reconstructor_engine(nullptr) == nullptr);
    EXPECT(jiff_reconstructor_networks(nullptr) == nullptr);
}

void check_hostile_arguments(const jiff_reconstructor* reconstructor, const Drawing& drawing) {
    jiff_reconstruction* const untouched = reinterpret_cast<jiff_reconstruction*>(std::uintptr_t{7});
    const auto expect_refused = [&](const jiff_image& image, const jiff_image* mask,
                                    const jiff_reconstruct_options* options) {
        jiff_reconstruction* person = untouched;
        EXPECT(jiff_reconstruct(reconstructor, &image, mask, options, &person) != JIFF_OK);
        EXPECT(person == untouched && *jiff_last_error() != '\0');
    };
    const jiff_image good = drawing.image();
    for (const auto& spoil : std::vector<std::function<void(jiff_image&)>>{
             [](jiff_image& image) { image.struct_size = 0; },
             [](jiff_image& image) { image.struct_size = SIZE_MAX; },
             [](jiff_image& image) { image.data = nullptr; },
             [](jiff_image& image) { image.num_bytes -= 1; },
             [](jiff_image& image) { image.width_px = -1; },
             [](jiff_image& image) { image.width_px = image.height_px = INT32_MAX; },
             [](jiff_image& image) { image.stride_bytes = 3 * Drawing::kWidthPx - 1; },
             [](jiff_image& image) { image.stride_bytes = INT64_MIN; },
             [](jiff_image& image) { image.stride_bytes = INT64_MAX; },
             [](jiff_image& image) { image.format = 0; },
             [](jiff_image& image) { image.reserved = 1; },
         }) {
        jiff_image image = good;
        spoil(image);
        expect_refused(image, nullptr, nullptr);
        jiff_image mask = drawing.mask_image();
        spoil(mask);
        expect_refused(good, &mask, nullptr);
    }
    for (const auto& spoil : std::vector<std::function<void(jiff_reconstruct_options&)>>{
             [](jiff_reconstruct_options& options) { options.struct_size = 3; },
             [](jiff_reconstruct_options& options) { options.resolution = 31; },
             [](jiff_reconstruct_options& options) { options.resolution = INT32_MIN; },
             [](jiff_reconstruct_options& options) { options.dense = 2; },
             [](jiff_reconstruct_options& options) { options.silhouette_dilation_px = INT32_MAX; },
         }) {
        jiff_reconstruct_options options = JIFF_RECONSTRUCT_OPTIONS_INIT;
        spoil(options);
        expect_refused(good, nullptr, &options);
    }
    EXPECT(jiff_reconstruct(reconstructor, &good, nullptr, nullptr, nullptr) == JIFF_INVALID_ARGUMENT);
    EXPECT(jiff_reconstruct(reconstructor, nullptr, nullptr, nullptr, nullptr) == JIFF_INVALID_ARGUMENT);
}

void check_a_throwing_callback(const jiff_reconstructor* reconstructor, const Drawing& drawing) {
    const jiff_image image = drawing.image(), mask = drawing.mask_image();
    jiff_reconstruct_options options = JIFF_RECONSTRUCT_OPTIONS_INIT;
    options.resolution = kResolution;
    options.progress = [](const char*, float, void*) -> std::int32_t { throw 1; };
    jiff_reconstruction* person = nullptr;
    EXPECT(jiff_reconstruct(reconstructor, &image, &mask, &options, &person) == JIFF_INTERNAL_ERROR);
    options.progress = [](const char*, float, void*) -> std::int32_t { return 1; };
    EXPECT(jiff_reconstruct(reconstructor, &image, &mask, &options, &person) == JIFF_CANCELLED);
    EXPECT(person == nullptr);
}

// A handle that is freed during another thread's call lives until the call returns.
void check_free_during_a_call(const jiff_bundle* bundle, const Drawing& drawing, const Result& expected) {
    jiff_reconstructor* reconstructor = create(bundle);
    struct Shared {
        jiff_reconstructor* reconstructor;
        std::atomic<bool> freed;
    } shared{reconstructor, false};
    const jiff_image image = drawing.image(), mask = drawing.mask_image();
    jiff_reconstruct_options options = JIFF_RECONSTRUCT_OPTIONS_INIT;
    options.resolution = kResolution;
    options.user_data = &shared;
    options.progress = [](const char*, float, void* user_data) -> std::int32_t {
        auto& inside = *static_cast<Shared*>(user_data);
        if (!inside.freed.exchange(true)) EXPECT(jiff_reconstructor_free(inside.reconstructor) == JIFF_OK);
        return 0;
    };
    jiff_reconstruction* person = nullptr;
    EXPECT(jiff_reconstruct(reconstructor, &image, &mask, &options, &person) == JIFF_OK);
    jiff_mesh mesh = JIFF_MESH_INIT;
    EXPECT(jiff_reconstruction_mesh(person, &mesh) == JIFF_OK);
    EXPECT(std::size_t(3 * mesh.num_vertices) == expected.vertices.size());
    EXPECT(jiff_reconstruction_free(person) == JIFF_OK);
    EXPECT(jiff_reconstruct(reconstructor, &image, &mask, &options, &person) == JIFF_INVALID_HANDLE);
}

void check_threads(const jiff_bundle* bundle, const jiff_reconstructor* shared, const Drawing& drawing,
                   const Result& expected, int num_rounds) {
    on_threads([&](int) {
        for (int round = 0; round < num_rounds; ++round) EXPECT(reconstruct(shared, drawing) == expected);
    });
    on_threads([&](int) {
        jiff_reconstructor* own = create(bundle);
        for (int round = 0; round < num_rounds; ++round) EXPECT(reconstruct(own, drawing) == expected);
        EXPECT(jiff_reconstructor_free(own) == JIFF_OK);
    });
    // Each thread sees the message of its own failure, and the log callback may change meanwhile.
    on_threads([&](int index) {
        const std::string name = "/no/such/bundle/" + std::to_string(index);
        for (int round = 0; round < 100; ++round) {
            jiff_bundle* none = nullptr;
            EXPECT(jiff_bundle_open(name.c_str(), &none) == JIFF_BUNDLE_ERROR);
            EXPECT(std::strstr(jiff_last_error(), name.c_str()) != nullptr);
            EXPECT(jiff_set_log_callback([](std::int32_t, const char*, void*) {}, nullptr) == JIFF_OK);
        }
    });
    EXPECT(jiff_set_log_callback(nullptr, nullptr) == JIFF_OK);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const int num_rounds = argc > 2 ? std::atoi(argv[2]) : 2;
    jiff_bundle* bundle = nullptr;
    EXPECT(jiff_bundle_open(argv[1], &bundle) == JIFF_OK);
    jiff_reconstructor* reconstructor = create(bundle);
    const Drawing drawing;
    const Result serial = reconstruct(reconstructor, drawing);

    check_hostile_handles(bundle, reconstructor, drawing);
    check_hostile_arguments(reconstructor, drawing);
    check_a_throwing_callback(reconstructor, drawing);
    check_free_during_a_call(bundle, drawing, serial);
    check_threads(bundle, reconstructor, drawing, serial, num_rounds);
    EXPECT(reconstruct(reconstructor, drawing) == serial);

    EXPECT(jiff_bundle_free(bundle) == JIFF_OK && jiff_bundle_free(bundle) == JIFF_INVALID_HANDLE);
    EXPECT(jiff_reconstructor_free(reconstructor) == JIFF_OK);
    EXPECT(jiff_reconstructor_free(reconstructor) == JIFF_INVALID_HANDLE);
    std::printf("ok\n");
    return 0;
}
