/* rooms: servers in sharded mode publish to a single room on a channel of its own (unless their `subscriptionMode` is
 * static), and Redis has no patterns for such channels. So an instance is subscribed to those of the rooms that have
 * members here. As with upstream's adapter, what is published between the join and the subscription is lost.
 *
 * Each subscription is followed by a mark (once.h): an instance that has just subscribed to a room cannot know how
 * often an equal message came there before. */
#include "bridge/bridge_parts.h"

/* A room's name at the broker is `NSP,ROOM`; the channel's is `KEY#NSP#ROOM#`. False: it is no room that is shared. */
static bool channel_of(struct bridge *bridge, struct span name, struct buf *channel)
{
    struct span room = name, nsp;
    if (broker_room_is_owned(name) || !span_next(&room, ',', &nsp) || room.data == NULL || room.len == 0)
        return false;
    list_each (node, &bridge->namespaces) {
        const struct bridged *bridged = container_of(node, struct bridged, of_bridge);
        if (!span_equal(bridged->nsp->name, nsp))
            continue;
        buf_append(channel, span_str(bridged->broadcasts));
        buf_append(channel, room);
        buf_append_char(channel, '#');
        return true;
    }
    return false;
}

void bridge_room_filled(void *arg, struct span room, bool filled)
{
    struct bridge *bridge = arg;
    struct buf channel = {0};
    if (bridge->config->sharded && channel_of(bridge, room, &channel)) {
        if (filled)
            redis_pair_subscribe(&bridge->pair, SPAN_LIT("SSUBSCRIBE"), buf_span(&channel));
        else
            redis_pair_unsubscribe(&bridge->pair, SPAN_LIT("SUNSUBSCRIBE"), buf_span(&channel));
    }
    buf_finish(&channel);
}

static void room_found(void *arg, struct span room, size_t members)
{
    if (members > 0)
        bridge_room_filled(arg, room, true);
}

void bridge_rooms_subscribe(struct bridge *bridge)
{
    hub_rooms_each(bridge->sessions->hub, room_found, bridge);
}
