/* test_asks: events that ask another socket for an answer (`ack: receiver`): one answer for each, by the receiver or by
 * a failure that says why. */
#include "../session/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/relay.h"
#include "base/mem.h"

static const char config[] = "/:\n"
                             "  events:\n"
                             "    ask: {to: socket, socket: 0, ack: receiver, timeout: 5s}\n"
                             "    soon: {to: socket, socket: 0, ack: receiver, timeout: 50ms}\n";

static struct relay relay;
static char sids[BROWSERS][PID_BYTES], pids[BROWSERS][PID_BYTES];

static bool relay_open(const char *text, struct err *err)
{
    struct loop *own = loop_create(err);
    struct yaml_node *root = yaml_parse("config", span_str(text), err);
    assert_non_null(root);
    bool ok = relay_init(&relay, own, root, err);
    yaml_destroy(root);
    loop_destroy(own);
    return ok;
}

static int open_relay(void **state)
{
    struct err err;
    if (!relay_open(config, &err))
        fail_msg("%s", err.text);
    fixture_open(&relay.app);
    return 0;
}

static int close_relay(void **state)
{
    tear_down(state);
    relay_finish(&relay);
    return 0;
}

static struct browser *here(int number)
{
    struct browser *browser = enter(number, "40");
    quoted(browser, "40{", "\"sid\":\"", sids[number], PID_BYTES);
    quoted(browser, "40{", "\"pid\":\"", pids[number], PID_BYTES);
    buf_clear(&browser->messages);
    return browser;
}

/* Asks the socket of browser `to` under this id, and returns the id under which that client is to answer. */
static const char *ask(struct browser *from, const char *event, int to, int id)
{
    static char asked[32];
    char text[126], start[60];
    snprintf(text, sizeof text, "42%d[\"%s\",\"%s\",%d]", id, event, sids[to], id);
    buf_clear(&browsers[to].messages);
    say(from, text);
    snprintf(start, sizeof start, "[\"%s\",\"%s\",%d]\n", event, sids[to], id);
    expect(&browsers[to], "42");
    char *got = mem_text(buf_span(&browsers[to].messages));
    snprintf(asked, sizeof asked, "%.*s", (int)strcspn(got + 2, "["), got + 2);
    assert_true(asked[0] >= '1' && asked[0] <= '9');
    assert_string_equal(got + 2 + strlen(asked), start); /* no token behind */
    free(got);
    return asked;
}

static void answer(struct browser *browser, const char *id, const char *args)
{
    char text[200];
    snprintf(text, sizeof text, "43%s%s", id, args);
    say(browser, text);
}

static void nothing_more(struct browser *browser)
{
    buf_clear(&browser->messages);
    turn(30);
    look(browser);
    assert_int_equal(buf_span(&browser->messages).len, 0);
    assert_false(browser->closed);
}

static void the_receivers_answer_is_the_acknowledgement(void **state)
{
    struct browser *one = here(0), *two = here(1);
    const char *id = ask(one, "ask", 1, 7);
    nothing_more(one); /* the broker's acceptance is no answer */
    answer(two, id, "[\"yes\",{\"n\":1}]");
    expect(one, "437[\"yes\",{\"n\":1}]");
    answer(two, id, "[\"again\"]");
    answer(two, "99999999999", "[]");
    answer(two, "", "[]");
    answer(two, id, "");
    nothing_more(one);
    nothing_more(two);
    assert_int_equal(sessions.asking.count, 0);
    /* A socket may ask itself. */
    id = ask(one, "ask", 0, 8);
    answer(one, id, "[]");
    expect(one, "438[]");
}

static void without_a_callback_it_is_an_event(void **state)
{
    char text[126];
    struct browser *one = here(0), *two = here(1);
    snprintf(text, sizeof text, "42[\"ask\",\"%s\",1]", sids[1]);
    say(one, text);
    snprintf(text, sizeof text, "42[\"ask\",\"%s\",1,\"", sids[1]); /* with a token */
    expect(two, text);
    assert_int_equal(sessions.asking.count, 0);
}

static void ids_of_two_askers_are_two(void **state)
{
    char first[32];
    struct browser *one = here(0), *two = here(1), *three = here(2);
    snprintf(first, sizeof first, "%s", ask(one, "ask", 1, 0));
    const char *second = ask(three, "ask", 1, 0);
    assert_string_not_equal(first, second);
    answer(two, second, "[\"for three\"]");
    answer(two, first, "[\"for one\"]");
    expect(one, "430[\"for one\"]");
    expect(three, "430[\"for three\"]");
}

