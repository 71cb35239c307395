/* The header in a translation unit of C, and every INIT macro. */
#include "jiff/jiff.h"

size_t total_struct_size(void) {
    const jiff_bundle_info bundle_info = JIFF_BUNDLE_INFO_INIT;
    const jiff_reconstructor_options reconstructor_options = JIFF_RECONSTRUCTOR_OPTIONS_INIT;
    const jiff_image image = JIFF_IMAGE_INIT;
    const jiff_reconstruct_options reconstruct_options = JIFF_RECONSTRUCT_OPTIONS_INIT;
    const jiff_mesh mesh = JIFF_MESH_INIT;
    const jiff_reconstruction_info reconstruction_info = JIFF_RECONSTRUCTION_INFO_INIT;
    return bundle_info.struct_size + reconstructor_options.struct_size + image.struct_size +
           reconstruct_options.struct_size + mesh.struct_size + reconstruction_info.struct_size;
}
