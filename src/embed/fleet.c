/* fleet: questions about sockets of all instances, and about the log of a room. Counts of one room that are asked for
 * while one is under way share the next, so that many clients who come at once cost few questions. A client that polls
 * counts by its lease; if it is the one whose handler asks, its rooms are written there first. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/embed_parts.h"
#include "hub/token.h"
#include "wire/json.h"

enum { AGAIN_MS = 50, RECORDED_AGAIN_MS = 10, RECORDED_WITHIN_MS = 2000, HISTORY_MAX = BROKER_READ_LIMIT_MAX };

struct waiting {
    struct list node;
    struct deed_handler done;
    struct subscriber *joining; /* a reference: it is to be recorded first, until then; NULL: none */
    uint64_t until_us;
};

/* A room that is counted. */
struct tally {
    struct list node;
    struct embed_nsp *nsp;
    char *room; /* "": the namespace */
    bool asking;
    struct list asked, next; /* struct waiting: for the answer that comes, and for the one behind it */
};

void embed_answer_parts(struct embed_nsp *nsp, const char *name, struct deed_handler done, struct span args,
                        const struct embed_part *parts, size_t part_count, const char *error)
{
    struct embed_event *event = event_create(nsp->embed, nsp, name);
    event->error = error;
    if (error == NULL)
        event->content = content_of(args);
    if (error == NULL && part_count > 0) {
        event->part_count = part_count;
        event->parts = event_memory(event, part_count * sizeof *parts);
        memcpy(event->parts, parts, part_count * sizeof *parts);
    }
    event_run(event, done);
}

void embed_answer(struct embed_nsp *nsp, const char *name, struct deed_handler done, struct span args,
                  const char *error)
{
    embed_answer_parts(nsp, name, done, args, NULL, 0, error);
}

/* Lets those go that were waited for. Their sessions may be read on at once, and handlers may ask for more counts. */
static void joining_drop(struct list *list)
{
    list_each (node, list) {
        struct waiting *waiting = container_of(node, struct waiting, node);
        struct subscriber *joining = waiting->joining;
        if (joining == NULL)
            continue;
        waiting->joining = NULL;
        subscriber_unref(joining);
        node_next = list->next; /* from the beginning, since the list may be another one */
    }
}

/* Whether it may be asked for: what the one who asks has joined is in its lease. */
static bool is_ready(struct embed *embed, const struct waiting *waiting)
{
    return waiting->joining == NULL || subscriber_is_recorded(waiting->joining) ||
           loop_now_us(embed->loop) >= waiting->until_us;
}

static void waiting_end(struct tally *tally, struct list *waiting, struct span args, const char *error)
{
    struct list *node;
    while ((node = list_take(waiting)) != NULL) {
        struct waiting *one = container_of(node, struct waiting, node);
        struct deed_handler done = one->done;
        free(one);
        embed_answer(tally->nsp, "count", done, args, error);
    }
}

static void tally_destroy(struct tally *tally)
{
    list_remove(&tally->node);
    embed_nsp_drop(tally->nsp);
    free(tally->room);
    free(tally);
}

static void tally_ask(struct tally *tally);

static void counted(void *arg, const struct inquiry_found *found)
{
    struct tally *tally = arg;
    struct embed *embed = tally->nsp->embed;
    struct buf args = {0};
    buf_printf(&args, "[%llu,%s]", (unsigned long long)found->total, !found->incomplete ? "true" : "false");
    tally->asking = false;
    waiting_end(tally, &tally->asked, buf_span(&args), embed->is_open ? NULL : "ended");
    buf_finish(&args);
    if (!embed->is_open) {
        waiting_end(tally, &tally->next, SPAN_LIT(""), "ended");
        tally_destroy(tally);
    } else if (list_empty(&tally->next)) {
        tally_destroy(tally);
    } else if (!tally->asking) {
        tally_ask(tally);
    }
}

