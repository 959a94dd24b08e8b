/* traffic: how a service's requests are divided among its revisions, as `spec.traffic` and `sennit traffic` say. Pure.
 */
#ifndef SENNIT_PLATFORM_TRAFFIC_H
#define SENNIT_PLATFORM_TRAFFIC_H

#include "base/err.h"
#include "base/span.h"

enum {
    TRAFFIC_PERCENT = 100,     /* the sum of all shares */
    TRAFFIC_TARGETS_MAX = 100, /* of one service */
};
#define TRAFFIC_LATEST "LATEST" /* the latest revision that is ready, as gcloud writes it */

struct traffic_target {
    char *revision;   /* its name; NULL: the latest one that is ready */
    char *tag;        /* the host TAG---NAME leads to it alone; NULL: none */
    uint32_t percent; /* of the requests without a tag */
};

/* Zeroed memory: no target. */
struct traffic {
    struct traffic_target *list;
    size_t count;
};

void traffic_finish(struct traffic *traffic); /* accepts zeroed memory */
/* Replaces `to` with a copy. */
void traffic_copy(struct traffic *to, const struct traffic *from);
/* Appends a target. `revision` and `tag` are copied; empty ones are NULL there. */
void traffic_add(struct traffic *traffic, struct span revision, struct span tag, uint32_t percent);
/* The target that has this tag, without regard to case; NULL: none. */
const struct traffic_target *traffic_tagged(const struct traffic *traffic, struct span tag);

/* Sets the shares from "board-00001=90,LATEST=10", and keeps the tags. False with `err` set, and nothing changed: the
 * text is none such, or the shares do not add up to 100. */
bool traffic_shares_set(struct traffic *traffic, struct span text, struct err *err);
/* Sets tags from "canary=board-00002,old=board-00001"; other tags stay. An empty revision removes the tag ("canary=").
 * False with `err` set, and nothing changed. */
bool traffic_tags_set(struct traffic *traffic, struct span text, struct err *err);
/* A tag: lower-case letters, digits and hyphens, begun by a letter, short enough for a host with the name behind it. */
bool traffic_tag_is_valid(struct span tag);

#endif
