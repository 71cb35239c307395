/*
 * jiff: a photograph of a person in, a closed, coloured 3-D mesh out. C API, C99.
 *
 *     jiff_bundle* bundle = NULL;
 *     jiff_reconstructor* reconstructor = NULL;
 *     jiff_reconstruction* person = NULL;
 *     jiff_mesh mesh = JIFF_MESH_INIT;
 *     jiff_image photo = JIFF_IMAGE_INIT;
 *     ...  set photo.data, width_px, height_px, format
 *     if (jiff_bundle_open("compact", &bundle) || jiff_reconstructor_create(bundle, NULL, &reconstructor) ||
 *         jiff_reconstruct(reconstructor, &photo, NULL, NULL, &person) ||
 *         jiff_reconstruction_mesh(person, &mesh) || jiff_mesh_write(&mesh, "person.glb"))
 *         fprintf(stderr, "%s\n", jiff_last_error());
 *     jiff_reconstruction_free(person);
 *     jiff_reconstructor_free(reconstructor);
 *     jiff_bundle_free(bundle);
 *
 * Status. Every function that can fail returns a jiff_status; nothing throws, aborts or exits. When a call
 * fails, what its output pointers point to is as it was, and jiff_last_error() says what came and what to do.
 *
 * Handles. jiff_bundle, jiff_reconstructor and jiff_reconstruction are handles. The caller owns each one
 * that a function gave it and frees it once, in any order; one does not need another to live on. A handle is
 * not an address: a null, foreign or freed handle gives JIFF_INVALID_HANDLE, always.
 *
 * Threads. Every function may be called from any thread at any time, also with the same handle. A handle
 * that is freed during another thread's call lives until that call returns; pointers that were taken from it
 * do not.
 *
 * Structures. Each begins with struct_size, which the JIFF_..._INIT macros set; so a program that was
 * compiled with an older header runs with a newer library and the other way round. Zero means the default. A
 * field that this library does not know must be zero, else the call returns JIFF_INVALID_ARGUMENT.
 *
 * Text is UTF-8.
 */
#ifndef JIFF_JIFF_H
#define JIFF_JIFF_H

#include <stddef.h>
#include <stdint.h>

#include "jiff/version.h"

#if defined(JIFF_STATIC)
#define JIFF_API
#elif defined(_WIN32)
#if defined(JIFF_BUILDING)
#define JIFF_API __declspec(dllexport)
#else
#define JIFF_API __declspec(dllimport)
#endif
#else
#define JIFF_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ------------------------------------------------------------------------------------------- */

typedef int32_t jiff_status;

enum {
    JIFF_OK = 0,
    JIFF_INVALID_ARGUMENT = 1, /* a pointer, size or option that cannot be used */
    JIFF_INVALID_HANDLE = 2,   /* a handle that is null, freed or no handle of this kind */
    JIFF_INVALID_IMAGE = 3,    /* a photograph that cannot be used */
    JIFF_INVALID_MASK = 4,     /* a mask that is empty, of the wrong size, or missing where one is needed */
    JIFF_NO_PERSON = 5,        /* nobody was found in the photograph */
    JIFF_EMPTY_SURFACE = 6,    /* the networks see no body in the frame */
    JIFF_INVALID_FIELD = 7,    /* a network returned a value that is not a number */
    JIFF_BUNDLE_ERROR = 8,     /* a bundle file is missing, altered, truncated or of a newer schema */
    JIFF_ENGINE_ERROR = 9,     /* an engine is unknown, not in this build, or failed */
    JIFF_OUTPUT_ERROR = 10,    /* a file could not be written */
    JIFF_CANCELLED = 11,       /* the progress callback asked to stop */
    JIFF_OUT_OF_MEMORY = 12,
    JIFF_INTERNAL_ERROR = 13 /* a fault of this library, or a callback that threw */
};

/* "JIFF_OK" for JIFF_OK and so on; "unknown status" for any other number. Never null, valid for ever. */
JIFF_API const char* jiff_status_name(jiff_status status);

