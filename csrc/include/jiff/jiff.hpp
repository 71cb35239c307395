// jiff: a photograph of a person in, a closed, coloured 3-D mesh out. C++17, header-only over jiff/jiff.h.
//
//     const auto bundle = jiff::Bundle::open("compact");
//     const jiff::Reconstructor reconstructor(bundle);
//     const auto person = reconstructor(jiff::Image(pixels, width_px, height_px, jiff::PixelFormat::kRgb));
//     person.mesh().write("person.glb");
//
// Bundle, Reconstructor and Reconstruction own what they hold: they move and do not copy. Constructors and
// functions throw jiff::Error. Where a program is compiled without exceptions, or does not want them, the
// functions called try_… return a Result<T> instead. An exception that leaves a progress callback cancels the
// reconstruction and arrives at its caller.
//
// Threads are as in jiff.h: const functions may be called from several threads at once.
#ifndef JIFF_JIFF_HPP
#define JIFF_JIFF_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

#include "jiff/jiff.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define JIFF_HAS_EXCEPTIONS 1
#endif

namespace jiff {
// Names of this namespace never meet those of the library's own inside.
inline namespace cpp_api {

// A borrowed array. In C++20 it converts to std::span.
template <typename T>
class Span {
  public:
    constexpr Span() noexcept = default;
    constexpr Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}

    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T* begin() const noexcept { return data_; }
    constexpr T* end() const noexcept { return data_ + size_; }
    constexpr T& operator[](std::size_t index) const noexcept { return data_[index]; }
#if defined(__cpp_lib_span)
    constexpr operator std::span<T>() const noexcept { return {data_, size_}; }
#endif

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

// A jiff_status other than JIFF_OK, and what the library said.
struct Failure {
    jiff_status status = JIFF_INTERNAL_ERROR;
    std::string message;
};

class Error : public std::runtime_error {
  public:
    explicit Error(const Failure& failure) : std::runtime_error(failure.message), status_(failure.status) {}
    jiff_status status() const noexcept { return status_; }

  private:
    jiff_status status_;
};

// A value, or why there is none.
template <typename T>
class Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(Failure failure) : failure_(std::move(failure)) {}

    explicit operator bool() const noexcept { return value_.has_value(); }
    // Only where there is a value.
    T& operator*() & noexcept { return *value_; }
    T&& operator*() && noexcept { return std::move(*value_); }
    T* operator->() noexcept { return &*value_; }
    // JIFF_OK where there is a value.
    jiff_status status() const noexcept { return value_ ? jiff_status{JIFF_OK} : failure_.status; }
    const std::string& message() const noexcept { return failure_.message; }

#if defined(JIFF_HAS_EXCEPTIONS)
    // Throws Error where there is none.
    T value() && {
        if (!value_) throw Error(failure_);
        return std::move(*value_);
    }
#endif

  private:
    std::optional<T> value_;
    Failure failure_;
};

namespace detail {

inline Failure last_failure(jiff_status status) { return {status, jiff_last_error()}; }

// Frees a handle once.
template <typename T, jiff_status (*free)(T*)>
class Handle {
  public:
    explicit Handle(T* handle = nullptr) noexcept : handle_(handle) {}
    Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Handle& operator=(Handle&& other) noexcept {
        if (this != &other) {
            free(handle_);
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Handle() { free(handle_); }

    T* get() const noexcept { return handle_; }

  private:
    T* handle_;
};

#if defined(JIFF_HAS_EXCEPTIONS)
inline void check(jiff_status status) {
    if (status != JIFF_OK) throw Error(last_failure(status));
}
#endif

}  // namespace detail

enum class PixelFormat : std::int32_t {
    kRgb = JIFF_RGB8,
    kBgr = JIFF_BGR8,
    kRgba = JIFF_RGBA8,
    kBgra = JIFF_BGRA8,
    kRgbx = JIFF_RGBX8,
    kBgrx = JIFF_BGRX8,
    kGray = JIFF_GRAY8
};

// Pixels of the caller, eight bits a channel; see jiff_image.
class Image {
  public:
    // `stride_bytes` 0: rows follow each other without a gap.
    Image(const void* top_row, std::int32_t width_px, std::int32_t height_px, PixelFormat format,
          std::int64_t stride_bytes = 0) noexcept {
        view_.data = top_row;
        view_.width_px = width_px;
        view_.height_px = height_px;
        view_.format = static_cast<std::int32_t>(format);
        view_.stride_bytes = stride_bytes;
    }
    // As above; that the pixels lie within `bytes` is checked. Rows go from the top down.
    Image(Span<const std::uint8_t> bytes, std::int32_t width_px, std::int32_t height_px, PixelFormat format,
          std::int64_t stride_bytes = 0) noexcept
        : Image(bytes.data(), width_px, height_px, format, stride_bytes) {
        view_.num_bytes = bytes.size();
    }
    explicit Image(const jiff_image& view) noexcept : view_(view) {}

