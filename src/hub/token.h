/* token: a position as clients carry it: one short opaque string.
 *
 *     1<epoch>.<seq>                        everything up to seq was sent
 *     1<epoch>.<seq>[.<key>.<position>]...  but of these stretches of rooms only what lies up to that position
 *
 * Numbers are in base 36. The first character is the version; 1 and 2 mean the same, so that a position can be spelled
 * in two ways (see member.stale_version). The second form is needed while a room whose log is replayed on joining, or
 * repaired, lies behind what the socket has been sent of other rooms: one number cannot say both. */
#ifndef SENNIT_HUB_TOKEN_H
#define SENNIT_HUB_TOKEN_H

#include "base/buf.h"
#include "broker/broker.h"

enum { TOKEN_LATE_MAX = 80, TOKEN_BYTES_MAX = 2048 };

struct token {
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    char version;       /* '1' or '2' */
    uint8_t late_count; /* 0: the first form */
    uint64_t seq;
    struct {
        uint32_t key; /* token_key */
        uint64_t position;
    } late[TOKEN_LATE_MAX];
};

void token_encode(struct buf *to, const struct token *token);
/* False for anything that is not a token of ours. */
bool token_decode(struct span text, struct token *token);
/* Of a stretch of a room's log: the room, and the position of the join, which no other stretch of it has. FNV-1a. */
uint32_t token_key(struct span room, uint64_t since);
/* Names a stretch; false when there are too many. */
bool token_add_late(struct token *token, uint32_t key, uint64_t position);
/* How far the client has come in a stretch that began at `start`, joined at `since` when the client had been told
 * `joined_at`: a token that does not lie behind that, and does not name the stretch, is older than it. */
uint64_t token_position(const struct token *token, struct span room, uint64_t since, uint64_t start,
                        uint64_t joined_at);

#endif
