/* fake_redis_zset: sorted sets: members found by hash, and in one array by score, then by name. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_parts.h"

struct member {
    struct map_node by_name;
    double score;
    char name[];
};

struct fake_zset {
    struct map by_name;
    struct member **sorted;
    size_t count, cap;
};

/* Scores from one to the other, either end perhaps left out. */
struct scores {
    double min, max;
    bool min_out, max_out;
};

struct fake_zset *fake_zset_create(void)
{
    struct fake_zset *zset = mem_zero(1, sizeof *zset);
    fake_map_init(&zset->by_name);
    return zset;
}

void fake_zset_destroy(struct fake_zset *zset)
{
    for (size_t i = 0; i < zset->count; i++)
        free(zset->sorted[i]);
    map_finish(&zset->by_name);
    free(zset->sorted);
    free(zset);
}

size_t fake_zset_count(const struct fake_zset *zset)
{
    return zset->count;
}

static struct member *find(const struct fake_zset *zset, struct span name)
{
    struct map_node *node = map_find(&zset->by_name, name);
    return node != NULL ? container_of(node, struct member, by_name) : NULL;
}

bool fake_zset_has(const struct fake_zset *zset, struct span name)
{
    return find(zset, name) != NULL;
}

/* How many stand before this score and name. */
static size_t rank(const struct fake_zset *zset, double score, struct span name)
{
    size_t low = 0, high = zset->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct member *at = zset->sorted[middle];
        if (at->score < score || (at->score == score && fake_bytes_compare(at->by_name.key, name) < 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void place(struct fake_zset *zset, struct member *member)
{
    if (zset->count == zset->cap) {
        zset->cap = zset->cap != 0 ? zset->cap * 2 : 8;
        zset->sorted = mem_resize(zset->sorted, zset->cap * sizeof(struct member *));
    }
    size_t at = rank(zset, member->score, member->by_name.key);
    memmove(zset->sorted + at + 1, zset->sorted + at, (zset->count - at) * sizeof(struct member *));
    zset->sorted[at] = member;
    zset->count++;
}

static void unplace(struct fake_zset *zset, const struct member *member)
{
    size_t at = rank(zset, member->score, member->by_name.key);
    assert(zset->sorted[at] == member);
    zset->count--;
    memmove(zset->sorted + at, zset->sorted + at + 1, (zset->count - at) * sizeof(struct member *));
}

static void add(struct fake_zset *zset, struct span name, double score)
{
    struct member *member = mem_zero(1, sizeof *member + name.len + 1);
    memcpy(member->name, name.len != 0 ? name.data : "", name.len);
    member->score = score + 0.0; /* -0 is kept as 0 */
    map_add(&zset->by_name, &member->by_name, span_of(member->name, name.len));
    place(zset, member);
}

struct fake_zset *fake_zset_copy(const struct fake_zset *zset)
{
    struct fake_zset *copy = fake_zset_create();
    for (size_t i = 0; i < zset->count; i++)
        add(copy, zset->sorted[i]->by_name.key, zset->sorted[i]->score);
    return copy;
}

static void move(struct fake_zset *zset, struct member *member, double score)
{
    unplace(zset, member);
    member->score = score + 0.0;
    place(zset, member);
}

static void drop(struct fake_zset *zset, struct member *member)
{
    unplace(zset, member);
    map_remove(&zset->by_name, &member->by_name);
    free(member);
}

enum { ADD_NX = 1, ADD_XX = 2, ADD_GT = 4, ADD_LT = 8, ADD_CH = 16, ADD_INCR = 32 };

static bool add_options(struct fake_call *call, unsigned *options, size_t *at)
{
    static const struct {
        const char *word;
        unsigned option;
    } words[] = {{"nx", ADD_NX}, {"xx", ADD_XX}, {"gt", ADD_GT}, {"lt", ADD_LT}, {"ch", ADD_CH}, {"incr", ADD_INCR}};
    *options = 0;
    for (*at = 2; *at < call->count; ++*at) {
        unsigned found = 0;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            found |= fake_arg_is(call, *at, words[i].word) ? words[i].option : 0;
        if (found == 0)
            break;
        *options |= found;
    }
    size_t left = call->count - *at;
    if (left == 0 || left % 2 != 0) {
        fake_reply_syntax_error(call);
        return false;
    }
    if (*options & ADD_NX && *options & ADD_XX) {
        fake_reply_error(call, "ERR XX and NX options at the same time are not compatible");
        return false;
    }
    if ((*options & ADD_GT && *options & (ADD_NX | ADD_LT)) || (*options & ADD_LT && *options & ADD_NX)) {
        fake_reply_error(call, "ERR GT, LT, and/or NX options at the same time are not compatible");
        return false;
    }
    if (*options & ADD_INCR && left > 2) {
        fake_reply_error(call, "ERR INCR option supports a single increment-element pair");
        return false;
    }
    return true;
}

enum outcome { NOTHING, ADDED, UPDATED, SAME, NOT_A_NUMBER };

/* `*score` becomes what the member has afterwards. */
static enum outcome put(struct fake_zset *zset, struct span name, double *score, unsigned options)
{
    struct member *member = find(zset, name);
    if (member == NULL) {
        if (options & ADD_XX)
            return NOTHING;
        add(zset, name, *score);
        return ADDED;
    }
    if (options & ADD_NX)
        return NOTHING;
    if (options & ADD_INCR)
        *score += member->score;
    if (isnan(*score))
        return NOT_A_NUMBER;
    if ((options & ADD_GT && *score <= member->score) || (options & ADD_LT && *score >= member->score))
        return NOTHING;
    if (*score == member->score)
        return SAME;
    move(zset, member, *score);
    return UPDATED;
}

static void put_all(struct fake_call *call, unsigned options, size_t from)
{
    struct fake_key *key;
    int64_t added = 0, updated = 0;
    double score = 0;
    enum outcome outcome = NOTHING;
    for (size_t i = from; i < call->count; i += 2)
        if (!fake_arg_double(call, i, &score, "value is not a valid float"))
            return;
    if (!fake_key_typed(call, call->args[1], FAKE_ZSET, &key))
        return;
    if (key == NULL && !(options & ADD_XX))
        key = fake_key_create(call, call->args[1], FAKE_ZSET);
    for (size_t i = from; key != NULL && i < call->count; i += 2) {
        fake_span_double(call->args[i], &score);
        outcome = put(key->zset, call->args[i + 1], &score, options);
        added += outcome == ADDED;
        updated += outcome == UPDATED;
        if (outcome == NOT_A_NUMBER) {
            fake_reply_error(call, "ERR resulting score is not a number (NaN)");
            return;
        }
    }
    if (!(options & ADD_INCR))
        fake_reply_integer(call, options & ADD_CH ? added + updated : added);
    else if (outcome == NOTHING)
        fake_reply_nil(call);
    else
        fake_reply_double(call, score);
}

static void zadd(struct fake_call *call)
{
    unsigned options;
    size_t from;
    if (add_options(call, &options, &from))
        put_all(call, options, from);
}

static void zincrby(struct fake_call *call)
{
    put_all(call, ADD_INCR, 2);
}

/* The sorted set, or `*zset` NULL; false when it is something else, which was replied. */
static bool zset_of(struct fake_call *call, struct fake_zset **zset)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_ZSET, &key))
        return false;
    *zset = key != NULL ? key->zset : NULL;
    return true;
}