    const jiff_image& view() const noexcept { return view_; }
    std::int32_t width_px() const noexcept { return view_.width_px; }
    std::int32_t height_px() const noexcept { return view_.height_px; }
    Span<const std::uint8_t> bytes() const noexcept {
        return {static_cast<const std::uint8_t*>(view_.data), view_.num_bytes};
    }

  private:
    jiff_image view_ = JIFF_IMAGE_INIT;
};

struct EngineOptions {
    std::string engine = "auto";  // or one of engines()
    std::string device = "cpu";   // or "cuda", for the heads, and for the networks where `networks` says so
    std::string precision = "auto";
    std::int32_t num_threads = 0;  // 0: the engine's choice
    bool keeps_memory = false;     // of the networks, between runs
    std::string heads;             // what the heads compute in, where not as `precision` says
    std::string networks;          // "cpu" or "cuda"; empty: jiff.h says which
};

// A stage and the finished fraction of the whole; false cancels.
using Progress = std::function<bool(std::string_view stage, float fraction)>;

// How the face head's answers join the body head's: alone in the face region, or by a share that falls with
// the distance from the face mesh.
enum class FaceBlend : std::int32_t { kRegion = JIFF_FACE_REGION, kDistance = JIFF_FACE_DISTANCE };

struct ReconstructOptions {
    std::int32_t resolution = 256;  // cells along a side of the frame: a multiple of 32 from 32 to 1024
    bool keep_all_components = false;
    bool dense = false;                       // evaluate every lattice point; slow, for checking
    std::int32_t silhouette_dilation_px = 8;  // 0 to 4096
    bool use_face = true;                     // where the bundle has a face model, and the photo a face
    FaceBlend face_blend = FaceBlend::kRegion;
    bool keep_hidden_colors = false;  // as the networks have them; else without details
    Progress progress;
};

// Triangles with a colour at each vertex: borrowed arrays, three numbers an element.
class MeshView {
  public:
    explicit MeshView(const jiff_mesh& view) noexcept : view_(view) {}
    // A mesh of the caller's. `vertices` and `colors` have the same size.
    MeshView(Span<const float> vertices, Span<const float> colors, Span<const std::int32_t> faces) noexcept {
        view_.vertices = vertices.data();
        view_.colors = colors.size() == vertices.size() ? colors.data() : nullptr;
        view_.faces = faces.data();
        view_.num_vertices = static_cast<std::int64_t>(vertices.size() / 3);
        view_.num_faces = static_cast<std::int64_t>(faces.size() / 3);
    }

    const jiff_mesh& view() const noexcept { return view_; }
    std::size_t num_vertices() const noexcept { return static_cast<std::size_t>(view_.num_vertices); }
    std::size_t num_faces() const noexcept { return static_cast<std::size_t>(view_.num_faces); }
    Span<const float> vertices() const noexcept { return {view_.vertices, 3 * num_vertices()}; }
    Span<const float> colors() const noexcept { return {view_.colors, 3 * num_vertices()}; }
    Span<const std::int32_t> faces() const noexcept { return {view_.faces, 3 * num_faces()}; }

    // Writes .glb, .ply or .obj, as the suffix of `path` says.
    std::optional<Failure> try_write(const std::string& path) const {
        const jiff_status status = jiff_mesh_write(&view_, path.c_str());
        if (status != JIFF_OK) return detail::last_failure(status);
        return std::nullopt;
    }
#if defined(JIFF_HAS_EXCEPTIONS)
    void write(const std::string& path) const { detail::check(jiff_mesh_write(&view_, path.c_str())); }
#endif

