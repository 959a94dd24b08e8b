/* redis_answer: what Redis says is taken apart here, and believed as far as it was checked: kinds, counts, lengths and
 * numbers. Another program may write under our keys, a proxy may answer, a dump may be half restored.
 *
 * Taking never fails at once: what does not fit gives a zero or an empty span and is remembered, so that a decoder
 * reads as the answer does and asks once, at its end. */
#ifndef SENNIT_BROKER_REDIS_ANSWER_H
#define SENNIT_BROKER_REDIS_ANSWER_H

#include "base/span.h"
#include "wire/resp.h"

static const uint64_t ANSWER_NUMBER_MAX = 1ull << 52; /* Lua counts in doubles, and clients add to what they are told */

/* The items of an array, one after the other. */
struct answer {
    const struct resp *items;
    size_t count, at;
    bool bad;
};
struct answer answer_of(const struct resp *reply);
/* A reply that is no array, as if it were the only item of one. */
struct answer answer_of_one(const struct resp *reply);
/* A number up to ANSWER_NUMBER_MAX, as an integer or as text. */
uint64_t answer_number(struct answer *answer);
bool answer_flag(struct answer *answer);
struct span answer_text(struct answer *answer);
struct answer answer_array(struct answer *answer);
/* All was taken, and all of it fitted. */
bool answer_is_good(const struct answer *answer);

/* The parts of a message, from its front. */
struct words {
    struct span rest; /* NULL data behind the last one */
    bool bad;
};
/* A number up to ANSWER_NUMBER_MAX, and the character behind it; '\0': up to the end. */
uint64_t words_number(struct words *words, char end);
struct span words_text(struct words *words, char end);
struct span words_bytes(struct words *words, uint64_t len);
bool words_are_good(const struct words *words); /* also when some are left */

/* Shapes of what is in there. */
bool text_is_epoch(struct span text); /* 1 to BROKER_EPOCH_BYTES_MAX of [A-Za-z0-9] */
bool text_is_room(struct span text);  /* 1 to BROKER_ROOM_BYTES_MAX bytes */
bool text_is_sid(struct span text);   /* 1 to 64 printable ASCII, no quote or backslash: it is put into JSON as it is */

#endif