static void tally_ask(struct tally *tally)
{
    struct embed *embed = tally->nsp->embed;
    struct span room = span_str(tally->room);
    bool ready = false;
    list_each (node, &tally->next)
        ready |= is_ready(embed, container_of(node, struct waiting, node));
    if (!ready) {
        timer_start(embed->loop, &embed->count_later, LOOP_MS(RECORDED_AGAIN_MS));
        return;
    }
    struct inquiry_question question = {.kind = INQUIRY_COUNT,
                                        .nsp = tally->nsp->config->nsp.name,
                                        .rooms = &room,
                                        .room_count = room.len > 0,
                                        .limit = 1};
    tally->asking = inquiry_ask(embed->server.inquiries, &question, counted, tally);
    if (!tally->asking) { /* too many questions are under way */
        timer_start(embed->loop, &embed->count_later, LOOP_MS(AGAIN_MS));
        return;
    }
    list_each (node, &tally->next) {
        if (!is_ready(embed, container_of(node, struct waiting, node)))
            continue;
        list_remove(node);
        list_append(&tally->asked, node);
    }
    joining_drop(&tally->asked);
}

static void ask_again(struct timer *timer)
{
    struct embed *embed = container_of(timer, struct embed, count_later);
    list_each (node, &embed->counts) {
        struct tally *tally = container_of(node, struct tally, node);
        if (!tally->asking)
            tally_ask(tally);
    }
}

void counts_init(struct embed *embed)
{
    list_init(&embed->counts);
    timer_init(&embed->count_later, ask_again);
}

void counts_close(struct embed *embed)
{
    list_each (node, &embed->counts) {
        struct tally *tally = container_of(node, struct tally, node);
        joining_drop(&tally->next);
    }
}

/* Behind the end of the broker: what was asked is answered. */
void counts_finish(struct embed *embed)
{
    struct list *node;
    if (embed->loop != NULL)
        timer_stop(embed->loop, &embed->count_later);
    while ((node = list_take(&embed->counts)) != NULL) {
        struct tally *tally = container_of(node, struct tally, node);
        waiting_end(tally, &tally->next, SPAN_LIT(""), "ended");
        tally_destroy(tally);
    }
}

bool embed_room_read(const char *room, const char *call, struct span *to)
{
    *to = span_str(room);
    if (room != NULL && (to->len == 0 || to->len >= BROKER_ROOM_BYTES_MAX)) {
        handle_misused(call, "a room's name has 1 to about 1000 bytes");
        return false;
    }
    return true;
}

bool embed_handler_is_there(sennit_handler *done, const char *call)
{
    if (done == NULL)
        handle_misused(call, "there is no handler for the answer");
    return done != NULL;
}

bool sennit_count(sennit_nsp *handle, const char *name, sennit_handler *done, void *data)
{
    struct embed_nsp *nsp = embed_nsp_single(handle, "sennit_count");
    struct tally *tally = NULL;
    struct span room;
    if (nsp == NULL || !embed_handler_is_there(done, "sennit_count") || !embed_room_read(name, "sennit_count", &room))
        return false;
    list_each (node, &nsp->embed->counts) {
        struct tally *at = container_of(node, struct tally, node);
        if (at->nsp == nsp && span_equal(span_str(at->room), room))
            tally = at;
    }
    if (tally == NULL) {
        tally = mem_zero(1, sizeof *tally);
        tally->nsp = embed_nsp_use(nsp);
        tally->room = mem_text(room);
        list_init(&tally->node);
        list_init(&tally->asked);
        list_init(&tally->next);
        list_append(&nsp->embed->counts, &tally->node);
    }
    struct waiting *waiting = mem_zero(1, sizeof *waiting);
    waiting->done = (struct deed_handler){done, data};
    waiting->until_us = loop_now_us(nsp->embed->loop) + LOOP_MS(RECORDED_WITHIN_MS);
    struct subscriber *acting = nsp->embed->acting;
    if (acting != NULL && acting->roams && !subscriber_is_recorded(acting)) {
        waiting->joining = acting;
        acting->refs++;
    }
    list_init(&waiting->node);
    list_append(&tally->next, &waiting->node);
    if (!tally->asking)
        tally_ask(tally);
    return true;
}

struct inquirer *inquirer_create(struct embed_nsp *nsp, struct deed_handler done)
{
    struct inquirer *inquirer = mem_zero(1, sizeof *inquirer);
    *inquirer = (struct inquirer){embed_nsp_use(nsp), done};
    return inquirer;
}

void inquirer_free(struct inquirer *inquirer)
{
    embed_nsp_drop(inquirer->nsp);
    free(inquirer);
}

