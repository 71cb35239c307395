/* photo_to_mesh BUNDLE PHOTO MESH [RESOLUTION]: a photograph in, a .glb, .ply or .obj out; in C. */
#include <stdio.h>
#include <stdlib.h>

#include "examples/photo_file.h"
#include "jiff/jiff.h"

static int32_t show_progress(const char* stage, float fraction, void* user_data) {
    (void)user_data;
    fprintf(stderr, "\r%3.0f %% %-16s", 100.0 * (double)fraction, stage);
    return 0; /* go on */
}

int main(int argc, char** argv) {
    jiff_bundle* bundle = NULL;
    jiff_reconstructor* reconstructor = NULL;
    jiff_reconstruction* person = NULL;
    jiff_reconstruct_options options = JIFF_RECONSTRUCT_OPTIONS_INIT;
    jiff_mesh mesh = JIFF_MESH_INIT;
    jiff_image photo;
    jiff_status status;
    char message[512];

    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: %s BUNDLE PHOTO MESH.glb [RESOLUTION]\n", argv[0]);
        return 2;
    }
    if (photo_load(argv[2], &photo, message, sizeof message) != 0) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    if (argc == 5) options.resolution = (int32_t)strtol(argv[4], NULL, 10);
    options.progress = show_progress;

    status = jiff_bundle_open(argv[1], &bundle);
    if (status == JIFF_OK) status = jiff_reconstructor_create(bundle, NULL, &reconstructor);
    if (status == JIFF_OK) status = jiff_reconstruct(reconstructor, &photo, NULL, &options, &person);
    if (status == JIFF_OK) status = jiff_reconstruction_mesh(person, &mesh);
    if (status == JIFF_OK) status = jiff_mesh_write(&mesh, argv[3]);
    fprintf(stderr, "\n");
    if (status == JIFF_OK) {
        printf("%s: %lld vertices, %lld faces\n", argv[3], (long long)mesh.num_vertices,
               (long long)mesh.num_faces);
    } else {
        fprintf(stderr, "%s: %s\n", jiff_status_name(status), jiff_last_error());
    }

    jiff_reconstruction_free(person);
    jiff_reconstructor_free(reconstructor);
    jiff_bundle_free(bundle);
    photo_free(&photo);
    return status == JIFF_OK ? 0 : 1;
}
