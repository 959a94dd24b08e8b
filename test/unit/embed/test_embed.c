/* test_embed: what sennit.h promises of handles, formats and servers, with the broker in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "embed/embed_parts.h"

static char logged[8192];

static void keep_line(const char *line, size_t bytes)
{
    size_t len = strlen(logged);
    if (len + bytes < sizeof logged) {
        memcpy(logged + len, line, bytes);
        logged[len + bytes] = '\0';
    }
}

static int set_up(void **state)
{
    sennit_log_to(keep_line);
    logged[0] = '\0';
    setenv("PORT", "0", 1);
    unsetenv("REDIS_URL");
    unsetenv("K_SERVICE");
    return 0;
}

static const char *formatted(struct format_result *result, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    bool good = args_format(result, "test", NULL, format, values);
    va_end(values);
    if (!good)
        return NULL;
    buf_append_char(&result->text, '\0');
    return result->text.data + result->text.off;
}

static void test_only_json_comes_of_a_format(void **state)
{
    struct format_result result;
    const struct sennit_blob blob = {"\x00\x01", 2};
    assert_string_equal(formatted(&result, "{'a':s,'b':[i,I,f]},b,n,j,s", "\"},x\n", -7, INT64_MIN, 0.25, 1,
                                  " {\"k\":[]} ", (char *)NULL),
                        "[{\"a\":\"\\\"},x\\u000a\",\"b\":[-7,-9223372036854775808,0.25]},true,null,{\"k\":[]},null]");
    buf_finish(&result.text);
    assert_string_equal(formatted(&result, "{'file':x}", &blob), "[{\"file\":{\"_placeholder\":true,\"num\":0}}]");
    assert_int_equal(result.content.count, 1);
    buf_finish(&result.text);
    assert_string_equal(formatted(&result, "s", "\xff"), "[\"\xef\xbf\xbd\"]");
    buf_finish(&result.text);
    assert_null(formatted(&result, "{s:}", "a"));
    assert_null(formatted(&result, "{s}", "a"));
    assert_null(formatted(&result, "i,", 1));
    assert_null(formatted(&result, "j", "1,2"));
    assert_null(formatted(&result, "j", (char *)NULL));
    assert_null(formatted(&result, "f", (double)INFINITY));
    assert_null(formatted(&result, "'open"));
    assert_null(formatted(&result, "%s", "a"));
    assert_null(formatted(&result, "x", (struct sennit_blob *)NULL));
    assert_non_null(strstr(logged, "a value that is no JSON"));
}

static void test_json_is_checked_too(void **state)
{
    struct format_result result;
    assert_true(args_build(&result, "test", "name", sennit_json(" [1, {\"a\":2}] ")));
    assert_true(span_equal(result.content.args, SPAN_LIT("[\"name\",1, {\"a\":2}]")));
    buf_finish(&result.text);
    assert_true(args_build(&result, "test", "name", sennit_no_args()));
    assert_true(span_equal(result.content.args, SPAN_LIT("[\"name\"]")));
    buf_finish(&result.text);
    assert_false(args_build(&result, "test", "name", sennit_json("{}")));
    assert_false(args_build(&result, "test", "name", sennit_json("[1],[2]")));
    assert_false(args_build(&result, "test", "disconnect", sennit_no_args()));
    assert_false(args_build(&result, "test", "", sennit_no_args()));
    const struct sennit_blob blobs[SENNIT_BLOBS_MAX + 1] = {{"", 0}};
    const struct sennit_args many = {"[]", blobs, SENNIT_BLOBS_MAX + 1};
    assert_false(args_build(&result, "test", "name", many));
    const struct sennit_args beyond = {"[{\"_placeholder\":true,\"num\":1}]", blobs, 1};
    assert_false(args_build(&result, "test", "name", beyond));
}

static void test_a_handle_is_looked_up(void **state)
{
    int first = 1, second = 2;
    void *one = handle_create(HANDLE_TIMER, &first), *two = handle_create(HANDLE_NSP, &second);
    assert_ptr_equal(handle_object(one, HANDLE_TIMER, "test"), &first);
    assert_null(handle_object(one, HANDLE_NSP, "test"));
    assert_null(handle_object(NULL, HANDLE_NSP, "test"));
    assert_null(handle_object(&first, HANDLE_NSP, "test"));
    handle_end(one);
    handle_end(one);
    assert_null(handle_object(one, HANDLE_TIMER, "test"));
    void *three = handle_create(HANDLE_TIMER, &first); /* in the same place */
    assert_ptr_not_equal(three, one);
    assert_null(handle_peek(one, HANDLE_TIMER));
    assert_ptr_equal(handle_peek(three, HANDLE_TIMER), &first);
    handle_end(two);
    handle_end(three);
    assert_null(handle_peek(three, HANDLE_TIMER));
    for (int64_t now = loop_clock_ms() / 1000; loop_clock_ms() / 1000 == now;)
        usleep(10000); /* the lines of this one may be used up */
    for (int i = 0; i < 100; i++)
        handle_misused("test", "again and again");
    int lines = 0;
    for (const char *at = logged; (at = strstr(at, "again and again")) != NULL; at++)
        lines++;
    assert_in_range(lines, 1, 20);
}