static void fetched(void *arg, const struct inquiry_found *found)
{
    struct inquirer *inquirer = arg;
    struct buf args = {0};
    buf_append(&args, SPAN_LIT("[["));
    for (size_t i = 0; i < found->count; i++) {
        if (i > 0)
            buf_append_char(&args, ',');
        buf_append(&args, found->items[i].text);
    }
    buf_printf(&args, "],%s]", !found->more && !found->incomplete ? "true" : "false");
    embed_answer(inquirer->nsp, "fetch", inquirer->done, buf_span(&args),
                 !inquirer->nsp->embed->is_open    ? "ended"
                 : !json_is_valid(buf_span(&args)) ? "damaged"
                                                   : NULL);
    buf_finish(&args);
    inquirer_free(inquirer);
}

bool sennit_fetch(sennit_nsp *handle, const char *name, sennit_handler *done, void *data)
{
    struct embed_nsp *nsp = embed_nsp_single(handle, "sennit_fetch");
    struct span room;
    if (nsp == NULL || !embed_handler_is_there(done, "sennit_fetch") || !embed_room_read(name, "sennit_fetch", &room))
        return false;
    struct inquirer *inquirer = inquirer_create(nsp, (struct deed_handler){done, data});
    struct inquiry_question question = {.kind = INQUIRY_SOCKETS,
                                        .nsp = nsp->config->nsp.name,
                                        .rooms = &room,
                                        .room_count = room.len > 0,
                                        .limit = INQUIRY_LIMIT_MAX};
    if (inquiry_ask(nsp->embed->server.inquiries, &question, fetched, inquirer))
        return true;
    handle_misused("sennit_fetch", "16 questions to the fleet are under way: ask later");
    inquirer_free(inquirer);
    return false;
}

static void entries_append(struct buf *args, const struct hub *hub, const struct broker_page *page)
{
    bool any = false;
    for (size_t i = 0; i < page->count; i++) {
        const struct broker_entry *entry = &page->entries[i];
        struct content content;
        struct token token;
        if (entry->audience.len != 0 || !content_decode_text(entry->body, &content) || content.count > 0 ||
            !json_is_valid(content.args))
            continue;
        hub_token(hub, entry->seq, &token);
        buf_append(args, any ? SPAN_LIT(",{\"at\":\"") : SPAN_LIT("{\"at\":\""));
        token_encode(args, &token);
        buf_printf(args, "\",\"time\":%lld,\"args\":", (long long)entry->time_ms);
        buf_append(args, content.args);
        buf_append_char(args, '}');
        any = true;
    }
}

static void read_done(void *arg, enum broker_result result, const struct broker_page *page)
{
    struct inquirer *inquirer = arg;
    struct embed *embed = inquirer->nsp->embed;
    struct buf args = {0};
    bool good = result == BROKER_OK && embed->is_open;
    buf_append(&args, SPAN_LIT("[["));
    if (good) {
        entries_append(&args, embed->server.hub, page);
        buf_append(&args, page->more ? SPAN_LIT("],true]") : SPAN_LIT("],false]"));
    }
    embed_answer(inquirer->nsp, "history", inquirer->done, buf_span(&args),
                 good             ? NULL
                 : embed->is_open ? "lost"
                                  : "ended");
    buf_finish(&args);
    inquirer_free(inquirer);
}

bool sennit_history(sennit_nsp *handle, const char *name, unsigned limit, const char *before, sennit_handler *done,
                    void *data)
{
    struct embed_nsp *nsp = embed_nsp_single(handle, "sennit_history");
    struct token token = {0};
    struct buf full = {0};
    struct span room;
    if (nsp == NULL || !embed_handler_is_there(done, "sennit_history") ||
        !embed_room_read(name, "sennit_history", &room))
        return false;
    if (limit == 0 || limit > HISTORY_MAX || (before != NULL && !token_decode(span_str(before), &token))) {
        handle_misused("sennit_history",
                       "the limit is from 1 to 1000, and the position is an `at` of an earlier answer");
        return false;
    }
    struct inquirer *inquirer = inquirer_create(nsp, (struct deed_handler){done, data});
    struct broker_range range = {.epoch = span_of(token.epoch, token.epoch_len),
                                 .seq = before != NULL ? token.seq : UINT64_MAX,
                                 .back = true,
                                 .limit = limit};
    subscriber_room_name(&full, &nsp->config->nsp, room);
    broker_read(hub_broker(nsp->embed->server.hub), buf_span(&full), &range, read_done, inquirer);
    buf_finish(&full);
    return true;
}
