/* token: a position as clients carry it, one short opaque string.
 *
 *     1<epoch>.<seq>                        every entry up to seq was sent
 *     1<epoch>.<seq>[.<key>.<position>]...  but of these stretches of rooms only the entries up to that position
 *
 * Numbers are in base 36. The first character is the version; 1 and 2 mean the same, so that a position has two
 * spellings (see member_marks.stale_version). The second form serves a room whose log is being replayed on joining, or
 * repaired: it is behind the socket's other rooms, and one number cannot express both positions. */
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
/* False if `text` is not a token of ours. */
bool token_decode(struct span text, struct token *token);
/* The key of a stretch: FNV-1a of the room and the position of the join, which no other stretch of the room has. */
uint32_t token_key(struct span room, uint64_t since);
/* Adds a stretch with its own position; false if there are TOKEN_LATE_MAX already. */
bool token_add_late(struct token *token, uint32_t key, uint64_t position);
/* How far the client has come in a stretch that starts at `start`, was joined at `since`, and was first recorded when
 * the client's position was `joined_at`. A token that is not above `joined_at` and does not name the stretch is older
 * than the stretch: the client has received nothing of it. */
uint64_t token_position(const struct token *token, struct span room, uint64_t since, uint64_t start,
                        uint64_t joined_at);

#endif
