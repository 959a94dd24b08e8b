/* vector: text files of bytes in and events out, replayed against a codec however the bytes are cut.
 *
 * README.md beside this file describes the format. Each piece is laid so that it ends at an unreadable page: a codec
 * that looks one byte too far dies. */
#ifndef SENNIT_TEST_VECTOR_H
#define SENNIT_TEST_VECTOR_H

#include "base/buf.h"
#include "base/span.h"

enum { VECTOR_OPTIONS_MAX = 8 };

struct vector {
    struct span name, file; /* borrowed from the text */
    unsigned line;          /* where it starts */
    struct buf in;          /* the bytes, escapes resolved */
    struct buf out;         /* the expected events, a line each */
    struct {
        struct span key, value;
    } options[VECTOR_OPTIONS_MAX];
    size_t option_count;
};

/* The value of an option line, or a span with NULL data. */
struct span vector_option(const struct vector *vector, const char *key);
/* The same as a number, or `otherwise` when it is absent. Ends the process when it is no number. */
uint64_t vector_number(const struct vector *vector, const char *key, uint64_t otherwise);

/* The interface between the vectors and the codec under test. */
struct vector_codec {
    /* The bytes are one message that the codec wants whole: they are not cut. */
    bool whole_only;
    /* A fresh state; the vector (its options) lives as long as it does. */
    void *(*create)(const struct vector *vector);
    void (*destroy)(void *state);
    /* Takes from the front of `bytes`, which it may change; what it does not take is given again, with more behind it.
     * Appends a line to `out` for each event. Returns bytes taken (> 0), 0 when it needs more, -1 when it refused them:
     * then nothing more is fed. */
    ptrdiff_t (*feed)(void *state, char *bytes, size_t len, struct buf *out);
    /* The input has ended, `left` of it not taken; not called after a refusal. May be NULL. */
    void (*end)(void *state, struct span left, struct buf *out);
};

/* How the bytes are cut: returns the length of the next piece (> 0) given the offset and the seed's state. */
enum vector_cut { VECTOR_WHOLE, VECTOR_BYTES, VECTOR_RANDOM };

/* Feeds `vector->in` to a fresh state, cut as told, and appends the events to `out`. */
void vector_run(const struct vector_codec *codec, const struct vector *vector, enum vector_cut cut, uint64_t seed,
                struct buf *out);

/* Replays one file's text: whole, byte by byte and at random cuts. Prints what differs; returns the number of vectors
 * that failed and adds the number there were to `*count`. */
unsigned vector_replay(const struct vector_codec *codec, struct span file, struct span text, unsigned *count);
/* The same for every *.txt in a directory. For main: returns the exit code; a directory without vectors fails. */
int vector_replay_directory(const struct vector_codec *codec, const char *directory);

/* Appends bytes as they would stand in a vector: quoted, escaped, runs of 32 or more equal bytes as `"x"*N`. */
void vector_quote(struct buf *out, struct span bytes);

#endif
