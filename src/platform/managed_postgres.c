/* managed_postgres: where its programs are, the two scripts that start it and prepare its database, and where programs
 * find it. */
#include "platform/managed_postgres.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/process.h"
#include "platform/environment.h"

/* Its user's name within the database, and the port in its socket's name. */
#define OWNER "postgres"
#define PORT "5432"
static const char socket_name[] = ".s.PGSQL." PORT;
static const char programs_top[] = "/usr/lib/postgresql";

/* A start of a session: protocol 3.0, user and database. While the server recovers it answers E, and R once it takes
 * sessions. */
static const char hello[] = "\0\0\0\x29\0\3\0\0user\0" OWNER "\0database\0postgres\0";
static const struct probe_spec postgres_probe = {
    .kind = PROBE_LINE,
    .question = hello,
    .question_bytes = sizeof hello,
    .answer = "R",
    .delay_ms = PROGRAM_PROBE_MS,
    .period_ms = PROGRAM_PROBE_MS,
    .timeout_ms = PROGRAM_PROBE_TIMEOUT_MS,
    .successes = 1,
};

/* Arguments: the programs' directory, the socket's. It runs in the directory that is locked for us, so whatever else
 * runs on these data belongs to a server that was killed, whose sessions may live on for a moment: they are ended. One
 * that an operator has started by hand is left alone. A process with the number of an earlier server would hold up the
 * start for ever, so that server's notes go. A cluster that initdb has not completed is never called `data`. */
static const char start_script[] =
    "cd \"$SENNIT_POSTGRES\" || exit 1\n"
    "bin=$1 socket=$2 main=\n"
    "[ ! -e data/postmaster.pid ] || read -r main <data/postmaster.pid\n"
    "runs_here() { { read -r name </proc/$1/comm; } 2>/dev/null && [ \"$name\" = postgres ] && "
    "[ \"$(readlink /proc/$1/cwd)\" = \"$PWD/data\" ]; }\n"
    "if [ -n \"$main\" ] && runs_here \"$main\"; then\n"
    "  echo \"FATAL: a Postgres that sennit up has not started (process $main) runs on $PWD/data: stop it, kill -INT "
    "$main\"\n"
    "  exit 1\n"
    "fi\n"
    "for file in /proc/[0-9]*; do\n"
    "  pid=${file#/proc/} tries=0\n"
    "  ! runs_here $pid || kill -KILL $pid\n"
    "  while runs_here $pid && [ $tries -lt 100 ]; do sleep 0.02; tries=$((tries + 1)); done\n"
    "done\n"
    "rm -f data/postmaster.pid \"$socket\"/.s.PGSQL.*\n"
    "if [ ! -d data ]; then\n"
    "  rm -rf data.new &&\n"
    "  \"$bin/initdb\" -D data.new --username=" OWNER " --auth-local=trust --auth-host=reject --encoding=UTF8 "
    "--locale=C.UTF-8 --no-instructions &&\n"
    "  echo 'max_connections = 300 # written by sennit up' >>data.new/postgresql.conf &&\n"
    "  sync data.new/postgresql.conf && mv data.new data && sync . || exit 1\n"
    "fi\n"
    "exec \"$bin/postgres\" -D \"$PWD/data\" -c listen_addresses= -c port=" PORT " "
    "-c unix_socket_directories=\"$socket\" -c unix_socket_permissions=0600 -c log_destination=stderr "
    "-c logging_collector=off -c log_line_prefix='%b: '\n";

/* Arguments: the programs' directory, the socket's, the database, our own program. The schema is asked for first,
 * because half of one would be no error of psql's. */
static const char prepare_script[] =
    "schema=$(\"$4\" schema postgres) || exit 1\n"
    "ask() { \"$1/psql\" -XqAt -v ON_ERROR_STOP=1 -h \"$2\" -p " PORT " -U " OWNER " \"$3\" >/dev/null; }\n"
    "ask \"$1\" \"$2\" postgres <<END || exit 1\n"
    "SELECT 'CREATE DATABASE \"$3\"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$3') \\gexec\n"
    "END\n"
    "printf '%s\\n' \"$schema\" | ask \"$1\" \"$2\" \"$3\"\n";

