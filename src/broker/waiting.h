/* waiting: a publish that waits for its answer, as the brokers that call a server keep it: the caller's bytes copied,
 * and whom to tell. redis_publish and postgres_publish put it into lists of theirs. */
#ifndef SENNIT_BROKER_WAITING_H
#define SENNIT_BROKER_WAITING_H

#include "base/list.h"
#include "broker/broker.h"

enum { WAITING_ENTRY_BYTES_MAX = 17 << 20 }; /* room, audience, body and name of one publish */

struct waiting_publish {
    struct list node;
    broker_done_fn *done; /* NULL: nobody is told */
    void *arg;
    struct broker_retention retention; /* entries_max 0: not logged */
    size_t room_len, audience_len, body_len, id_len;
    uint32_t slot; /* in the call under way, from 1 */
    enum broker_result result;
    bool waits;   /* the server has no memory for it: it goes into a later call */
    char bytes[]; /* room, audience, body, name */
};

/* The bytes that it takes count into `*backlog_bytes`. NULL if it is larger than WAITING_ENTRY_BYTES_MAX, or if the
 * backlog would exceed BROKER_BACKLOG_BYTES_MAX. */
struct waiting_publish *waiting_create(const struct broker_publish *publish, broker_done_fn *done, void *arg,
                                       size_t *backlog_bytes);
/* Tells the caller and frees it; it is in no list. */
void waiting_answer(struct waiting_publish *publish, enum broker_result result);
/* Answers all of a list with BROKER_LOST, and empties it. */
void waiting_lose_all(struct list *publishes);
/* What it counts in the backlog. */
size_t waiting_bytes(const struct waiting_publish *publish);
/* Both are logged alike: the same bounds, or neither is. */
bool waiting_is_kept_alike(const struct waiting_publish *a, const struct waiting_publish *b);

static inline struct waiting_publish *waiting_of(struct list *node)
{
    return container_of(node, struct waiting_publish, node);
}
static inline struct span waiting_room(const struct waiting_publish *publish)
{
    return span_of(publish->bytes, publish->room_len);
}
static inline struct span waiting_audience(const struct waiting_publish *publish)
{
    return span_of(publish->bytes + publish->room_len, publish->audience_len);
}
static inline struct span waiting_body(const struct waiting_publish *publish)
{
    return span_of(publish->bytes + publish->room_len + publish->audience_len, publish->body_len);
}
/* Its name; empty if it has none, or is not logged: then the name has no meaning. */
static inline struct span waiting_name(const struct waiting_publish *publish)
{
    return span_of(publish->bytes + publish->room_len + publish->audience_len + publish->body_len,
                   publish->retention.entries_max != 0 ? publish->id_len : 0);
}

#endif
