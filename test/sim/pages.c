/* pages: the moments between asking and the answer, and the page that each would have given. See pages.h. */
#include "pages.h"

#include <stdio.h>

#include "base/mem.h"
#include "stock_client_bytes.h"
#include "wire/json.h"

enum { SHOWN_MAX = 1000 };

/* A page as it was answered, and what may be said of it. */
struct page {
    struct check *check;
    const struct witness *witness;
    const struct page_ask *ask;
    const struct truth_log *log;
    uint64_t oldest;   /* now */
    uint64_t position; /* where it begins, in the numbers of now */
    bool clipped;
    size_t indexes[SHOWN_MAX]; /* of what it holds, in the log */
    size_t count;
    bool more, gap;
};

static void wrong(const struct page *page, const char *what, size_t index)
{
    const struct page_ask *ask = page->ask;
    check_fail(page->check, "%s: the page of log %d %s \"%s\" (%u at most) %s (entry %llu)", page->witness->name,
               ask->room, ask->back ? "before" : "after", ask->at, ask->limit, what,
               index < page->log->count ? (unsigned long long)page->log->entries[index].seq : 0);
}

void page_asked(struct check *check, struct page_ask *ask)
{
    struct truths *truths = &check->truths;
    ask->us = sim_now_us(check->sim);
    ask->count = truths->logs[ask->room].count;
    ask->oldest = truths->oldest(truths->arg, truth_log_name(ask->room, ""));
    if (ask->oldest > truths->seq)
        ask->oldest = truths->seq + 1; /* nothing is there, and what comes lies above */
    ask->epoch = truths->epoch;
    ask->epoch_count = truths->epoch_count;
}

/* Where the asked position lies. False when it is none of ours. */
static bool position_find(struct page *page)
{
    struct check *check = page->check;
    struct token token;
    page->position = page->ask->back ? UINT64_MAX : 0;
    if (page->ask->at[0] == '\0')
        return true;
    if (!token_decode(span_str(page->ask->at), &token))
        return false;
    int number = truth_epoch_find(check, span_of(token.epoch, token.epoch_len));
    page->position = token.seq;
    if (number == check->truths.epoch)
        return true;
    const struct truth_epoch *epoch = number >= 0 ? &check->truths.epochs[number] : NULL;
    uint64_t end = epoch != NULL && epoch->ended && !epoch->forgotten ? epoch->end : 0;
    if (page->position > end + page->ask->back) {
        page->position = end + page->ask->back;
        page->clipped = true;
    }
    return true;
}

/* Its client was in one of these rooms when the entry was accepted: surely, or maybe. */
static bool was_in(const struct page *page, uint16_t rooms, const struct truth *entry, bool surely)
{
    const struct lease *lease = page->witness->lease;
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log == 0 || stay->log >= ROOMS || !(rooms & 1 << stay->log) || stay->gone ||
            stay->since >= entry->seq)
            continue;
        /* What it has left may be forgotten by now; or it was not left yet when the page was read. */
        bool leaving = page->ask->leaving & 1 << stay->log;
        if (surely ? stay->end == UINT64_MAX && !leaving : entry->seq <= stay->end || stay->closed_us >= page->ask->us)
            return true;
    }
    return false;
}

/* The entry belongs to its client's history: what the client sent itself does, what was kept from it does not. */
static bool is_for(const struct page *page, const struct truth *entry, bool surely)
{
    const struct message *message = &page->check->truths.messages[entry->message];
    if (message->directive != 0)
        return false; /* it is shown to nobody */
    if (was_in(page, message->excepts, entry, !surely) ||
        span_equal(span_str(message->except_sid), span_str(page->witness->lease->sid)))
        return false;
    bool to_one = (message->rooms & (message->rooms - 1)) == 0;
    if (!surely && message->rooms & page->ask->joining)
        return true;
    return to_one || was_in(page, message->rooms, entry, surely);
}

/* In the asked direction from the asked position. */
static bool is_beyond(const struct page *page, const struct truth *entry)
{
    return page->ask->back ? entry->seq < page->position : entry->seq > page->position;
}

/* It was there from the question to the answer, and belongs on such a page. */
static bool is_due(const struct page *page, size_t index)
{
    const struct truth *entry = &page->log->entries[index];
    return !entry->lost && is_beyond(page, entry) && entry->seq >= page->oldest && index < page->ask->count &&
           is_for(page, entry, true);
}

