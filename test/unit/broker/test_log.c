/* test_log: a room's log can be read from anywhere, and keeps what its limits say: no less, and not much more. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

enum { ENTRIES = 25 };

/* A room of ENTRIES entries between those of another one. */
static struct call *log_of_some(struct instance *by)
{
    struct call *last = NULL;
    for (int i = 0; i < ENTRIES; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        publish(by, "r", body);
        last = publish(by, "other", "x");
    }
    AWAIT_ANSWER(last);
    struct call *log = read_all(by, "r");
    assert_int_equal(log->page.count, ENTRIES);
    return log;
}

static struct call *ask(struct instance *by, const struct broker_range *range)
{
    struct call *call = read_range(by, SPAN_LIT("r"), range);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    return call;
}

/* What the page must hold, by the plainest of definitions. */
static void check_page(const struct call *page, const struct call *log, const struct broker_range *range)
{
    size_t matching = 0, skip = 0, at = 0;
    for (size_t i = 0; i < log->page.count; i++)
        matching += range->back ? log->page.entries[i].seq < range->seq : log->page.entries[i].seq > range->seq;
    size_t expected = matching < range->limit ? matching : range->limit;
    assert_int_equal(page->page.count, expected);
    assert_int_equal(page->page.last, log->page.last);
    assert_true(page->page.more == (matching > expected));
    if (range->back)
        skip = matching - expected;
    for (size_t i = 0; i < log->page.count && at < expected; i++) {
        const struct broker_entry *entry = &log->page.entries[i];
        if (range->back ? entry->seq >= range->seq : entry->seq <= range->seq)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        assert_int_equal(page->page.entries[at].seq, entry->seq);
        assert_int_equal(page->page.entries[at].prev, entry->prev);
        assert_true(span_equal(page->page.entries[at].body, entry->body));
        at++;
    }
}