static void no_answer_in_time_is_told_once(void **state)
{
    struct browser *one = here(0), *two = here(1);
    char text[126];
    const char *id = ask(one, "soon", 1, 3);
    expect(one, "433[{\"error\":\"the receiver gave no answer in time");
    assert_int_equal(sessions.refusals.counts[REFUSAL_ANSWER_LATE], 1);
    turn(20);
    answer(two, id, "[\"late\"]");
    nothing_more(one);
    /* Nobody has this id. */
    snprintf(text, sizeof text, "424[\"soon\",\"01234567890123456789\"]");
    say(one, text);
    expect(one, "434[{\"error\":\"the receiver gave no answer in time");
    assert_int_equal(sessions.asking.count, 0);
}

static void the_receivers_end_is_told_once(void **state)
{
    struct browser *one = here(0), *two = here(1);
    ask(one, "ask", 1, 1);
    ask(one, "ask", 1, 2);
    cut(two);
    expect(one, "431[{\"error\":\"the connection of the receiver ended");
    expect(one, "432[{\"error\":\"the connection of the receiver ended");
    nothing_more(one);
    assert_int_equal(sessions.refusals.counts[REFUSAL_RECEIVER_GONE], 2);
    two = here(1);
    ask(one, "ask", 1, 3);
    say(two, "41");
    expect(one, "433[{\"error\":\"the connection of the receiver ended");
    assert_int_equal(sessions.asking.count, 0);
    /* The asker's end is nobody's concern. */
    two = here(2);
    const char *id = ask(one, "ask", 2, 4);
    cut(one);
    answer(two, id, "[1]");
    nothing_more(two);
    assert_int_equal(sessions.asking.count, 0);
}

/* The client may answer late what it was asked before the cut, over its new connection. */
static void an_answer_from_before_a_cut_is_none_to_a_new_question(void **state)
{
    char old[32], text[126];
    struct browser *one = here(0), *two = here(1);
    snprintf(old, sizeof old, "%s", ask(one, "ask", 1, 1));
    cut(two);
    snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", pids[1]);
    two = enter(1, text);
    assert_int_equal(sessions.counters.resumes, 1);
    buf_clear(&one->messages);
    const char *id = ask(one, "ask", 1, 2);
    answer(two, old, "[\"old\"]");
    answer(two, id, "[\"new\"]");
    expect(one, "432[\"new\"]");
}

/* A question that waits for a client that is away for a moment reaches it. */
static void one_who_is_away_for_a_moment_is_asked(void **state)
{
    char text[126];
    struct browser *one = here(0), *two = here(1);
    cut(two);
    snprintf(text, sizeof text, "421[\"ask\",\"%s\",1]", sids[1]);
    say(one, text);
    turn(50);
    assert_int_equal(sessions.asking.kept_count, 1);
    snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", pids[1]);
    two = enter(1, text);
    expect(two, "42");
    buf_append_char(&two->messages, '\0');
    const char *got = strstr(two->messages.data + two->messages.off, "\n42");
    assert_non_null(got);
    snprintf(text, sizeof text, "%.*s", (int)strcspn(got + 3, "["), got + 3);
    answer(two, text, "[\"here\"]");
    expect(one, "431[\"here\"]");
    assert_int_equal(sessions.asking.kept_count, 0);
}

static void both_sides_are_bounded(void **state)
{
    char text[126];
    struct browser *one = here(0), *two = here(1), *three = here(2);
    sessions.limits.asks_max = 2;
    ask(one, "ask", 1, 1);
    ask(three, "ask", 1, 1);
    snprintf(text, sizeof text, "422[\"ask\",\"%s\"]", sids[1]);
    say(one, text);
    expect(one, "432[{\"error\":\"the receiver, or its instance, has the most");
    const char *id = ask(one, "ask", 2, 3);
    snprintf(text, sizeof text, "424[\"ask\",\"%s\"]", sids[0]);
    say(one, text);
    expect(one, "434[{\"error\":\"this socket, or the instance, awaits the most");
    answer(three, id, "[]");
    expect(one, "433[]");
    sessions.limits.asks_total_max = (uint32_t)sessions.asking.count;
    snprintf(text, sizeof text, "425[\"ask\",\"%s\"]", sids[2]);
    say(one, text);
    expect(one, "435[{\"error\":\"this socket, or the instance, awaits the most");
    assert_int_equal(sessions.refusals.counts[REFUSAL_ASKS_FULL], 2);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ASKED_FULL], 1);
    nothing_more(two);
}