/* One that is due at an index from `from` to below `to`; SIZE_MAX: none. */
static size_t due_between(const struct page *page, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < page->log->count; i++)
        if (is_due(page, i))
            return i;
    return SIZE_MAX;
}

/* The message is in the log once more, behind this index, under this seq: its name was forgotten. */
static bool comes_again(const struct page *page, size_t index, uint64_t message, uint64_t seq)
{
    for (size_t i = index + 1; i < page->log->count; i++)
        if (!page->log->entries[i].lost && page->log->entries[i].message == message && page->log->entries[i].seq == seq)
            return true;
    return false;
}

/* Takes one entry of the page. */
static void entry_take(struct page *page, struct span value)
{
    struct span at = json_object_get(value, SPAN_LIT("at")), args = json_object_get(value, SPAN_LIT("args"));
    struct span body = json_array_at(args, 1);
    struct token token;
    uint64_t number, time;
    if (json_type(body) != JSON_OBJECT)
        body = json_array_at(args, 2);
    if (at.len < 2 || !token_decode(span_sub(at, 1, at.len - 2), &token) ||
        !span_to_u64(json_object_get(body, SPAN_LIT("id")), &number) ||
        !span_to_u64(json_object_get(value, SPAN_LIT("time")), &time) || page->count == SHOWN_MAX) {
        wrong(page, "holds what cannot be read", SIZE_MAX);
        return;
    }
    size_t from = page->count > 0 ? page->indexes[page->count - 1] + 1 : 0;
    for (size_t i = from; i < page->log->count; i++) {
        const struct truth *entry = &page->log->entries[i];
        if (entry->lost || entry->message != number ||
            (entry->seq != token.seq && comes_again(page, i, number, token.seq)))
            continue;
        page->indexes[page->count++] = i;
        if (entry->seq != token.seq || entry->time_ms != time)
            wrong(page, "says position or time of an entry wrongly", i);
        if (!is_beyond(page, entry) || entry->seq < page->ask->oldest)
            wrong(page, "holds an entry that does not belong there", i);
        if (!is_for(page, entry, false))
            wrong(page, "holds an entry for others", i);
        return;
    }
    wrong(page, "holds what is not in the log, or twice, or out of order", SIZE_MAX);
}

static bool page_take(struct page *page, struct span answer)
{
    struct span entries = json_object_get(answer, SPAN_LIT("entries")), value;
    struct span more = json_object_get(answer, SPAN_LIT("more")), gap = json_object_get(answer, SPAN_LIT("gap"));
    if (entries.data == NULL || json_type(entries) != JSON_ARRAY || more.data == NULL || gap.data == NULL)
        return false;
    page->more = json_type(more) == JSON_TRUE;
    page->gap = json_type(gap) == JSON_TRUE;
    while (json_array_next(&entries, &value) && page->check->failure == NULL)
        entry_take(page, value);
    return true;
}

/* Nothing is left out between what it holds, nor nearer to the asked position. */
static void check_whole(const struct page *page)
{
    size_t hole = SIZE_MAX, count = page->count;
    for (size_t i = 1; i < count && hole == SIZE_MAX; i++)
        hole = due_between(page, page->indexes[i - 1] + 1, page->indexes[i]);
    if (hole == SIZE_MAX && count > 0)
        hole = page->ask->back ? due_between(page, page->indexes[count - 1] + 1, SIZE_MAX)
                               : due_between(page, 0, page->indexes[0]);
    if (hole != SIZE_MAX)
        wrong(page, "leaves something out", hole);
    if (count > page->ask->limit)
        wrong(page, "holds too much", SIZE_MAX);
}

/* Whether something that was kept at `oldest` lies beyond what it holds, among the first `known` entries. */
static bool is_there(const struct page *page, uint64_t oldest, size_t known, bool due)
{
    size_t from = 0, to = known;
    if (page->count > 0 && page->ask->back)
        to = page->indexes[0];
    else if (page->count > 0)
        from = page->indexes[page->count - 1] + 1;
    for (size_t i = from; i < to; i++) {
        const struct truth *entry = &page->log->entries[i];
        if (due ? is_due(page, i) : !entry->lost && is_beyond(page, entry) && entry->seq >= oldest)
            return true;
    }
    return false;
}

