/* fake_redis_stream_commands: commands for streams. */
#include "fake_redis_stream.h"

static const struct stream_id id_max = {UINT64_MAX, UINT64_MAX}, id_min = {0, 0};

static void reply_id(struct fake_call *call, struct stream_id id)
{
    struct buf text = {0};
    buf_printf(&text, "%llu-%llu", (unsigned long long)id.ms, (unsigned long long)id.seq);
    fake_reply_bulk(call, buf_span(&text));
    buf_finish(&text);
}

static void reply_entry(struct fake_call *call, const struct stream_entry *entry)
{
    const char *at = entry->texts;
    fake_reply_array(call, 2);
    reply_id(call, entry->id);
    fake_reply_array(call, entry->count);
    for (size_t i = 0; i < entry->count; i++) {
        size_t len;
        memcpy(&len, at, sizeof len);
        fake_reply_bulk(call, span_of(at + sizeof len, len));
        at += sizeof len + len;
    }
}

/* Ids. */

enum id_form { ID_FULL, ID_MS, ID_AUTO_SEQ };

/* `ms`, `ms-seq` or `ms-*`. */
static bool id_read(struct span text, struct stream_id *id, enum id_form *form)
{
    struct span ms = text;
    ptrdiff_t dash = span_find(text, '-');
    *form = ID_MS;
    id->seq = 0;
    if (dash >= 0) {
        struct span seq = span_from(text, (size_t)dash + 1);
        ms = span_sub(text, 0, (size_t)dash);
        *form = span_equal(seq, SPAN_LIT("*")) ? ID_AUTO_SEQ : ID_FULL;
        if (*form == ID_FULL && !span_to_u64(seq, &id->seq))
            return false;
    }
    return span_to_u64(ms, &id->ms);
}

