/* redis_window: a queue of commands, and the bound on those without an answer. See redis_window.h. */
#include "broker/redis_window.h"

#include <stdlib.h>

#include "base/mem.h"

struct windowed {
    struct list node;
    struct buf command; /* empty once it is sent */
    size_t bytes;
    redis_reply_fn *done;
    void *arg;
};

void redis_window_init(struct redis_window *window, struct redis_link *link)
{
    *window = (struct redis_window){.link = link};
    list_init(&window->waiting);
    list_init(&window->sent);
}

static void replied(void *arg, const struct resp *reply);

static void send_now(struct redis_window *window, struct windowed *one, struct span command)
{
    list_append(&window->sent, &one->node);
    window->sent_count++;
    window->sent_bytes += one->bytes;
    redis_link_send_encoded(window->link, command, window->link->subscriber ? NULL : replied, window);
}

static bool is_open(const struct redis_window *window)
{
    return window->sent_count < WINDOW_COMMANDS_MAX && window->sent_bytes < WINDOW_BYTES_MAX;
}

void redis_window_send(struct redis_window *window, struct span command, redis_reply_fn *done, void *arg)
{
    struct windowed *one = mem_zero(1, sizeof *one);
    *one = (struct windowed){.bytes = command.len, .done = done, .arg = arg};
    list_init(&one->node);
    if (list_empty(&window->waiting) && is_open(window)) {
        send_now(window, one, command);
    } else {
        buf_append(&one->command, command);
        list_append(&window->waiting, &one->node);
    }
}

static void destroy(struct windowed *one)
{
    buf_finish(&one->command);
    free(one);
}

/* The oldest that was sent is answered; others take its place. Its memory is the caller's. */
static struct windowed *take(struct redis_window *window)
{
    struct list *node = list_take(&window->sent);
    if (node == NULL)
        return NULL;
    struct windowed *one = container_of(node, struct windowed, node);
    window->sent_count--;
    window->sent_bytes -= one->bytes;
    while (is_open(window) && (node = list_take(&window->waiting)) != NULL) {
        struct windowed *next = container_of(node, struct windowed, node);
        send_now(window, next, buf_span(&next->command));
        buf_finish(&next->command);
    }
    return one;
}

static void replied(void *arg, const struct resp *reply)
{
    struct redis_window *window = arg;
    struct windowed *one = reply != NULL ? take(window) : NULL;
    if (one == NULL)
        return; /* the link broke, and all was dropped */
    one->done(one->arg, reply);
    destroy(one);
}

void redis_window_answered(struct redis_window *window)
{
    struct windowed *one = take(window);
    if (one != NULL)
        destroy(one);
}

void redis_window_drop(struct redis_window *window)
{
    struct list *node;
    while ((node = list_take(&window->sent)) != NULL)
        destroy(container_of(node, struct windowed, node));
    while ((node = list_take(&window->waiting)) != NULL)
        destroy(container_of(node, struct windowed, node));
    window->sent_count = window->sent_bytes = 0;
}