static struct managed_postgres *postgres_of(const struct managed *managed)
{
    return container_of(managed, struct managed_postgres, managed);
}

static char *socket_directory(const struct managed *managed)
{
    return mem_text(span_of(managed->socket, strlen(managed->socket) - sizeof socket_name));
}

static void command(const struct managed *managed, struct words *argv)
{
    words_add(argv, mem_text(SPAN_LIT("sh")));
    words_add(argv, mem_text(SPAN_LIT("-c")));
    words_add(argv, mem_text(span_str(start_script)));
    words_add(argv, mem_text(SPAN_LIT("sh")));
    words_add(argv, mem_text(span_str(postgres_of(managed)->programs)));
    words_add(argv, socket_directory(managed));
}

static void prepare_line(struct child *child, bool is_stderr, struct span line)
{
    struct managed *managed = &container_of(child, struct managed_postgres, prepare)->managed;
    if (line.len > 0)
        snprintf(managed->last, sizeof managed->last, SPAN_FMT, SPAN_ARG(line));
    log_event(LOG_DEBUG, "postgres", LOG_S("line", line));
}

/* A database that cannot be prepared is tried again with the next start of the server, after its delay. */
static void prepare_failed(struct managed_postgres *postgres, const char *why)
{
    log_event(LOG_ERROR, "the database of the managed Postgres cannot be prepared", LOG_C("why", why));
    program_kill(&postgres->managed.program);
}

static void prepare_ended(struct child *child, struct child_end end)
{
    struct managed_postgres *postgres = container_of(child, struct managed_postgres, prepare);
    if (postgres->managed.state != MANAGED_STARTING)
        return;
    postgres->prepared = end.exit_status == 0 && end.signal == 0;
    if (postgres->prepared)
        managed_serves(&postgres->managed);
    else
        prepare_failed(postgres, postgres->managed.last);
}

/* As ourselves, not as the server's user: that one may not be able to read our program. */
static void prepare(struct managed_postgres *postgres)
{
    struct managed *managed = &postgres->managed;
    struct words environment = {0};
    struct buf self = {0};
    struct err err = {"/proc/self/exe cannot be read"};
    environment_add_system(&environment);
    char *directory = socket_directory(managed);
    bool ok = file_self(&self);
    buf_append_char(&self, '\0');
    const char *const argv[] = {
        "sh", "-c", prepare_script, "sh", postgres->programs, directory, postgres->database, self.data + self.off,
        NULL};
    const struct child_spec spec = {
        .argv = argv, .env = (const char *const *)environment.list, .directory = "/", .is_private = true};
    ok = ok &&
         child_start(&postgres->prepare, managed->program.programs->loop, &spec, prepare_line, prepare_ended, &err);
    buf_finish(&self);
    free(directory);
    words_finish(&environment);
    if (!ok)
        prepare_failed(postgres, err.text);
}

static void answered(struct managed *managed)
{
    struct managed_postgres *postgres = postgres_of(managed);
    if (postgres->prepared)
        managed_serves(managed);
    else
        prepare(postgres);
}

static void gone(struct managed *managed)
{
    child_discard(&postgres_of(managed)->prepare);
}

/* What it says of its sessions is not why it ends. */
static bool is_fault(struct span line)
{
    static const struct span words[] = {SPAN_LIT("FATAL"), SPAN_LIT("PANIC"), SPAN_LIT("error"), SPAN_LIT("No such")};
    if (span_starts_with(line, SPAN_LIT("client backend")))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (memmem(line.data, line.len, words[i].data, words[i].len) != NULL)
            return true;
    return false;
}

static const struct managed_kind kind = {
    .name = "postgres",
    .title = "Postgres",
    .variable = "SENNIT_POSTGRES",
    .needs = "sennit.dev/postgres: managed: ",
    .probe = &postgres_probe,
    .stop_signal = SIGINT, /* "fast": sessions are ended; SIGTERM would wait for them */
    .plain_socket = true,  /* libpq divides hosts at commas */
    .command = command,
    .answered = answered,
    .gone = gone,
    .is_fault = is_fault,
};

