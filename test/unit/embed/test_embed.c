/* test_embed: what sennit.h promises of handles and servers, with the broker in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "embed/embed_parts.h"
#include "kept_log.h"

static void *handle_make_elsewhere(void *arg)
{
    int foreign = 7;
    void *handle = handle_create(HANDLE_NSP, &foreign);
    *(void **)arg = handle;
    handle_end(handle);
    return NULL;
}

/* Two servers on two threads have handles that look alike. */
static void test_a_handle_of_another_thread_finds_nothing(void **state)
{
    int object = 1;
    pthread_t thread;
    void *others[2], *own = handle_create(HANDLE_NSP, &object);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread, NULL, handle_make_elsewhere, &others[i]), 0);
        pthread_join(thread, NULL);
        assert_ptr_not_equal(others[i], own);
        assert_null(handle_object(others[i], HANDLE_NSP, "test"));
    }
    assert_ptr_not_equal(others[0], others[1]);
    assert_ptr_equal(handle_peek(own, HANDLE_NSP), &object);
    handle_end(others[0]); /* neither does it end ours */
    assert_ptr_equal(handle_peek(own, HANDLE_NSP), &object);
    handle_end(own);
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

static int asked, answers;

static void on_answers(sennit_event *event, void *data)
{
    const bool ended = data != NULL;
    answers += ended ? sennit_event_error(event) != NULL
                     : sennit_event_error(event) == NULL && strcmp(sennit_arg_json(event, 0, NULL), "[]") == 0 &&
                           strcmp(sennit_arg_json(event, 1, NULL), "[]") == 0 && sennit_arg_bool(event, 2, NULL, false);
    if (!ended && answers == asked)
        stop(NULL);
}

static void ask_many(void *data)
{
    const struct sennit_target all = sennit_to_all(data);
    while (sennit_ask_allf(all, 60000, on_answers, NULL, "x", "i", asked))
        asked++;
    assert_int_equal(asked, SENNIT_ASKING_MAX);
    logged[0] = '\0';
    assert_false(sennit_ask_allf(all, 0, on_answers, NULL, "x", ""));
    assert_false(sennit_ask_allf(all, 300001, on_answers, NULL, "x", ""));
    assert_false(sennit_ask_allf(all, 10, NULL, NULL, "x", ""));
    assert_false(sennit_ask_allf(sennit_logged(all), 10, on_answers, NULL, "x", ""));
    assert_false(sennit_ask_allf(sennit_volatile(all), 10, on_answers, NULL, "x", ""));
    assert_false(sennit_ask_allf(all, 10, on_answers, NULL, "connect", ""));
    assert_false(sennit_emitf(sennit_volatile(sennit_logged(all)), "x", ""));
    assert_true(sennit_emitf(sennit_volatile(all), "x", ""));
}

/* Without any client: all answers are there at once. */
static void test_many_are_asked(void **state)
{
    asked = answers = 0;
    running = sennit_create_with(NULL);
    assert_non_null(sennit_after(running, 20, ask_many, sennit_namespace(running, "/")));
    assert_int_equal(sennit_run(running), 0);
    assert_int_equal(answers, SENNIT_ASKING_MAX);
}

static void end_by_signal(void *data)
{
    raise(SIGTERM);
}

/* What `sennit serve` gives: all flags, and signals if they are asked for. */
static void test_options_are_the_flags(void **state)
{
    const struct sennit_options wrong = {.port = "0", .rotate = "perhaps"};
    sennit_server *server = sennit_create_with(&wrong);
    assert_non_null(strstr(sennit_error(server), "perhaps"));
    sennit_destroy(server);
    const struct sennit_options good = {.port = "0",
                                        .broker = "memory",
                                        .request_timeout = "60",
                                        .rotate = "off",
                                        .trusted_hops = "1",
                                        .signals = true};
    server = sennit_create_with(&good);
    assert_null(sennit_error(server));
    assert_non_null(sennit_after(server, 20, end_by_signal, NULL));
    assert_int_equal(sennit_run(server), 0);
}

static void look_for_made(void *data)
{
    sennit_nsp *made = sennit_namespace(running, "/game-2"), *pattern = data;
    assert_non_null(made);
    assert_ptr_equal(sennit_namespace(running, "/game-2"), made);
    assert_ptr_not_equal(made, pattern);
    assert_ptr_not_equal(sennit_namespace(running, "/game-3"), made);
    assert_ptr_equal(sennit_namespace(running, "/game-*"), pattern);
    assert_true(sennit_emitf(sennit_logged(sennit_to_all(made)), "x", ""));
    assert_true(sennit_count(made, NULL, on_count, NULL));
    sennit_on(made, "x", NULL, NULL);
    assert_false(sennit_emitf(sennit_to_all(pattern), "x", ""));
    assert_false(sennit_count(pattern, NULL, on_count, NULL));
    assert_false(sennit_ask_allf(sennit_to_all(pattern), 100, on_count, NULL, "x", ""));
    assert_false(sennit_make_join(sennit_to_all(pattern), "r"));
}