static void test_a_server_that_cannot_start(void **state)
{
    const struct sennit_options options = {.config = "/does/not/exist.yaml"};
    sennit_server *server = sennit_create_with(&options);
    assert_non_null(server);
    assert_non_null(strstr(sennit_error(server), "/does/not/exist.yaml"));
    assert_null(sennit_namespace(server, "/"));
    sennit_on(sennit_namespace(server, "/"), "x", NULL, NULL);
    assert_null(sennit_after(server, 1, NULL, NULL));
    assert_int_equal(sennit_run(server), 1);
    assert_int_equal(sennit_run(server), 1); /* freed already */
    sennit_destroy(server);
}

static sennit_server *running;
static int fired, counted;

static void stop(void *data)
{
    sennit_stop(running);
    sennit_destroy(running); /* harmless */
    assert_int_equal(sennit_run(running), 1);
}

static void on_count(sennit_event *event, void *data)
{
    counted += sennit_event_error(event) == NULL && sennit_arg_integer(event, 0, NULL, -1) == 0 &&
               sennit_arg_bool(event, 1, NULL, false);
    if (counted == 3)
        sennit_after(running, 1, stop, NULL);
}

static void fire(void *data)
{
    sennit_nsp *nsp = data;
    fired++;
    assert_int_not_equal(sennit_port(running), 0);
    for (int i = 0; i < 3; i++)
        assert_true(sennit_count(nsp, NULL, on_count, NULL));
    assert_true(sennit_emitf(sennit_to_all(nsp), "tick", "i", fired));
}

static void test_a_server_runs_and_touches_no_signal(void **state)
{
    struct sigaction before, after;
    fired = counted = 0;
    sigaction(SIGTERM, NULL, &before);
    running = sennit_create_with(NULL);
    assert_null(sennit_error(running));
    sennit_nsp *nsp = sennit_namespace(running, "/");
    assert_non_null(nsp);
    assert_ptr_equal(sennit_namespace(running, "/"), nsp);
    assert_null(sennit_namespace(running, "room"));
    assert_null(sennit_namespace(running, "/a,b"));
    assert_non_null(sennit_namespace(running, "/other"));
    assert_non_null(sennit_after(running, 50, fire, nsp));
    assert_int_equal(sennit_run(running), 0);
    sigaction(SIGTERM, NULL, &after);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    assert_int_equal(fired, 1);
    assert_int_equal(counted, 3);
    assert_false(sennit_emitf(sennit_to_all(nsp), "late", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_only_json_comes_of_a_format, set_up),
        cmocka_unit_test_setup(test_json_is_checked_too, set_up),
        cmocka_unit_test_setup(test_a_handle_is_looked_up, set_up),
        cmocka_unit_test_setup(test_a_server_that_cannot_start, set_up),
        cmocka_unit_test_setup(test_a_server_runs_and_touches_no_signal, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
