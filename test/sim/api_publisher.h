/* api_publisher: a backend that publishes by the HTTP API, and sends again what has got no answer, each time through
 * another instance. What has an `id` it sends until it is accepted, and now and then once more: that counts once. What
 * has none counts as often as it was sent, at most. Another message under an `id` that is taken is refused. */
#ifndef SENNIT_SIM_API_PUBLISHER_H
#define SENNIT_SIM_API_PUBLISHER_H

#include "poll_line.h"
#include "stock_client.h"

enum { PUBLISHING_MAX = 6 };

/* A message that is being sent. */
struct publishing {
    uint64_t tag;     /* of the request under way; 0: none */
    uint32_t message; /* its number */
    uint32_t named;   /* the number of the message whose name it has; its own, unless it is to be refused */
    bool busy, has_id, is_accepted;
    uint64_t late_us; /* then the answer is waited for no longer, or it is sent again */
};

struct api_publisher {
    struct client_world *world; /* NULL: there is none */
    struct witness witness;
    struct poll_line line;
    struct timer act;
    bool quiet;
    struct publishing slots[PUBLISHING_MAX];
    struct {
        uint64_t published, sent, repeated, refused;
    } counts;
};

void api_publisher_init(struct api_publisher *publisher, struct client_world *world);
/* Begins nothing more; what waits for its answer is sent until it has one. */
void api_publisher_quiet(struct api_publisher *publisher);
/* Nothing waits. The check: nothing may by now. */
bool api_publisher_is_settled(const struct api_publisher *publisher);
void api_publisher_check(const struct api_publisher *publisher);
void api_publisher_finish(struct api_publisher *publisher);

#endif
