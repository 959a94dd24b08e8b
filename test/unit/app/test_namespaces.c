/* test_namespaces: namespaces that a pattern makes: precedence, rules, rooms and logs of their own, bounds, and their
 * end. */
#include "../session/fixture.h"

#include <stdio.h>

#include "app/relay.h"
#include "base/mem.h"

static const char config[] = "/board-main:\n"
                             "  events: {hello: {to: everyone}}\n"
                             "/board-*:\n"
                             "  log: {entries: 100}\n"
                             "  replay: all\n"
                             "  rooms: {\"p*\": {presence: true}}\n"
                             "  events:\n"
                             "    join: {join: 0}\n"
                             "    draw: {to: others, log: true}\n"
                             "    room: {to: room, room: 0}\n"
                             "/b*:\n"
                             "  events: {other: {to: everyone}}\n";

static struct relay relay;

static int open_relay(void **state)
{
    struct err err;
    struct loop *own = loop_create(&err);
    struct yaml_node *root = yaml_parse("config", span_str(config), &err);
    assert_non_null(root);
    if (!relay_init(&relay, own, root, &err))
        fail_msg("%s", err.text);
    yaml_destroy(root);
    loop_destroy(own);
    fixture_open(&relay.app);
    return 0;
}

static int close_relay(void **state)
{
    tear_down(state);
    relay_finish(&relay);
    return 0;
}

/* Another socket of this browser's session. */
static void join(struct browser *browser, const char *name)
{
    char text[200];
    snprintf(text, sizeof text, "40%s,", name);
    say(browser, text);
    snprintf(text, sizeof text, "40%s,{\"sid\"", name);
    expect(browser, text);
}

static struct browser *enter_at(int number, const char *name)
{
    struct browser *browser = dial(number);
    join(browser, name);
    return browser;
}

static size_t events_of(struct browser *browser, const char *start)
{
    turn(30);
    look(browser);
    return count(browser, start);
}

static void each_has_its_own_log_and_rooms(void **state)
{
    struct browser *one = enter_at(0, "/board-1"), *two = enter_at(1, "/board-2"), *same = enter_at(2, "/board-1");
    assert_int_equal(relay.made, 2);
    say(one, "42/board-1,1[\"draw\",\"a line\"]");
    expect(one, "43/board-1,1[]");
    assert_int_equal(events_of(same, "42/board-1,[\"draw\",\"a line\""), 1);
    assert_int_equal(events_of(two, "42"), 0);
    /* A room of the same name is another room. */
    say(one, "42/board-1,2[\"join\",\"pub\"]");
    expect(one, "43/board-1,2[]");
    say(two, "42/board-2,1[\"join\",\"pub\"]");
    expect(two, "43/board-2,1[]");
    expect(two, "42/board-2,[\"presence\",{\"room\":\"pub\",\"members\":[{");
    say(one, "42/board-1,3[\"room\",\"pub\",1]");
    expect(one, "43/board-1,3[]");
    assert_int_equal(events_of(two, "42/board-2,[\"room\""), 0);
    /* The log outlives the namespace's last client. */
    cut(one);
    cut(same);
    turn(20);
    assert_int_equal(relay.made, 1);
    one = enter_at(0, "/board-1");
    expect(one, "42/board-1,[\"draw\",\"a line\"");
    say(one, "42/board-2,1[\"draw\",1]"); /* it is in one of them only */
    turn(20);
    look(one);
    assert_int_equal(count(one, "close 1008"), 1);
}

static void a_plain_name_goes_before_a_pattern_and_the_first_pattern_counts(void **state)
{
    struct browser *one = enter_at(0, "/board-main");
    assert_int_equal(relay.made, 0);
    say(one, "42/board-main,1[\"draw\",1]");
    expect(one, "43/board-main,1[{\"error\":\"the namespace has no rule");
    join(one, "/board-x");
    say(one, "42/board-x,1[\"draw\",1]");
    expect(one, "43/board-x,1[]");
    join(one, "/bx");
    say(one, "42/bx,1[\"other\",1]");
    expect(one, "43/bx,1[]");
    assert_int_equal(relay.made, 2);
}