static void test_a_pattern_makes_namespaces(void **state)
{
    running = sennit_create_with(NULL);
    counted = 2; /* on_count stops at the third */
    sennit_nsp *pattern = sennit_namespace(running, "/game-*"), *own = sennit_namespace(running, "/game-1");
    assert_non_null(pattern);
    assert_ptr_not_equal(own, pattern);
    assert_true(sennit_emitf(sennit_to_all(own), "x", ""));
    assert_null(sennit_namespace(running, "game-*"));
    assert_non_null(sennit_after(running, 20, look_for_made, pattern));
    assert_int_equal(sennit_run(running), 0);
    assert_int_equal(counted, 3);
}

static void keep_late(void *data)
{
    assert_false(sennit_keep_header(running, "x-late") || sennit_keep_query(running) || sennit_keep_auth(running));
    stop(NULL);
}

/* Of a client's first request 32 headers at most are kept, of any case, and only what was asked for before it runs. */
static void test_what_is_kept_of_a_client(void **state)
{
    char name[16];
    running = sennit_create_with(NULL);
    assert_false(sennit_keep_header(running, NULL) || sennit_keep_header(running, "") ||
                 sennit_keep_header(running, "a b") || sennit_keep_header(running, "a:"));
    for (int i = 0; i < HANDSHAKE_HEADERS_MAX; i++) {
        snprintf(name, sizeof name, "X-%d", i);
        assert_true(sennit_keep_header(running, name));
    }
    assert_true(sennit_keep_header(running, "x-0"));
    assert_false(sennit_keep_header(running, "x-more"));
    assert_true(sennit_keep_query(running) && sennit_keep_auth(running));
    assert_non_null(sennit_after(running, 1, keep_late, NULL));
    assert_int_equal(sennit_run(running), 0);
}

static void never(sennit_event *event, void *data)
{
    fail();
}

static void never_fires(void *data)
{
    fail();
}

static void never_ready(int fd, unsigned ready, void *data)
{
    fail();
}

/* What takes a socket. */
static int sockets_refused(sennit_socket *socket)
{
    int refused = 0;
    refused += sennit_socket_id(socket) == NULL && sennit_socket_nsp(socket) == NULL;
    refused += !sennit_socket_is_here(socket) && !sennit_is_in(socket, "r");
    refused += !sennit_join(socket, "r") && !sennit_leave(socket, "r") && !sennit_disconnect(socket);
    refused += !sennit_data_set(socket, "x", 1) && sennit_data(socket, NULL) == NULL;
    refused += !sennit_ask(socket, 100, never, NULL, "x", sennit_no_args());
    refused += !sennit_emitf(sennit_to_socket(socket), "x", "");
    return refused;
}

/* What takes an event. */
static int events_refused(sennit_event *event)
{
    int refused = 0;
    sennit_refuse(event, "no", NULL);
    sennit_event_free(event);
    sennit_event_free(event);
    refused +=
        sennit_event_name(event) == NULL && sennit_event_socket(event) == NULL && sennit_event_nsp(event) == NULL;
    refused += sennit_event_reason(event) == NULL && sennit_event_error(event) == NULL;
    refused += sennit_arg_count(event) == 0 && sennit_arg_length(event, 0, NULL) == 0 &&
               sennit_arg_type(event, 0, NULL) == SENNIT_ABSENT;
    refused += sennit_arg_string(event, 0, "a.b") == NULL && sennit_arg_json(event, 0, NULL) == NULL;
    refused += sennit_arg_integer(event, 0, NULL, 7) == 7 && sennit_arg_bool(event, 0, NULL, true);
    refused += sennit_arg_bytes(event, 0, NULL).data == NULL && !sennit_event_keep(event);
    refused += !sennit_ack(event, sennit_no_args()) && !sennit_wants_ack(event) && !sennit_present_as(event, "1");
    refused += !sennit_emit(sennit_to_others(event), "x", sennit_event_args(event));
    refused += sennit_client_address(event) == NULL && sennit_client_header(event, "a") == NULL &&
               sennit_client_query(event, "a") == NULL;
    refused += sennit_client_auth_string(event, NULL) == NULL && sennit_client_auth_json(event, "a") == NULL &&
               sennit_client_claim_string(event, "a") == NULL && sennit_client_claim_json(event, NULL) == NULL;
    return refused;
}

/* What takes a namespace. */
static int nsps_refused(sennit_nsp *nsp)
{
    int refused = 0;
    sennit_on(nsp, "x", never, NULL);
    sennit_on_connecting(nsp, never, NULL);
    sennit_on_connect(nsp, never, NULL);
    sennit_on_resumed(nsp, never, NULL);
    sennit_on_moved(nsp, never, NULL);
    sennit_on_disconnect(nsp, never, NULL);
    sennit_on_presence(nsp, never, NULL);
    refused += !sennit_count(nsp, NULL, never, NULL) && !sennit_fetch(nsp, NULL, never, NULL);
    refused += !sennit_present(nsp, NULL, never, NULL) && !sennit_history(nsp, NULL, 1, NULL, never, NULL);
    refused += !sennit_emitf(sennit_to_all(nsp), "x", "") && !sennit_make_join(sennit_to_all(nsp), "r");
    refused += !sennit_make_leave(sennit_to_all(nsp), "r") && !sennit_make_disconnect(sennit_to_all(nsp));
    refused += !sennit_ask_all(sennit_to_all(nsp), 100, never, NULL, "x", sennit_no_args()) &&
               !sennit_emitf(sennit_volatile(sennit_to_all(nsp)), "x", "");
    return refused;
}