  private:
    jiff_mesh view_ = JIFF_MESH_INIT;
};

struct Stage {
    std::string_view name;
    double duration_ms;
};

// A finished reconstruction. What its functions return is borrowed from it.
class Reconstruction {
  public:
    // Takes the handle over.
    explicit Reconstruction(jiff_reconstruction* handle) : handle_(handle) {
        jiff_reconstruction_mesh(handle, &mesh_);
        jiff_reconstruction_face_status(handle, &face_status_);
        jiff_reconstruction_face_mesh(handle, &face_mesh_);
        jiff_reconstruction_mask(handle, &mask_);
        jiff_reconstruction_get_info(handle, &info_);
    }

    jiff_reconstruction* get() const noexcept { return handle_.get(); }

    MeshView mesh() const noexcept { return MeshView(mesh_); }
    // "used" where the face model shaped the mesh, else why not; see jiff_reconstruction_face_status.
    std::string_view face_status() const noexcept { return face_status_; }
    // The fitted face model, placed in the world; no vertices where there is none.
    MeshView face_mesh() const noexcept { return MeshView(face_mesh_); }
    // The person that was taken, kGray, of the photograph's size.
    Image mask() const noexcept { return Image(mask_); }
    // Size, projection and numbers of queries, see jiff_reconstruction_info.
    const jiff_reconstruction_info& info() const noexcept { return info_; }

    std::vector<Stage> stages() const {
        std::vector<Stage> stages;
        for (std::size_t i = 0; i < info_.num_stages; ++i) {
            const char* name = nullptr;
            double duration_ms = 0.0;
            if (jiff_reconstruction_stage(handle_.get(), i, &name, &duration_ms) == JIFF_OK)
                stages.push_back({name, duration_ms});
        }
        return stages;
    }

    std::vector<std::string_view> warnings() const {
        std::vector<std::string_view> warnings;
        for (std::size_t i = 0; i < info_.num_warnings; ++i) {
            const char* message = nullptr;
            if (jiff_reconstruction_warning(handle_.get(), i, &message) == JIFF_OK)
                warnings.emplace_back(message);
        }
        return warnings;
    }

  private:
    detail::Handle<jiff_reconstruction, jiff_reconstruction_free> handle_;
    jiff_mesh mesh_ = JIFF_MESH_INIT, face_mesh_ = JIFF_MESH_INIT;
    const char* face_status_ = "";
    jiff_image mask_ = JIFF_IMAGE_INIT;
    jiff_reconstruction_info info_ = JIFF_RECONSTRUCTION_INFO_INIT;
};

// A model on disk, read and checked.
class Bundle {
  public:
    static Result<Bundle> try_open(const std::string& directory) {
        jiff_bundle* handle = nullptr;
        const jiff_status status = jiff_bundle_open(directory.c_str(), &handle);
        if (status != JIFF_OK) return detail::last_failure(status);
        return Bundle(handle);
    }
#if defined(JIFF_HAS_EXCEPTIONS)
    static Bundle open(const std::string& directory) { return try_open(directory).value(); }
#endif

    // Takes the handle over.
    explicit Bundle(jiff_bundle* handle) : handle_(handle) { jiff_bundle_get_info(handle, &info_); }

    jiff_bundle* get() const noexcept { return handle_.get(); }
    // Name, version, licence and frame; text is borrowed from the bundle.
    const jiff_bundle_info& info() const noexcept { return info_; }

  private:
    detail::Handle<jiff_bundle, jiff_bundle_free> handle_;
    jiff_bundle_info info_ = JIFF_BUNDLE_INFO_INIT;
};

// A bundle loaded into an engine; reconstructs any number of photographs.
class Reconstructor {
  public:
    static Result<Reconstructor> try_create(const Bundle& bundle, const EngineOptions& options = {}) {
        jiff_reconstructor_options given = JIFF_RECONSTRUCTOR_OPTIONS_INIT;
        given.engine = options.engine.c_str();
        given.device = options.device.c_str();
        given.precision = options.precision.c_str();
        given.num_threads = options.num_threads;
        given.keeps_memory = options.keeps_memory ? 1 : 0;
        if (!options.heads.empty()) given.heads = options.heads.c_str();
        if (!options.networks.empty()) given.networks = options.networks.c_str();
        jiff_reconstructor* handle = nullptr;
        const jiff_status status = jiff_reconstructor_create(bundle.get(), &given, &handle);
        if (status != JIFF_OK) return detail::last_failure(status);
        return Reconstructor(handle);
    }
    // Takes the handle over.
    explicit Reconstructor(jiff_reconstructor* handle) noexcept : handle_(handle) {}

