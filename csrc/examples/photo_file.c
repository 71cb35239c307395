#include "examples/photo_file.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(HAVE_JPEG)
#include <jpeglib.h>
#endif
#if defined(HAVE_PNG)
#include <png.h>
#endif

enum { MOST_SIDE_PX = 32768 };

/* Gives *image memory for its pixels. */
static int allocate(jiff_image* image, long width_px, long height_px, int32_t format, int bytes_per_pixel) {
    const jiff_image initial = JIFF_IMAGE_INIT;
    if (width_px < 1 || height_px < 1 || width_px > MOST_SIDE_PX || height_px > MOST_SIDE_PX) return -1;
    *image = initial;
    image->width_px = (int32_t)width_px;
    image->height_px = (int32_t)height_px;
    image->format = format;
    image->stride_bytes = (int64_t)width_px * bytes_per_pixel;
    image->num_bytes = (size_t)image->stride_bytes * (size_t)height_px;
    image->data = malloc(image->num_bytes);
    return image->data == NULL ? -1 : 0;
}

void photo_free(jiff_image* image) {
    free((void*)image->data);
    image->data = NULL;
}

#if defined(HAVE_JPEG)
struct jpeg_failure {
    struct jpeg_error_mgr base; /* first, so that libjpeg's pointer is ours */
    jmp_buf back;
};

static void jpeg_failed(j_common_ptr info) { longjmp(((struct jpeg_failure*)info->err)->back, 1); }

static int load_jpeg(FILE* file, jiff_image* image) {
    struct jpeg_decompress_struct decoder;
    struct jpeg_failure failure;
    decoder.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_failed;
    if (setjmp(failure.back)) {
        jpeg_destroy_decompress(&decoder);
        return -1;
    }
    jpeg_create_decompress(&decoder);
    jpeg_stdio_src(&decoder, file);
    jpeg_read_header(&decoder, TRUE);
    decoder.out_color_space = JCS_RGB;
    jpeg_start_decompress(&decoder);
    if (allocate(image, (long)decoder.output_width, (long)decoder.output_height, JIFF_RGB8, 3) != 0) {
        jpeg_destroy_decompress(&decoder);
        return -1;
    }
    while (decoder.output_scanline < decoder.output_height) {
        JSAMPROW row = (JSAMPROW)image->data + (size_t)image->stride_bytes * decoder.output_scanline;
        jpeg_read_scanlines(&decoder, &row, 1);
    }
    jpeg_finish_decompress(&decoder);
    jpeg_destroy_decompress(&decoder);
    return 0;
}
#endif

#if defined(HAVE_PNG)
static int load_png(FILE* file, jiff_image* image) {
    png_image decoder;
    memset(&decoder, 0, sizeof decoder);
    decoder.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_stdio(&decoder, file)) return -1;
    decoder.format = PNG_FORMAT_RGBA; /* an alpha channel that is not opaque is taken as the mask */
    if (allocate(image, (long)decoder.width, (long)decoder.height, JIFF_RGBA8, 4) != 0 ||
        !png_image_finish_read(&decoder, NULL, (void*)image->data, 0, NULL)) {
        png_image_free(&decoder);
        return -1;
    }
    return 0;
}
#endif

/* A whole number of a PPM header, after white space and comments. */
static long ppm_number(FILE* file) {
    int character = fgetc(file);
    long value = 0;
    while (character == ' ' || character == '\t' || character == '\n' || character == '\r' ||
           character == '#') {
        if (character == '#')
            while (character != '\n' && character != EOF) character = fgetc(file);
        character = fgetc(file);
    }
    if (character < '0' || character > '9') return -1;
    for (; character >= '0' && character <= '9' && value <= MOST_SIDE_PX; character = fgetc(file))
        value = 10 * value + (character - '0');
    return value; /* the one byte of white space behind it has been read */
}

static int load_ppm(FILE* file, jiff_image* image) {
    long width_px, height_px, most;
    if (fseek(file, 2, SEEK_SET) != 0) return -1;
    width_px = ppm_number(file);
    height_px = ppm_number(file);
    most = ppm_number(file);
    if (most != 255 || allocate(image, width_px, height_px, JIFF_RGB8, 3) != 0) return -1;
    return fread((void*)image->data, 1, image->num_bytes, file) == image->num_bytes ? 0 : -1;
}

int photo_load(const char* path, jiff_image* image, char* message, size_t message_size) {
    unsigned char magic[8] = {0};
    int failed = -1;
    const char* reason = "is damaged or too large";
    FILE* file = fopen(path, "rb");
    image->data = NULL;
    if (file == NULL) {
        snprintf(message, message_size, "cannot open '%s'; check the path", path);
        return -1;
    }
    if (fread(magic, 1, sizeof magic, file) < 2) magic[0] = 0;
    rewind(file);
    if (magic[0] == 0xff && magic[1] == 0xd8) {
#if defined(HAVE_JPEG)
        failed = load_jpeg(file, image);
#else
        reason = "is a JPEG; this program was built without libjpeg: give a PPM";
#endif
    } else if (memcmp(magic, "\x89PNG\r\n\x1a\n", 8) == 0) {
#if defined(HAVE_PNG)
        failed = load_png(file, image);
#else
        reason = "is a PNG; this program was built without libpng: give a PPM";
#endif
    } else if (magic[0] == 'P' && magic[1] == '6') {
        failed = load_ppm(file, image);
    } else {
        reason = "is neither JPEG nor PNG nor binary PPM (P6)";
    }
    fclose(file);
    if (failed) {
        snprintf(message, message_size, "'%s' %s", path, reason);
        photo_free(image);
    }
    return failed;
}
