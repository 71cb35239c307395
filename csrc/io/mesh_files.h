// Coloured meshes as GLB, PLY and OBJ files.
#pragma once

#include <cstdint>
#include <string>

namespace jiff {

struct MeshView {
    const float* vertices;      // [num_vertices, 3], metres, y up, facing +z
    const float* colors;        // [num_vertices, 3], sRGB in [0, 1]
    const std::int32_t* faces;  // [num_faces, 3], counter-clockwise seen from outside
    std::int64_t num_vertices;
    std::int64_t num_faces;
};

// Writes binary glTF 2.0, binary PLY or Wavefront OBJ, as the suffix .glb, .ply or .obj of `path` says; whole
// or not at all. Throws Error(kInvalidArgument) on another suffix or a mesh that cannot be written, and
// OutputError when the file cannot be written; then what was at `path` before is untouched.
void write_mesh(const MeshView& mesh, const std::string& path);

}  // namespace jiff
