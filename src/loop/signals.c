/* signals: watched signals are blocked and read from one signalfd.
 *
 * `signal_set` holds the signals that are blocked because of watches. No other bit of the mask is changed. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop_epoll.h"

static void watches_call(struct loop *loop, int number)
{
    /* A watcher may stop and start any watch. Each goes to the end before it is called, behind a mark: all are always
     * in the list, which says what is blocked, and those that are new are not called. */
    struct signal_watch mark = {0};
    struct list *node;
    list_append(&loop->watches, &mark.node);
    while ((node = list_take(&loop->watches)) != &mark.node) {
        struct signal_watch *watch = container_of(node, struct signal_watch, node);
        list_append(&loop->watches, node);
        if (watch->number == number)
            watch->caught(watch, number);
    }
}

static void signals_ready(struct io *io, unsigned ready)
{
    struct loop *loop = io->loop;
    struct signalfd_siginfo info[16];
    sigset_t came;
    ssize_t got;
    sigemptyset(&came);
    while ((got = io_read(io, info, sizeof info)) > 0)
        for (size_t i = 0; i < (size_t)got / sizeof info[0]; i++)
            sigaddset(&came, (int)info[i].ssi_signo);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&came, number) == 1)
            watches_call(loop, number);
}

/* Makes the blocked set and the signalfd follow the watches. */
static void signals_follow(struct loop *loop)
{
    sigset_t wanted;
    sigemptyset(&wanted);
    list_each (node, &loop->watches) {
        int number = container_of(node, struct signal_watch, node)->number;
        if (number != 0) /* or it is the mark */
            sigaddset(&wanted, number);
    }
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    if (io_is_open(&loop->signals) || !list_empty(&loop->watches)) {
        int fd = signalfd(loop->signals.fd, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
        if (fd < 0) {
            log_event(LOG_ERROR, "signals cannot be watched", LOG_C("error", strerror(errno)));
            return;
        }
        loop->signals.fd = fd;
        io_want(&loop->signals, IO_READ);
    }
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&wanted, number) == 1)
            sigdelset(&loop->signal_set, number);
    sigprocmask(SIG_UNBLOCK, &loop->signal_set, NULL);
    loop->signal_set = wanted;
}

void loop_signals_init(struct loop *loop)
{
    list_init(&loop->watches);
    sigemptyset(&loop->signal_set);
    io_init(&loop->signals, loop, signals_ready);
}

void loop_signals_finish(struct loop *loop)
{
    assert(list_empty(&loop->watches));
    io_close(&loop->signals, false);
}

void signal_watch_start(struct loop *loop, struct signal_watch *watch, int number, signal_fn *caught)
{
    signal_watch_stop(loop, watch);
    if (caught == NULL)
        return;
    watch->number = number;
    watch->caught = caught;
    list_append(&loop->watches, &watch->node);
    /* A parent may have left it ignored, and an ignored signal never reaches a signalfd. */
    signal(number, SIG_DFL);
    signals_follow(loop);
}

void signal_watch_stop(struct loop *loop, struct signal_watch *watch)
{
    if (watch->caught == NULL)
        return;
    watch->caught = NULL;
    list_remove(&watch->node);
    signals_follow(loop);
}

bool signal_is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}
