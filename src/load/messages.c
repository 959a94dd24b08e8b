/* messages: the table of published messages, grown by whole pieces. */
#include "load/messages.h"

#include <stdlib.h>

#include "base/mem.h"

void messages_finish(struct messages *messages)
{
    for (uint32_t i = 0; i < messages->piece_count; i++)
        free(messages->pieces[i]);
    free(messages->pieces);
    *messages = (struct messages){0};
}

uint32_t messages_add(struct messages *messages, uint32_t publisher, uint32_t room, uint32_t number, uint64_t sent_us)
{
    uint32_t index = messages->count++;
    if (index / MESSAGES_PIECE == messages->piece_count) {
        messages->pieces = mem_resize(messages->pieces, (messages->piece_count + 1) * sizeof *messages->pieces);
        messages->pieces[messages->piece_count++] = mem_alloc(MESSAGES_PIECE * sizeof(struct message));
    }
    *messages_at(messages, index) = (struct message){
        .sent_us = sent_us,
        .publisher = publisher,
        .room = room,
        .number = number,
        .place = MESSAGE_NONE,
        .edges = MESSAGE_NONE,
    };
    return index;
}
