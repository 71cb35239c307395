/*
 * jiff: engines that come as modules. C99.
 *
 * A module is a shared library, libjiff_engine_NAME.so, that exports one function, jiff_engine_module_get.
 * libjiff finds it in the directories of the environment variable JIFF_ENGINE_PATH (separated by colons) and
 * beside itself, lists it in jiff_engines() and loads it when a program asks for the engine of that name. So
 * libjiff links nothing that a module links, and a module may be of another compiler and another C++ library.
 *
 * No exception may leave a function of a module, and none leaves a function that libjiff gives it.
 */
#ifndef JIFF_ENGINE_MODULE_H
#define JIFF_ENGINE_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Goes up with every change of this header; libjiff takes modules of its own version alone. */
#define JIFF_ENGINE_MODULE_VERSION 2

#define JIFF_ENGINE_MODULE_EXPORT __attribute__((visibility("default")))

/* A float32 array, row by row, in the memory of the host or, for run_on_gpu, of the GPU. `data` is null where
   only the shape is told. */
typedef struct jiff_engine_tensor {
    const char* name;
    const int64_t* shape; /* [rank] */
    size_t rank;
    const float* data;
} jiff_engine_tensor;

/*
 * Where a function of a module puts its answer. The functions may be called only during that function and on
 * its thread, and take `context` unchanged. They copy what they are given; gpu_tensor, for run_on_gpu alone,
 * copies all but the data: those stay where they are until release(owner), which comes later, once, on any
 * thread.
 */
typedef struct jiff_engine_answer {
    void* context;
    void (*tensor)(void* context, const jiff_engine_tensor* tensor);
    void (*fail)(void* context, const char* message); /* one line: what happened and what to do */
    void (*gpu_tensor)(void* context, const jiff_engine_tensor* tensor, void* owner,
                       void (*release)(void* owner));
} jiff_engine_answer;

typedef struct jiff_engine_options {
    const char* device;    /* "cpu", or "cuda": an NVIDIA GPU */
    const char* precision; /* "f32"; files are in float32, or with "f16" in float16 with float32 outside */
    int32_t num_threads;   /* 0: the engine's choice */
    int32_t device_index;  /* of the GPU, as the CUDA runtime counts them */
} jiff_engine_options;

/*
 * An engine. Functions that can fail call answer->fail once and return null or 1; those that do not fail
 * return a pointer or 0. Every function may be called from several threads at once, also with the same
 * engine and the same graph. unload comes after the last call with a graph, destroy after the last unload.
 */
typedef struct jiff_engine_module {
    uint32_t interface_version; /* JIFF_ENGINE_MODULE_VERSION */
    uint32_t reserved;          /* 0 */
    const char* name;           /* as in the name of the file */
    const char* format;         /* of the files that it loads: "onnx", or that of a variant in the bundle */

    void* (*create)(const jiff_engine_options* options, const jiff_engine_answer* answer);
    void (*destroy)(void* engine);

    void* (*load)(void* engine, const char* path, const jiff_engine_answer* answer);
    void (*unload)(void* graph);

    /* Tell what the graph takes and gives: answer->tensor once for each, with static shapes. */
    int32_t (*inputs)(void* graph, const jiff_engine_answer* answer);
    int32_t (*outputs)(void* graph, const jiff_engine_answer* answer);

    /* `inputs` are all that the graph takes, in the order that it told, with the shapes that it told. */
    int32_t (*run)(void* graph, const jiff_engine_tensor* inputs, size_t num_inputs,
                   const jiff_engine_answer* answer);

    /* The same with inputs in the memory of the GPU, complete, and outputs there (answer->gpu_tensor),
       complete when it returns. Of engines for "cuda"; null in a module that has none. */
    int32_t (*run_on_gpu)(void* graph, const jiff_engine_tensor* inputs, size_t num_inputs,
                          const jiff_engine_answer* answer);
} jiff_engine_module;

/* What a module exports; the structure is valid for ever. */
JIFF_ENGINE_MODULE_EXPORT const jiff_engine_module* jiff_engine_module_get(void);

#ifdef __cplusplus
}
#endif

#endif