/* It holds as many attachments as a client takes. */
static bool is_full_of_bytes(const struct page *page)
{
    size_t count = 0;
    for (size_t i = 0; i < page->count; i++)
        count += message_has_bytes(page->log->entries[page->indexes[i]].message);
    return count == SOCKETIO_ATTACHMENTS_MAX;
}

static void check_more(const struct page *page)
{
    if (!page->more && is_there(page, 0, page->ask->count, true))
        wrong(page, "says that there is no more", SIZE_MAX);
    if (page->more && !is_there(page, page->ask->oldest, page->log->count, false))
        wrong(page, "says that there is more", SIZE_MAX);
    if (!page->more || page->ask->limit == 0 || is_full_of_bytes(page))
        return;
    /* Else a page ends early only when it is large. */
    size_t raw = 0, bytes = 0;
    for (size_t i = 0; i < page->log->count; i++) {
        const struct truth *entry = &page->log->entries[i];
        if (entry->lost || !is_beyond(page, entry) || entry->seq < page->ask->oldest)
            continue;
        raw++;
        bytes += page->check->truths.messages[entry->message].bytes;
    }
    if (raw <= page->ask->limit && bytes < PAGE_BYTES_FULL / 2)
        wrong(page, "says that there is more, and all that there is fits", SIZE_MAX);
}

/* Something in the asked direction is no longer in the log: forward, right behind the position; backward, behind what
 * the page holds when that is all. */
static void check_gap(const struct page *page)
{
    bool before = false, now = false;
    for (size_t i = 0; i < page->log->count; i++) {
        const struct truth *entry = &page->log->entries[i];
        if (entry->lost || !is_beyond(page, entry))
            continue;
        before |= entry->seq < page->ask->oldest && i < page->ask->count;
        now |= entry->seq < page->oldest;
    }
    if (page->ask->back && page->more)
        before = now = false;
    /* Whether there ever was anything below a position that nothing is left of is not known. */
    if (page->ask->back && page->count == 0)
        before = false;
    /* A log that has lost all of its keys begins anew: what was before, any entry up to the counter, is not known. */
    if (!page->gap && ((before && page->log->gone == 0) || page->clipped))
        wrong(page, "hides a gap", SIZE_MAX);
    if (page->gap && !now && !page->clipped && page->log->gone == 0)
        wrong(page, "says that there is a gap", SIZE_MAX);
}

static void at_of(const struct page *page, size_t index, char at[PAGE_AT_TEXT])
{
    struct buf text = {0};
    struct token token = {.version = '1', .seq = page->log->entries[index].seq};
    const char *epoch = page->check->truths.epochs[page->check->truths.epoch].name;
    token.epoch_len = (uint8_t)strlen(epoch);
    memcpy(token.epoch, epoch, token.epoch_len);
    token_encode(&text, &token);
    snprintf(at, PAGE_AT_TEXT, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
}

bool page_answered(struct check *check, const struct witness *witness, const struct page_ask *ask, struct span answer,
                   char first[PAGE_AT_TEXT], char last[PAGE_AT_TEXT])
{
    struct truths *truths = &check->truths;
    static struct page page; /* large; one at a time */
    page = (struct page){.check = check, .witness = witness, .ask = ask, .log = &truths->logs[ask->room]};
    page.oldest = truths->oldest(truths->arg, truth_log_name(ask->room, ""));
    first[0] = last[0] = '\0';
    if (!position_find(&page)) {
        if (json_object_get(answer, SPAN_LIT("error")).data == NULL)
            wrong(&page, "is answered, and the position is none", SIZE_MAX);
        return false;
    }
    if (truths->epoch != ask->epoch || truths->epoch_count != ask->epoch_count || witness->lease->outdated)
        return false; /* the broker came back meanwhile */
    if (!page_take(&page, answer)) {
        wrong(&page, "cannot be read", SIZE_MAX);
        return false;
    }
    check_whole(&page);
    check_more(&page);
    check_gap(&page);
    if (page.count > 0) {
        at_of(&page, page.indexes[0], first);
        at_of(&page, page.indexes[page.count - 1], last);
    }
    return page.more;
}
