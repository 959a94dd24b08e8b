/* test_moves_calls: what polling sessions cost that move between instances: calls of the broker for a message, a ping,
 * an answer; and what is not asked twice. */
#include "records.h"

/* Calls of the broker, but for those that the test makes itself. */
static struct {
    int reads, claims, writes, subscriptions;
} called;
static struct broker_ops counting;
static const struct broker_ops *counted;

static void publish_done(void *arg, enum broker_result result)
{
}

/* A read that waits until the test lets it go. */
static bool reads_wait;
static struct {
    char room[64];
    size_t room_len;
    struct broker_range range;
    broker_read_fn *done;
    void *arg;
} kept_read;

static void count_read(struct broker *of, struct span room, const struct broker_range *range, broker_read_fn *done,
                       void *arg)
{
    called.reads++;
    if (reads_wait && kept_read.done == NULL) {
        assert_true(room.len < sizeof kept_read.room);
        memcpy(kept_read.room, room.data, room.len);
        kept_read.room_len = room.len;
        kept_read.range = *range;
        kept_read.done = done;
        kept_read.arg = arg;
        return;
    }
    counted->read(of, room, range, done, arg);
}

static void count_claim(struct broker *of, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                        void *arg)
{
    called.claims += done != record_claimed;
    counted->lease_claim(of, pid, epoch, seq, done, arg);
}

static void count_write(struct broker *of, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    called.writes++;
    counted->lease_write(of, lease, done, arg);
}

static void count_subscribe(struct broker *of, struct span room)
{
    called.subscriptions += !broker_room_is_owned(room); /* where its owner stands comes with the record */
    counted->subscribe(of, room);
}

static void count_from_now(void)
{
    if (counted == NULL) {
        counted = broker->ops;
        counting = *counted;
        counting.read = count_read;
        counting.lease_claim = count_claim;
        counting.lease_write = count_write;
        counting.subscribe = count_subscribe;
        broker->ops = &counting;
    }
    memset(&called, 0, sizeof called);
    record.asked = record.passed = record.ponged = 0;
}

static void assert_calls(int asked, int passed, int ponged)
{
    assert_int_equal(record.asked, asked);
    assert_int_equal(record.passed, passed);
    assert_int_equal(record.ponged, ponged);
    assert_int_equal(called.reads + called.claims + called.writes + called.subscriptions, 0);
}

/* Where other members keep the room subscribed. */
static void a_message_to_a_polling_client_costs_two_calls(void **state)
{
    join();
    struct browser *other_client = walk_in();
    struct request *request = get(2);
    turn(30);
    count_from_now();
    say(other_client, "42[\"say\",1]");
    assert_int_equal(times(payload(request), "42[\"say\",1,"), 1);
    request = get(2);
    turn(30);
    assert_calls(1, 1, 0);
    post_now("42[\"say\",2]"); /* where it is held: none at all */
    assert_int_equal(times(payload(request), "42[\"say\",2,"), 1);
    assert_calls(1, 2, 0);
}

static void an_idle_session_costs_three_calls_a_ping(void **state)
{
    sessions.limits.ping_interval_ms = 200;
    sessions.limits.ping_timeout_ms = 5000;
    join();
    struct request *request = get(2);
    turn(30);
    count_from_now();
    for (int i = 1; i <= 3; i++) {
        assert_true(span_equal(payload(request), SPAN_LIT("2")));
        assert_true(record.awaits_pong);
        post_now("3");
        uint64_t since = loop_now_us(loop);
        request = get(2);
        turn(30);
        assert_false(request->answered);
        assert_calls(i, i, i);
        if (i == 3) { /* from pong to ping it is the interval, wherever each of them was */
            await(request);
            assert_in_range(loop_now_us(loop) - since, LOOP_MS(190), LOOP_MS(1000));
        }
    }
}

/* The ping was answered on another instance, while this one holds the session. */
static void a_pong_elsewhere_reaches_the_holder(void **state)
{
    sessions.limits.ping_interval_ms = 100;
    sessions.limits.ping_timeout_ms = 150;
    join();
    struct request *request = get(2);
    assert_true(span_equal(payload(request), SPAN_LIT("2")));
    request = get(2);
    turn(50);
    broker->record_events->ponged(&sessions, own_sid(), record.holder);
    assert_true(span_equal(payload(request), SPAN_LIT("2"))); /* the next ping, and no end */
}

static void a_stray_pong_answers_no_later_ping(void **state)
{
    sessions.limits.ping_interval_ms = 100;
    sessions.limits.ping_timeout_ms = 150;
    join();
    post_now("3");
    assert_true(span_equal(payload(get(2)), SPAN_LIT("2")));
    record.pong_us = loop_now_us(loop) - LOOP_MS(100); /* it was for the ping before */
    assert_true(span_equal(payload(get(2)), SPAN_LIT("1")));
}

/* It came while the parcel was under way, whose clock stood still. */
static void a_pong_that_overtakes_the_parcel_counts(void **state)
{
    sessions.limits.ping_interval_ms = 200;
    sessions.limits.ping_timeout_ms = 150;
    join();
    post_now("3");
    assert_true(span_equal(payload(get(2)), SPAN_LIT("2")));
    record.pong_us = loop_now_us(loop) - LOOP_MS(60);
    assert_true(span_equal(payload(get(2)), SPAN_LIT("2")));
}

