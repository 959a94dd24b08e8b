/* test_records_list: the sockets of sessions that poll, as the broker lists them. */
#include <stdio.h>

#include "instances.h"

#define SID "AAAABBBBCCCCDDDDEEEE"
enum { LIFE_MS = 60000, HOLD_MS = 60000 };

struct outcome {
    bool answered;
    enum record_result result;
};

static void on_done(void *arg, enum record_result result)
{
    struct outcome *outcome = arg;
    outcome->answered = true;
    outcome->result = result;
}

/* Begins a session that has nothing, and gives it to an instance. */
static void begin(struct instance *by, const char *record)
{
    struct outcome outcome = {.answered = false};
    struct record_passing passing = {.record = span_str(record), .life_ms = LIFE_MS};
    record_open(by->broker, SPAN_LIT(SID), &passing, on_done, &outcome);
    AWAIT(outcome.answered);
    assert_int_equal(outcome.result, RECORD_OK);
}

static void take(struct instance *by, uint64_t ticket, enum record_want want)
{
    struct outcome outcome = {.answered = false};
    record_ask(by->broker, SPAN_LIT(SID), ticket, want, HOLD_MS, on_done, &outcome);
    AWAIT(outcome.answered);
    assert_int_equal(outcome.result, RECORD_WAITING);
}

static enum record_result pass_with(struct instance *by, uint64_t ticket, const struct record_passing *passing)
{
    struct outcome outcome = {.answered = false};
    record_pass(by->broker, SPAN_LIT(SID), ticket, passing, on_done, &outcome);
    AWAIT(outcome.answered);
    return outcome.result;
}

static struct broker_lease own_lease(void)
{
    return (struct broker_lease){.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .generation = 5,
                                 .window_ms = 60000};
}

/* What record_list tells, all pages together; each socket as `<sid>:<instance>:<head>:<rooms> `. */
struct listing {
    struct instance *by;
    bool answered, failed;
    size_t pages, sockets;
    bool seen[1000]; /* pids that are numbers */
    char text[256];
};

static void on_listed(void *arg, const struct record_page *page)
{
    struct listing *listing = arg;
    listing->failed = page == NULL;
    for (size_t i = 0; page != NULL && i < page->count; i++) {
        const struct record_socket *socket = &page->sockets[i];
        size_t at = strlen(listing->text);
        listing->sockets++;
        assert_int_equal(socket->pid.len, 3);
        listing->seen[number_of(socket->pid) % 1000] = true;
        if (listing->sockets < 4)
            snprintf(listing->text + at, sizeof listing->text - at, SPAN_FMT ":" SPAN_FMT ":" SPAN_FMT ":" SPAN_FMT " ",
                     SPAN_ARG(socket->sid), SPAN_ARG(socket->instance), SPAN_ARG(socket->head),
                     SPAN_ARG(socket->rooms));
    }
    listing->pages++;
    listing->answered = page == NULL || page->next.len == 0;
    if (!listing->answered)
        record_list(listing->by->broker, page->next, on_listed, listing);
}

static struct listing list_all(struct instance *by)
{
    struct listing listing = {.by = by};
    record_list(by->broker, SPAN_LIT(""), on_listed, &listing);
    AWAIT(listing.answered);
    assert_false(listing.failed);
    return listing;
}

/* A session with this lease that nobody has. `other` asks for the list before it begins. */
static void park(struct instance *by, struct instance *other, const struct broker_lease *lease,
                 const struct record_passing *passing)
{
    struct call *call = lease_write(by, lease);
    AWAIT_ANSWER(call);
    assert_int_equal(list_all(other).sockets, 0);
    begin(by, "one");
    take(by, 1, RECORD_FOR_POST);
    assert_int_equal(pass_with(by, 1, passing), RECORD_OK);
}

/* Between two requests no instance has a socket; so the broker lists those of sessions that poll, held or not. */
static void sockets_are_listed_wherever_their_session_is(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = own_lease();
    struct record_lease of = {.pid = lease.pid, .generation = 5};
    struct record_passing passing = {
        .record = SPAN_LIT("4 headrest"), .leases = &of, .lease_count = 1, .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
    struct call *call;
    park(a, b, &lease, &passing);
    assert_string_equal(list_all(b).text, "sid::head:rooms ");
    take(a, 2, RECORD_FOR_GET);
    assert_string_equal(list_all(b).text, "sid:A:head:rooms ");
    /* What it joins counts from the write on. */
    lease.generation = of.generation = 6;
    lease.rooms = SPAN_LIT("more");
    call = lease_write(a, &lease);
    AWAIT_ANSWER(call);
    assert_string_equal(list_all(b).text, "sid:A:head:more ");
    assert_int_equal(pass_with(a, 2, &passing), RECORD_OK);
    /* Its client is back in another session. */
    call = lease_claim(a, "pid", a->epoch, 0);
    AWAIT_ANSWER(call);
    assert_int_equal(list_all(b).sockets, 0);
}

static void a_session_that_polls_no_more_is_not_listed(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = own_lease();
    struct record_lease of = {.pid = lease.pid, .generation = 5};
    struct record_passing passing = {
        .record = SPAN_LIT("4 headrest"), .leases = &of, .lease_count = 1, .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
    park(a, b, &lease, &passing);
    assert_int_equal(list_all(b).sockets, 1);
    take(b, 2, RECORD_FOR_WEBSOCKET);
    assert_int_equal(list_all(a).sockets, 0);
    record_end(b->broker, SPAN_LIT(SID), 2);
    begin(b, "one");
    take(b, 3, RECORD_FOR_POST);
    of.generation = 6;
    passing.life_ms = 50;
    assert_int_equal(pass_with(b, 3, &passing), RECORD_OK);
    assert_int_equal(list_all(b).sockets, 1);
    instances_run(100);
    assert_int_equal(list_all(b).sockets, 0); /* it was forgotten */
}

/* The pages together have each session. */
static void long_lists_come_in_pages(void **state)
{
    enum { SESSIONS = 2 * RECORD_LIST_MAX + 50 };
    struct instance *a = instance_up("A");
    struct outcome outcome;
    for (int i = 0; i < SESSIONS; i++) {
        char pid[8], sid[32];
        snprintf(pid, sizeof pid, "%03d", i);
        snprintf(sid, sizeof sid, "AAAABBBBCCCCDDDDE%03d", i);
        struct broker_lease lease = own_lease();
        lease.pid = span_str(pid);
        lease.sid = span_str(sid);
        lease.own = SPAN_LIT("");
        struct record_lease of = {.pid = lease.pid, .generation = 5};
        struct record_passing passing = {
            .record = SPAN_LIT("1 h"), .leases = &of, .lease_count = 1, .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
        lease_write(a, &lease);
        outcome.answered = false;
        record_open(a->broker, span_str(sid), &passing, on_done, &outcome);
        AWAIT(outcome.answered);
    }
    struct listing listing = list_all(a);
    for (int i = 0; i < SESSIONS; i++)
        assert_true(listing.seen[i]);
    assert_int_equal(listing.pages, 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(sockets_are_listed_wherever_their_session_is),
        BROKER_TEST(a_session_that_polls_no_more_is_not_listed),
        BROKER_TEST(long_lists_come_in_pages),
    };
    return instances_main(argc, argv, "broker/records_list", tests, sizeof tests / sizeof tests[0], NULL);
}
