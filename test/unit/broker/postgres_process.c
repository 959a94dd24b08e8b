/* postgres_process: starts and ends the server, and the blocking link. See postgres_process.h. */
#include "postgres_process.h"

#include "free_port.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "broker/postgres_schema.h"

enum { START_MS_MAX = 20000, STARTED_MAX = 8, WORDS_MAX = 64 };

static struct postgres_process *started[STARTED_MAX];

static void finish_all(void)
{
    for (int i = 0; i < STARTED_MAX; i++)
        if (started[i] != NULL)
            postgres_process_finish(started[i]);
}

static void remember(struct postgres_process *postgres)
{
    int i = 0;
    if (started[0] == NULL)
        atexit(finish_all);
    while (started[i] != NULL && started[i] != postgres)
        assert_true(++i < STARTED_MAX);
    started[i] = postgres;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Where Debian has it, the newest version first; NULL: nowhere. */
static const char *folder_of_programs(void)
{
    static char folder[256];
    glob_t found;
    if (folder[0] != '\0')
        return folder;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
        const char *last = found.gl_pathv[found.gl_pathc - 1];
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(last, '/') - last), last);
        globfree(&found);
    }
    return folder[0] != '\0' ? folder : NULL;
}

bool postgres_process_is_installed(void)
{
    return folder_of_programs() != NULL;
}

static const struct passwd *server_user(void)
{
    return geteuid() == 0 ? getpwnam("nobody") : NULL;
}

/* In the child: runs one of Postgres' programs, and writes what it says to the directory's log. */
static void become(const struct postgres_process *postgres, const char *program, const char *const *words)
{
    char path[512], log[512];
    const char *argv[WORDS_MAX] = {path};
    const struct passwd *user = server_user();
    sigset_t none;
    snprintf(path, sizeof path, "%s/%s", folder_of_programs(), program);
    for (size_t i = 0; words[i] != NULL && i + 2 < WORDS_MAX; i++)
        argv[i + 1] = words[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(log, sizeof log, "%s/log", postgres->directory);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (chdir(postgres->directory) != 0 || (user != NULL && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)))
        _exit(126);
    if (user != NULL)
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user forgets it */
    setenv("LC_ALL", "C", 1);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static pid_t spawn(const struct postgres_process *postgres, const char *program, const char *const *words)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become(postgres, program, words);
    return pid;
}

static void run(const struct postgres_process *postgres, const char *program, const char *const *words)
{
    int status;
    pid_t pid = spawn(postgres, program, words);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s failed: see %s/log", program, postgres->directory);
}

static void link_close(struct postgres_process *postgres)
{
    PQfinish(postgres->conn);
    postgres->conn = NULL;
}

void *postgres_process_link(const struct postgres_process *postgres)
{
    char options[128];
    snprintf(options, sizeof options, "host=127.0.0.1 port=%u user=sennit dbname=postgres connect_timeout=5",
             postgres->port);
    return PQconnectdb(options);
}

static bool link_open(struct postgres_process *postgres)
{
    link_close(postgres);
    postgres->conn = postgres_process_link(postgres);
    if (PQstatus(postgres->conn) == CONNECTION_OK)
        return true;
    link_close(postgres);
    return false;
}

/* False when it ended at once: another process has taken the port. */
static bool launch(struct postgres_process *postgres)
{
    char port[16], *data = mem_printf("%s/data", postgres->directory);
    const char *words[WORDS_MAX] = {"-D", data, "-c", port, "-c", "listen_addresses=127.0.0.1"};
    static const char *const usual[] = {"unix_socket_directories=", "fsync=off",
                                        "shared_buffers=16MB",      "max_connections=60",
                                        "max_wal_senders=4",        "log_min_messages=error",
                                        "autovacuum_naptime=5s",    "checkpoint_timeout=1h"};
    size_t count = 6;
    snprintf(port, sizeof port, "port=%u", postgres->port);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        words[count++] = "-c", words[count++] = usual[i];
    for (size_t i = 0; postgres->options[i] != NULL; i++)
        words[count++] = "-c", words[count++] = postgres->options[i];
    postgres->pid = spawn(postgres, "postgres", words);
    for (int ms = 0; ms < START_MS_MAX; ms += 5) {
        int status;
        if (waitpid(postgres->pid, &status, WNOHANG) == postgres->pid) {
            postgres->pid = 0;
            free(data);
            return false;
        }
        if (link_open(postgres)) {
            free(data);
            return true;
        }
        sleep_ms(5);
    }
    fail_msg("Postgres does not answer: see %s/log", postgres->directory);
    return false;
}