/*
 * What the last failed call on this thread said: what came, its value and the remedy. Empty before the
 * first failure; a call that succeeds leaves it. Never null; valid until the next failed call on this
 * thread.
 */
JIFF_API const char* jiff_last_error(void);

/* ---- What this library is ----------------------------------------------------------------------------- */

/* "0.1.0": of the library that runs; JIFF_VERSION is of the header that was compiled with. */
JIFF_API const char* jiff_version(void);

/* One line: version, compiler, instruction set in use, engines and their versions. Valid for ever. */
JIFF_API const char* jiff_build_info(void);

/*
 * Names of the engines that can be asked for, the fastest first, ended by a null pointer; valid for ever:
 * those that this library was built with, "onnxruntime" where its library is found, and those that lie as
 * modules (jiff/engine_module.h) beside this library or in a directory of the environment variable
 * JIFF_ENGINE_PATH. Empty where there is none. Looked for once, in the first call of this function,
 * jiff_build_info or jiff_reconstructor_create.
 */
JIFF_API const char* const* jiff_engines(void);

/* ---- Log ---------------------------------------------------------------------------------------------- */

enum { JIFF_LOG_INFO = 0, JIFF_LOG_WARNING = 1 };

/* `message` is valid during the call. */
typedef void (*jiff_log_callback)(int32_t level, const char* message, void* user_data);

/*
 * Sends what the library has to say to `callback`, of the whole process; null, as in the beginning, for
 * silence. Calls come from any thread that runs a function of this library, one after the other. When this
 * function returns, the callback before it is not running and is not called again, unless it is the one
 * that called this function. The callback may call functions of this library, but must not wait for another
 * thread that does. `user_data` stays the caller's.
 */
JIFF_API jiff_status jiff_set_log_callback(jiff_log_callback callback, void* user_data);

/* ---- Bundle: a model on disk ---------------------------------------------------------------------------*/

typedef struct jiff_bundle jiff_bundle;

/* Text is borrowed from the bundle: valid until it is freed. */
typedef struct jiff_bundle_info {
    size_t struct_size;
    const char* name;
    const char* version;
    const char* license;      /* of the weights */
    const char* provenance;   /* what the weights were trained on */
    double size_m;            /* metric side of the frame where no network estimates it */
    double margin;            /* free around the figure, as a share of its longer side */
    int32_t image_size_px;    /* side of the frame image */
    int32_t has_segmentation; /* 1: photographs need no mask */
    int32_t detects_faces;    /* 1: it holds a face detector */
    int32_t has_face;         /* 1: it fits a face model, which shapes the face of the mesh */
} jiff_bundle_info;

#define JIFF_BUNDLE_INFO_INIT \
    { sizeof(jiff_bundle_info), NULL, NULL, NULL, NULL, 0.0, 0.0, 0, 0, 0, 0 }

/*
 * Reads and checks the bundle in `directory`: manifest, schema, sizes, hashes, weights. On success *bundle
 * is a handle that the caller frees. Takes a moment for each hundred megabytes.
 * JIFF_BUNDLE_ERROR names the file, the value and the remedy.
 */
JIFF_API jiff_status jiff_bundle_open(const char* directory, jiff_bundle** bundle);

/* Fills *info, whose struct_size the caller set. */
JIFF_API jiff_status jiff_bundle_get_info(const jiff_bundle* bundle, jiff_bundle_info* info);

/* Null is allowed and does nothing. Reconstructors made from the bundle live on. */
JIFF_API jiff_status jiff_bundle_free(jiff_bundle* bundle);

/* ---- Reconstructor: a bundle loaded into an engine ---------------------------------------------------- */

typedef struct jiff_reconstructor jiff_reconstructor;

