/* redis_process: starts and ends the server, and the blocking link. See redis_process.h. */
#include "redis_process.h"

#include "../redis_server.h"
#include "free_port.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

enum { START_MS_MAX = 10000, ASK_MS_MAX = 10000, WORDS_MAX = 64, STARTED_MAX = 8 };

static struct redis_process *started[STARTED_MAX];

/* A test that failed may not have come to it. */
static void finish_all(void)
{
    for (int i = 0; i < STARTED_MAX; i++)
        if (started[i] != NULL)
            redis_process_finish(started[i]);
}

static void remember(struct redis_process *redis)
{
    int i = 0;
    if (started[0] == NULL)
        atexit(finish_all);
    while (started[i] != NULL && started[i] != redis)
        assert_true(++i < STARTED_MAX);
    started[i] = redis;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

bool redis_process_is_installed(void)
{
    return redis_server_is_installed();
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* In the child. */
static void become(const struct redis_process *redis)
{
    char port[8];
    const char *argv[24 + REDIS_OPTIONS_MAX] = {"redis-server",   "--port",      port, "--bind", "127.0.0.1", "--dir",
                                                redis->directory, "--daemonize", "no", "--save", ""};
    size_t count = 11;
    snprintf(port, sizeof port, "%u", redis->port);
    for (size_t i = 0; redis->options[i] != NULL; i++)
        argv[count++] = redis->options[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char log[4096];
    snprintf(log, sizeof log, "%s/log", redis->directory);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    redis_server_exec(argv);
    _exit(127);
}

static void link_close(struct redis_process *redis)
{
    if (redis->fd >= 0)
        close(redis->fd);
    redis->fd = -1;
    resp_reader_destroy(redis->reader);
    redis->reader = NULL;
}

static bool link_open(struct redis_process *redis)
{
    struct sockaddr_in name = loopback(redis->port);
    struct timeval patience = {.tv_sec = ASK_MS_MAX / 1000};
    redis->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    redis->reader = resp_reader_create(64 << 20);
    setsockopt(redis->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(redis->fd, (struct sockaddr *)&name, sizeof name) == 0)
        return true;
    link_close(redis);
    return false;
}

static void text_of(struct buf *to, const struct resp *reply)
{
    switch (reply->type) {
    case RESP_INTEGER:
        buf_printf(to, "%lld", (long long)reply->integer);
        break;
    case RESP_NIL:
        buf_append(to, SPAN_LIT("(nil)"));
        break;
    case RESP_ARRAY:
        for (size_t i = 0; i < reply->item_count; i++) {
            if (i > 0)
                buf_append_char(to, '\n');
            text_of(to, &reply->items[i]);
        }
        break;
    case RESP_ERROR:
        buf_append_char(to, '-');
        buf_append(to, reply->text);
        break;
    default:
        buf_append(to, reply->text);
    }
}

static void write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        assert_true(written > 0);
        bytes = span_from(bytes, (size_t)written);
    }
}

static void read_answer(struct redis_process *redis)
{
    const struct resp *reply;
    int got;
    while ((got = resp_next(redis->reader, &reply)) == 0) {
        char bytes[16384];
        ssize_t len = read(redis->fd, bytes, sizeof bytes);
        if (len <= 0)
            fail_msg("redis-server does not answer the test: %s", len == 0 ? "it hung up" : strerror(errno));
        assert_true(resp_feed(redis->reader, span_of(bytes, (size_t)len)));
    }
    assert_int_equal(got, 1);
    buf_clear(&redis->said);
    text_of(&redis->said, reply);
    buf_append_char(&redis->said, '\0');
}

static const char *say(struct redis_process *redis, const char *const *words)
{
    struct span spans[WORDS_MAX];
    struct buf command = {0};
    size_t count = 0;
    for (; words[count] != NULL; count++)
        spans[count] = span_str(words[count]);
    if (redis->fd < 0)
        assert_true(link_open(redis));
    resp_command_encode(&command, spans, count);
    write_all(redis->fd, buf_span(&command));
    buf_finish(&command);
    read_answer(redis);
    return buf_span(&redis->said).data;
}

static const char *say_all(struct redis_process *redis, va_list args)
{
    const char *words[WORDS_MAX + 1];
    size_t count = 0;
    do
        words[count] = va_arg(args, const char *);
    while (words[count] != NULL && ++count < WORDS_MAX);
    words[count] = NULL;
    return say(redis, words);
}

const char *redis_try(struct redis_process *redis, ...)
{
    va_list args;
    va_start(args, redis);
    const char *answer = say_all(redis, args);
    va_end(args);
    return answer;
}

static const char *no_error(const char *answer)
{
    if (answer[0] == '-' && (answer[1] < '0' || answer[1] > '9'))
        fail_msg("redis-server answers the test: %s", answer);
    return answer;
}

const char *redis_ask(struct redis_process *redis, ...)
{
    va_list args;
    va_start(args, redis);
    const char *answer = no_error(say_all(redis, args));
    va_end(args);
    return answer;
}

const char *redis_try_words(struct redis_process *redis, const char *const *words)
{
    return say(redis, words);
}

const char *redis_ask_words(struct redis_process *redis, const char *const *words)
{
    return no_error(say(redis, words));
}

long long redis_ask_number(struct redis_process *redis, ...)
{
    va_list args;
    va_start(args, redis);
    const char *answer = no_error(say_all(redis, args));
    va_end(args);
    return strtoll(answer, NULL, 10);
}

/* Another test's server may have been faster to take the port. */
static bool answers(struct redis_process *redis, bool loading)
{
    char mine[32];
    if (!link_open(redis))
        return false;
    snprintf(mine, sizeof mine, "process_id:%d\r\n", (int)redis->pid);
    if (strstr(redis_try(redis, "INFO", "server", NULL), mine) != NULL) {
        const char *answer = redis_try(redis, "PING", NULL);
        if (strcmp(answer, "PONG") == 0 || (loading && strstr(answer, "LOADING") != NULL))
            return true;
    }
    link_close(redis);
    return false;
}

/* False when it ended at once. */
static bool launch(struct redis_process *redis, bool loading)
{
    redis->fd = -1;
    redis->pid = fork();
    assert_true(redis->pid >= 0);
    if (redis->pid == 0)
        become(redis);
    for (int ms = 0; ms < START_MS_MAX; ms += 2) {
        int status;
        if (waitpid(redis->pid, &status, WNOHANG) == redis->pid) {
            redis->pid = 0;
            return false;
        }
        if (answers(redis, loading))
            return true;
        sleep_ms(2);
    }
    fail_msg("redis-server does not answer on port %u", redis->port);
    return false;
}

void redis_process_start(struct redis_process *redis, const char *const *options)
{
    const char *folder = getenv("TMPDIR");
    *redis = (struct redis_process){.fd = -1};
    remember(redis);
    redis->directory = mem_printf("%s/sennit-redis-XXXXXX", folder != NULL ? folder : P_tmpdir);
    assert_non_null(mkdtemp(redis->directory));
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        redis->options[i] = options[i];
    for (int i = 0; i < 10; i++) {
        redis->port = free_port();
        if (launch(redis, false))
            return;
    }
    fail_msg("redis-server ends at once; its log is %s/log", redis->directory);
}

void redis_process_start_cluster(struct redis_process *redis)
{
    static char bus[8];
    snprintf(bus, sizeof bus, "%u", free_port()); /* else it is the port plus 10000, which may be none */
    redis_process_start(redis, (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus, NULL});
    redis_ask(redis, "CLUSTER", "ADDSLOTSRANGE", "0", "16383", NULL);
    for (int ms = 0; strstr(redis_ask(redis, "CLUSTER", "INFO", NULL), "cluster_state:ok") == NULL; ms += 5) {
        assert_true(ms < START_MS_MAX);
        sleep_ms(5);
    }
}

void redis_process_restart(struct redis_process *redis, bool loading)
{
    assert_true(launch(redis, loading));
}

void redis_process_kill(struct redis_process *redis)
{
    link_close(redis);
    if (redis->pid == 0)
        return;
    kill(redis->pid, SIGKILL);
    kill(redis->pid, SIGCONT);
    waitpid(redis->pid, NULL, 0);
    redis->pid = 0;
}

void redis_process_pause(struct redis_process *redis, bool paused)
{
    int status;
    kill(redis->pid, paused ? SIGSTOP : SIGCONT);
    if (paused)
        waitpid(redis->pid, &status, WUNTRACED);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    return remove(path);
}

static void run(const char *program, const char *from, const char *to)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execlp(program, program, "-R", from, to, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static char *aside(const struct redis_process *redis)
{
    return mem_printf("%s.aside", redis->directory);
}

void redis_process_save(struct redis_process *redis)
{
    char *copy = aside(redis);
    nftw(copy, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    run("cp", redis->directory, copy);
    free(copy);
}

void redis_process_restore(struct redis_process *redis)
{
    char *copy = aside(redis);
    assert_int_equal(redis->pid, 0);
    nftw(redis->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(rename(copy, redis->directory), 0);
    free(copy);
}

void redis_process_finish(struct redis_process *redis)
{
    if (redis->directory == NULL)
        return;
    redis_process_kill(redis);
    char *copy = aside(redis);
    nftw(copy, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(redis->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(copy);
    free(redis->directory);
    buf_finish(&redis->said);
    *redis = (struct redis_process){.fd = -1};
}
