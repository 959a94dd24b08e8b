/* present: presence for programs: the data under which a socket is present, who is present in a room of the fleet, and
 * who comes and goes. The broker's list comes in pages, in which a socket may come twice. Changes come from deep
 * inside: they are noted, and the handlers are told at the end of the turn. */
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

/* Somebody has come or gone. */
struct change {
    struct list node;
    struct embed_nsp *nsp;
    struct buf args;
    bool entered;
};

static void change_free(struct change *change)
{
    embed_nsp_drop(change->nsp);
    buf_finish(&change->args);
    free(change);
}

static void changes_tell(struct task *task)
{
    struct embed *embed = container_of(task, struct embed, tell_changes);
    struct list *node;
    while ((node = list_take(&embed->changes)) != NULL) {
        struct change *change = container_of(node, struct change, node);
        struct embed_event *event = event_create(embed, change->nsp, change->entered ? "enter" : "leave");
        event->content = content_of(buf_span(&change->args));
        event_run(event, change->nsp->like->presence);
        change_free(change);
    }
}

void changes_init(struct embed *embed)
{
    list_init(&embed->changes);
    task_init(&embed->tell_changes, changes_tell);
}

void changes_finish(struct embed *embed)
{
    struct list *node;
    task_cancel(&embed->tell_changes);
    while ((node = list_take(&embed->changes)) != NULL)
        change_free(container_of(node, struct change, node));
}

/* The namespace of a room, and the room's name in it: empty for the namespace itself. */
static struct embed_nsp *room_split(struct embed *embed, struct span *room)
{
    ptrdiff_t comma = span_find(*room, ',');
    struct span name = comma >= 0 ? span_sub(*room, 0, (size_t)comma) : *room;
    struct relay_nsp *config = relay_nsp_configured(&embed->server.config.relay, name);
    *room = comma >= 0 ? span_from(*room, (size_t)comma + 1) : SPAN_LIT("");
    return config != NULL ? embed_nsp_of(embed, &config->nsp) : NULL;
}

void embed_presence_changed(struct session_app *app, struct span room, const struct broker_present *who, bool entered,
                            uint64_t count)
{
    struct embed *embed = embed_of(app);
    struct embed_nsp *nsp = room_split(embed, &room);
    if (!embed->is_open || nsp == NULL || nsp->like->presence.call == NULL || !json_is_valid(who->data))
        return;
    struct change *change = mem_zero(1, sizeof *change);
    change->nsp = embed_nsp_use(nsp);
    change->entered = entered;
    buf_append(&change->args, room.len > 0 ? SPAN_LIT("[\"") : SPAN_LIT("[null"));
    buf_append_json(&change->args, room);
    buf_append(&change->args, room.len > 0 ? SPAN_LIT("\",\"") : SPAN_LIT(",\""));
    buf_append_json(&change->args, who->sid);
    buf_append(&change->args, SPAN_LIT("\","));
    buf_append(&change->args, who->data);
    buf_printf(&change->args, ",%llu]", (unsigned long long)count);
    list_init(&change->node);
    list_append(&embed->changes, &change->node);
    loop_at_flush(embed->loop, &embed->tell_changes);
}

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
    embed_nsp_drop(listing->nsp);
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
    struct embed_nsp *nsp = embed_nsp_single(handle, "sennit_present");
    struct span room;
    if (nsp == NULL || !embed_handler_is_there(done, "sennit_present") ||
        !embed_room_read(name, "sennit_present", &room))
        return false;
    struct listing *listing = mem_zero(1, sizeof *listing);
    listing->nsp = embed_nsp_use(nsp);
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