static bool reply_bad_id(struct fake_call *call)
{
    fake_reply_error(call, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

/* `-`, `+`, an id, or an id behind a `(`; an id without its second half gets `missing`. */
static bool bound_read(struct fake_call *call, size_t at, uint64_t missing, struct stream_id *id, bool *out)
{
    struct span text = call->args[at];
    enum id_form form;
    *out = text.len > 1 && text.data[0] == '(';
    if (!*out && text.len == 1 && (text.data[0] == '-' || text.data[0] == '+')) {
        *id = text.data[0] == '-' ? id_min : id_max;
        return true;
    }
    if (!id_read(span_from(text, *out), id, &form) || form == ID_AUTO_SEQ)
        return reply_bad_id(call);
    if (form == ID_MS)
        id->seq = missing;
    return true;
}

/* Trimming. */

static bool trim_threshold(struct fake_call *call, struct stream_trim *trim, size_t *at)
{
    bool maxlen = fake_arg_is(call, *at, "maxlen");
    enum id_form form;
    if (trim->by != TRIM_NONE) {
        fake_reply_error(call, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    trim->by = maxlen ? TRIM_MAXLEN : TRIM_MINID;
    if (*at + 2 < call->count && (fake_arg_is(call, *at + 1, "~") || fake_arg_is(call, *at + 1, "=")))
        trim->about = fake_arg_is(call, ++*at, "~");
    ++*at;
    if (!maxlen)
        return (id_read(call->args[*at], &trim->minid, &form) && form != ID_AUTO_SEQ) || reply_bad_id(call);
    if (!fake_arg_i64(call, *at, &trim->maxlen))
        return false;
    if (trim->maxlen < 0)
        fake_reply_error(call, "ERR The MAXLEN argument must be >= 0.");
    return trim->maxlen >= 0;
}

static bool trim_limit(struct fake_call *call, struct stream_trim *trim, size_t *at)
{
    trim->limited = true;
    if (!fake_arg_i64(call, ++*at, &trim->limit))
        return false;
    if (trim->limit < 0)
        fake_reply_error(call, "ERR The LIMIT argument must be >= 0.");
    return trim->limit >= 0;
}

/* XADD's and XTRIM's options from `*at` on; it ends at what is none (an id). */
static bool trim_read(struct fake_call *call, struct stream_trim *trim, bool *only_there, size_t *at)
{
    bool adds = only_there != NULL;
    for (; *at < call->count; ++*at) {
        bool more = *at + 1 < call->count;
        if (adds && fake_arg_is(call, *at, "*"))
            break;
        if (more && (fake_arg_is(call, *at, "maxlen") || fake_arg_is(call, *at, "minid"))) {
            if (!trim_threshold(call, trim, at))
                return false;
        } else if (more && fake_arg_is(call, *at, "limit")) {
            if (!trim_limit(call, trim, at))
                return false;
        } else if (adds && fake_arg_is(call, *at, "nomkstream")) {
            *only_there = true;
        } else if (adds) {
            break;
        } else {
            fake_reply_syntax_error(call);
            return false;
        }
    }
    if (trim->limited && trim->by == TRIM_NONE) {
        fake_reply_error(call, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
        return false;
    }
    if (!adds && trim->by == TRIM_NONE) {
        fake_reply_error(call, "ERR syntax error, XTRIM must be called with at least one trimming strategy");
        return false;
    }
    if (trim->limited && !trim->about) {
        fake_reply_error(call, "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    return true;
}

/* Commands. */

static bool stream_of(struct fake_call *call, struct fake_stream **stream)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_STREAM, &key))
        return false;
    *stream = key != NULL ? key->stream : NULL;
    return true;
}

/* The id of the next entry: what was asked for, as far as it was. */
static bool id_next(struct fake_call *call, const struct fake_stream *stream, struct span text, struct stream_id *id)
{
    struct stream_id last = stream->last;
    enum id_form form = ID_FULL;
    if (span_equal(text, SPAN_LIT("*"))) {
        uint64_t now = (uint64_t)fake_now_ms(call->redis);
        *id = now > last.ms ? (struct stream_id){now, 0} : (struct stream_id){last.ms, last.seq + 1};
        return true;
    }
    id_read(text, id, &form);
    if (form == ID_AUTO_SEQ && id->ms == last.ms && last.seq < UINT64_MAX)
        id->seq = last.seq + 1;
    if (stream_id_compare(*id, last) > 0)
        return true;
    fake_reply_error(call, "ERR The ID specified in XADD is equal or smaller than the target stream top item");
    return false;
}

static void xadd(struct fake_call *call)
{
    struct stream_trim trim = {.by = TRIM_NONE};
    bool only_there = false;
    struct fake_stream *stream;
    struct stream_id id;
    enum id_form form;
    size_t at = 2;
    if (!trim_read(call, &trim, &only_there, &at))
        return;
    struct span text = at < call->count ? call->args[at] : SPAN_LIT("");
    bool automatic = span_equal(text, SPAN_LIT("*"));
    if (at < call->count && !automatic && !id_read(text, &id, &form)) {
        reply_bad_id(call);
        return;
    }
    size_t texts = call->count - at - 1;
    if (at >= call->count || texts < 2 || texts % 2 != 0) {
        fake_reply_arity_error(call);
        return;
    }
    if (!automatic && form != ID_AUTO_SEQ && stream_id_compare(id, id_min) == 0) {
        fake_reply_error(call, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    if (!stream_of(call, &stream))
        return;
    if (stream == NULL && only_there) {
        fake_reply_nil(call);
        return;
    }
    if (stream == NULL)
        stream = fake_key_create(call, call->args[1], FAKE_STREAM)->stream;
    if (stream_id_compare(stream->last, id_max) == 0) {
        fake_reply_error(call, "ERR The stream has exhausted the last possible ID, unable to add more items");
        return;
    }
    if (!id_next(call, stream, text, &id))
        return;
    stream_append(call->redis, stream, stream_entry_create(id, call->args + at + 1, texts));
    if (trim.by != TRIM_NONE)
        stream_trim(call->redis, stream, &trim);
    reply_id(call, id);
}

static void xlen(struct fake_call *call)
{
    struct fake_stream *stream;
    if (stream_of(call, &stream))
        fake_reply_integer(call, stream != NULL ? (int64_t)stream->length : 0);
}

/* The entries from `start` to `end`, `limit` at most, falling when `reversed`. */
static void reply_range(struct fake_call *call, const struct fake_stream *stream, struct stream_id start,
                        struct stream_id end, uint64_t limit, bool reversed)
{
    struct stream_place from = stream_place_find(stream, start);
    struct stream_place to = {stream->count, 0};
    if (stream_id_up(&end))
        to = stream_place_find(stream, end);
    size_t first = stream_place_index(stream, from), behind = stream_place_index(stream, to);
    uint64_t count = behind > first ? behind - first : 0;
    if (count > limit)
        count = limit;
    fake_reply_array(call, count);
    struct stream_place at = reversed ? to : from;
    for (uint64_t i = 0; i < count; i++) {
        if (reversed) {
            if (at.entry == 0)
                at.entry = stream->nodes[--at.node]->count;
            reply_entry(call, stream->nodes[at.node]->entries[--at.entry]);
        } else {
            reply_entry(call, stream->nodes[at.node]->entries[at.entry++]);
            if (at.entry == stream->nodes[at.node]->count)
                at = (struct stream_place){at.node + 1, 0};
        }
    }
}

static void range_run(struct fake_call *call, bool reversed)
{
    struct fake_stream *stream;
    struct stream_id start, end;
    bool start_out, end_out;
    int64_t limit = -1;
    if (!bound_read(call, reversed ? 3 : 2, 0, &start, &start_out))
        return;
    if (start_out && !stream_id_up(&start)) {
        fake_reply_error(call, "ERR invalid start ID for the interval");
        return;
    }
    if (!bound_read(call, reversed ? 2 : 3, UINT64_MAX, &end, &end_out))
        return;
    if (end_out && !stream_id_down(&end)) {
        fake_reply_error(call, "ERR invalid end ID for the interval");
        return;
    }
    for (size_t i = 4; i < call->count; i += 2) {
        if (!fake_arg_is(call, i, "count") || i + 1 >= call->count) {
            fake_reply_syntax_error(call);
            return;
        }
        if (!fake_arg_i64(call, i + 1, &limit))
            return;
        if (limit < 0)
            limit = 0;
    }
    if (!stream_of(call, &stream))
        return;
    if (stream == NULL)
        fake_reply_array(call, 0);
    else if (limit == 0)
        fake_reply_nil_array(call);
    else
        reply_range(call, stream, start, end, limit < 0 ? UINT64_MAX : (uint64_t)limit, reversed);
}

static void xrange(struct fake_call *call)
{
    range_run(call, false);
}

static void xrevrange(struct fake_call *call)
{
    range_run(call, true);
}

static void xtrim(struct fake_call *call)
{
    struct stream_trim trim = {.by = TRIM_NONE};
    struct fake_stream *stream;
    size_t at = 2;
    if (trim_read(call, &trim, NULL, &at) && stream_of(call, &stream))
        fake_reply_integer(call, stream != NULL ? stream_trim(call->redis, stream, &trim) : 0);
}

static void xdel(struct fake_call *call)
{
    struct fake_stream *stream;
    struct stream_id id;
    enum id_form form;
    int64_t deleted = 0;
    if (!stream_of(call, &stream))
        return;
    for (size_t i = 2; stream != NULL && i < call->count; i++)
        if (!id_read(call->args[i], &id, &form) || form == ID_AUTO_SEQ) {
            reply_bad_id(call);
            return;
        }
    for (size_t i = 2; stream != NULL && i < call->count; i++) {
        id_read(call->args[i], &id, &form);
        struct stream_place place = stream_place_find(stream, id);
        if (place.node == stream->count ||
            stream_id_compare(stream->nodes[place.node]->entries[place.entry]->id, id) != 0)
            continue;
        stream_entry_delete(stream, place);
        if (stream_id_compare(id, stream->max_deleted) > 0)
            stream->max_deleted = id;
        deleted++;
    }
    fake_reply_integer(call, deleted);
}

static void reply_named_integer(struct fake_call *call, const char *name, uint64_t value)
{
    fake_reply_bulk(call, span_str(name));
    fake_reply_integer(call, (int64_t)value);
}

static void reply_named_id(struct fake_call *call, const char *name, struct stream_id id)
{
    fake_reply_bulk(call, span_str(name));
    reply_id(call, id);
}

/* XINFO STREAM, with the nodes of the tree where Redis counts those between them too. */
static void xinfo(struct fake_call *call)
{
    struct fake_key *key;
    if (!fake_arg_is(call, 1, "stream") || call->count < 3) {
        fake_reply_subcommand_error(call, (const char *const[]){"stream", NULL});
        return;
    }
    if (!fake_key_typed(call, call->args[2], FAKE_STREAM, &key))
        return;
    if (key == NULL) {
        fake_reply_error(call, "ERR no such key");
        return;
    }
    if (call->count > 3) {
        fake_reply_error(call,
                         "ERR unknown subcommand or wrong number of arguments for '" SPAN_FMT "'. Try XINFO HELP.",
                         SPAN_ARG(call->args[1]));
        return;
    }
    const struct fake_stream *stream = key->stream;
    const struct stream_node *tail = stream->count > 0 ? stream->nodes[stream->count - 1] : NULL;
    fake_reply_array(call, 20);
    reply_named_integer(call, "length", stream->length);
    reply_named_integer(call, "radix-tree-keys", stream->count);
    reply_named_integer(call, "radix-tree-nodes", stream->count + 1);
    reply_named_id(call, "last-generated-id", stream->last);
    reply_named_id(call, "max-deleted-entry-id", stream->max_deleted);
    reply_named_integer(call, "entries-added", stream->added);
    reply_named_id(call, "recorded-first-entry-id", tail != NULL ? stream->nodes[0]->entries[0]->id : id_min);
    reply_named_integer(call, "groups", 0);
    fake_reply_bulk(call, SPAN_LIT("first-entry"));
    if (tail != NULL)
        reply_entry(call, stream->nodes[0]->entries[0]);
    else
        fake_reply_nil(call);
    fake_reply_bulk(call, SPAN_LIT("last-entry"));
    if (tail != NULL)
        reply_entry(call, tail->entries[tail->count - 1]);
    else
        fake_reply_nil(call);
}

const struct fake_command fake_stream_commands[] = {
    {"xadd", xadd, -5, FAKE_WRITE | FAKE_MEMORY},
    {"xlen", xlen, 2, 0},
    {"xrange", xrange, -4, 0},
    {"xrevrange", xrevrange, -4, 0},
    {"xtrim", xtrim, -4, FAKE_WRITE},
    {"xdel", xdel, -3, FAKE_WRITE},
    {"xinfo", xinfo, -2, 0},
    {NULL, NULL, 0, 0},
};