    jiff_reconstructor* get() const noexcept { return handle_.get(); }
    // Name of the engine that runs the networks.
    std::string_view engine() const noexcept {
        const char* name = jiff_reconstructor_engine(handle_.get());
        return name == nullptr ? std::string_view() : std::string_view(name);
    }
    // Where they run, "cpu" or "cuda".
    std::string_view networks() const noexcept {
        const char* device = jiff_reconstructor_networks(handle_.get());
        return device == nullptr ? std::string_view() : std::string_view(device);
    }

    // `mask`, kGray and of the image's size, marks the person. Not for options whose progress callback
    // throws where exceptions are not wanted.
    Result<Reconstruction> try_reconstruct(const Image& image, const ReconstructOptions& options = {},
                                           const Image* mask = nullptr) const {
        Listener listener{&options.progress};
        Result<Reconstruction> result = run(image, options, mask, listener);
#if defined(JIFF_HAS_EXCEPTIONS)
        if (listener.exception) std::rethrow_exception(listener.exception);
#endif
        return result;
    }

#if defined(JIFF_HAS_EXCEPTIONS)
    explicit Reconstructor(const Bundle& bundle, const EngineOptions& options = {})
        : Reconstructor(try_create(bundle, options).value()) {}

    Reconstruction operator()(const Image& image, const ReconstructOptions& options = {},
                              const Image* mask = nullptr) const {
        return try_reconstruct(image, options, mask).value();
    }
#endif

  private:
    struct Listener {
        const Progress* progress;
        std::exception_ptr exception = nullptr;
    };

    // No exception may pass through the library.
    static std::int32_t on_progress(const char* stage, float fraction, void* user_data) {
        auto& listener = *static_cast<Listener*>(user_data);
#if defined(JIFF_HAS_EXCEPTIONS)
        try {
            return (*listener.progress)(stage, fraction) ? 0 : 1;
        } catch (...) {
            listener.exception = std::current_exception();
            return 1;
        }
#else
        return (*listener.progress)(stage, fraction) ? 0 : 1;
#endif
    }

    Result<Reconstruction> run(const Image& image, const ReconstructOptions& options, const Image* mask,
                               Listener& listener) const {
        jiff_reconstruct_options given = JIFF_RECONSTRUCT_OPTIONS_INIT;
        given.resolution = options.resolution;
        given.keep_all_components = options.keep_all_components;
        given.dense = options.dense;
        given.ignore_face = !options.use_face;
        given.face_blend = static_cast<std::int32_t>(options.face_blend);
        given.keep_hidden_colors = options.keep_hidden_colors;
        given.silhouette_dilation_px =
            options.silhouette_dilation_px == 0 ? -1 : options.silhouette_dilation_px;
        if (options.progress) {
            given.progress = on_progress;
            given.user_data = &listener;
        }
        jiff_reconstruction* handle = nullptr;
        const jiff_status status = jiff_reconstruct(
            handle_.get(), &image.view(), mask == nullptr ? nullptr : &mask->view(), &given, &handle);
        if (status != JIFF_OK) return detail::last_failure(status);
        return Reconstruction(handle);
    }

    detail::Handle<jiff_reconstructor, jiff_reconstructor_free> handle_;
};

// Engines in this build of the library, the fastest first.
inline std::vector<std::string_view> engines() {
    std::vector<std::string_view> names;
    for (const char* const* name = jiff_engines(); *name != nullptr; ++name) names.emplace_back(*name);
    return names;
}

}  // namespace cpp_api
}  // namespace jiff

#endif  // JIFF_JIFF_HPP