static void an_answer_may_have_attachments(void **state)
{
    char text[126];
    struct browser *one = here(0), *two = here(1);
    snprintf(text, sizeof text, "451-1[\"ask\",\"%s\",{\"_placeholder\":true,\"num\":0}]", sids[1]);
    say(one, text);
    say_binary(one, "question");
    expect(two, "b:question");
    assert_int_equal(count(two, "451-"), 1);
    buf_append_char(&two->messages, '\0');
    const char *got = strstr(two->messages.data + two->messages.off, "451-");
    char id[32];
    snprintf(id, sizeof id, "%.*s", (int)strcspn(got + 4, "["), got + 4);
    snprintf(text, sizeof text, "461-%s[{\"_placeholder\":true,\"num\":0}]", id);
    say(two, text);
    say_binary(two, "answer");
    expect(one, "461-1[{\"_placeholder\":true,\"num\":0}]");
    expect(one, "b:answer");
    /* Too many of them end the answer alone. */
    sessions.limits.attachments_max = 0;
    const char *next = ask(one, "ask", 1, 2);
    snprintf(text, sizeof text, "461-%s[{\"_placeholder\":true,\"num\":0}]", next);
    say(two, text);
    say_binary(two, "answer");
    expect(one, "432[{\"error\":\"the event has more attachments");
    assert_false(two->closed);
    sessions.limits.nesting_max = 3;
    next = ask(one, "ask", 1, 3);
    answer(two, next, "[[[[]]]]");
    expect(one, "433[{\"error\":\"the JSON is nested deeper");
    assert_false(two->closed);
    assert_int_equal(sessions.asking.count, 0);
}

/* Nobody answers before all have been asked. */
static void ten_thousand_at_once(void **state)
{
    enum { ASKS = 10000 };
    char text[126];
    struct browser *one = here(0), *two = here(1);
    sessions.limits.asks_max = ASKS;
    for (int i = 0; i < ASKS; i++) {
        snprintf(text, sizeof text, "42%d[\"ask\",\"%s\",%d]", i, sids[1], i);
        say(one, text);
        if (i % 100 == 0) {
            turn(0);
            look(two);
        }
    }
    while (count(two, "42") < ASKS) {
        turn(1);
        look(two);
    }
    assert_int_equal(sessions.asking.count, 2 * ASKS);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ASKS_FULL], 0);
    struct span rest = buf_span(&two->messages), line;
    for (int i = 0; span_next(&rest, '\n', &line) && line.len > 2; i++) {
        struct span id = span_sub(line, 2, (size_t)span_find(line, '[') - 2);
        struct span number = span_from(line, line.len - (size_t)snprintf(text, sizeof text, "%d]", i));
        snprintf(text, sizeof text, "43" SPAN_FMT "[\"yes\"," SPAN_FMT, SPAN_ARG(id), SPAN_ARG(number));
        say(two, text);
        if (i % 100 == 0) {
            turn(0);
            look(one);
        }
    }
    while (count(one, "43") < ASKS) {
        turn(1);
        look(one);
    }
    snprintf(text, sizeof text, "43%d[\"yes\",%d]", ASKS - 1, ASKS - 1);
    assert_int_equal(count(one, text), 1);
    assert_int_equal(sessions.asking.count, 0);
}

static void refused_at_the_start(const char *rule, const char *why)
{
    struct err err = {0};
    char *text = mem_printf("/: {events: {e: {%s}}}", rule);
    assert_false(relay_open(text, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: %s", rule, err.text);
    relay_finish(&relay);
    free(text);
}

static void a_rule_says_who_answers(void **state)
{
    refused_at_the_start("to: others, ack: receiver", "`to: socket` only");
    refused_at_the_start("to: socket, socket: 0, ack: receiver, log: true", "does not go with `log:`");
    refused_at_the_start("to: socket, socket: 0, ack: others", "expected broker or receiver");
    refused_at_the_start("to: socket, socket: 0, timeout: 5s", "goes with `ack: receiver` only");
    refused_at_the_start("to: socket, socket: 0, ack: receiver, timeout: 1h", "5m");
    refused_at_the_start("join: 0, ack: receiver", "go with `to:` only");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_relay, close_relay)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_receivers_answer_is_the_acknowledgement),
        TEST(without_a_callback_it_is_an_event),
        TEST(ids_of_two_askers_are_two),
        TEST(no_answer_in_time_is_told_once),
        TEST(the_receivers_end_is_told_once),
        TEST(an_answer_from_before_a_cut_is_none_to_a_new_question),
        TEST(one_who_is_away_for_a_moment_is_asked),
        TEST(both_sides_are_bounded),
        TEST(an_answer_may_have_attachments),
        TEST(ten_thousand_at_once),
        cmocka_unit_test(a_rule_says_who_answers),
    };
    return cmocka_run_group_tests_name("app/asks", tests, NULL, NULL);
}
