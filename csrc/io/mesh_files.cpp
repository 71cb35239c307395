#include "io/mesh_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/status.h"
#include "io/whole_file.h"

namespace jiff {
namespace {

constexpr char kGenerator[] = "jiff " JIFF_VERSION;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void check_mesh(const MeshView& mesh) {
    constexpr std::int64_t kMostIndices = std::numeric_limits<std::int32_t>::max();
    if (mesh.num_vertices < 1 || mesh.num_faces < 1 || mesh.num_vertices > kMostIndices ||
        mesh.num_faces > kMostIndices) {
        refuse("a mesh of " + std::to_string(mesh.num_vertices) + " vertices and " +
               std::to_string(mesh.num_faces) + " faces cannot be written; at least one of each is needed");
    }
    if (mesh.vertices == nullptr || mesh.colors == nullptr || mesh.faces == nullptr)
        refuse("vertices, colors or faces of the mesh are null; give all three");
    for (std::int64_t i = 0; i < 3 * mesh.num_vertices; ++i) {
        if (!std::isfinite(mesh.vertices[i]) || !std::isfinite(mesh.colors[i])) {
            refuse("vertex " + std::to_string(i / 3) +
                   " of the mesh has a coordinate or colour that is not a finite number");
        }
    }
    for (std::int64_t i = 0; i < 3 * mesh.num_faces; ++i) {
        if (mesh.faces[i] < 0 || mesh.faces[i] >= mesh.num_vertices) {
            refuse("face " + std::to_string(i / 3) + " of the mesh names vertex " +
                   std::to_string(mesh.faces[i]) + "; there are " + std::to_string(mesh.num_vertices));
        }
    }
}

// Appends the bytes of numbers, the least significant first as all three formats want them.
template <typename Number>
void append(std::string& bytes, const Number* values, std::size_t count) {
    if constexpr (sizeof(Number) == 1) {
        bytes.append(reinterpret_cast<const char*>(values), count);
    } else {
        for (std::size_t i = 0; i < count; ++i) {
            std::array<char, sizeof(Number)> raw;
            std::memcpy(raw.data(), &values[i], sizeof(Number));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            std::reverse(raw.begin(), raw.end());
#endif
            bytes.append(raw.data(), raw.size());
        }
    }
}

template <typename Number>
void append(std::string& bytes, Number value) {
    append(bytes, &value, 1);
}

float clamp01(float value) { return std::min(std::max(value, 0.0f), 1.0f); }

// Linear light of an sRGB-encoded value (IEC 61966-2-1).
float linear_from_srgb(float encoded) {
    encoded = clamp01(encoded);
    return encoded <= 0.04045f ? encoded / 12.92f : std::pow((encoded + 0.055f) / 1.055f, 2.4f);
}

// Unit normals, the mean of the adjacent faces' weighted by area; zero at a vertex without any face of
// positive area.
std::vector<float> vertex_normals(const MeshView& mesh) {
    std::vector<double> sums(3 * static_cast<std::size_t>(mesh.num_vertices));
    for (std::int64_t face = 0; face < mesh.num_faces; ++face) {
        const std::int32_t* corners = mesh.faces + 3 * face;
        const float* a = mesh.vertices + 3 * std::int64_t{corners[0]};
        const float* b = mesh.vertices + 3 * std::int64_t{corners[1]};
        const float* c = mesh.vertices + 3 * std::int64_t{corners[2]};
        const std::array<float, 3> u = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
        const std::array<float, 3> v = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
        const std::array<float, 3> normal = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
                                             u[0] * v[1] - u[1] * v[0]};  // twice the area long
        for (int corner = 0; corner < 3; ++corner) {
            for (int axis = 0; axis < 3; ++axis)
                sums[3 * std::size_t(corners[corner]) + axis] += normal[axis];
        }
    }
    std::vector<float> normals(sums.size());
    for (std::size_t i = 0; i < sums.size(); i += 3) {
        const double length =
            std::sqrt(sums[i] * sums[i] + sums[i + 1] * sums[i + 1] + sums[i + 2] * sums[i + 2]);
        for (int axis = 0; axis < 3 && length > 0.0; ++axis)
            normals[i + axis] = static_cast<float>(sums[i + axis] / length);
    }
    return normals;
}

// Where the arrays of a GLB begin and how long they are.
struct Block {
    std::size_t offset, num_bytes;
};

nlohmann::ordered_json glb_document(const MeshView& mesh, const std::vector<Block>& blocks) {
    using json = nlohmann::ordered_json;
    constexpr int kArrayBuffer = 34962, kElementBuffer = 34963;
    constexpr int kFloat32 = 5126, kUint16 = 5123, kUint32 = 5125;
    std::array<double, 3> least, most;
    for (int axis = 0; axis < 3; ++axis) least[axis] = most[axis] = mesh.vertices[axis];
    for (std::int64_t i = 0; i < mesh.num_vertices; ++i) {
        for (int axis = 0; axis < 3; ++axis) {
            least[axis] = std::min<double>(least[axis], mesh.vertices[3 * i + axis]);
            most[axis] = std::max<double>(most[axis], mesh.vertices[3 * i + axis]);
        }
    }
    json views = json::array();
    for (const Block& block : blocks) {
        json view;
        view["buffer"] = 0;
        view["byteOffset"] = block.offset;
        view["byteLength"] = block.num_bytes;
        view["target"] = &block == &blocks.back() ? kElementBuffer : kArrayBuffer;
        views.push_back(std::move(view));
    }
    const auto accessor = [](int view, int component, std::int64_t count, const char* type) {
        json entry;
        entry["bufferView"] = view;
        entry["componentType"] = component;
        if (component == kUint16) entry["normalized"] = true;
        entry["count"] = count;
        entry["type"] = type;
        return entry;
    };
    json positions = accessor(0, kFloat32, mesh.num_vertices, "VEC3");
    positions["min"] = least;
    positions["max"] = most;

    json primitive;
    primitive["attributes"]["POSITION"] = 0;
    primitive["attributes"]["NORMAL"] = 1;
    primitive["attributes"]["COLOR_0"] = 2;
    primitive["indices"] = 3;
    primitive["material"] = 0;

    json document;
    document["asset"]["version"] = "2.0";
    document["asset"]["generator"] = kGenerator;
    document["extensionsUsed"].push_back("KHR_materials_unlit");
    document["scene"] = 0;
    document["scenes"][0]["nodes"].push_back(0);
    document["nodes"][0]["name"] = "person";
    document["nodes"][0]["mesh"] = 0;
    document["meshes"][0]["name"] = "person";
    document["meshes"][0]["primitives"].push_back(std::move(primitive));
    json& material = document["materials"][0];
    material["name"] = "photograph";
    material["pbrMetallicRoughness"]["metallicFactor"] = 0.0;
    material["pbrMetallicRoughness"]["roughnessFactor"] = 1.0;
    material["extensions"]["KHR_materials_unlit"] = json::object();
    document["accessors"].push_back(std::move(positions));
    document["accessors"].push_back(accessor(1, kFloat32, mesh.num_vertices, "VEC3"));
    document["accessors"].push_back(accessor(2, kUint16, mesh.num_vertices, "VEC4"));
    document["accessors"].push_back(accessor(3, kUint32, 3 * mesh.num_faces, "SCALAR"));
    document["bufferViews"] = std::move(views);
    document["buffers"][0]["byteLength"] = blocks.back().offset + blocks.back().num_bytes;
    return document;
}

// Vertex colours are linear 16-bit values, as glTF defines them, under an unlit material: they hold the
// photograph's own light already.
std::string encode_glb(const MeshView& mesh) {
    const auto num_vertices = static_cast<std::size_t>(mesh.num_vertices);
    const auto num_faces = static_cast<std::size_t>(mesh.num_faces);
    std::vector<Block> blocks;
    std::size_t num_bytes = 0;
    for (const std::size_t size : {12 * num_vertices, 12 * num_vertices, 8 * num_vertices, 12 * num_faces}) {
        blocks.push_back({num_bytes, size});  // each a multiple of four bytes long
        num_bytes += size;
    }
    std::string text = glb_document(mesh, blocks).dump();
    text.append((4 - text.size() % 4) % 4, ' ');
    const std::uint64_t length = std::uint64_t{12} + 8 + text.size() + 8 + num_bytes;
    if (length > std::numeric_limits<std::uint32_t>::max())
        refuse("the mesh takes more than the 4 GiB that a GLB file may have; write it as .ply");

    std::string glb;
    glb.reserve(length);
    glb += "glTF";
    append(glb, std::uint32_t{2});
    append(glb, static_cast<std::uint32_t>(length));
    append(glb, static_cast<std::uint32_t>(text.size()));
    glb += "JSON" + text;
    append(glb, static_cast<std::uint32_t>(num_bytes));
    glb.append("BIN\0", 4);
    append(glb, mesh.vertices, 3 * num_vertices);
    const auto normals = vertex_normals(mesh);
    append(glb, normals.data(), normals.size());
    for (std::size_t i = 0; i < num_vertices; ++i) {
        for (int channel = 0; channel < 3; ++channel) {
            const float linear = linear_from_srgb(mesh.colors[3 * i + channel]);
            append(glb, static_cast<std::uint16_t>(std::nearbyint(linear * 65535.0f)));
        }
        append(glb, std::uint16_t{65535});
    }
    append(glb, mesh.faces, 3 * num_faces);
    return glb;
}

// With sRGB vertex colours of 8 bits.
std::string encode_ply(const MeshView& mesh) {
    std::string ply = "ply\nformat binary_little_endian 1.0\ncomment " + std::string(kGenerator) +
                      "; metres, y up, facing +z\nelement vertex " + std::to_string(mesh.num_vertices) +
                      "\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\n"
                      "property uchar green\nproperty uchar blue\nelement face " +
                      std::to_string(mesh.num_faces) +
                      "\nproperty list uchar int vertex_indices\nend_header\n";
    ply.reserve(ply.size() + 15 * std::size_t(mesh.num_vertices) + 13 * std::size_t(mesh.num_faces));
    for (std::int64_t i = 0; i < mesh.num_vertices; ++i) {
        append(ply, mesh.vertices + 3 * i, 3);
        for (int channel = 0; channel < 3; ++channel) {
            const float value = clamp01(mesh.colors[3 * i + channel]) * 255.0f;
            append(ply, static_cast<std::uint8_t>(std::nearbyint(value)));
        }
    }
    for (std::int64_t i = 0; i < mesh.num_faces; ++i) {
        append(ply, std::uint8_t{3});
        append(ply, mesh.faces + 3 * i, 3);
    }
    return ply;
}

// With the vertex's sRGB colour after its position, as most readers understand.
std::string encode_obj(const MeshView& mesh) {
    std::string obj = "# " + std::string(kGenerator) + "; metres, y up, facing +z\n";
    std::array<char, 64> digits;  // a float has at most 39 digits before the point
    // Not printf: a program may have set a locale that writes commas.
    const auto append_fixed = [&](float value, int num_decimals) {
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), double(value),
                                       std::chars_format::fixed, num_decimals);
        obj += ' ';
        obj.append(digits.data(), end.ptr);
    };
    for (std::int64_t i = 0; i < mesh.num_vertices; ++i) {
        obj += 'v';
        for (int axis = 0; axis < 3; ++axis) append_fixed(mesh.vertices[3 * i + axis], 6);
        for (int channel = 0; channel < 3; ++channel) append_fixed(clamp01(mesh.colors[3 * i + channel]), 4);
        obj += '\n';
    }
    for (std::int64_t i = 0; i < mesh.num_faces; ++i) {
        obj += 'f';
        for (int corner = 0; corner < 3; ++corner)
            obj += ' ' + std::to_string(std::int64_t{mesh.faces[3 * i + corner]} + 1);
        obj += '\n';
    }
    return obj;
}

std::string encode(const MeshView& mesh, const std::string& path) {
    std::string suffix = std::filesystem::path(path).extension().string();
    for (char& letter : suffix) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    const auto check_and = [&](std::string (*encoder)(const MeshView&)) {
        check_mesh(mesh);
        return encoder(mesh);
    };
    if (suffix == ".glb") return check_and(encode_glb);
    if (suffix == ".ply") return check_and(encode_ply);
    if (suffix == ".obj") return check_and(encode_obj);
    refuse("cannot tell the mesh format of '" + path + "' by its suffix '" + suffix +
           "'; use .glb, .ply, .obj");
}

}  // namespace

void write_mesh(const MeshView& mesh, const std::string& path) { write_whole_file(path, encode(mesh, path)); }

}  // namespace jiff
