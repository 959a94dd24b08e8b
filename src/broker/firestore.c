/* firestore: makes the broker and ends it; the state of its link as the hub sees it. */
#include "broker/firestore.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore_parts.h"
#include "broker/firestore_url.h"

static void tell_up(struct memory *memory, struct notice *notice)
{
    struct firestore *fs = container_of(memory, struct firestore, memory);
    struct span epoch = firestore_epoch(fs), former = span_str(fs->former_epoch);
    bool is_another = former.len > 0 && !span_equal(former, epoch);
    char before[sizeof fs->former_epoch];
    memcpy(before, fs->former_epoch, sizeof before);
    snprintf(fs->former_epoch, sizeof fs->former_epoch, SPAN_FMT, SPAN_ARG(epoch));
    if (!memory->broker.is_up)
        return; /* not any more */
    broker_went_up(&memory->broker, epoch, is_another ? span_str(before) : SPAN_LIT(""), 0);
}

void firestore_went_up(struct firestore *fs)
{
    fs->memory.broker.is_up = true;
    fs->complained = false;
    memory_notice(&fs->memory, tell_up);
}

void firestore_went_down(struct firestore *fs)
{
    struct memory *memory = &fs->memory;
    struct map_node *node = NULL;
    memory_tell_all(memory);
    bool was_up = memory->broker.is_up;
    memory->broker.is_up = false;
    memory_tell_all(memory);
    timer_stop(fs->loop, &fs->patience);
    fs->shared.self = UINT64_MAX;
    while ((node = map_next(&memory->channels, node)) != NULL) {
        struct channel *channel = container_of(node, struct channel, by_room);
        channel->wanted = channel->subscribed = false;
    }
    if (was_up && !fs->destroying)
        memory->broker.events->down(memory->broker.hub);
    firestore_call_down(fs);
}

void firestore_trouble(struct firestore *fs, const char *why)
{
    broker_trouble_set(&fs->memory.broker, &fs->trouble_text, why);
}

void firestore_unusable(struct firestore *fs, const char *why)
{
    if (fs->unusable)
        return;
    log_event(LOG_ERROR, "Firestore cannot be used", LOG_C("why", why));
    fs->unusable = true;
    firestore_trouble(fs, why);
    grpc_link_close(&fs->link, CLOSE_BROKER_INVALID);
    if (!fs->proven)
        broker_went_unusable(&fs->memory.broker, why);
}

/* Without a link nobody knows whether the replica is at its end; the answer comes as it would from a server. */
static void lost_unless_up(struct broker *broker)
{
    struct memory *memory = memory_of(broker);
    if (!broker->is_up)
        container_of(memory->queue.prev, struct notice, queued)->result = BROKER_LOST;
}

static struct firestore_question *question_create(struct span room, void *arg)
{
    struct firestore_question *question = mem_zero(1, sizeof *question + room.len);
    question->arg = arg;
    question->room_len = room.len;
    if (room.len > 0)
        memcpy(question->room, room.data, room.len);
    return question;
}

void firestore_question_answer(struct firestore *fs, struct firestore_question *question)
{
    question->ask(&fs->memory.broker, question);
    lost_unless_up(&fs->memory.broker);
    free(question);
}

static void ask_read(struct broker *broker, const struct firestore_question *question)
{
    memory_read(broker, span_of(question->room, question->room_len), &question->range, question->call.read,
                question->arg);
}

static void read_range(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                       void *arg)
{
    struct firestore_question *question = question_create(room, arg);
    struct span epoch = span_sub(range->epoch, 0, sizeof question->epoch);
    question->ask = ask_read;
    question->is_current = true;
    question->call.read = done;
    question->range = *range;
    if (epoch.len > 0)
        memcpy(question->epoch, epoch.data, epoch.len);
    question->range.epoch = span_of(question->epoch, epoch.len);
    firestore_ask(firestore_of(broker), question);
}

static void ask_list(struct broker *broker, const struct firestore_question *question)
{
    memory_present_list(broker, span_of(question->room, question->room_len), question->cursor, question->limit,
                        question->call.presence, question->arg);
}

static void present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                         broker_presence_fn *done, void *arg)
{
    struct firestore_question *question = question_create(room, arg);
    question->ask = ask_list;
    question->is_current = true;
    question->call.presence = done;
    question->cursor = cursor;
    question->limit = limit;
    firestore_ask(firestore_of(broker), question);
}

