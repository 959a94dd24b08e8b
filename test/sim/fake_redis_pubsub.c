/* fake_redis_pubsub: channels and their subscribers, in the order of subscription. */
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_parts.h"

struct channel {
    struct map_node by_name;
    struct list subscriptions; /* of_channel */
    char name[];
};

struct subscription {
    struct list of_client, of_channel;
    struct fake_redis_client *client;
    struct channel *channel;
};

static struct channel *channel_find(const struct fake_redis *redis, struct span name)
{
    struct map_node *node = map_find(&redis->channels, name);
    return node != NULL ? container_of(node, struct channel, by_name) : NULL;
}

static struct subscription *subscription_find(const struct fake_redis_client *client, struct span name)
{
    list_each (node, (struct list *)&client->subscriptions) {
        struct subscription *subscription = container_of(node, struct subscription, of_client);
        if (span_equal(subscription->channel->by_name.key, name))
            return subscription;
    }
    return NULL;
}

static void subscription_destroy(struct subscription *subscription)
{
    struct channel *channel = subscription->channel;
    struct fake_redis_client *client = subscription->client;
    list_remove(&subscription->of_client);
    list_remove(&subscription->of_channel);
    client->subscription_count--;
    free(subscription);
    if (!list_empty(&channel->subscriptions))
        return;
    map_remove(&client->redis->channels, &channel->by_name);
    free(channel);
}

void fake_subscriptions_drop(struct fake_redis_client *client)
{
    list_each (node, &client->subscriptions) {
        subscription_destroy(container_of(node, struct subscription, of_client));
    }
}

static void subscription_create(struct fake_redis_client *client, struct span name)
{
    struct channel *channel = channel_find(client->redis, name);
    if (channel == NULL) {
        channel = mem_zero(1, sizeof *channel + name.len + 1);
        memcpy(channel->name, name.len != 0 ? name.data : "", name.len);
        list_init(&channel->subscriptions);
        map_add(&client->redis->channels, &channel->by_name, span_of(channel->name, name.len));
    }
    struct subscription *subscription = mem_zero(1, sizeof *subscription);
    subscription->client = client;
    subscription->channel = channel;
    list_init(&subscription->of_client);
    list_append(&client->subscriptions, &subscription->of_client);
    list_init(&subscription->of_channel);
    list_append(&channel->subscriptions, &subscription->of_channel);
    client->subscription_count++;
}

static void reply_count(struct fake_call *call, struct span what, struct span name)
{
    fake_reply_array(call, 3);
    fake_reply_bulk(call, what);
    if (name.data != NULL)
        fake_reply_bulk(call, name);
    else
        fake_reply_nil(call);
    fake_reply_integer(call, (int64_t)call->client->subscription_count);
}

static void subscribe(struct fake_call *call)
{
    for (size_t i = 1; i < call->count; i++) {
        if (subscription_find(call->client, call->args[i]) == NULL)
            subscription_create(call->client, call->args[i]);
        reply_count(call, SPAN_LIT("subscribe"), call->args[i]);
    }
}

static void unsubscribe_one(struct fake_call *call, struct subscription *subscription, struct span name)
{
    struct buf copy = {0}; /* the name may be the channel's own */
    buf_append(&copy, name);
    if (subscription != NULL)
        subscription_destroy(subscription);
    reply_count(call, SPAN_LIT("unsubscribe"), buf_span(&copy));
    buf_finish(&copy);
}

static void unsubscribe(struct fake_call *call)
{
    struct fake_redis_client *client = call->client;
    for (size_t i = 1; i < call->count; i++)
        unsubscribe_one(call, subscription_find(client, call->args[i]), call->args[i]);
    if (call->count > 1)
        return;
    if (list_empty(&client->subscriptions))
        reply_count(call, SPAN_LIT("unsubscribe"), (struct span){NULL, 0});
    while (!list_empty(&client->subscriptions)) {
        struct subscription *first = container_of(client->subscriptions.next, struct subscription, of_client);
        unsubscribe_one(call, first, first->channel->by_name.key);
    }
}

static void publish(struct fake_call *call)
{
    const struct fake_redis_watcher *watcher = call->redis->watcher;
    void *arg = call->redis->watcher_arg;
    struct channel *channel = channel_find(call->redis, call->args[1]);
    int64_t heard = 0;
    watcher->published(arg, call->args[1], call->args[2]);
    for (struct list *node = channel != NULL ? channel->subscriptions.next : NULL;
         node != NULL && node != &channel->subscriptions; node = node->next) {
        struct fake_redis_client *client = container_of(node, struct subscription, of_channel)->client;
        heard++;
        if (!watcher->heard(arg, client->id, client->arg, call->args[1], call->args[2]))
            continue;
        buf_append(&client->replies, SPAN_LIT("*3\r\n$7\r\nmessage\r\n"));
        fake_append_bulk(&client->replies, call->args[1]);
        fake_append_bulk(&client->replies, call->args[2]);
        fake_client_touch(client);
    }
    fake_reply_integer(call, heard);
}

const struct fake_command fake_pubsub_commands[] = {
    {"subscribe", subscribe, -2, FAKE_LOADING | FAKE_SUBSCRIBER | FAKE_NOSCRIPT},
    {"unsubscribe", unsubscribe, -1, FAKE_LOADING | FAKE_SUBSCRIBER | FAKE_NOSCRIPT},
    {"publish", publish, 3, FAKE_LOADING},
    {NULL, NULL, 0, 0},
};