/* Takes members `from` to `to` (not included) away, and the key with the last of them. */
static void drop_range(struct fake_call *call, struct fake_zset *zset, size_t from, size_t to)
{
    for (size_t i = to; zset != NULL && i > from; i--)
        drop(zset, zset->sorted[i - 1]);
    if (zset != NULL && zset->count == 0)
        fake_key_delete(call, fake_key_find(call, call->args[1]));
    fake_reply_integer(call, (int64_t)(to - from));
}

static void zrem(struct fake_call *call)
{
    struct fake_zset *zset;
    int64_t removed = 0;
    if (!zset_of(call, &zset))
        return;
    for (size_t i = 2; zset != NULL && i < call->count; i++) {
        struct member *member = find(zset, call->args[i]);
        if (member == NULL)
            continue;
        drop(zset, member);
        removed++;
    }
    if (zset != NULL && zset->count == 0)
        fake_key_delete(call, fake_key_find(call, call->args[1]));
    fake_reply_integer(call, removed);
}

static void zscore(struct fake_call *call)
{
    struct fake_zset *zset;
    if (!zset_of(call, &zset))
        return;
    const struct member *member = zset != NULL ? find(zset, call->args[2]) : NULL;
    if (member != NULL)
        fake_reply_double(call, member->score);
    else
        fake_reply_nil(call);
}

