/* redis_answer: takes items out of replies and words out of messages, and remembers the first that does not fit. */
#include "broker/redis_answer.h"

#include "broker/broker.h"

enum { SID_BYTES_MAX = 64 };

struct answer answer_of(const struct resp *reply)
{
    if (reply->type != RESP_ARRAY)
        return (struct answer){.bad = true};
    return (struct answer){.items = reply->items, .count = reply->item_count};
}

struct answer answer_of_one(const struct resp *reply)
{
    return (struct answer){.items = reply, .count = 1};
}

static const struct resp *take(struct answer *answer)
{
    if (!answer->bad && answer->at < answer->count)
        return &answer->items[answer->at++];
    answer->bad = true;
    return NULL;
}

uint64_t answer_number(struct answer *answer)
{
    const struct resp *item = take(answer);
    uint64_t number = 0;
    bool ok = item != NULL && (item->type == RESP_STRING ? span_to_u64(item->text, &number)
                                                         : item->type == RESP_INTEGER && item->integer >= 0);
    if (ok && item->type == RESP_INTEGER)
        number = (uint64_t)item->integer;
    if (ok && number <= ANSWER_NUMBER_MAX)
        return number;
    answer->bad = true;
    return 0;
}

bool answer_flag(struct answer *answer)
{
    uint64_t number = answer_number(answer);
    answer->bad |= number > 1;
    return number == 1;
}

struct span answer_text(struct answer *answer)
{
    const struct resp *item = take(answer);
    if (item != NULL && item->type == RESP_STRING)
        return item->text;
    answer->bad = true;
    return SPAN_LIT("");
}

struct answer answer_array(struct answer *answer)
{
    const struct resp *item = take(answer);
    struct answer inner = item != NULL ? answer_of(item) : (struct answer){.bad = true};
    answer->bad |= inner.bad;
    return inner;
}

bool answer_is_good(const struct answer *answer)
{
    return !answer->bad && answer->at == answer->count;
}

struct span words_text(struct words *words, char end)
{
    struct span part = SPAN_LIT(""), before = words->rest;
    if (words->bad || words->rest.data == NULL) {
        words->bad = true;
        return part;
    }
    if (end == '\0') {
        words->rest = (struct span){NULL, 0};
        return before;
    }
    ptrdiff_t at = span_find(before, end);
    if (at < 0) {
        words->bad = true;
        return part;
    }
    words->rest = span_from(before, (size_t)at + 1);
    return span_sub(before, 0, (size_t)at);
}

uint64_t words_number(struct words *words, char end)
{
    uint64_t number = 0;
    if (span_to_u64(words_text(words, end), &number) && number <= ANSWER_NUMBER_MAX && !words->bad)
        return number;
    words->bad = true;
    return 0;
}

struct span words_bytes(struct words *words, uint64_t len)
{
    if (words->bad || words->rest.data == NULL || len > words->rest.len) {
        words->bad = true;
        return SPAN_LIT("");
    }
    struct span part = span_sub(words->rest, 0, (size_t)len);
    words->rest = span_from(words->rest, (size_t)len);
    return part;
}

bool words_are_good(const struct words *words)
{
    return !words->bad;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool text_is_epoch(struct span text)
{
    bool ok = text.len > 0 && text.len <= BROKER_EPOCH_BYTES_MAX;
    for (size_t i = 0; i < text.len && ok; i++)
        ok = is_letter_or_digit(text.data[i]);
    return ok;
}

bool text_is_room(struct span text)
{
    return text.len > 0 && text.len <= BROKER_ROOM_BYTES_MAX;
}

bool text_is_sid(struct span text)
{
    bool ok = text.len > 0 && text.len <= SID_BYTES_MAX;
    for (size_t i = 0; i < text.len && ok; i++)
        ok = text.data[i] >= ' ' && text.data[i] <= '~' && text.data[i] != '"' && text.data[i] != '\\';
    return ok;
}