typedef struct jiff_reconstructor_options {
    size_t struct_size;
    const char* engine;    /* of jiff_engines(); null or "auto": the first of them */
    const char* device;    /* null or "cpu"; "cuda", in builds with CUDA: the heads run on the current GPU in
                              half precision, the networks where `networks` says */
    const char* precision; /* "f32", or "bf16" and "f16" where the processor or the GPU computes in them; in
                              bf16 the heads, which this library runs itself, do so too. Null or "auto":
                              networks in f32, heads in bf16 where the processor has it. On the GPU "f16"
                              takes the bundle's graphs of that precision */
    int32_t num_threads;   /* of the engine: 1 to 1024; 0: the engine's choice. The kernels of this library
                              take as many as the environment variable JIFF_NUM_THREADS says. */
    int32_t keeps_memory;  /* 1: networks keep what they need between input and output for their next run.
                              "openvino" gives it back otherwise and takes it anew, a few hundred megabytes,
                              which costs up to 8 % of a reconstruction; the other engines keep it. */
    const char* heads;     /* what the heads compute in on the processor: "f32", or "bf16" and "int8" where it
                              has them; null: as `precision` says */
    const char* networks;  /* with device "cuda": where networks run, "cpu" or "cuda". "onnxruntime" runs them
                              on the GPU if its library has the CUDA provider, "torchscript" if its LibTorch
                              has CUDA. Null: "cuda" where engine is null, "auto" or "onnxruntime" and that
                              library has the provider, else "cpu" (jiff_reconstructor_networks) */
} jiff_reconstructor_options;

#define JIFF_RECONSTRUCTOR_OPTIONS_INIT \
    { sizeof(jiff_reconstructor_options), NULL, NULL, NULL, 0, 0, NULL, NULL }

/*
 * Loads the networks of `bundle`; null `options` are the defaults. On success *reconstructor is a handle
 * that the caller frees; it reconstructs any number of photographs, from several threads at once if wanted.
 * Takes seconds.
 * JIFF_ENGINE_ERROR when the engine, device or precision is not to be had, and where the GPU fails: nothing
 * else is taken in its place.
 */
JIFF_API jiff_status jiff_reconstructor_create(const jiff_bundle* bundle,
                                               const jiff_reconstructor_options* options,
                                               jiff_reconstructor** reconstructor);

/* Name of the engine that runs the networks, one of jiff_engines(); null for an invalid handle. */
JIFF_API const char* jiff_reconstructor_engine(const jiff_reconstructor* reconstructor);

/* Where the networks run, "cpu" or "cuda"; null for an invalid handle. */
JIFF_API const char* jiff_reconstructor_networks(const jiff_reconstructor* reconstructor);

/* Null is allowed and does nothing. */
JIFF_API jiff_status jiff_reconstructor_free(jiff_reconstructor* reconstructor);

/* ---- Images ------------------------------------------------------------------------------------------- */

/* Eight bits a channel, sRGB, in the order of the bytes in memory. X is a byte without meaning. */
enum {
    JIFF_RGB8 = 1,
    JIFF_BGR8 = 2,
    JIFF_RGBA8 = 3,
    JIFF_BGRA8 = 4,
    JIFF_RGBX8 = 5,
    JIFF_BGRX8 = 6,
    JIFF_GRAY8 = 7
};

/* Pixels that the caller owns; the library only reads them, and only during the call. */
typedef struct jiff_image {
    size_t struct_size;
    const void* data;     /* first byte of the top row; rows go from the top down */
    size_t num_bytes;     /* what may be read, for checking; 0: not told */
    int64_t stride_bytes; /* from one row to the one below; negative: memory has the bottom row first;
                             0: width times the bytes of a pixel */
    int32_t width_px;
    int32_t height_px;
    int32_t format;
    int32_t reserved;
} jiff_image;

#define JIFF_IMAGE_INIT \
    { sizeof(jiff_image), NULL, 0, 0, 0, 0, 0, 0 }

/* ---- Reconstruction ----------------------------------------------------------------------------------- */

typedef struct jiff_reconstruction jiff_reconstruction;