static void zcard(struct fake_call *call)
{
    struct fake_zset *zset;
    if (zset_of(call, &zset))
        fake_reply_integer(call, zset != NULL ? (int64_t)zset->count : 0);
}

/* Whatever strtod takes whole, nothing at all included. */
static bool score_read(struct span text, double *score, bool *out)
{
    char *copy = mem_text(text), *end;
    *out = copy[0] == '(';
    *score = strtod(copy + *out, &end);
    bool whole = *end == '\0' && !isnan(*score);
    free(copy);
    return whole;
}

static bool scores_read(struct fake_call *call, size_t min, size_t max, struct scores *scores)
{
    if (score_read(call->args[min], &scores->min, &scores->min_out) &&
        score_read(call->args[max], &scores->max, &scores->max_out))
        return true;
    fake_reply_error(call, "ERR min or max is not a float");
    return false;
}

/* The places of the scores: from `*from` up to `*to`, which is not included. */
static void scores_find(const struct fake_zset *zset, const struct scores *scores, size_t *from, size_t *to)
{
    *from = 0;
    while (*from < zset->count &&
           (zset->sorted[*from]->score < scores->min || (scores->min_out && zset->sorted[*from]->score == scores->min)))
        ++*from;
    *to = *from;
    while (*to < zset->count &&
           (zset->sorted[*to]->score < scores->max || (!scores->max_out && zset->sorted[*to]->score == scores->max)))
        ++*to;
}

/* Counted from the end when negative, as Redis' indexes are; `*to` is behind the last. */
static void indexes_find(const struct fake_zset *zset, int64_t start, int64_t stop, size_t *from, size_t *to)
{
    int64_t count = (int64_t)zset->count;
    start = start < 0 ? start + count : start;
    stop = stop < 0 ? stop + count : stop;
    start = start < 0 ? 0 : start;
    stop = stop >= count ? count - 1 : stop;
    *from = *to = 0;
    if (start > stop || start >= count)
        return;
    *from = (size_t)start;
    *to = (size_t)stop + 1;
}

/* The key, and the places of its scores between the second and the third argument; false when it has answered. */
static bool score_range_read(struct fake_call *call, struct fake_zset **zset, size_t *from, size_t *to)
{
    struct scores scores;
    *from = *to = 0;
    if (!scores_read(call, 2, 3, &scores) || !zset_of(call, zset))
        return false;
    if (*zset != NULL)
        scores_find(*zset, &scores, from, to);
    return true;
}

static void zcount(struct fake_call *call)
{
    struct fake_zset *zset;
    size_t from, to;
    if (score_range_read(call, &zset, &from, &to))
        fake_reply_integer(call, (int64_t)(to - from));
}

static void zremrangebyscore(struct fake_call *call)
{
    struct fake_zset *zset;
    size_t from, to;
    if (score_range_read(call, &zset, &from, &to))
        drop_range(call, zset, from, to);
}

static void zremrangebyrank(struct fake_call *call)
{
    struct fake_zset *zset;
    int64_t start, stop;
    size_t from = 0, to = 0;
    if (!fake_arg_i64(call, 2, &start) || !fake_arg_i64(call, 3, &stop) || !zset_of(call, &zset))
        return;
    if (zset != NULL)
        indexes_find(zset, start, stop, &from, &to);
    drop_range(call, zset, from, to);
}

