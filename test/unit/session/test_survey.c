/* test_survey: many clients are asked at once, and their answers gathered: which count, when it ends, and an answer
 * that reaches another instance. The test plays the other instances by mail. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fixture.h"
#include "session/content.h"
#include "session/survey.h"

static struct inquiries *inquiries;
static struct {
    int times;
    char text[1024];    /* `<which client>=<answer> `, in the order of the clients */
    char attached[256]; /* `<which client>:<bytes of its first attachment> <arguments> ` */
    bool more;
    uint64_t living, answered;
} found;
static char sids[BROWSERS][ENGINEIO_SID_BYTES + 4], mailed[1024];
static const struct mail_ops *memory_mail;

/* What goes to others is noted; what goes to this instance takes its way. */
static void send_mail(struct broker *of, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    snprintf(mailed, sizeof mailed, SPAN_FMT " <- " SPAN_FMT, SPAN_ARG(to), SPAN_ARG(message));
    if (to.len == 0 || !span_equal(to, SPAN_LIT("peer")))
        memory_mail->send(of, to, message, done, arg);
}

static const struct mail_ops heard = {send_mail, NULL};

static void attached_note(struct buf *to, int client, struct span body)
{
    struct content content;
    if (!survey_answer_read(body, &content) || content.count == 0)
        return;
    buf_printf(to, "%d:", client);
    for (size_t i = 0; i < content.attachments[0].len; i++)
        buf_printf(to, "%02x", (unsigned char)content.attachments[0].data[i]);
    buf_printf(to, " " SPAN_FMT " ", SPAN_ARG(content.args));
}

