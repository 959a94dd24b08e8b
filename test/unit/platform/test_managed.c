/* test_managed: servers beside a service: one that ends is started again and says why it ended, one is stopped in each
 * of its states; where Debian's Postgres is, and what a program is told of it. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../patience.h"
#include "base/mem.h"
#include "net/listener.h"
#include "platform/environment.h"
#include "platform/managed_postgres.h"

enum { WAIT_MS = 10000 };

static struct loop *loop;
static struct net net;
static struct programs programs;
static struct managed managed;
static struct listener listener; /* plays the server's socket */
static struct err err;
static char folder[] = "/tmp/sennit-managed-XXXXXX";
static const char *script;
static unsigned ready, stopped, gone, ready_wanted;

static void on_ready(struct managed *of)
{
    assert_int_equal(of->state, MANAGED_READY);
    if (++ready == ready_wanted)
        loop_stop(loop);
}

static void on_stopped(struct managed *of)
{
    assert_int_equal(of->state, MANAGED_STOPPED);
    stopped++;
    loop_stop(loop);
}

static void on_gone(struct managed *of)
{
    gone++;
}

static void command(const struct managed *of, struct words *argv)
{
    words_add(argv, mem_text(SPAN_LIT("sh")));
    words_add(argv, mem_text(SPAN_LIT("-c")));
    words_add(argv, mem_text(span_str(script)));
}

static bool is_fault(struct span line)
{
    return span_starts_with(line, SPAN_LIT("fault"));
}

static const struct managed_kind kind = {
    .name = "server",
    .title = "Server",
    .variable = "SENNIT_SERVER",
    .needs = "it needs a server: ",
    .probe = &program_probe_default,
    .stop_signal = SIGINT,
    .command = command,
    .answered = managed_serves,
    .gone = on_gone,
    .is_fault = is_fault,
};

static void on_accepted(struct listener *of, struct io *io, const struct addr *peer)
{
}

static int set_up(void **state)
{
    ready = stopped = gone = ready_wanted = 0;
    loop = loop_create(&err);
    net_init(&net, loop);
    programs = (struct programs){0};
    programs_init(&programs, &net);
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    managed = (struct managed){.ready = on_ready, .stopped = on_stopped};
    managed_prepare(&managed, &kind, &programs);
    managed.restart_delay_ms = 10;
    assert_true(managed_directory_take(&managed, folder, &err));
    assert_true(managed_socket_place(&managed, "socket", &err));
    assert_true(listener_open(&listener, &net, &managed.addr, on_accepted, &err));
    return 0;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *at)
{
    return remove(path);
}

