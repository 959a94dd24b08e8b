/* check_story: the world, the leases of its clients, and a function for each event. See check_story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check_story.h"

struct story story;

static uint64_t oldest(void *arg, struct span room)
{
    return story.oldest;
}

static const char *epoch(void)
{
    return story.check.truths.epochs[story.check.truths.epoch].name;
}

void story_wait(uint64_t us)
{
    sim_run(story.sim, sim_now_us(story.sim) + us, NULL, NULL);
}

static void names(int client, char pid[8], char sid[8])
{
    snprintf(pid, 8, "pid%d", client);
    snprintf(sid, 8, "sid%d", client);
}

void story_lease(int client, uint64_t start, uint64_t since, const char *more)
{
    char pid[8], sid[8], rooms[256];
    names(client, pid, sid);
    snprintf(rooms, sizeof rooms, "0 0 0 - 0 0 1 /0 0 - 0 0 7 @/,%s%llu %llu - 0 0 7 /,room1%s", sid,
             (unsigned long long)start, (unsigned long long)since, more);
    check_lease_written(&story.check, span_str(pid), span_str(sid), span_str(rooms));
}

void story_connect(int client, bool came_back, bool recovered)
{
    char pid[8], sid[8];
    names(client, pid, sid);
    struct check_connect connect = {.sid = span_str(sid),
                                    .pid = span_str(pid),
                                    .recovered = recovered,
                                    .came_back = came_back,
                                    .asked = {.us = sim_now_us(story.sim)}};
    check_connected(&story.check, &story.witnesses[client], &connect);
}

void story_begin(const struct check_rules *rules)
{
    story = (struct story){.sim = sim_create(1)};
    check_init(&story.check, story.sim, rules);
    story.check.truths.oldest = oldest;
    check_opened(&story.check, SPAN_LIT("e1"), 0);
    for (int i = 0; i < STORY_CLIENTS; i++) {
        story.witnesses[i].number = i;
        snprintf(story.witnesses[i].name, sizeof story.witnesses[i].name, "client %d", i);
        story_lease(i, 0, 0, "");
        story_connect(i, false, false);
    }
    story_wait(1000);
    story_is_well();
}

void story_end(void)
{
    for (int i = 0; i < STORY_CLIENTS; i++)
        witness_finish(&story.witnesses[i]);
    check_finish(&story.check);
    sim_destroy(story.sim);
}

int story_set_up(void **state)
{
    story_begin(&(struct check_rules){.name_life_us = LOOP_S(3600)});
    return 0;
}

int story_tear_down(void **state)
{
    story_end();
    return 0;
}

uint32_t story_send(int room)
{
    return check_message_create(&story.check,
                                &(struct message){.rooms = (uint16_t)(1 << room), .sender = 1, .logged = true});
}

uint64_t story_accept(uint32_t message, const char *audience)
{
    int log = 0;
    while (story.check.truths.messages[message].rooms >> log != 1)
        log++;
    struct pushed pushed = {.log = log,
                            .epoch = span_str(epoch()),
                            .audience = span_str(audience),
                            .seq = ++story.seq,
                            .prev = story.last[log],
                            .time_ms = 1000 + story.seq,
                            .message = message};
    story.last[log] = story.seq;
    check_pushed(&story.check, &pushed);
    story_wait(10);
    return story.seq;
}

uint32_t story_say(int room)
{
    uint32_t message = story_send(room);
    story_accept(message, "");
    story_is_well();
    return message;
}

void story_show(uint32_t message, uint64_t token_seq)
{
    char token[32];
    assert_true(token_seq < 10); /* base 36, and this is not */
    snprintf(token, sizeof token, "1%s.%llu", epoch(), (unsigned long long)token_seq);
    check_shown(&story.check, &story.witnesses[0], message, span_str(token));
}

void story_fails(const char *words)
{
    if (story.check.failure == NULL)
        fail_msg("nothing is wrong; expected: %s", words);
    if (strstr(story.check.failure, words) == NULL)
        fail_msg("%s; expected: %s", story.check.failure, words);
}

void story_is_well(void)
{
    if (story.check.failure != NULL)
        fail_msg("%s", story.check.failure);
}