static void on_found(void *arg, const struct inquiry_found *got)
{
    struct buf text = {0}, attached = {0};
    for (int i = 0; i < BROWSERS; i++) {
        for (size_t at = 0; at < got->count; at++)
            if (span_equal(got->items[at].key, span_str(sids[i]))) {
                buf_printf(&text, "%d=" SPAN_FMT " ", i, SPAN_ARG(got->items[at].text));
                attached_note(&attached, i, got->items[at].text);
            }
    }
    snprintf(found.attached, sizeof found.attached, SPAN_FMT, SPAN_ARG(buf_span(&attached)));
    buf_finish(&attached);
    snprintf(found.text, sizeof found.text, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
    found.times++;
    found.more = got->more;
    found.living = got->living;
    found.answered = got->answered;
}

static int begin(void **state)
{
    set_up(state);
    memory_mail = broker->mail;
    broker->mail = &heard;
    inquiries = inquiries_create(&sessions);
    memset(&found, 0, sizeof found);
    memset(sids, 0, sizeof sids);
    mailed[0] = '\0';
    return 0;
}

static int end(void **state)
{
    broker->mail = memory_mail;
    inquiries_destroy(inquiries);
    return tear_down(state);
}

static struct browser *come(int number)
{
    struct browser *browser = enter(number, "40");
    quoted(browser, "40{", "\"sid\":\"", sids[number], sizeof sids[number]);
    return browser;
}

static bool survey(const char *room, uint64_t ms, bool here)
{
    struct span in = span_str(room);
    struct inquiry_question question = {.kind = INQUIRY_ANSWERS,
                                        .nsp = SPAN_LIT("/"),
                                        .rooms = &in,
                                        .room_count = room != NULL,
                                        .here = here,
                                        .timeout_ms = ms,
                                        .body = SPAN_LIT("[\"color?\",1]")};
    return inquiry_ask(inquiries, &question, on_found, NULL);
}

/* Awaits the question, and returns its id. */
static unsigned long long asked(struct browser *browser)
{
    const char *at = NULL;
    for (int i = 0; i < 200 && at == NULL; i++) {
        turn(5);
        look(browser);
        struct span text = buf_span(&browser->messages);
        for (size_t from = 0; from + 12 <= text.len; from++)
            if (memcmp(text.data + from, "[\"color?\",1]", 12) == 0)
                at = text.data + from;
    }
    assert_non_null(at);
    while (at[-1] >= '0' && at[-1] <= '9')
        at--;
    return strtoull(at + 2, NULL, 10); /* behind 42 */
}

static void answer(struct browser *browser, unsigned long long id, const char *args)
{
    char text[126];
    snprintf(text, sizeof text, "43%llu%s", id, args);
    say(browser, text);
}

static void await(void)
{
    for (int i = 0; i < 1000 && found.times == 0; i++)
        turn(2);
    assert_int_equal(found.times, 1);
    assert_int_equal(sessions.asking.count, 0);
}

static void all_have_answered(void **state)
{
    struct browser *one = come(0), *two = come(1);
    assert_true(survey(NULL, 60000, false));
    unsigned long long id = asked(one);
    assert_in_range(id, 1u << 30, (1u << 31) - 1);
    assert_int_equal(asked(two), id);
    answer(two, id, "[\"red\",2]");
    turn(20);
    assert_int_equal(found.times, 0);
    answer(two, id, "[\"again\"]"); /* the first one counts */
    answer(one, id, "[]");
    await();
    assert_string_equal(found.text, "0=[] 1=[\"red\",2] ");
    assert_false(found.more);
    assert_int_equal(found.answered, found.living);
}

static void only_those_in_the_room_and_not_those_who_are_late(void **state)
{
    struct browser *one = come(0), *two = come(1), *three = come(2);
    say(one, "421[\"join\",\"r\"]");
    expect(one, "431[");
    say(two, "421[\"join\",\"r\"]");
    expect(two, "431[");
    assert_true(survey("r", 300, false));
    answer(one, asked(one), "[1]");
    asked(two);
    await();
    assert_string_equal(found.text, "0=[1] 1= ");
    look(three);
    assert_int_equal(count(three, "42"), 0);
}

/* One that is cut off may come back, so it is waited for; one that leaves is not. */
static void one_leaves_and_one_is_cut_off(void **state)
{
    struct browser *one = come(0), *two = come(1), *three = come(2);
    assert_true(survey(NULL, 700, false));
    answer(one, asked(one), "[1]");
    asked(two);
    asked(three);
    say(two, "41");
    turn(100);
    assert_int_equal(found.times, 0);
    cut(three);
    turn(100);
    assert_int_equal(found.times, 0);
    await();
    assert_string_equal(found.text, "0=[1] 1= 2= ");
}

static void the_last_one_leaves(void **state)
{
    struct browser *one = come(0);
    assert_true(survey(NULL, 60000, false));
    asked(one);
    say(one, "41");
    await();
    assert_string_equal(found.text, "0= ");
    assert_false(found.more);
}

static void nobody_is_there(void **state)
{
    assert_true(survey("r", 60000, false));
    await();
    assert_string_equal(found.text, "");
}

static void this_instance_alone(void **state)
{
    struct browser *one = come(0);
    assert_true(survey(NULL, 60000, true));
    answer(one, asked(one), "[1]");
    await();
    assert_string_equal(found.text, "0=[1] ");
    found.times = 0;
    assert_true(survey("r", 60000, true));
    assert_int_equal(found.times, 0); /* never within the call */
    await();
}

/* Another instance asks our client, and gets what it answers; its number is below ours. */
static void another_instance_asks(void **state)
{
    struct browser *one = come(0);
    char expected[128];
    mail_received(broker, SPAN_LIT("peer"), SPAN_LIT("ask 1500000000 a 1 0 0\n1\n/0\n0\n5000\n12\n[\"color?\",1]"));
    assert_int_equal(asked(one), 1500000000);
    answer(one, 1500000000, "[7]");
    snprintf(expected, sizeof expected, "peer <- tell 1500000000\n0 1 1\n20 3 1\n%s[7]", sids[0]);
    for (int i = 0; i < 500 && strcmp(mailed, expected) != 0; i++)
        turn(2);
    assert_string_equal(mailed, expected);
}

/* It polled when it was listed, and the instance that began has asked it by an event. */
static void one_that_is_named_is_asked_elsewhere(void **state)
{
    struct browser *one = come(0), *two = come(1);
    char text[256];
    snprintf(text, sizeof text, "ask 1500000000 a 1 0 0\n1\n/0\n0\n5000\n12\n[\"color?\",1]20\n%s", sids[0]);
    mail_received(broker, SPAN_LIT("peer"), span_str(text));
    answer(two, asked(two), "[7]");
    snprintf(text, sizeof text, "peer <- tell 1500000000\n0 1 1\n20 3 1\n%s[7]", sids[1]);
    for (int i = 0; i < 500 && strcmp(mailed, text) != 0; i++)
        turn(2);
    assert_string_equal(mailed, text);
    look(one);
    assert_int_equal(count(one, "42"), 0);
}

/* The client has moved here with the question of another instance: that one gets the answer. */
static void an_answer_is_passed_on(void **state)
{
    struct browser *one = come(0);
    char expected[128];
    answer(one, 1500000000, "[7]");
    snprintf(expected, sizeof expected, " <- late 1500000000 %s\n[7]", sids[0]);
    for (int i = 0; i < 500 && strcmp(mailed, expected) != 0; i++)
        turn(2);
    assert_string_equal(mailed, expected);
    mailed[0] = '\0';
    answer(one, 1073741823, "[7]"); /* none of a survey's */
    answer(one, 2147483648, "[7]");
    turn(50);
    assert_string_equal(mailed, "");
}

/* What another instance passes on, as the body of this socket's answer. */
static void late(unsigned long long id, const char *sid, struct span body)
{
    struct buf mail = {0};
    buf_printf(&mail, "late %llu %s\n", id, sid);
    buf_append(&mail, body);
    mail_received(broker, SPAN_LIT("peer"), buf_span(&mail));
    buf_finish(&mail);
}

/* Two are asked; the second one answers, and the first one is cut. Returns the question's id. */
static unsigned long long one_is_cut(void)
{
    struct browser *one = come(0), *two = come(1);
    assert_true(survey(NULL, 60000, false));
    unsigned long long id = asked(one);
    asked(two);
    answer(two, id, "[2]");
    cut(one);
    return id;
}

/* Answers keep their attachments, from here and by mail. Those of damaged ones are ignored. */
static void attachments_come_with_the_answer(void **state)
{
    static const char *const bad[] = {"\x01\x01", "\x01\x01\x7f\x7f\x7f\x7fx[]", "{}", "\"x\"", "\x02q"};
    struct browser *one = come(0), *two = come(1);
    char head[64];
    assert_true(survey(NULL, 60000, false));
    unsigned long long id = asked(one);
    asked(two);
    snprintf(head, sizeof head, "461-%llu[{\"_placeholder\":true,\"num\":0}]", id);
    say(one, head);
    say_binary(one, "\x07");
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(found.times, 0);
        turn(20);
        late(id, sids[1], i < sizeof bad / sizeof bad[0] ? span_str(bad[i]) : span_of("\x01\x01\0\0\0\2ab[1]", 11));
    }
    await();
    assert_string_equal(found.attached, "0:07 [{\"_placeholder\":true,\"num\":0}] 1:6162 [1] ");
}

