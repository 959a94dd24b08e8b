/* redis_answer: decodes answers of Redis and checks their kinds, counts, lengths and numbers. Only checked answers are
 * used, because another program may write under our keys, a proxy may answer, a dump may be half restored.
 *
 * Taking an item never fails at once. An item that does not fit gives a zero or an empty span, and the fault is
 * remembered. So a decoder reads item after item and checks once, at its end. */
#ifndef SENNIT_BROKER_REDIS_ANSWER_H
#define SENNIT_BROKER_REDIS_ANSWER_H

#include "base/span.h"
#include "wire/resp.h"

static const uint64_t ANSWER_NUMBER_MAX = 1ull << 52; /* Lua counts in doubles, and callers add to numbers they get */

/* The items of an array, one after the other. */
struct answer {
    const struct resp *items;
    size_t count, at;
    bool bad;
};
struct answer answer_of(const struct resp *reply);
/* A reply that is not an array, as if it were the only item of one. */
struct answer answer_of_one(const struct resp *reply);
/* A number up to ANSWER_NUMBER_MAX, as an integer or as text. */
uint64_t answer_number(struct answer *answer);
bool answer_flag(struct answer *answer);
struct span answer_text(struct answer *answer);
struct answer answer_array(struct answer *answer);
/* All items were taken, and all fitted. */
bool answer_is_good(const struct answer *answer);

/* The parts of a message, from its front. */
struct words {
    struct span rest; /* NULL data behind the last one */
    bool bad;
};
/* Takes a number up to ANSWER_NUMBER_MAX and the character `end` behind it; '\0': to the end of the message. */
uint64_t words_number(struct words *words, char end);
struct span words_text(struct words *words, char end);
struct span words_bytes(struct words *words, uint64_t len);
bool words_are_good(const struct words *words); /* also if some are left */

/* Checks of texts. */
bool text_is_epoch(struct span text); /* 1 to BROKER_EPOCH_BYTES_MAX of [A-Za-z0-9] */
bool text_is_room(struct span text);  /* 1 to BROKER_ROOM_BYTES_MAX bytes */
bool text_is_sid(struct span text);   /* 1 to 64 printable ASCII, no quote or backslash: JSON holds it unescaped */

#endif
