/* test_logbook: what a program's line becomes, the bounds of a logbook, and queries over several of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/logbook.h"
#include "wire/json.h"

static struct loop *loop;
static struct logbooks books;
static struct logbook board, other;
static struct err err;

static int begin(void **state)
{
    loop = loop_create(&err);
    logbooks_init(&books, loop);
    logbook_open(&board, &books, "board");
    logbook_open(&other, &books, "other");
    return 0;
}

static int end(void **state)
{
    logbook_finish(&board);
    logbook_finish(&other);
    loop_destroy(loop);
    return 0;
}

/* The answer as a JSON array, in a buffer of its own. */
static struct buf ask(struct logbook_query query, uint64_t *next)
{
    struct buf to = {0};
    bool more;
    buf_append_char(&to, '[');
    *next = logbook_query(&books, &query, &to, &more);
    buf_append_char(&to, ']');
    assert_true(json_is_valid(buf_span(&to)));
    assert_false(more);
    return to;
}

static size_t count(struct logbook_query query)
{
    uint64_t next;
    struct buf answer = ask(query, &next);
    struct span rest = buf_span(&answer), entry;
    size_t n = 0;
    while (json_array_next(&rest, &entry))
        n++;
    buf_finish(&answer);
    return n;
}

/* The one entry that the line becomes, without its time. */
static void line_is(const char *line, const char *severity, const char *members)
{
    uint64_t next;
    char expected[1000];
    struct log_origin origin = {.revision = "board-00001", .instance = "board-00001-1"};
    logbook_add_line(&board, LOG_OF_STDERR, origin, span_str(line));
    struct buf answer = ask((struct logbook_query){0}, &next);
    struct span entry = json_array_at(buf_span(&answer), 0);
    snprintf(expected, sizeof expected,
             ",\"severity\":\"%s\",\"logName\":\"run.googleapis.com/stderr\",\"resource\":{\"type\":"
             "\"cloud_run_revision\",\"labels\":{\"service_name\":\"board\",\"revision_name\":\"board-00001\","
             "\"instance\":\"board-00001-1\"}},%s}",
             severity, members);
    char found[1000];
    snprintf(found, sizeof found, SPAN_FMT,
             SPAN_ARG(span_from(entry, strlen("{\"timestamp\":\"2026-11-28T00:00:00.000Z\""))));
    assert_string_equal(found, expected);
    buf_finish(&answer);
    logbook_finish(&board);
    logbook_open(&board, &books, "board");
}

static void a_line_is_text_unless_it_is_an_object(void **state)
{
    line_is("hello \"you\"", "DEFAULT", "\"textPayload\":\"hello \\\"you\\\"\"");
    line_is("[1]", "DEFAULT", "\"textPayload\":\"[1]\"");
    line_is("{\"message\":", "DEFAULT", "\"textPayload\":\"{\\\"message\\\":\"");
    line_is("", "DEFAULT", "\"textPayload\":\"\"");
}

static void special_fields_become_the_entrys_own(void **state)
{
    line_is("{\"severity\":\"warn\",\"message\":\"careful\"}", "WARNING", "\"textPayload\":\"careful\"");
    line_is("{\"severity\":\"ERROR\",\"message\":\"m\",\"code\":7,\"logging.googleapis.com/trace\":\"projects/p/traces/"
            "1\"}",
            "ERROR", "\"trace\":\"projects/p/traces/1\",\"jsonPayload\":{\"message\":\"m\",\"code\":7}");
    line_is("{\"a\":{\"b\":[1]},\"httpRequest\":{\"status\":500}}", "DEFAULT",
            "\"httpRequest\":{\"status\":500},\"jsonPayload\":{\"a\":{\"b\":[1]}}");
    /* of another type, or no severity, they are like any other field */
    line_is("{\"severity\":\"loud\",\"httpRequest\":1}", "DEFAULT",
            "\"jsonPayload\":{\"severity\":\"loud\",\"httpRequest\":1}");
    line_is("{\"message\":{\"x\":1}}", "DEFAULT", "\"jsonPayload\":{\"message\":{\"x\":1}}");
    line_is("{}", "DEFAULT", "\"jsonPayload\":{}");
}

