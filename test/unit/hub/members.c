/* members: see members.h. Each model notes what it is told. */
#include "members.h"

#include <stdio.h>
#include <stdlib.h>

struct loop *loop;
struct script_broker script;
struct hub *hub;

static struct model *of(struct member *member)
{
    return container_of(member, struct model, member);
}

static void on_ready(struct member *member, bool whole)
{
    of(member)->ready = true;
    of(member)->whole = whole;
}

/* The client brings a token back as it got it, and must be understood. */
static void check_readable(const struct token *token)
{
    struct buf text = {0};
    struct token again;
    token_encode(&text, token);
    assert_true(token_decode(buf_span(&text), &again));
    buf_finish(&text);
}

static void on_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct model *model = of(member);
    check_readable(token);
    if (shared)
        assert_true(entry->token_seq == token->seq && token->late_count == 0);
    if (entry->seq == 0) {
        model->not_logged++;
    } else {
        assert_true(model->got_count < GOT_MAX);
        model->got[model->got_count] = entry->seq;
        model->told[model->got_count++] = *token;
    }
    model->token = *token;
    model->has_token = true;
}

static void on_settled(struct member *member)
{
    of(member)->settled = true;
}

static void on_lost(struct member *member)
{
    of(member)->lost = true;
}

static bool on_has_room(struct member *member)
{
    return !of(member)->full;
}

const struct member_events model_events = {on_ready, on_deliver, on_settled, on_lost, on_has_room, NULL};

int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    script_init(&script);
    hub = hub_create(loop, &script.broker);
    hub_members_set(hub, &model_events);
    map_init(&hub->rooms, (uint64_t[2]){1, 2}); /* the order of walks is part of a seed */
    script_up(&script);
    return 0;
}

int tear_down(void **state)
{
    /* A test that failed left its members behind. */
    for (struct map_node *node = map_next(&hub->rooms, NULL); node != NULL; node = map_next(&hub->rooms, node)) {
        const struct room *room = container_of(node, struct room, node);
        while (room->member_count > 0)
            member_finish(room->members[0]->member);
    }
    hub_destroy(hub);
    while (script_read_step(&script))
        ;
    loop_destroy(loop);
    return 0;
}

struct model *model_create(const char *sid)
{
    struct model *model = calloc(1, sizeof *model);
    snprintf(model->sid, sizeof model->sid, "%s", sid);
    member_init(&model->member, hub, span_str(model->sid));
    return model;
}

void model_destroy(struct model *model)
{
    if (model == NULL)
        return;
    member_finish(&model->member);
    free(model);
}

struct model *joined(const char *sid, const char *rooms, enum start_mode mode, uint64_t argument)
{
    struct model *model = model_create(sid);
    for (; *rooms != '\0'; rooms++)
        member_join(&model->member, span_of(rooms, 1), mode, argument);
    member_joined(&model->member);
    return model;
}

void start(struct model *model)
{
    member_note(&model->member);
    member_start(&model->member);
}

struct model *joined_and_started(const char *sid, const char *rooms, enum start_mode mode, uint64_t argument)
{
    struct model *model = joined(sid, rooms, mode, argument);
    script_run(&script);
    start(model);
    script_run(&script);
    return model;
}

void expect_got(const struct model *model, size_t count, const uint64_t *seqs)
{
    assert_int_equal(model->got_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(model->got[i], seqs[i]);
}