/* One that was asked elsewhere, between two polls, will not answer. */
static void no_answer_comes_by_mail(void **state)
{
    unsigned long long id = one_is_cut();
    turn(20);
    late(id, sids[0], SPAN_LIT(""));
    await();
    assert_string_equal(found.text, "0= 1=[2] ");
}

/* Ours has moved away with our question. */
static void an_answer_comes_by_mail(void **state)
{
    unsigned long long id = one_is_cut();
    late(id, sids[0], SPAN_LIT("[1")); /* damaged */
    late(id, "nobody-knows-this-id", SPAN_LIT("[3]"));
    turn(20);
    assert_int_equal(found.times, 0);
    late(id, sids[0], SPAN_LIT("[1]"));
    await();
    assert_string_equal(found.text, "0=[1] 1=[2] ");
}

static void bounds(void **state)
{
    struct browser *one = come(0), *two = come(1);
    sessions.limits.asks_total_max = 1;
    assert_true(survey(NULL, 100, false));
    await();
    assert_true(found.more); /* one was not asked */
    look(one);
    look(two);
    assert_int_equal(count(one, "42") + count(two, "42"), 1);
    sessions.limits.asks_total_max = 1000;
    found.times = 0;
    for (int i = 0; i < INQUIRY_SURVEYS_MAX; i++)
        assert_true(survey("r", 60000, true));
    assert_false(survey("r", 60000, true));
    turn(50);
    assert_int_equal(found.times, INQUIRY_SURVEYS_MAX);
    assert_true(survey("r", 60000, true));
    turn(10);
}

/* Beyond a bound an answer is dropped, and the whole says so. */
static void an_answer_that_is_too_large(void **state)
{
    struct browser *one = come(0);
    assert_true(survey(NULL, 60000, false));
    unsigned long long id = asked(one);
    struct buf body = {0};
    buf_append(&body, SPAN_LIT("[\""));
    for (int i = 0; i < SURVEY_ANSWER_BYTES_MAX; i++)
        buf_append_char(&body, 'x');
    buf_append(&body, SPAN_LIT("\"]"));
    late(id, sids[0], buf_span(&body));
    buf_finish(&body);
    await();
    assert_string_equal(found.text, "0= ");
    assert_true(found.more);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ANSWERS_FULL], 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(all_have_answered),
        TEST(only_those_in_the_room_and_not_those_who_are_late),
        TEST(one_leaves_and_one_is_cut_off),
        TEST(the_last_one_leaves),
        TEST(nobody_is_there),
        TEST(this_instance_alone),
        TEST(another_instance_asks),
        TEST(one_that_is_named_is_asked_elsewhere),
        TEST(an_answer_is_passed_on),
        TEST(an_answer_comes_by_mail),
        TEST(attachments_come_with_the_answer),
        TEST(no_answer_comes_by_mail),
        TEST(bounds),
        TEST(an_answer_that_is_too_large),
    };
    return cmocka_run_group_tests_name("session/survey", tests, NULL, NULL);
}