/* Takes the greatest number. */
static char *newest_find(const char *top)
{
    struct err ignored;
    uint64_t number, newest = 0;
    char **names = file_list(top, "", &ignored);
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        char *program = mem_printf("%s/%s/bin/initdb", top, names[i]);
        if (span_to_u64(span_str(names[i]), &number) && number > newest && file_exists(program))
            newest = number;
        free(program);
        free(names[i]);
    }
    free(names);
    return newest > 0 ? mem_printf("%s/%llu/bin", top, (unsigned long long)newest) : NULL;
}

char *managed_postgres_programs(const char *top, const char *version, struct err *err)
{
    char *found = version == NULL ? newest_find(top) : mem_printf("%s/%s/bin", top, version);
    char *program = mem_printf("%s/postgres", found != NULL ? found : top);
    bool ok = found != NULL && file_exists(program);
    free(program);
    if (ok)
        return found;
    free(found);
    if (version == NULL)
        err_set(err, "there is no Postgres in %s: apt-get install postgresql", top);
    else
        err_set(
            err,
            "the data are of Postgres %.20s, which is not in %s: apt-get install postgresql-%.20s, or bring them to "
            "another version with pg_upgrade",
            version, top, version);
    return NULL;
}

/* Data that are there stay with their version. */
static bool programs_find(struct managed_postgres *postgres, struct err *err)
{
    enum { VERSION_BYTES_MAX = 16 };
    struct buf text = {0};
    struct err ignored;
    struct span line = {"", 0};
    uint64_t number;
    char *path = mem_printf("%s/data/PG_VERSION", postgres->managed.directory), *version = NULL;
    if (file_read(path, VERSION_BYTES_MAX, &text, &ignored)) {
        struct span rest = buf_span(&text);
        span_next(&rest, '\n', &line);
    }
    if (span_to_u64(line, &number))
        version = mem_text(line);
    postgres->programs = managed_postgres_programs(programs_top, version, err);
    free(version);
    free(path);
    buf_finish(&text);
    return postgres->programs != NULL || err_prefix(err, "%s", kind.needs);
}

/* Debian's package makes the user. */
static bool user_choose(struct managed_postgres *postgres, struct err *err)
{
    if (!process_is_root())
        return true;
    if (!process_user_find("postgres", &postgres->user))
        return err_set(err,
                       "%sPostgres does not run as root, and there is no user `postgres`: apt-get install "
                       "postgresql makes it, or let --user NAME name another one",
                       kind.needs);
    postgres->managed.user = &postgres->user;
    return true;
}

bool managed_postgres_start(struct managed_postgres *postgres, struct programs *programs, const char *directory,
                            const char *service, struct err *err)
{
    struct managed *managed = &postgres->managed;
    managed_prepare(managed, &kind, programs);
    postgres->database = mem_text(span_str(service));
    if (!user_choose(postgres, err) || !managed_directory_take(managed, directory, err) ||
        !managed_socket_place(managed, socket_name, err) || !programs_find(postgres, err))
        return false;
    if (managed->user != NULL)
        log_event(LOG_NOTICE, "Postgres does not run as root: it runs as the user postgres",
                  LOG_C("directory", managed->directory));
    return managed_start(managed, err);
}

void managed_postgres_tell(const struct managed_postgres *postgres, struct words *environment)
{
    char *directory = socket_directory(&postgres->managed);
    environment_set(environment,
                    mem_printf("DATABASE_URL=postgresql://" OWNER "@/%s?host=%s", postgres->database, directory));
    environment_set(environment, mem_printf("PGHOST=%s", directory));
    environment_set(environment, mem_text(SPAN_LIT("PGPORT=" PORT)));
    environment_set(environment, mem_printf("PGDATABASE=%s", postgres->database));
    environment_set(environment, mem_text(SPAN_LIT("PGUSER=" OWNER)));
    if (!environment_has(environment, SPAN_LIT("SENNIT_BROKER")) &&
        !environment_has(environment, SPAN_LIT("REDIS_URL")))
        environment_set(environment, mem_text(SPAN_LIT("SENNIT_BROKER=postgres")));
    free(directory);
}

void managed_postgres_finish(struct managed_postgres *postgres)
{
    child_discard(&postgres->prepare);
    managed_finish(&postgres->managed);
    free(postgres->programs);
    free(postgres->database);
}