static void queries_choose(void **state)
{
    struct log_origin one = {.revision = "board-00001", .instance = "board-00001-1"},
                      two = {.revision = "board-00002", .instance = "board-00002-1"}, none = {0};
    uint64_t next;
    logbook_add(&board, LOG_OF_STDOUT, SEVERITY_INFO, one, SPAN_LIT("\"textPayload\":\"1\""));
    logbook_add(&other, LOG_OF_STDOUT, SEVERITY_ERROR, none, SPAN_LIT("\"textPayload\":\"2\""));
    logbook_add(&board, LOG_OF_STDOUT, SEVERITY_WARNING, two, SPAN_LIT("\"textPayload\":\"3\""));
    assert_int_equal(count((struct logbook_query){0}), 3);
    assert_int_equal(count((struct logbook_query){.service = "board"}), 2);
    assert_int_equal(count((struct logbook_query){.revision = "board-00002"}), 1);
    assert_int_equal(count((struct logbook_query){.instance = "board-00001-1"}), 1);
    assert_int_equal(count((struct logbook_query){.severity_min = SEVERITY_WARNING}), 2);
    assert_int_equal(count((struct logbook_query){.since_ms = loop_wall_ms(loop) + 60000}), 0);
    struct buf all = ask((struct logbook_query){0}, &next);
    struct span second = json_array_at(buf_span(&all), 1);
    assert_true(json_string_equal(json_object_get(second, SPAN_LIT("textPayload")), SPAN_LIT("2")));
    buf_finish(&all);
    /* from where the last answer ended */
    assert_int_equal(count((struct logbook_query){.after = next}), 0);
    logbook_add(&other, LOG_OF_STDOUT, SEVERITY_ERROR, none, SPAN_LIT("\"textPayload\":\"4\""));
    assert_int_equal(count((struct logbook_query){.after = next}), 1);
    /* one that chooses nothing moves on all the same */
    struct buf empty = ask((struct logbook_query){.after = next, .revision = "x"}, &next);
    buf_finish(&empty);
    assert_int_equal(count((struct logbook_query){.after = next}), 0);
}

static void the_oldest_entries_go(void **state)
{
    static char text[100 * 1024];
    for (int i = 0; i < LOGBOOK_ENTRIES_MAX + 7; i++)
        logbook_add(&board, LOG_OF_STDOUT, SEVERITY_INFO, (struct log_origin){0}, SPAN_LIT("\"textPayload\":\"\""));
    assert_int_equal(board.count, LOGBOOK_ENTRIES_MAX);
    assert_int_equal(board.dropped, 7);
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 100; i++)
        logbook_add_line(&board, LOG_OF_STDOUT, (struct log_origin){0}, span_of(text, sizeof text));
    assert_true(board.bytes <= LOGBOOK_BYTES_MAX);
    assert_true(board.count < 100);
}

static void a_long_answer_goes_on(void **state)
{
    static char text[64 * 1024];
    uint64_t after = 0;
    size_t entries = 0, answers = 0;
    bool more = true;
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 40; i++)
        logbook_add_line(i % 2 ? &board : &other, LOG_OF_STDOUT, (struct log_origin){0}, span_of(text, sizeof text));
    while (more) {
        struct buf to = {0};
        struct span rest, entry;
        buf_append_char(&to, '[');
        after = logbook_query(&books, &(struct logbook_query){.after = after}, &to, &more);
        buf_append_char(&to, ']');
        assert_true(to.len < LOGBOOK_ANSWER_BYTES_MAX + 2 * sizeof text);
        rest = buf_span(&to);
        while (json_array_next(&rest, &entry))
            entries++;
        answers++;
        buf_finish(&to);
    }
    assert_int_equal(entries, 40);
    assert_true(answers > 2);
}

static void severities_have_other_names(void **state)
{
    enum log_severity severity;
    assert_true(log_severity_parse(SPAN_LIT("Fatal"), &severity) && severity == SEVERITY_CRITICAL);
    assert_true(log_severity_parse(SPAN_LIT("notice"), &severity) && severity == SEVERITY_NOTICE);
    assert_false(log_severity_parse(SPAN_LIT("loud"), &severity));
    assert_int_equal(severity, SEVERITY_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_text_unless_it_is_an_object, begin, end),
        cmocka_unit_test_setup_teardown(special_fields_become_the_entrys_own, begin, end),
        cmocka_unit_test_setup_teardown(queries_choose, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_entries_go, begin, end),
        cmocka_unit_test_setup_teardown(a_long_answer_goes_on, begin, end),
        cmocka_unit_test(severities_have_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