static void directory_make(struct postgres_process *postgres, const char *const *options)
{
    const char *folder = getenv("TMPDIR");
    const struct passwd *user = server_user();
    *postgres = (struct postgres_process){.pid = 0};
    remember(postgres);
    postgres->directory = mem_printf("%s/sennit-postgres-XXXXXX", folder != NULL ? folder : P_tmpdir);
    assert_non_null(mkdtemp(postgres->directory));
    if (user != NULL)
        assert_int_equal(chown(postgres->directory, user->pw_uid, user->pw_gid), 0);
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        postgres->options[i] = options[i];
}

static void launch_on_a_free_port(struct postgres_process *postgres)
{
    for (int i = 0; i < 10; i++) {
        postgres->port = free_port();
        if (launch(postgres))
            return;
    }
    fail_msg("Postgres ends at once: see %s/log", postgres->directory);
}

void postgres_process_start(struct postgres_process *postgres, const char *const *options)
{
    directory_make(postgres, options);
    char *data = mem_printf("%s/data", postgres->directory);
    const char *const words[] = {"--no-sync",
                                 "--auth=trust",
                                 "--username=sennit",
                                 "--encoding=UTF8",
                                 "--locale=C",
                                 "--no-instructions",
                                 "-D",
                                 data,
                                 NULL};
    run(postgres, "initdb", words);
    free(data);
    launch_on_a_free_port(postgres);
}

void postgres_process_follow(struct postgres_process *replica, struct postgres_process *primary)
{
    char port[8];
    directory_make(replica, primary->options);
    char *data = mem_printf("%s/data", replica->directory);
    snprintf(port, sizeof port, "%u", primary->port);
    const char *const words[] = {"-D",        data, "-R",        "-X", "stream", "--checkpoint=fast",
                                 "--no-sync", "-h", "127.0.0.1", "-p", port,     "-U",
                                 "sennit",    NULL};
    run(replica, "pg_basebackup", words);
    free(data);
    launch_on_a_free_port(replica);
}

void postgres_process_restart(struct postgres_process *postgres)
{
    assert_true(launch(postgres));
}

void postgres_process_kill(struct postgres_process *postgres)
{
    link_close(postgres);
    if (postgres->pid == 0)
        return;
    kill(postgres->pid, SIGQUIT); /* "immediate": nothing is cleaned up, but no process is left */
    waitpid(postgres->pid, NULL, 0);
    postgres->pid = 0;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    return remove(path);
}

void postgres_process_finish(struct postgres_process *postgres)
{
    if (postgres->directory == NULL)
        return;
    postgres_process_kill(postgres);
    nftw(postgres->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(postgres->directory);
    free(postgres->said);
    *postgres = (struct postgres_process){.pid = 0};
}

static const char *say(struct postgres_process *postgres, const char *sql)
{
    if (postgres->conn == NULL || PQstatus(postgres->conn) != CONNECTION_OK)
        assert_true(link_open(postgres));
    PGresult *result = PQexec(postgres->conn, sql);
    free(postgres->said);
    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        postgres->said =
            mem_text(span_str(PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : ""));
    else
        postgres->said = mem_printf("-%s", PQerrorMessage(postgres->conn));
    PQclear(result);
    return postgres->said;
}

static const char *say_printed(struct postgres_process *postgres, const char *format, va_list args)
{
    char *sql;
    assert_true(vasprintf(&sql, format, args) >= 0);
    const char *said = say(postgres, sql);
    free(sql);
    return said;
}

const char *postgres_try(struct postgres_process *postgres, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *said = say_printed(postgres, format, args);
    va_end(args);
    return said;
}

static const char *no_error(const char *said)
{
    if (said[0] == '-' && (said[1] < '0' || said[1] > '9'))
        fail_msg("Postgres answers the test: %s", said);
    return said;
}

const char *postgres_ask(struct postgres_process *postgres, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *said = say_printed(postgres, format, args);
    va_end(args);
    return no_error(said);
}

long long postgres_ask_number(struct postgres_process *postgres, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *said = say_printed(postgres, format, args);
    va_end(args);
    return strtoll(no_error(said), NULL, 10);
}

void postgres_process_schema(struct postgres_process *postgres, const char *name, const char *role)
{
    struct buf script = {0};
    postgres_schema_print(&script, name, role);
    buf_append_char(&script, '\0');
    no_error(say(postgres, buf_span(&script).data));
    buf_finish(&script);
}
