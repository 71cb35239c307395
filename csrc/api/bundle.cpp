// jiff_bundle_*
#include "api/objects.h"
#include "api/structures.h"

using namespace jiff::api;

extern "C" jiff_status jiff_bundle_open(const char* directory, jiff_bundle** bundle) {
    return guarded([&] {
        require(directory, "directory");
        require(bundle, "bundle");
        *bundle = bundles().add(std::make_shared<const jiff::Bundle>(jiff::load_bundle(directory)));
    });
}

extern "C" jiff_status jiff_bundle_get_info(const jiff_bundle* bundle, jiff_bundle_info* info) {
    return guarded([&] {
        const auto found = bundles().get(bundle);
        require(info, "info");
        jiff_bundle_info value = JIFF_BUNDLE_INFO_INIT;
        value.name = found->name.c_str();
        value.version = found->version.c_str();
        value.license = found->license.c_str();
        value.provenance = found->provenance.c_str();
        value.size_m = found->frame.size_m;
        value.margin = found->frame.margin;
        value.image_size_px = found->frame.image_size_px;
        value.has_segmentation = found->graphs.count("segmentation") != 0;
        value.detects_faces = found->face_detection.has_value();
        value.has_face = found->face.has_value();
        write_structure(value, info, "info");
    });
}

extern "C" jiff_status jiff_bundle_free(jiff_bundle* bundle) {
    return guarded([&] { bundles().remove(bundle); });
}
