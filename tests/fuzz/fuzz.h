/*
 * What a fuzzer is: one function that takes any bytes. A finding is a sanitizer's word or a broken
 * promise (fuzz_promise).
 */
#ifndef CM_TESTS_FUZZ_H
#define CM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
/* Once, before the first input; weak: a fuzzer may do without. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
/* Changes an input; a fuzzer of JSON links json_mutator.c, the others leave it to libFuzzer. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t most, unsigned seed);
/* libFuzzer's own way of changing bytes. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t most);

/* What the code says it keeps, whatever comes in. */
#define fuzz_promise(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