static void a_log_is_read_from_anywhere(void **state)
{
    static const uint32_t limits[] = {1, 2, 7, ENTRIES - 1, ENTRIES, BROKER_READ_LIMIT_MAX};
    enum { WAYS = 4 * sizeof limits / sizeof limits[0] };
    struct instance *a = instance_up("A");
    struct call *log = log_of_some(a), *pages[WAYS];
    struct broker_range ranges[WAYS];
    for (uint64_t seq = 0; seq <= 2 * ENTRIES + 2; seq++) {
        for (size_t i = 0; i < WAYS; i++) {
            struct span epoch = span_str(i & 2 ? a->epoch : "");
            ranges[i] = (struct broker_range){.epoch = epoch, .seq = seq, .back = i & 1, .limit = limits[i / 4]};
            pages[i] = read_range(a, SPAN_LIT("r"), &ranges[i]);
        }
        AWAIT_ANSWER(pages[WAYS - 1]);
        for (size_t i = 0; i < WAYS; i++) {
            assert_int_equal(pages[i]->answers, 1);
            assert_int_equal(pages[i]->result, BROKER_OK);
            check_page(pages[i], log, &ranges[i]);
            assert_false(pages[i]->page.clipped);
        }
    }
    /* Nothing of this was a reason to break the link. */
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

static void the_newest_are_read_from_the_end(void **state)
{
    struct instance *a = instance_up("A");
    struct call *log = log_of_some(a);
    for (uint32_t limit = 1; limit <= ENTRIES + 1; limit += 8) {
        struct broker_range range = {.seq = UINT64_MAX, .back = true, .limit = limit};
        check_page(ask(a, &range), log, &range);
    }
    struct broker_range beyond = {.seq = UINT64_MAX, .limit = 10};
    check_page(ask(a, &beyond), log, &beyond);
}

static void nothing_was_ever_in_an_unused_room(void **state)
{
    struct instance *a = instance_up("A");
    log_of_some(a);
    for (int back = 0; back < 2; back++) {
        struct broker_range range = {.seq = 3, .back = back == 1, .limit = 10};
        struct call *call = read_range(a, SPAN_LIT("unused"), &range);
        AWAIT_ANSWER(call);
        assert_int_equal(call->result, BROKER_OK);
        assert_int_equal(call->page.count, 0);
        assert_int_equal(call->page.last, 0);
        assert_false(call->page.clipped);
    }
}

/* Nothing is left of an epoch that the broker does not know: it ends at 0. */
static void a_foreign_epoch_ends_at_once(void **state)
{
    struct instance *a = instance_up("A");
    struct call *log = log_of_some(a);
    for (uint64_t seq = 0; seq < 4; seq++) {
        struct broker_range range = {.epoch = SPAN_LIT("foreign"), .seq = seq, .limit = 10};
        struct call *page = ask(a, &range);
        assert_int_equal(page->page.clipped, seq > 0);
        range.seq = 0;
        check_page(page, log, &range);
        range = (struct broker_range){.epoch = SPAN_LIT("foreign"), .seq = seq, .back = true, .limit = 10};
        page = ask(a, &range);
        assert_int_equal(page->page.clipped, seq > 1);
        assert_int_equal(page->page.count, 0);
        assert_int_equal(page->page.last, log->page.last);
    }
}

static void a_page_has_a_bound_in_bytes(void **state)
{
    enum { BYTES = 900000, COUNT = 10, FIT = BROKER_PAGE_BYTES_MAX / BYTES };
    struct instance *a = instance_up("A");
    char *body = mem_zero(1, BROKER_PAGE_BYTES_MAX + 1);
    struct call *last = NULL;
    for (int i = 0; i < COUNT; i++)
        last = publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = span_of(body, BYTES)}, NULL);
    AWAIT_ANSWER(last);
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, COUNT);
    struct call *page = ask(a, &(struct broker_range){.limit = 100, .bytes_max = UINT32_MAX});
    assert_int_equal(page->page.count, FIT);
    assert_int_equal(page->page.entries[0].seq, log->page.entries[0].seq);
    assert_true(page->page.more);
    page = ask(a, &(struct broker_range){.seq = UINT64_MAX, .back = true, .limit = 100, .bytes_max = UINT32_MAX});
    assert_int_equal(page->page.count, FIT);
    assert_int_equal(page->page.entries[FIT - 1].seq, log->page.last);
    assert_true(page->page.more);
    page = ask(a, &(struct broker_range){.limit = 100, .bytes_max = 2 * BYTES});
    assert_int_equal(page->page.count, 2);
    /* One comes, however large, and when nobody says otherwise one is enough. */
    page = ask(a, &(struct broker_range){.limit = 100});
    assert_int_equal(page->page.count, 1);
    struct broker_publish large = {.room = SPAN_LIT("r"), .body = span_of(body, BROKER_PAGE_BYTES_MAX + 1)};
    if (kind == KIND_FIRESTORE) { /* where an entry is smaller than that */
        assert_null(publish_with(a, &large, NULL));
        free(body);
        return;
    }
    last = publish_with(a, &large, NULL);
    publish(a, "r", "small");
    AWAIT_ANSWER(last);
    page = ask(a, &(struct broker_range){.seq = log->page.last, .limit = 100});
    assert_int_equal(page->page.count, 1);
    assert_int_equal(page->page.entries[0].body.len, BROKER_PAGE_BYTES_MAX + 1);
    page = ask(a, &(struct broker_range){.seq = log->page.last + 2, .back = true, .limit = 100});
    assert_int_equal(page->page.count, 1);
    assert_int_equal(page->page.entries[0].body.len, BROKER_PAGE_BYTES_MAX + 1);
    free(body);
}

/* The sizes of what was ever published, newest last; 0 in front. */
struct history {
    size_t sizes[4096];
    size_t count;
};

static struct call *publish_sized(struct instance *by, struct history *history, size_t size,
                                  const struct broker_retention *retention)
{
    static char body[1 << 20];
    size_t audience = size > 3 ? 3 : size;
    struct broker_publish what = {
        .room = SPAN_LIT("r"), .audience = span_of(body, audience), .body = span_of(body, size - audience)};
    history->sizes[history->count++] = size;
    return publish_with(by, &what, retention);
}