static void tell_stats(struct memory *memory, struct notice *notice)
{
    struct firestore *fs = container_of(memory, struct firestore, memory);
    struct broker_stats figures = {.memory_bytes = memory->log_bytes, .instances = firestore_lives_count(fs)};
    notice->call.stats(notice->arg, notice->result, notice->result == BROKER_OK ? &figures : NULL);
}

static void ask_stats(struct broker *broker, const struct firestore_question *question)
{
    struct notice *notice = memory_notice(memory_of(broker), tell_stats);
    notice->call.stats = question->call.stats;
    notice->arg = question->arg;
}

static void stats(struct broker *broker, broker_stats_fn *done, void *arg)
{
    struct firestore_question *question = question_create(SPAN_LIT(""), arg);
    question->ask = ask_stats;
    question->call.stats = done;
    firestore_ask(firestore_of(broker), question);
}

static void destroy(struct broker *broker)
{
    struct firestore *fs = firestore_of(broker);
    fs->destroying = true;
    firestore_link_finish(fs);
    firestore_saved_finish(fs);
    fs->memory.broker.is_up = false;
    firestore_call_finish(fs);
    memory_finish(&fs->memory);
    firestore_feed_finish(fs);
    firestore_lives_finish(fs);
    tls_client_destroy(fs->tls);
    char *const texts[] = {fs->host, fs->authority, fs->database, fs->root, fs->turn, fs->instance, fs->trouble_text};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(fs);
}

static const struct broker_ops ops = {
    .publish = firestore_publish,
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .read = read_range,
    .lease_write = firestore_lease_write,
    .lease_claim = firestore_lease_claim,
    .lease_release = firestore_lease_release,
    .lease_take = firestore_lease_take,
    .lease_lapsed = firestore_lease_lapsed,
    .lease_end = firestore_lease_end,
    .present_enter = firestore_present_enter,
    .present_leave = firestore_present_leave,
    .present_list = present_list,
    .stats = stats,
    .probe = firestore_probe,
    .destroy = destroy,
};

static bool place_set(struct firestore *fs, const struct broker_firestore_config *config, struct err *err)
{
    struct firestore_url url;
    bool emulator = config->emulator_host != NULL && config->emulator_host[0] != '\0';
    const char *key_file = config->key_file != NULL && config->key_file[0] != '\0' ? config->key_file : NULL;
    if (!firestore_url_parse(&url, config->url, emulator ? config->emulator_host : NULL, err))
        return false;
    fs->host = url.host;
    fs->port = url.port;
    fs->authority = mem_printf("%s:%u", url.host, url.port);
    fs->database = mem_printf("projects/%s/databases/%s", url.project, url.database);
    fs->root = mem_printf("%s/documents/%s/broker", fs->database, config->prefix);
    fs->turn = emulator ? mem_printf("%s/turn/last", fs->root) : NULL;
    free(url.project);
    free(url.database);
    if (!emulator) {
        const struct tls_client_options tls = {.name = fs->host, .http2 = true};
        fs->tls = tls_client_create(&tls, err);
        if (fs->tls == NULL)
            return false;
    }
    fs->token = fs_token_create(fs->net, emulator, key_file, config->metadata_host, err);
    return fs->token != NULL;
}

struct broker *broker_firestore_create(struct net *net, const struct broker_firestore_config *config, struct err *err)
{
    struct firestore *fs = mem_zero(1, sizeof *fs);
    struct broker_bounds bounds = config->bounds;
    if (bounds.store_bytes_max == 0)
        bounds.store_bytes_max = FIRESTORE_STORE_BYTES;
    fs->net = net;
    fs->loop = net->loop;
    fs->shared = (struct memory_shared){.self = UINT64_MAX};
    fs->instance = mem_text(span_str(config->instance));
    loop_random_hex(fs->loop, fs->publisher, 16);
    list_init(&fs->lives);
    memory_init(&fs->memory, fs->loop, &bounds, &fs->shared);
    fs->memory.broker.ops = &ops;
    fs->memory.broker.mail = &firestore_mail_ops;
    firestore_link_init(fs);
    firestore_feed_init(fs);
    firestore_saved_init(fs);
    firestore_call_init(fs);
    if (!place_set(fs, config, err)) {
        broker_destroy(&fs->memory.broker);
        return NULL;
    }
    firestore_link_start(fs);
    return &fs->memory.broker;
}