static int tear_down(void **state)
{
    managed_kill(&managed);
    for (int i = 0; i < 100 && managed.program.state != PROGRAM_OFF; i++)
        run_for(loop, 50);
    managed_finish(&managed);
    listener_close(&listener);
    net_finish(&net);
    loop_destroy(loop);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static void test_one_that_ends_is_started_again(void **state)
{
    script = "echo fault 7; echo later; [ \"$SENNIT_SERVER\" = \"$PWD\" ] && exit 1; sleep 0.1; exit 3";
    ready_wanted = 2;
    assert_true(managed_start(&managed, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(ready, 2);
    assert_int_equal(gone, 1);
    assert_string_equal(managed.last, "fault 7"); /* and not what was said later */
}

static void test_it_stops_while_it_runs(void **state)
{
    script = "trap 'exit 0' INT; trap '' TERM; while :; do sleep 0.01; done";
    ready_wanted = 1;
    assert_true(managed_start(&managed, &err));
    run_for(loop, WAIT_MS);
    assert_int_equal(ready, 1);
    run_for(loop, 100); /* the trap is set */
    managed_stop(&managed);
    run_for(loop, 2000); /* a SIGTERM would take ten seconds */
    assert_int_equal(stopped, 1);
}

static void test_it_stops_while_it_waits(void **state)
{
    script = "exit 1";
    managed.restart_delay_ms = 60000;
    assert_true(managed_start(&managed, &err));
    for (int i = 0; i < 100 && (managed.state != MANAGED_WAITING || managed.program.state != PROGRAM_OFF); i++)
        run_for(loop, 20);
    assert_int_equal(managed.state, MANAGED_WAITING);
    managed_stop(&managed);
    assert_int_equal(stopped, 1);
    run_for(loop, 50);
    assert_int_equal(stopped, 1);
}

static void test_two_do_not_take_one_directory(void **state)
{
    struct managed other = {0};
    managed_prepare(&other, &kind, &programs);
    assert_false(managed_directory_take(&other, folder, &err));
    assert_non_null(strstr(err.text, "the managed Server needs a directory of its own"));
    managed_finish(&other);
    assert_int_equal(access(managed.socket, F_OK), 0); /* the first one's is still there */
}

static void test_a_socket_with_an_odd_path(void **state)
{
    static const struct managed_kind plain = {.name = "plain", .title = "Plain", .plain_socket = true};
    const char *const names[] = {"a,b", "a b", "a%b", "a?b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct managed other = {0};
        char *path = mem_printf("%s/%s", folder, names[i]);
        managed_prepare(&other, &plain, &programs);
        assert_true(managed_directory_take(&other, path, &err));
        assert_true(managed_socket_place(&other, "socket", &err));
        assert_non_null(other.short_directory);
        assert_null(strstr(other.socket, names[i]));
        char *lock = mem_printf("%s.lock", other.socket); /* as a server that was killed leaves it */
        fclose(fopen(other.socket, "w"));
        fclose(fopen(lock, "w"));
        char *gone_now = mem_text(span_str(other.short_directory));
        managed_finish(&other);
        assert_int_equal(access(gone_now, F_OK), -1);
        free(gone_now);
        free(lock);
        free(path);
    }
}

static void program_make(const char *version)
{
    char path[256];
    static const char *const names[] = {"initdb", "postgres"};
    snprintf(path, sizeof path, "%s/%s", folder, version);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/bin", folder, version);
    mkdir(path, 0700);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s/bin/%s", folder, version, names[i]);
        fclose(fopen(path, "w"));
    }
}

static void found_is(const char *version, const char *wanted)
{
    char whole[256];
    char *found = managed_postgres_programs(folder, version, &err);
    snprintf(whole, sizeof whole, "%s/%s/bin", folder, wanted);
    assert_non_null(found);
    assert_string_equal(found, whole);
    free(found);
}

/* The newest, by number; data that are there keep their version. */
static void test_where_postgres_is(void **state)
{
    char empty[256];
    assert_null(managed_postgres_programs("/no/such/folder", NULL, &err));
    assert_string_equal(err.text, "there is no Postgres in /no/such/folder: apt-get install postgresql");
    assert_null(managed_postgres_programs(folder, NULL, &err));
    snprintf(empty, sizeof empty, "%s/17", folder); /* its client alone, or what an upgrade has left */
    mkdir(empty, 0700);
    assert_null(managed_postgres_programs(folder, NULL, &err));
    program_make("9");
    program_make("13");
    program_make("15");
    found_is(NULL, "15");
    found_is("13", "13");
    assert_null(managed_postgres_programs(folder, "14", &err));
    assert_non_null(strstr(err.text, "the data are of Postgres 14"));
    assert_non_null(strstr(err.text, "apt-get install postgresql-14"));
}

static const char *told(const struct words *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->list[i], name, len) == 0 && env->list[i][len] == '=')
            return env->list[i] + len + 1;
    return NULL;
}

static void test_what_programs_are_told(void **state)
{
    char database[] = "board", socket[] = "/run/x/.s.PGSQL.5432";
    const struct managed_postgres postgres = {.managed = {.socket = socket}, .database = database};
    struct words env = {0};
    managed_postgres_tell(&postgres, &env);
    assert_string_equal(told(&env, "DATABASE_URL"), "postgresql://postgres@/board?host=/run/x");
    assert_string_equal(told(&env, "PGHOST"), "/run/x");
    assert_string_equal(told(&env, "PGPORT"), "5432");
    assert_string_equal(told(&env, "PGDATABASE"), "board");
    assert_string_equal(told(&env, "PGUSER"), "postgres");
    assert_string_equal(told(&env, "SENNIT_BROKER"), "postgres");
    words_finish(&env);
    /* The file has chosen another one, or a Redis is there: managed, or its own. */
    environment_set(&env, mem_text(SPAN_LIT("SENNIT_BROKER=memory")));
    managed_postgres_tell(&postgres, &env);
    assert_string_equal(told(&env, "SENNIT_BROKER"), "memory");
    words_finish(&env);
    environment_set(&env, mem_text(SPAN_LIT("REDIS_URL=redis://127.0.0.1")));
    managed_postgres_tell(&postgres, &env);
    assert_null(told(&env, "SENNIT_BROKER"));
    assert_non_null(told(&env, "DATABASE_URL"));
    words_finish(&env);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_ends_is_started_again), TEST(it_stops_while_it_runs),    TEST(it_stops_while_it_waits),
        TEST(two_do_not_take_one_directory),  TEST(a_socket_with_an_odd_path), TEST(where_postgres_is),
        TEST(what_programs_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
