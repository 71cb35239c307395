// jiff_reconstruction_*
#include <algorithm>
#include <string>

#include "api/objects.h"
#include "api/structures.h"
#include "core/status.h"

using namespace jiff::api;

namespace {

void check_index(std::size_t index, std::size_t count, const char* what) {
    if (index < count) return;
    throw jiff::Error(jiff::ErrorCode::kInvalidArgument, "there is no " + std::string(what) + " " +
                                                             std::to_string(index) + "; there are " +
                                                             std::to_string(count));
}

jiff_mesh view_of(const jiff::Mesh& mesh) {
    jiff_mesh view = JIFF_MESH_INIT;
    if (mesh.vertices.empty() || mesh.faces.empty()) return view;
    view.vertices = mesh.vertices.front().data();
    view.colors = mesh.colors.front().data();
    view.faces = mesh.faces.front().data();
    view.num_vertices = static_cast<std::int64_t>(mesh.vertices.size());
    view.num_faces = static_cast<std::int64_t>(mesh.faces.size());
    return view;
}

}  // namespace

extern "C" jiff_status jiff_reconstruction_free(jiff_reconstruction* reconstruction) {
    return guarded([&] { reconstructions().remove(reconstruction); });
}

extern "C" jiff_status jiff_reconstruction_mesh(const jiff_reconstruction* reconstruction, jiff_mesh* mesh) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(mesh, "mesh");
        write_structure(view_of(found->result.mesh), mesh, "mesh");
    });
}

extern "C" jiff_status jiff_reconstruction_face_status(const jiff_reconstruction* reconstruction,
                                                       const char** status) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(status, "status");
        *status = found->result.face.status.c_str();
    });
}

extern "C" jiff_status jiff_reconstruction_face_mesh(const jiff_reconstruction* reconstruction,
                                                     jiff_mesh* mesh) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(mesh, "mesh");
        write_structure(view_of(found->result.face.mesh), mesh, "mesh");
    });
}

extern "C" jiff_status jiff_reconstruction_mask(const jiff_reconstruction* reconstruction, jiff_image* mask) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(mask, "mask");
        jiff_image value = JIFF_IMAGE_INIT;
        value.data = found->result.mask.data();
        value.num_bytes = found->result.mask.size();
        value.stride_bytes = found->width_px;
        value.width_px = found->width_px;
        value.height_px = found->height_px;
        value.format = JIFF_GRAY8;
        write_structure(value, mask, "mask");
    });
}

extern "C" jiff_status jiff_reconstruction_get_info(const jiff_reconstruction* reconstruction,
                                                    jiff_reconstruction_info* info) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(info, "info");
        const jiff::Reconstruction& result = found->result;
        jiff_reconstruction_info value = JIFF_RECONSTRUCTION_INFO_INIT;
        std::copy(result.image_from_world.begin(), result.image_from_world.end(), value.image_from_world);
        value.size_m = result.size_m;
        value.num_queries_asked = result.num_queries_asked;
        value.num_queries_ideal = result.num_queries_ideal;
        value.num_stages = found->stages_ms.size();
        value.num_warnings = result.warnings.size();
        write_structure(value, info, "info");
    });
}

extern "C" jiff_status jiff_reconstruction_stage(const jiff_reconstruction* reconstruction, std::size_t index,
                                                 const char** name, double* duration_ms) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(name, "name");
        require(duration_ms, "duration_ms");
        check_index(index, found->stages_ms.size(), "stage");
        *name = found->stages_ms[index].first.c_str();
        *duration_ms = found->stages_ms[index].second;
    });
}

extern "C" jiff_status jiff_reconstruction_warning(const jiff_reconstruction* reconstruction,
                                                   std::size_t index, const char** message) {
    return guarded([&] {
        const auto found = reconstructions().get(reconstruction);
        require(message, "message");
        check_index(index, found->result.warnings.size(), "warning");
        *message = found->result.warnings[index].c_str();
    });
}