/* Also by a client that is refused, which then holds nothing. */
static void they_are_bounded_and_end_with_their_last_client(void **state)
{
    char text[200];
    relay.made_max = 2;
    sessions.limits.sockets_max = 3;
    struct browser *one = enter_at(0, "/board-main"), *two = enter_at(1, "/board-2");
    join(one, "/board-1");
    say(one, "40/board-3,");
    expect(one, "44/board-3,{\"message\":\"Too many namespaces\",\"data\":{\"error\":\"this instance has the most");
    assert_int_equal(sessions.refusals.counts[REFUSAL_INSTANCE_NAMESPACES_FULL], 1);
    say(two, "41/board-2,");
    turn(20);
    assert_int_equal(relay.made, 1);
    join(one, "/board-3");
    say(one, "40/board-3,"); /* twice */
    turn(20);
    assert_int_equal(relay.made, 2);
    relay.made_max = 5;
    say(one, "40/board-4,");
    expect(one, "44/board-4,{\"message\":\"Too many namespaces\",\"data\":{\"error\":\"this session is in the most");
    assert_int_equal(relay.made, 2);
    snprintf(text, sizeof text, "40/board-%0*d,", RELAY_NAMESPACE_BYTES_MAX - 6, 0);
    say(two, text);
    snprintf(text, sizeof text, "44/board-%0*d,{\"message\":\"Invalid namespace\"", RELAY_NAMESPACE_BYTES_MAX - 6, 0);
    expect(two, text);
    say(two, "40/else,");
    expect(two, "44/else,{\"message\":\"Invalid namespace\"");
    cut(one);
    turn(20);
    assert_int_equal(relay.made, 0);
}

static void a_thousand_of_one_session(void **state)
{
    char text[60];
    sessions.limits.sockets_max = 1000;
    sessions.limits.calls_max = 2000;
    sessions.limits.call_bytes_max = 16 << 20;
    struct browser *one = enter_at(0, "/board-0"), *two = enter_at(1, "/board-999");
    for (int i = 1; i < 1000; i++) {
        snprintf(text, sizeof text, "40/board-%d,", i);
        say(one, text);
        if (i % 50 == 0) {
            turn(1);
            look(one);
        }
    }
    expect(one, "40/board-999,{");
    look(one);
    assert_int_equal(count(one, "40/board-"), 1000);
    assert_int_equal(relay.made, 1000);
    say(two, "42/board-999,1[\"draw\",9]");
    expect(one, "42/board-999,[\"draw\",9");
    assert_int_equal(events_of(one, "42"), 1);
    cut(one);
    turn(20);
    assert_int_equal(relay.made, 1);
}

static void a_cut_client_resumes_in_one(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES], text[160];
    struct browser *one = enter_at(0, "/board-7"), *two = enter_at(1, "/board-7");
    quoted(one, "40/board-7,{", "\"pid\":\"", pid, sizeof pid);
    say(two, "42/board-7,1[\"draw\",\"first\"]");
    expect(one, "42/board-7,[\"draw\",\"first\"");
    quoted(one, "42", "first\",\"", token, sizeof token);
    cut(one);
    say(two, "42/board-7,2[\"draw\",\"missed\"]");
    expect(two, "43/board-7,2[]");
    one = dial(0);
    snprintf(text, sizeof text, "40/board-7,{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, token);
    say(one, text);
    expect(one, "42/board-7,[\"draw\",\"missed\"");
    assert_int_equal(sessions.counters.resumes, 1);
    assert_int_equal(count(one, "42/board-7,[\"draw\",\"first\""), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_relay, close_relay)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_has_its_own_log_and_rooms),
        TEST(a_plain_name_goes_before_a_pattern_and_the_first_pattern_counts),
        TEST(they_are_bounded_and_end_with_their_last_client),
        TEST(a_cut_client_resumes_in_one),
        TEST(a_thousand_of_one_session),
    };
    return cmocka_run_group_tests_name("app/namespaces", tests, NULL, NULL);
}
