/* pgbouncer_process: writes its configuration, starts it, and ends it. See pgbouncer_process.h. */
#include "pgbouncer_process.h"

#include "free_port.h"

#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

enum { START_MS_MAX = 10000 };

/* Debian has it where only root's PATH looks. */
static const char program[] = "/usr/sbin/pgbouncer";
static const char *const files[] = {"ini", "users", "log"};
static struct pgbouncer_process *started;

bool pgbouncer_process_is_installed(void)
{
    return access(program, X_OK) == 0;
}

static void finish_at_exit(void)
{
    if (started != NULL)
        pgbouncer_process_finish(started);
}

static const struct passwd *own_user(void)
{
    return geteuid() == 0 ? getpwnam("nobody") : NULL;
}

static char *path_of(const struct pgbouncer_process *pgbouncer, const char *name)
{
    return mem_printf("%s/%s", pgbouncer->directory, name);
}

/* A broker has two connections, and a test some dozens of brokers: they share eight. */
static void files_write(const struct pgbouncer_process *pgbouncer, uint16_t port)
{
    char *ini = path_of(pgbouncer, "ini"), *users = path_of(pgbouncer, "users");
    FILE *file = fopen(ini, "w");
    assert_non_null(file);
    fprintf(file,
            "[databases]\n* = host=127.0.0.1 port=%u\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %u\n"
            "unix_socket_dir =\nauth_type = trust\nauth_file = %s\npool_mode = transaction\ndefault_pool_size = 8\n"
            "max_client_conn = 500\n",
            port, pgbouncer->port, users);
    fclose(file);
    file = fopen(users, "w");
    assert_non_null(file);
    fprintf(file, "\"sennit\" \"\"\n");
    fclose(file);
    chmod(pgbouncer->directory, 0755);
    free(ini);
    free(users);
}

/* In the child. */
static void become(const struct pgbouncer_process *pgbouncer)
{
    const struct passwd *user = own_user();
    char *ini = path_of(pgbouncer, "ini"), *log = path_of(pgbouncer, "log");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (user != NULL && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user forgets it */
    execl(program, program, ini, (char *)NULL);
    _exit(127);
}

void pgbouncer_process_start(struct pgbouncer_process *pgbouncer, uint16_t port)
{
    const char *folder = getenv("TMPDIR");
    *pgbouncer = (struct pgbouncer_process){
        .port = free_port(), .directory = mem_printf("%s/sennit-pgbouncer-XXXXXX", folder != NULL ? folder : P_tmpdir)};
    assert_non_null(mkdtemp(pgbouncer->directory));
    if (started == NULL)
        atexit(finish_at_exit);
    started = pgbouncer;
    files_write(pgbouncer, port);
    pgbouncer->pid = fork();
    assert_true(pgbouncer->pid >= 0);
    if (pgbouncer->pid == 0)
        become(pgbouncer);
    if (!port_await(pgbouncer->port, &pgbouncer->pid, START_MS_MAX))
        fail_msg("PgBouncer does not come up: see %s/log", pgbouncer->directory);
}

void pgbouncer_process_finish(struct pgbouncer_process *pgbouncer)
{
    if (pgbouncer->directory == NULL)
        return;
    if (pgbouncer->pid > 0) {
        kill(pgbouncer->pid, SIGKILL);
        waitpid(pgbouncer->pid, NULL, 0);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = path_of(pgbouncer, files[i]);
        unlink(path);
        free(path);
    }
    rmdir(pgbouncer->directory);
    free(pgbouncer->directory);
    *pgbouncer = (struct pgbouncer_process){.pid = 0};
}