/*
 * Called on the thread that called jiff_reconstruct, with a stage and the finished fraction of the whole, 0
 * to 1, which never decreases. `stage` is valid during the call. Anything but 0 cancels. It must not leave
 * by longjmp.
 */
typedef int32_t (*jiff_progress_callback)(const char* stage, float fraction, void* user_data);

/* How the face head's answers join the body head's. */
enum {
    JIFF_FACE_REGION = 0,  /* alone in the face region (paper Sec. 4.5) */
    JIFF_FACE_DISTANCE = 1 /* by a share that falls with the distance from the face mesh */
};

typedef struct jiff_reconstruct_options {
    size_t struct_size;
    int32_t resolution; /* cells along a side of the frame: a multiple of 32 from 32 to 1024; 0: 256 */
    int32_t keep_all_components;     /* 1: keep also what is not connected to the largest part */
    int32_t dense;                   /* 1: evaluate every lattice point; slow, for checking */
    int32_t silhouette_dilation_px;  /* how far outside the silhouette the surface may lie, in pixels of the
                                        frame image: 1 to 4096; 0: 8; -1: not at all */
    int32_t ignore_face;             /* 1: the body's network makes the face too */
    int32_t face_blend;              /* JIFF_FACE_REGION or JIFF_FACE_DISTANCE */
    jiff_progress_callback progress; /* or null */
    void* user_data;                 /* for `progress` */
    int32_t keep_hidden_colors; /* 1: what the camera does not see has the colours that the networks give;
                                   0: without their details, which are those of what it sees */
    int32_t reserved;
} jiff_reconstruct_options;

#define JIFF_RECONSTRUCT_OPTIONS_INIT \
    { sizeof(jiff_reconstruct_options), 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0 }

/*
 * Reconstructs the person in `image`, which must be upright, at least 64 px on each side and at most 80
 * megapixels. `mask`, of JIFF_GRAY8 and the image's size, marks the person by values above 127; without
 * one (null) an alpha channel that is not opaque everywhere is the mask, and without that the bundle's
 * network segments. Null `options` are the defaults. On success *reconstruction is a handle that the caller
 * frees.
 * JIFF_INVALID_ARGUMENT, JIFF_INVALID_IMAGE, JIFF_INVALID_MASK, JIFF_NO_PERSON when the input cannot be
 * used; JIFF_EMPTY_SURFACE, JIFF_INVALID_FIELD, JIFF_ENGINE_ERROR when the networks give no body;
 * JIFF_CANCELLED when `progress` asked to stop.
 */
JIFF_API jiff_status jiff_reconstruct(const jiff_reconstructor* reconstructor, const jiff_image* image,
                                      const jiff_image* mask, const jiff_reconstruct_options* options,
                                      jiff_reconstruction** reconstruction);

/* Null is allowed and does nothing. What was borrowed from the reconstruction is not valid any more. */
JIFF_API jiff_status jiff_reconstruction_free(jiff_reconstruction* reconstruction);

/* Triangles with a colour at each vertex. The arrays belong to whoever made the structure. */
typedef struct jiff_mesh {
    size_t struct_size;
    const float* vertices; /* [num_vertices][3], metres: x right, y up, z toward the camera */
    const float* colors;   /* [num_vertices][3], sRGB in [0, 1] */
    const int32_t* faces;  /* [num_faces][3], counter-clockwise seen from outside */
    int64_t num_vertices;
    int64_t num_faces;
} jiff_mesh;

#define JIFF_MESH_INIT \
    { sizeof(jiff_mesh), NULL, NULL, NULL, 0, 0 }

/*
 * The mesh of the person: fills *mesh, whose struct_size the caller set. Nothing is copied: the arrays are
 * borrowed from the reconstruction and valid until it is freed.
 */
JIFF_API jiff_status jiff_reconstruction_mesh(const jiff_reconstruction* reconstruction, jiff_mesh* mesh);