/* The log is the newest of what was published, without a hole, and says what is missing in front of it. */
static void check_chain(const struct call *log, size_t published)
{
    assert_true(log->page.count >= 1);
    for (size_t i = 1; i < log->page.count; i++)
        assert_int_equal(log->page.entries[i].prev, log->page.entries[i - 1].seq);
    assert_int_equal(log->page.entries[log->page.count - 1].seq, log->page.last);
    /* Nothing else is published in these tests: an entry's seq is its number. */
    assert_int_equal(log->page.last, published);
    assert_int_equal(log->page.entries[0].prev, published - log->page.count);
}

static void a_log_keeps_so_many_entries(void **state)
{
    static const struct broker_retention hundred = {.entries_max = 100, .bytes_max = 1 << 20, .age_ms_max = 60000};
    enum { MOST = 100 * 17 / 16 + 16 };
    struct instance *a = instance_up("A");
    struct history history = {.count = 0};
    for (size_t batch = 1; history.count < 1500; batch = batch * 5 % 97) {
        struct call *last = NULL;
        for (size_t i = 0; i < batch; i++)
            last = publish_sized(a, &history, 20, &hundred);
        AWAIT_ANSWER(last);
        struct call *log = read_all(a, "r");
        check_chain(log, history.count);
        assert_in_range(log->page.count, history.count < 100 ? history.count : 100, MOST);
        if (log->page.count < 3)
            continue;
        struct broker_range oldest = {.seq = log->page.entries[2].seq, .back = true, .limit = 10};
        check_page(ask(a, &oldest), log, &oldest); /* what is gone is not among what is more */
    }
}

/* A log that keeps `bytes` holds the newest entries that fit into them, and a sixteenth more at most. */
static void check_bytes(const struct call *log, const struct history *history, size_t bytes_max)
{
    size_t bytes = 0, fits = 0, held = 0;
    while (fits < history->count && bytes + history->sizes[history->count - 1 - fits] <= bytes_max)
        bytes += history->sizes[history->count - 1 - fits++];
    for (size_t i = 0; i < log->page.count; i++)
        held += log->page.entries[i].body.len + log->page.entries[i].audience.len;
    check_chain(log, history->count);
    assert_true(log->page.count >= fits);
    assert_true(log->page.count == 1 || held <= bytes_max * 17 / 16);
}

