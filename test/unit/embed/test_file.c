/* test_file: a configuration file beside a program: the namespaces that it has, and one that has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kept_log.h"

enum { PATH_BYTES = 64 };

/* A file of its own with this text. */
static void file_make(char path[PATH_BYTES], const char *text)
{
    snprintf(path, PATH_BYTES, "/tmp/sennit-embed-XXXXXX");
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void stop(void *data)
{
    sennit_stop(data);
}

/* The file's patterns are not gone around: what they match has their settings. */
static void test_a_pattern_of_the_file(void **state)
{
    char path[PATH_BYTES];
    file_make(path, "namespaces: {\"/game-*\": {auth: none, events: {}}}\n");
    const struct sennit_options options = {.config = path};
    sennit_server *server = sennit_create_with(&options);
    unlink(path);
    assert_null(sennit_error(server));
    sennit_nsp *one = sennit_namespace(server, "/game-1"), *pattern = sennit_namespace(server, "/game-*");
    assert_non_null(one);
    assert_ptr_not_equal(one, pattern);
    assert_false(sennit_emitf(sennit_logged(sennit_to_all(one)), "x", "")); /* nothing is logged there */
    assert_true(sennit_emitf(sennit_to_all(one), "x", ""));
    sennit_destroy(server);
}

/* One that says nothing of namespaces is for a program that has its own, with its own settings. */
static void test_a_file_without_namespaces(void **state)
{
    char path[PATH_BYTES];
    file_make(path, "max_payload: 2000\n");
    const struct sennit_options options = {.config = path, .port = "0", .broker = "memory"};
    sennit_server *server = sennit_create_with(&options), *bare = sennit_create_with(&options);
    unlink(path);
    sennit_nsp *nsp = sennit_namespace_with(server, "/", &(struct sennit_nsp_options){.replay = 5});
    assert_true(sennit_emitf(sennit_logged(sennit_to_all(nsp)), "x", ""));
    assert_null(strstr(logged, "its settings count"));
    sennit_after(server, 20, stop, server);
    assert_int_equal(sennit_run(server), 0);
    assert_int_equal(sennit_run(bare), 1); /* nobody can come */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_pattern_of_the_file, kept_log_set_up),
        cmocka_unit_test_setup(test_a_file_without_namespaces, kept_log_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
