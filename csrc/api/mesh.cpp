// jiff_mesh_write
#include "api/guard.h"
#include "api/structures.h"
#include "io/mesh_files.h"

using namespace jiff::api;

extern "C" jiff_status jiff_mesh_write(const jiff_mesh* mesh, const char* path) {
    return guarded([&] {
        require(mesh, "mesh");
        require(path, "path");
        const jiff_mesh initial = JIFF_MESH_INIT;
        const jiff_mesh given = read_structure(mesh, initial, "mesh");
        jiff::write_mesh({given.vertices, given.colors, given.faces, given.num_vertices, given.num_faces},
                         path);
    });
}
