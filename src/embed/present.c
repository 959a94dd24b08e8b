/* present: presence for programs: the data under which a socket is present, and who is present in a room of the fleet.
 * The broker's list comes in pages, in which a socket may come twice. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"
#include "wire/json.h"

struct listed {
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
};

struct listing {
    struct embed_nsp *nsp;
    struct deed_handler done;
    struct map listed;
    struct buf room, args;
    uint64_t count;
};

static void member_add(struct listing *listing, const struct broker_present *who)
{
    if (who->sid.len != ENGINEIO_SID_BYTES || map_find(&listing->listed, who->sid) != NULL)
        return;
    struct listed *listed = mem_zero(1, sizeof *listed);
    memcpy(listed->sid, who->sid.data, sizeof listed->sid);
    map_add(&listing->listed, &listed->by_sid, span_of(listed->sid, sizeof listed->sid));
    buf_append(&listing->args, listing->listed.count > 1 ? SPAN_LIT(",{\"id\":\"") : SPAN_LIT("{\"id\":\""));
    buf_append_json(&listing->args, who->sid);
    buf_append(&listing->args, SPAN_LIT("\",\"data\":"));
    buf_append(&listing->args, who->data.len > 0 ? who->data : SPAN_LIT("null"));
    buf_append_char(&listing->args, '}');
}

static void listing_end(struct listing *listing, const char *error)
{
    struct map_node *node;
    buf_printf(&listing->args, "],%llu,%s]", (unsigned long long)listing->count,
               listing->listed.count >= listing->count ? "true" : "false");
    if (error == NULL && !json_is_valid(buf_span(&listing->args)))
        error = "damaged";
    embed_answer(listing->nsp, "present", listing->done, buf_span(&listing->args), error);
    while ((node = map_next(&listing->listed, NULL)) != NULL) {
        map_remove(&listing->listed, node);
        free(container_of(node, struct listed, by_sid));
    }
    map_finish(&listing->listed);
    buf_finish(&listing->room);
    buf_finish(&listing->args);
    free(listing);
}

static void page_ask(struct listing *listing, uint64_t cursor);

static void page_came(void *arg, enum broker_result result, const struct broker_presence *presence)
{
    struct listing *listing = arg;
    bool is_open = listing->nsp->embed->is_open;
    if (result != BROKER_OK || !is_open) {
        listing_end(listing, is_open ? "lost" : "ended");
        return;
    }
    listing->count = presence->count;
    for (size_t i = 0; i < presence->member_count && listing->listed.count < SENNIT_PRESENT_MAX; i++)
        member_add(listing, &presence->members[i]);
    if (presence->cursor != 0 && listing->listed.count < SENNIT_PRESENT_MAX)
        page_ask(listing, presence->cursor);
    else
        listing_end(listing, NULL);
}

static void page_ask(struct listing *listing, uint64_t cursor)
{
    broker_present_list(hub_broker(listing->nsp->embed->server.hub), buf_span(&listing->room), cursor,
                        BROKER_PRESENT_LIMIT_MAX, page_came, listing);
}

bool sennit_present(sennit_nsp *handle, const char *name, sennit_handler *done, void *data)
{
    struct embed_nsp *nsp = embed_nsp_find(handle, "sennit_present");
    struct span room;
    if (nsp == NULL || !embed_handler_is_there(done, "sennit_present") ||
        !embed_room_read(name, "sennit_present", &room))
        return false;
    struct listing *listing = mem_zero(1, sizeof *listing);
    listing->nsp = nsp;
    listing->done = (struct deed_handler){done, data};
    map_init(&listing->listed, nsp->embed->server.config.relay.namespaces.seed);
    subscriber_room_name(&listing->room, &nsp->config->nsp, room);
    buf_append(&listing->args, SPAN_LIT("[["));
    page_ask(listing, 0);
    return true;
}

bool sennit_present_as(sennit_event *handle, const char *data)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_present_as");
    struct span text = span_str(data);
    if (event == NULL)
        return false;
    if (event->admission == NULL || !json_is_valid(text) || text.len > BROKER_DATA_BYTES_MAX) {
        handle_misused("sennit_present_as", event->admission == NULL
                                                ? "the event is not of a connecting handler that runs"
                                                : "presence data are JSON of 1024 bytes at most");
        return false;
    }
    free(event->admission->presence_data);
    event->admission->presence_data = mem_text(text);
    return true;
}