struct range {
    bool by_score, reversed, with_scores;
    bool limited;
    int64_t offset, limit;
};

static bool range_options(struct fake_call *call, struct range *range, bool old_command)
{
    for (size_t i = 4; i < call->count; i++) {
        if (fake_arg_is(call, i, "withscores")) {
            range->with_scores = true;
        } else if (fake_arg_is(call, i, "limit") && i + 2 < call->count) {
            if (!fake_arg_i64(call, i + 1, &range->offset) || !fake_arg_i64(call, i + 2, &range->limit))
                return false;
            range->limited = true;
            i += 2;
        } else if (!old_command && fake_arg_is(call, i, "byscore")) {
            range->by_score = true;
        } else if (!old_command && fake_arg_is(call, i, "rev")) {
            range->reversed = true;
        } else {
            fake_reply_syntax_error(call);
            return false;
        }
    }
    if (range->limited && !range->by_score) {
        fake_reply_error(call, "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        return false;
    }
    return true;
}

static void range_reply(struct fake_call *call, const struct fake_zset *zset, const struct range *range, size_t from,
                        size_t to)
{
    size_t count = to - from, skip = 0;
    if (range->limited) {
        skip = range->offset < 0 || (uint64_t)range->offset > count ? count : (size_t)range->offset;
        count -= skip;
        if (range->limit >= 0 && (uint64_t)range->limit < count)
            count = (size_t)range->limit;
    }
    fake_reply_array(call, count * (range->with_scores ? 2 : 1));
    for (size_t i = 0; i < count; i++) {
        const struct member *member = zset->sorted[range->reversed ? to - 1 - skip - i : from + skip + i];
        fake_reply_bulk(call, member->by_name.key);
        if (range->with_scores)
            fake_reply_double(call, member->score);
    }
}

static void range_run(struct fake_call *call, struct range range, bool old_command)
{
    struct fake_zset *zset;
    struct scores scores = {0};
    int64_t start = 0, stop = 0;
    size_t from = 0, to = 0;
    if (!range_options(call, &range, old_command))
        return;
    if (range.by_score) {
        if (!scores_read(call, range.reversed ? 3 : 2, range.reversed ? 2 : 3, &scores))
            return;
    } else if (!fake_arg_i64(call, 2, &start) || !fake_arg_i64(call, 3, &stop)) {
        return;
    }
    if (!zset_of(call, &zset))
        return;
    if (zset != NULL && range.by_score) {
        scores_find(zset, &scores, &from, &to);
    } else if (zset != NULL) {
        indexes_find(zset, start, stop, &from, &to);
        if (range.reversed && to > from) {
            size_t first = zset->count - to;
            to = zset->count - from;
            from = first;
        }
    }
    range_reply(call, zset, &range, from, to);
}

static void zrange(struct fake_call *call)
{
    range_run(call, (struct range){.by_score = false}, false);
}

static void zrangebyscore(struct fake_call *call)
{
    range_run(call, (struct range){.by_score = true}, true);
}

static void zrevrangebyscore(struct fake_call *call)
{
    range_run(call, (struct range){.by_score = true, .reversed = true}, true);
}

const struct fake_command fake_zset_commands[] = {
    {"zadd", zadd, -4, FAKE_WRITE | FAKE_MEMORY},
    {"zincrby", zincrby, 4, FAKE_WRITE | FAKE_MEMORY},
    {"zrem", zrem, -3, FAKE_WRITE},
    {"zscore", zscore, 3, 0},
    {"zcard", zcard, 2, 0},
    {"zcount", zcount, 4, 0},
    {"zrange", zrange, -4, 0},
    {"zrangebyscore", zrangebyscore, -4, 0},
    {"zrevrangebyscore", zrevrangebyscore, -4, 0},
    {"zremrangebyscore", zremrangebyscore, 4, FAKE_WRITE},
    {"zremrangebyrank", zremrangebyrank, 4, FAKE_WRITE},
    {NULL, NULL, 0, 0},
};
