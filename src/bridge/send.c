/* send: what is published on this instance goes to the servers behind the bridge, too. */
#include <stdlib.h>

#include "base/mem.h"
#include "bridge/bridge_parts.h"
#include "session/directive.h"
#include "session/subscriber.h"

/* The receivers, as the adapters have them: a socket is the room of its id. */
struct receivers {
    struct span *list; /* owned */
};

static struct receivers receivers_make(struct adapter_outgoing *outgoing, struct span sender,
                                       const struct subscriber_emit *emit)
{
    size_t rooms = emit->room_count + 1, excepts = emit->except_count + 1;
    struct receivers made = {mem_zero(rooms + excepts, sizeof *made.list)};
    struct span *except_list = made.list + rooms;
    for (size_t i = 0; i < emit->room_count; i++)
        made.list[outgoing->room_count++] = emit->rooms[i];
    if (emit->to_sid.len > 0)
        made.list[outgoing->room_count++] = emit->to_sid;
    for (size_t i = 0; i < emit->except_count; i++)
        except_list[outgoing->except_count++] = emit->excepts[i];
    if (emit->except_self && sender.len > 0)
        except_list[outgoing->except_count++] = sender;
    outgoing->rooms = made.list;
    outgoing->excepts = except_list;
    outgoing->is_volatile = emit->is_volatile;
    return made;
}

/* A single room has a channel of its own. In sharded mode servers listen there only for rooms that are no socket's id;
 * all of them listen to the namespace's channel, so that is right for every mode of theirs. */
static void channel_name(struct buf *to, const struct bridge *bridge, const struct bridged *bridged,
                         const struct adapter_outgoing *outgoing)
{
    buf_append(to, span_str(bridged->broadcasts));
    if (outgoing->room_count != 1 || bridge->config->sharded)
        return;
    buf_append(to, outgoing->rooms[0]);
    buf_append_char(to, '#');
}

void bridge_emitted(void *arg, const struct nsp *nsp, struct span sender, const struct subscriber_emit *emit)
{
    struct bridge *bridge = arg;
    const struct bridged *bridged = bridge->acting ? NULL : bridge_find(bridge, nsp);
    if (bridged == NULL)
        return;
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct receivers receivers = receivers_make(&outgoing, sender, emit);
    struct buf message = {0}, channel = {0};
    outgoing.content = emit->content;
    adapter_message_write(&message, ADAPTER_BROADCAST, &outgoing);
    channel_name(&channel, bridge, bridged, &outgoing);
    bridge_send(bridge, buf_span(&channel), &message);
    buf_finish(&channel);
    free(receivers.list);
}

void bridge_directed(void *arg, const struct nsp *nsp, const struct subscriber_emit *to,
                     const struct directive *directive)
{
    struct bridge *bridge = arg;
    const struct bridged *bridged = bridge->acting ? NULL : bridge_find(bridge, nsp);
    if (bridged == NULL)
        return;
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct receivers receivers = receivers_make(&outgoing, (struct span){NULL, 0}, to);
    struct buf message = {0};
    enum adapter_kind kind = directive->op == DIRECTIVE_JOIN    ? ADAPTER_JOIN
                             : directive->op == DIRECTIVE_LEAVE ? ADAPTER_LEAVE
                                                                : ADAPTER_DISCONNECT;
    outgoing.targets = directive->rooms;
    outgoing.target_count = directive->room_count;
    outgoing.whole = directive->op == DIRECTIVE_CLOSE;
    adapter_message_write(&message, kind, &outgoing);
    bridge_send(bridge, span_str(bridge->config->sharded ? bridged->broadcasts : bridged->requests), &message);
    free(receivers.list);
}
