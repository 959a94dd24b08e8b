/* token: a position as clients carry it: one short opaque string.
 *
 *     1<epoch>.<seq>                         everything up to seq was sent
 *     1<epoch>.<seq>[.<room>.<position>]...  but of these rooms (hashes) only what lies up to that position
 *
 * Numbers are in base 36. The first character is the version; 1 and 2 mean the same, so that a position can be spelled
 * in two ways (see member.stale). The second form is needed while a room that was joined or repaired late is replayed
 * to a socket which has been sent newer entries of other rooms: one number cannot say both. */
#ifndef SENNIT_HUB_TOKEN_H
#define SENNIT_HUB_TOKEN_H

#include "base/buf.h"
#include "broker/broker.h"

enum { TOKEN_LATE_ROOMS_MAX = 8 };

struct token {
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    char version;       /* '1' or '2' */
    uint8_t late_count; /* 0: the first form */
    uint64_t seq;
    struct {
        uint32_t room; /* token_room_hash */
        uint64_t position;
    } late[TOKEN_LATE_ROOMS_MAX];
};

void token_encode(struct buf *to, const struct token *token);
/* False for anything that is not a token of ours. */
bool token_decode(struct span text, struct token *token);
/* FNV-1a, 32 bits. */
uint32_t token_room_hash(struct span room);
/* How far the client has come in a room whose membership began at `start` when the client had been told `joined_at`: a
 * token that does not lie behind that, and does not name the room, is older than the membership. */
uint64_t token_position(const struct token *token, struct span room, uint64_t start, uint64_t joined_at);

#endif