/* The broker counts how long it has had the session, and nobody how long it was on its way. */
static void a_ping_comes_in_time_though_the_way_is_long(void **state)
{
    sessions.limits.ping_interval_ms = 1000;
    sessions.limits.ping_timeout_ms = 5000;
    join();
    uint64_t since = loop_now_us(loop);
    record.slow = true;
    struct request *request = get(2);
    turn(600);
    record.slow = false;
    record_answer_late();
    assert_true(span_equal(payload(request), SPAN_LIT("2")));
    assert_in_range(loop_now_us(loop) - since, LOOP_MS(900), LOOP_MS(1450));
}

/* Its time goes on while the link is down. */
static void a_parcel_that_waits_grows_older(void **state)
{
    sessions.limits.ping_interval_ms = 300;
    sessions.limits.ping_timeout_ms = 400;
    join();
    record.deaf = true;
    struct request *request = post(1, "421[\"join\",\"r\"]");
    turn(250);
    assert_false(request->answered);
    record.deaf = false;
    await(request);
    assert_in_range(record.life_ms, 400, 520);
}

/* The first call was done, and its answer lost. Another instance has had the session since. */
static void a_session_that_went_on_is_passed(void **state)
{
    join();
    record.deaf = true;
    struct request *request = post(1, "421[\"join\",\"r\"]");
    turn(50);
    assert_false(request->answered);
    record.holder = 0;
    record.deaf = false;
    await(request);
    assert_int_equal(request->outcome, POLLING_OK);
}

/* Of many events each answer brings several, and one that comes alone does not wait. */
static void a_busy_client_gets_several_at_once(void **state)
{
    join();
    struct browser *other_client = walk_in();
    struct request *request = get(2);
    turn(5);
    say(other_client, "42[\"say\",1]");
    turn(4);
    say(other_client, "42[\"say\",2]");
    turn(2);
    say(other_client, "42[\"say\",3]");
    struct span got = payload(request);
    assert_int_equal(times(got, "42[\"say\","), 3);
    request = get(2);
    turn(1050);
    uint64_t since = loop_now_us(loop);
    say(other_client, "42[\"say\",4]");
    assert_int_equal(times(payload(request), "42[\"say\",4,"), 1);
    assert_true(loop_now_us(loop) - since < LOOP_MS(15));
}

/* The client has connected anew and resumed there: what it still sends by the old session must not take its socket
 * back. */
static void an_old_session_takes_no_lease_back(void **state)
{
    join();
    record.leases[0].generation--; /* another session has claimed it since */
    post_now("1");
    turn(5);
    assert_int_equal(sessions.count, 0);
    assert_false(record.exists);
}

/* The session has ended while the link was down. */
static void a_held_get_is_told_when_the_link_is_up_again(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    record.exists = false; /* as after FLUSHALL */
    pollings_link_up(&sessions);
    assert_true(span_equal(payload(request), SPAN_LIT("1")));
}

/* While the log is read for a session that has moved, its members hold unlogged events, too. */
static void events_are_held_while_the_log_is_read(void **state)
{
    join();
    struct browser *other_client = walk_in();
    count_from_now();
    say(other_client, "421[\"say\",1]");
    expect(other_client, "431[]");
    reads_wait = true;
    struct request *request = get(2);
    turn(20);
    assert_non_null(kept_read.done);
    struct broker_publish publish = {.room = SPAN_LIT("/"), .body = SPAN_LIT("[\"wave\",2]")};
    assert_true(broker_publish(broker, &publish, publish_done, NULL));
    turn(20);
    counted->read(broker, span_of(kept_read.room, kept_read.room_len), &kept_read.range, kept_read.done, kept_read.arg);
    reads_wait = false;
    struct span got = payload(request);
    const char *first = memmem(got.data, got.len, "\"say\",1,", 8),
               *second = memmem(got.data, got.len, "\"wave\",2", 8);
    assert_true(first != NULL && second != NULL && first < second);
}

/* More waits than a record may have: that ends the session, and nothing else. */
static void what_no_record_can_hold_ends_the_session(void **state)
{
    static char body[4 << 20];
    sessions.limits.payload_bytes_max = 8 << 20;
    join();
    struct request *request = get(2);
    turn(30);
    memset(body, 'x', sizeof body);
    memcpy(body, "[\"wave\",\"", 9);
    memcpy(body + sizeof body - 2, "\"]", 2);
    struct broker_publish publish = {.room = SPAN_LIT("/"), .body = span_of(body, sizeof body)};
    for (int i = 0; i < 4; i++)
        assert_true(broker_publish(broker, &publish, publish_done, NULL));
    assert_true(span_equal(payload(request), SPAN_LIT("1")));
    assert_false(record.exists);
    turn(5);
    assert_int_equal(sessions.count, 0);
}

static int calls_set_up(void **state)
{
    reads_wait = false;
    kept_read.done = NULL;
    counted = NULL;
    return moves_set_up(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, calls_set_up, moves_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_to_a_polling_client_costs_two_calls),
        TEST(events_are_held_while_the_log_is_read),
        TEST(what_no_record_can_hold_ends_the_session),
        TEST(an_idle_session_costs_three_calls_a_ping),
        TEST(a_pong_elsewhere_reaches_the_holder),
        TEST(a_stray_pong_answers_no_later_ping),
        TEST(a_pong_that_overtakes_the_parcel_counts),
        TEST(a_ping_comes_in_time_though_the_way_is_long),
        TEST(a_parcel_that_waits_grows_older),
        TEST(a_session_that_went_on_is_passed),
        TEST(a_busy_client_gets_several_at_once),
        TEST(an_old_session_takes_no_lease_back),
        TEST(a_held_get_is_told_when_the_link_is_up_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
