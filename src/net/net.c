/* net: the end of a turn: flushes touched connections and reaps closed ones. */
#include "net/net.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn_parts.h"

enum { TURN_CAP_MIN = 64, TURN_CAP_KEPT = 1024 };

/* Makes room at the end where connections have been done with. */
static void turn_shift(struct net_turn *turn)
{
    uint32_t kept = 0;
    for (uint32_t i = turn->at; i < turn->count; i++) {
        if (turn->conns[i] == NULL)
            continue;
        turn->conns[kept++] = turn->conns[i];
        turn->conns[kept - 1]->turn = kept;
    }
    turn->at = 0;
    turn->count = kept;
}

void net_turn_add(struct net_turn *turn, struct conn *conn)
{
    if (turn->count == turn->cap && turn->at > turn->cap / 2)
        turn_shift(turn);
    if (turn->count == turn->cap) {
        turn->cap = turn->cap != 0 ? turn->cap * 2 : TURN_CAP_MIN;
        turn->conns = mem_resize(turn->conns, turn->cap * sizeof turn->conns[0]);
    }
    turn->conns[turn->count++] = conn;
    conn->turn = turn->count;
}

/* The next connection, or NULL: it is over. What is done with one may add others. */
static struct conn *turn_take(struct net_turn *turn)
{
    while (turn->at < turn->count) {
        struct conn *conn = turn->conns[turn->at++];
        if (conn == NULL)
            continue;
        conn->turn = 0;
        return conn;
    }
    turn->at = turn->count = 0;
    if (turn->cap > TURN_CAP_KEPT) { /* a herd made it large, and has passed */
        free(turn->conns);
        *turn = (struct net_turn){.cap = 0};
    }
    return NULL;
}

static void flush_all(struct task *task)
{
    struct net *net = container_of(task, struct net, flush);
    struct conn *conn;
    while ((conn = turn_take(&net->touched)) != NULL) {
        conn_resume(conn);
        conn_flush(conn);
    }
}

static void reap_all(struct task *task)
{
    struct net *net = container_of(task, struct net, reap);
    struct conn *conn;
    while ((conn = turn_take(&net->closing)) != NULL)
        conn_reap(conn);
}

void net_init(struct net *net, struct loop *loop)
{
    *net = (struct net){.loop = loop, .budget = {.accepts_per_turn = 64, .read_bytes_per_turn = 256 * 1024}};
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
    free(net->touched.conns);
    free(net->closing.conns);
    free(net->receive);
    free(net->piece);
    net->receive = net->piece = NULL;
    net->loop = NULL;
}
