/*
 * An engine module that misbehaves as FAULT says, for the tests of libjiff's side of the interface. Its
 * graph loads any file and claims the tensors of a segmentation network, which tests/synthetic_bundle.py has.
 */
#include "jiff/engine_module.h"

#include <stdlib.h>

enum {
    NO_FAULT,
    OTHER_VERSION,
    NO_MODULE,
    NO_FUNCTION,
    OTHER_NAME,
    NO_START,
    NO_REASON,
    NO_LOAD,
    IMPOSSIBLE_SHAPE,
    NO_TENSOR_NAME
};

static int engine, graph;

static void* create(const jiff_engine_options* options, const jiff_engine_answer* answer) {
    (void)options;
    if (FAULT == NO_START) answer->fail(answer->context, "it is\nnot plugged in");
    return FAULT == NO_START || FAULT == NO_REASON ? NULL : &engine;
}

static void destroy(void* given) {
    if (given != &engine) abort();
}

static void* load(void* given, const char* path, const jiff_engine_answer* answer) {
    if (given != &engine || path == NULL) abort();
    if (FAULT == NO_LOAD) answer->fail(answer->context, "the file is of no use");
    return FAULT == NO_LOAD ? NULL : &graph;
}

static void unload(void* given) {
    if (given != &graph) abort();
}

static void tell(const char* name, int64_t channels, const jiff_engine_answer* answer) {
    int64_t shape[4] = {1, 0, 64, 64};
    jiff_engine_tensor tensor = {0};
    shape[1] = FAULT == IMPOSSIBLE_SHAPE ? -channels : channels;
    tensor.name = FAULT == NO_TENSOR_NAME ? NULL : name;
    tensor.shape = shape;
    tensor.rank = 4;
    answer->tensor(answer->context, &tensor);
}

static int32_t inputs(void* given, const jiff_engine_answer* answer) {
    (void)given;
    tell("image", 3, answer);
    return 0;
}

static int32_t outputs(void* given, const jiff_engine_answer* answer) {
    (void)given;
    tell("matte", 1, answer);
    return 0;
}

static int32_t run(void* given, const jiff_engine_tensor* tensors, size_t num_tensors,
                   const jiff_engine_answer* answer) {
    (void)given;
    (void)tensors;
    (void)num_tensors;
    answer->fail(answer->context, "it never computes");
    return 1;
}

const jiff_engine_module* jiff_engine_module_get(void) {
    static jiff_engine_module module = {JIFF_ENGINE_MODULE_VERSION + (FAULT == OTHER_VERSION),
                                        0,
                                        "faulty",
                                        "onnx",
                                        create,
                                        destroy,
                                        load,
                                        unload,
                                        inputs,
                                        outputs,
                                        run,
                                        NULL};
    if (FAULT == NO_FUNCTION) module.run = NULL;
    if (FAULT == OTHER_NAME) module.name = "elsewhere";
    return FAULT == NO_MODULE ? NULL : &module;
}