static void a_log_keeps_so_many_bytes(void **state)
{
    static const struct broker_retention small = {.entries_max = 2000, .bytes_max = 20000, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct history history = {.count = 0};
    struct call *call = NULL;
    unsigned random = 1;
    for (unsigned i = 1, batch = 1; i < 1500; i++) {
        random = random * 1103515245 + 12345;
        unsigned size = (random >> 16) % (i % 10 == 0 ? 6000 : 200);
        if (i % 120 == 0)
            size = i % 240 == 0 ? 25000 : 20000; /* one that alone is too much, or just enough */
        call = publish_sized(a, &history, size, &small);
        if (--batch > 0)
            continue;
        batch = 1 + random % 9;
        AWAIT_ANSWER(call);
        check_bytes(read_all(a, "r"), &history, small.bytes_max);
    }
}

/* One large entry goes, and takes with it none of the many small ones behind it that fit. */
static void a_large_entry_does_not_push_out_small_ones(void **state)
{
    static const struct broker_retention small = {.entries_max = 2000, .bytes_max = 100000, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct history history = {.count = 0};
    publish_sized(a, &history, 99000, &small);
    struct call *call = NULL;
    for (int i = 0; i < 600; i++)
        call = publish_sized(a, &history, 20, &small);
    AWAIT_ANSWER(call);
    check_bytes(read_all(a, "r"), &history, small.bytes_max);
    assert_true(read_all(a, "r")->page.count >= 600);
}

static void the_newest_entry_stays(void **state)
{
    static const struct broker_retention least = {.entries_max = 1, .bytes_max = 1024, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct history history = {.count = 0};
    for (int i = 0; i < 60; i++) {
        struct call *call = publish_sized(a, &history, i % 2 == 0 ? 5000 : 10, &least);
        AWAIT_ANSWER(call);
        struct call *log = read_all(a, "r");
        check_bytes(log, &history, least.bytes_max);
        assert_in_range(log->page.count, 1, 1 + 1 + 16);
    }
}

/* Rooms do not count each other's bytes. */
static void a_room_keeps_its_own_limits(void **state)
{
    static const struct broker_retention small = {.entries_max = 10, .bytes_max = 2000, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct call *call = NULL;
    for (int i = 0; i < 300; i++) {
        publish(a, "large", "0123456789");
        call = publish_with(a, &(struct broker_publish){.room = SPAN_LIT("small"), .body = SPAN_LIT("0123456789")},
                            &small);
    }
    AWAIT_ANSWER(call);
    assert_int_equal(read_all(a, "large")->page.count, 300);
    assert_in_range(read_all(a, "small")->page.count, 10, 10 * 17 / 16 + 16);
}

static long long redis_memory(const char *key_kind, const char *room)
{
    char key[128];
    snprintf(key, sizeof key, "%s:{0}:%s:%s", instances_prefix(), key_kind, room);
    return redis_ask_number(&redis, "MEMORY", "USAGE", key, "SAMPLES", "0", NULL);
}

/* A room at its limits takes no more memory however much is published, and leaves no keys behind. */
static void memory_does_not_grow(void **state)
{
    static const struct broker_retention some = {.entries_max = 200, .bytes_max = 30000, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct history history = {.count = 0};
    long long keys[2], log[2], meta[2];
    uint64_t bytes[2];
    for (int round = 0; round < 2; round++) {
        struct call *call = NULL;
        for (int i = 0; i < 1800; i++)
            call = publish_sized(a, &history, 50 + (size_t)(i * 37 % 400), &some);
        AWAIT_ANSWER(call);
        struct call *said = stats(a);
        AWAIT_ANSWER(said);
        bytes[round] = said->stats.memory_bytes;
        if (kind == KIND_POSTGRES)
            assert_int_equal(postgres_ask_number(&postgres, "SELECT entries FROM %s.room", instances_prefix()),
                             read_all(a, "r")->page.count);
        if (kind != KIND_REDIS)
            continue;
        char key[128];
        snprintf(key, sizeof key, "%s:{0}:log:r", instances_prefix());
        assert_int_equal(redis_ask_number(&redis, "XLEN", key, NULL), read_all(a, "r")->page.count);
        log[round] = redis_memory("log", "r");
        meta[round] = redis_memory("room", "r");
        keys[round] = redis_ask_number(&redis, "DBSIZE", NULL);
    }
    if (kind != KIND_REDIS) {
        uint64_t most = some.bytes_max * 17 / 16 + (some.entries_max + 16) * BROKER_ENTRY_BYTES;
        assert_in_range(bytes[0], 1, most);
        assert_in_range(bytes[1], 1, most);
        return;
    }
    assert_true(log[0] < 60000 && log[1] < 60000);
    assert_true(meta[1] < 400);
    assert_int_equal(keys[0], keys[1]);
    assert_true(bytes[1] < bytes[0] + 200000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_log_is_read_from_anywhere),
        BROKER_TEST(the_newest_are_read_from_the_end),
        BROKER_TEST(nothing_was_ever_in_an_unused_room),
        BROKER_TEST(a_foreign_epoch_ends_at_once),
        BROKER_TEST(a_page_has_a_bound_in_bytes),
        BROKER_TEST(a_log_keeps_so_many_entries),
        BROKER_TEST(a_log_keeps_so_many_bytes),
        BROKER_TEST(a_large_entry_does_not_push_out_small_ones),
        BROKER_TEST(the_newest_entry_stays),
        BROKER_TEST(a_room_keeps_its_own_limits),
        BROKER_TEST(memory_does_not_grow),
    };
    return instances_main(argc, argv, "broker/log", tests, sizeof tests / sizeof tests[0], NULL);
}