/*
 * The person that was taken, as JIFF_GRAY8 of the photograph's size: fills *mask, whose struct_size the
 * caller set. Borrowed from the reconstruction, valid until it is freed.
 */
JIFF_API jiff_status jiff_reconstruction_mask(const jiff_reconstruction* reconstruction, jiff_image* mask);

/*
 * What came of the face: *status becomes "used" where the face model shaped the mesh, else why the body's
 * network made the face alone:
 *   "off"                                  the options said so
 *   "no_face_model"                        the bundle has none
 *   "no_face"                              no face was found on the person
 *   "no_fit", "covered"                    the model does not fit what was found; it is hidden, as by a mask
 *   "turned_away"                          it looks more than 60 degrees away from the camera
 *   "no_surface", "too_few_pairs"          too little of the body's surface lies where the face is seen
 *   "turned_too_far", "scaled_too_far",
 *   "moved_too_far"                        it fits that surface only elsewhere than it is seen
 *   "worse_than_start",
 *   "too_far_from_surface"                 it does not fit that surface
 * Borrowed from the reconstruction, valid until it is freed.
 */
JIFF_API jiff_status jiff_reconstruction_face_status(const jiff_reconstruction* reconstruction,
                                                     const char** status);

/*
 * The fitted face model, placed in the world, in its own light: fills *mesh, whose struct_size the caller
 * set; without a vertex where no face was fitted and placed. Borrowed from the reconstruction, valid until it
 * is freed.
 */
JIFF_API jiff_status jiff_reconstruction_face_mesh(const jiff_reconstruction* reconstruction,
                                                   jiff_mesh* mesh);

typedef struct jiff_reconstruction_info {
    size_t struct_size;
    double image_from_world[16]; /* row-major 4 x 4: maps a homogeneous world point to (column_px, row_px,
                                    view z, 1) in the photograph */
    double size_m;               /* metric side of the frame */
    int64_t num_queries_asked;   /* lattice points whose occupancy was evaluated */
    int64_t num_queries_ideal;   /* those of the cells that the surface crosses: fewer cannot decide it */
    size_t num_stages;
    size_t num_warnings;
} jiff_reconstruction_info;

#define JIFF_RECONSTRUCTION_INFO_INIT                                                                       \
    {                                                                                                       \
        sizeof(jiff_reconstruction_info),                                                                   \
            {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}, 0.0, 0, 0, 0, \
            0                                                                                               \
    }

/* Fills *info, whose struct_size the caller set. */
JIFF_API jiff_status jiff_reconstruction_get_info(const jiff_reconstruction* reconstruction,
                                                  jiff_reconstruction_info* info);

/*
 * Name and milliseconds of stage `index`, below num_stages; "total" is one of them. *name is borrowed from
 * the reconstruction, valid until it is freed.
 */
JIFF_API jiff_status jiff_reconstruction_stage(const jiff_reconstruction* reconstruction, size_t index,
                                               const char** name, double* duration_ms);

/*
 * Warning `index`, below num_warnings: the result stands, but may not be what was wanted. Borrowed from the
 * reconstruction, valid until it is freed.
 */
JIFF_API jiff_status jiff_reconstruction_warning(const jiff_reconstruction* reconstruction, size_t index,
                                                 const char** message);

/* ---- Mesh files --------------------------------------------------------------------------------------- */

/*
 * Writes a mesh, also one that the caller made, as binary glTF (.glb), binary PLY (.ply) or Wavefront OBJ
 * (.obj), as the suffix of `path` says. The file is whole or not there: what was at `path` before stays when
 * writing fails.
 * JIFF_INVALID_ARGUMENT for another suffix, a mesh without vertices or faces, a face that names a vertex
 * which is not there, or a coordinate or colour that is not a finite number; JIFF_OUTPUT_ERROR when the file
 * cannot be written.
 */
JIFF_API jiff_status jiff_mesh_write(const jiff_mesh* mesh, const char* path);

#ifdef __cplusplus
}
#endif

#endif /* JIFF_JIFF_H */
