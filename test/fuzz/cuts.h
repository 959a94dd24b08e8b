/* cuts: the property every streaming codec has: the events do not depend on how the bytes are cut. */
#ifndef SENNIT_FUZZ_CUTS_H
#define SENNIT_FUZZ_CUTS_H

#include <assert.h>

#include "vectors/vector.h"

/* Runs `codec` over the vector's input whole, byte by byte and at random cuts, and asserts that the events agree. */
static inline void cuts_check(const struct vector_codec *codec, const struct vector *vector, uint64_t seed)
{
    struct buf whole = {0}, bytes = {0}, random = {0};
    vector_run(codec, vector, VECTOR_WHOLE, 0, &whole);
    vector_run(codec, vector, VECTOR_BYTES, 0, &bytes);
    vector_run(codec, vector, VECTOR_RANDOM, seed, &random);
    assert(span_equal(buf_span(&whole), buf_span(&bytes)));
    assert(span_equal(buf_span(&whole), buf_span(&random)));
    buf_finish(&whole);
    buf_finish(&bytes);
    buf_finish(&random);
}

static inline void cuts_option(struct vector *vector, struct span key, struct span value)
{
    assert(vector->option_count < VECTOR_OPTIONS_MAX);
    vector->options[vector->option_count].key = key;
    vector->options[vector->option_count++].value = value;
}

#endif
