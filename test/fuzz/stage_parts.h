/* stage_parts: declarations that the files of the stage share. */
#ifndef SENNIT_FUZZ_STAGE_PARTS_H
#define SENNIT_FUZZ_STAGE_PARTS_H

#include "fuzz/stage.h"
#include "serve/serve.h"
#include "sim/fake_redis.h"
#include "sim/sim.h"
#include "wire/ws.h"

enum {
    STAGE_CLIENTS = 4,
    STAGE_PORT = 8000,
    STAGE_REDIS_PORT = 6379,
    STAGE_STEPS_MAX = 400,
    STAGE_TOKEN_BYTES = 256,
    /* Of Redis, in the minute of peace. Where another program has put a text in the place of `state`, the instance
     * comes back some forty times in that minute, and loads 140 KB of scripts each time. */
    STAGE_ASKED_BYTES_MAX = 8 << 20,
    STAGE_MEMORY_BYTES_MAX = 96 << 20, /* above the memory at its start */
};

struct stage_client {
    struct stage *stage;
    struct sim_end *end; /* NULL: not connected */
    struct buf in;
    struct ws_decoder decoder;
    bool upgraded, held;
    uint32_t awaited; /* attachments of the last packet that have not come yet */
    unsigned asked;   /* namespaces, as bits, that it asked for on this connection */
    char sid[ENGINEIO_SID_BYTES], pid[ENGINEIO_SID_BYTES];
    char token[STAGE_TOKEN_BYTES];
    size_t token_len;
};

struct stage {
    struct sim *sim;
    struct loop *loop;
    struct server server;
    int config_fd;
    struct stage_client clients[STAGE_CLIENTS];
    struct fake_redis *redis; /* NULL: the memory broker */
    struct list streams;      /* of the instance to Redis */
    struct fake_redis_client *neighbour;
    struct buf large; /* a frame of a large message, made once */
    size_t memory_before;
    bool resting;       /* everything is well: the instance has no reason to ask much */
    size_t asked_bytes; /* of Redis, since then */
};

/* Takes a byte, or a byte that says how many follow and those, from the input; 0 and nothing at its end. */
unsigned stage_byte_next(struct span *rest);
struct span stage_bytes_next(struct span *rest);
/* Lets time pass. */
void stage_pass(struct stage *stage, uint64_t us);
/* A packet that a client may send, for stage_fill; the byte 7 in front of it stands for a binary one. */
const char *stage_packet(unsigned number);
/* A client says it. */
void stage_say(struct stage_client *client, struct span text);

/* A namespace as a bit; 0: none of ours. */
unsigned stage_nsp(struct span name);

void stage_client_open(struct stage_client *client);
void stage_client_close(struct stage_client *client, bool reset);
void stage_client_hold(struct stage_client *client, bool held);
/* Bytes, a text message or a binary one, if it is connected. */
void stage_client_send(struct stage_client *client, struct span bytes);
void stage_client_text(struct stage_client *client, struct span text);
void stage_client_binary(struct stage_client *client, struct span bytes);

/* Appends `text`, with bytes 1 to 5 replaced by what cannot be guessed: the client's sid, another's sid and pid, its
 * token, the epoch. */
void stage_fill(struct buf *to, const struct stage_client *client, struct span text);

void stage_redis_start(struct stage *stage);
void stage_redis_finish(struct stage *stage);
/* A command of another program: words, the last one being `last` if that is not empty. */
void stage_redis_command(struct stage *stage, struct span words, struct span last);
void stage_redis_cut(struct stage *stage);

void stage_check(struct stage *stage);
/* In peace. */
void stage_check_quiet(struct stage *stage);
size_t stage_memory(void);

#endif