/* What takes a server. */
static int servers_refused(sennit_server *server)
{
    int refused = 0;
    sennit_stop(server);
    sennit_destroy(server);
    sennit_destroy(server);
    refused += sennit_error(server) != NULL && sennit_run(server) == 1;
    refused += sennit_port(server) == 0 && sennit_instance(server) == NULL;
    refused += sennit_namespace(server, "/") == NULL && sennit_namespace_with(server, "/", NULL) == NULL;
    refused += sennit_after(server, 1, never_fires, NULL) == NULL && sennit_every(server, 1, never_fires, NULL) == NULL;
    refused += sennit_watch_fd(server, 0, SENNIT_READ, NULL, NULL) == NULL;
    refused += !sennit_keep_header(server, "a") && !sennit_keep_query(server) && !sennit_keep_auth(server);
    return refused;
}

static int all_refused(void *handle)
{
    sennit_timer_stop(handle);
    sennit_watch_stop(handle);
    return sockets_refused(handle) + events_refused(handle) + nsps_refused(handle) + servers_refused(handle);
}
enum { ALL_REFUSED = 6 + 10 + 5 + 6 };

static void *of_another_thread(void *handle)
{
    return (void *)(intptr_t)all_refused(handle);
}

static void test_a_wrong_handle_is_harmless(void **state)
{
    int dummy = 0;
    void *refused;
    pthread_t thread;
    sennit_server *server = sennit_create_with(NULL);
    sennit_nsp *nsp = sennit_namespace(server, "/");
    sennit_timer *timer = sennit_after(server, 1000, never_fires, NULL);
    assert_int_equal(all_refused(NULL), ALL_REFUSED);
    assert_int_equal(all_refused(&dummy), ALL_REFUSED);
    int file = open("/dev/null", O_RDONLY);
    assert_null(sennit_watch_fd(server, file, SENNIT_READ, never_ready, NULL));
    close(file);
    assert_null(sennit_watch_fd(server, file, SENNIT_READ, never_ready, NULL));
    assert_int_equal(sockets_refused((sennit_socket *)server) + events_refused((sennit_event *)nsp), 6 + 10);
    assert_int_equal(nsps_refused((sennit_nsp *)timer) + servers_refused((sennit_server *)nsp), 5 + 6);
    assert_int_equal(pthread_create(&thread, NULL, of_another_thread, server), 0);
    pthread_join(thread, &refused);
    assert_int_equal((intptr_t)refused, ALL_REFUSED);
    sennit_timer_stop(timer);
    assert_int_equal(all_refused(timer), ALL_REFUSED);
    sennit_on_disconnect(nsp, never, NULL);
    assert_false(sennit_present(nsp, NULL, NULL, NULL) || sennit_present(nsp, "", never, NULL));
    sennit_destroy(server);
    assert_int_equal(all_refused(server) + all_refused(nsp), 2 * ALL_REFUSED);
}

/* The call does what it can, and the log says so. */
static void test_an_option_out_of_bounds_is_brought_within(void **state)
{
    const struct sennit_nsp_options options = {
        .recovery_ms = 1, .log_entries = 20000000, .log_age_ms = 1, .replay = 5000};
    sennit_server *server = sennit_create_with(NULL);
    for (int64_t now = loop_clock_ms() / 1000; loop_clock_ms() / 1000 == now;)
        usleep(10000); /* the lines of this second may be used up */
    assert_non_null(sennit_namespace_with(server, "/", &options));
    int lines = 0;
    for (const char *at = logged; (at = strstr(at, "a value is out of its bounds: the nearest one counts")) != NULL;
         at++)
        lines++;
    assert_int_equal(lines, 4);
    assert_non_null(strstr(logged, "recovery_ms: 1000 to 43200000"));
    assert_null(strstr(logged, "did nothing"));
    sennit_destroy(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_handle_of_another_thread_finds_nothing, kept_log_set_up),
        cmocka_unit_test_setup(test_a_handle_is_looked_up, kept_log_set_up),
        cmocka_unit_test_setup(test_a_wrong_handle_is_harmless, kept_log_set_up),
        cmocka_unit_test_setup(test_a_server_that_cannot_start, kept_log_set_up),
        cmocka_unit_test_setup(test_a_server_runs_and_touches_no_signal, kept_log_set_up),
        cmocka_unit_test_setup(test_many_are_asked, kept_log_set_up),
        cmocka_unit_test_setup(test_options_are_the_flags, kept_log_set_up),
        cmocka_unit_test_setup(test_a_pattern_makes_namespaces, kept_log_set_up),
        cmocka_unit_test_setup(test_what_is_kept_of_a_client, kept_log_set_up),
        cmocka_unit_test_setup(test_an_option_out_of_bounds_is_brought_within, kept_log_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
