/* net: the end of a turn: flushes touched connections and reaps closed ones. */
#include "net/net.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn_parts.h"

static void flush_all(struct task *task)
{
    struct net *net = container_of(task, struct net, flush);
    struct list *node;
    while ((node = list_take(&net->touched)) != NULL) {
        struct conn *conn = container_of(node, struct conn, turn);
        conn_resume(conn);
        conn_flush(conn);
    }
}

static void reap_all(struct task *task)
{
    struct net *net = container_of(task, struct net, reap);
    struct list *node;
    while ((node = list_take(&net->closing)) != NULL)
        conn_reap(container_of(node, struct conn, turn));
}

void net_init(struct net *net, struct loop *loop)
{
    *net = (struct net){.loop = loop, .budget = {.accepts_per_turn = 64, .read_bytes_per_turn = 256 * 1024}};
    list_init(&net->touched);
    list_init(&net->closing);
    task_init(&net->flush, flush_all);
    task_init(&net->reap, reap_all);
    net->receive = mem_alloc(NET_RECEIVE_BYTES);
    net->piece = mem_alloc(NET_PIECE_BYTES);
}

void net_reap(struct net *net)
{
    reap_all(&net->reap);
}

void net_finish(struct net *net)
{
    if (net->loop == NULL)
        return;
    flush_all(&net->flush);
    reap_all(&net->reap);
    task_cancel(&net->flush);
    task_cancel(&net->reap);
    assert(net->conns_open == 0);
    free(net->receive);
    free(net->piece);
    net->receive = net->piece = NULL;
    net->loop = NULL;
}
