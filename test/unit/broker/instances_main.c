/* instances_main: which kind of broker the tests of this program are for, and its server. */
#include <stdio.h>
#include <string.h>

#include "instances.h"

static const char *const *server_options;
static bool behind_pgbouncer, is_cluster;

static int server_start(void **state)
{
    if (firestore.is_modelled)
        return 0;
    if (kind == KIND_POSTGRES)
        postgres_process_start(&postgres, NULL);
    else if (kind == KIND_FIRESTORE)
        firestore_process_start(&firestore);
    else if (is_cluster)
        redis_process_start_cluster(&redis);
    else
        redis_process_start(&redis, server_options);
    if (behind_pgbouncer)
        pgbouncer_process_start(&pgbouncer, postgres.port);
    return 0;
}

static int server_finish(void **state)
{
    redis_process_finish(&redis);
    pgbouncer_process_finish(&pgbouncer);
    postgres_process_finish(&postgres);
    firestore_process_finish(&firestore);
    return 0;
}

int instances_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count,
                   const char *const *redis_options)
{
    char whole[64];
    static const char *const names[] = {"memory", "file", "redis", "postgres", "firestore"};
    kind = KIND_REDIS;
    for (int i = 0; i <= KIND_FIRESTORE; i++)
        if (argc > 1 && strcmp(argv[1], names[i]) == 0)
            kind = (enum broker_kind)i;
    firestore.is_modelled = argc > 1 && strcmp(argv[1], "firestore_model") == 0;
    behind_pgbouncer = argc > 1 && strcmp(argv[1], "pgbouncer") == 0;
    is_cluster = argc > 1 && strcmp(argv[1], "redis_cluster") == 0;
    kind = firestore.is_modelled ? KIND_FIRESTORE : behind_pgbouncer ? KIND_POSTGRES : kind;
    bool has_own_name = firestore.is_modelled || behind_pgbouncer || is_cluster;
    snprintf(whole, sizeof whole, "%s/%s", name, has_own_name ? argv[1] : names[kind]);
    if (!kind_is_shared())
        return _cmocka_run_group_tests(whole, tests, count, NULL, NULL);
    if (firestore.is_modelled    ? false
        : kind == KIND_POSTGRES  ? !postgres_process_is_installed()
        : kind == KIND_FIRESTORE ? !firestore_process_is_installed()
                                 : !redis_process_is_installed()) {
        printf("%s: skipped, there is no %s here\n", whole,
               kind == KIND_POSTGRES    ? "Postgres"
               : kind == KIND_FIRESTORE ? "emulator of Firestore"
                                        : "redis-server");
        return 77;
    }
    if (behind_pgbouncer && !pgbouncer_process_is_installed()) {
        printf("%s: skipped, there is no PgBouncer here\n", whole);
        return 77;
    }
    server_options = redis_options;
    return _cmocka_run_group_tests(whole, tests, count, server_start, server_finish);
}
