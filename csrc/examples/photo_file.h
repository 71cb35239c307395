/* Photographs from files, for the examples: JPEG and PNG where the libraries were found, PPM always. */
#ifndef JIFF_EXAMPLES_PHOTO_FILE_H
#define JIFF_EXAMPLES_PHOTO_FILE_H

#include "jiff/jiff.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Decodes the file at `path` into *image, whose pixels the caller frees by photo_free. The camera's note of
 * how it was held (EXIF) is not heeded: photographs must be upright. Returns 0, or -1 after writing a reason
 * to `message`.
 */
int photo_load(const char* path, jiff_image* image, char* message, size_t message_size);

void photo_free(jiff_image* image);

#ifdef __cplusplus
}
#endif

#endif
