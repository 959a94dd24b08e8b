/* engine_check: transport, Origin, sid, method, version. */
#include "serve/engine_check.h"

#include "broker/broker.h"
#include "session/polling.h"

static void refuse(struct engine_ask *ask, enum engineio_error error, enum refusal refusal)
{
    ask->error = error;
    ask->refusal = refusal;
}

/* Revision 3 has no sessions here, so a request of it cannot belong to one. A WebSocket is accepted for any session;
 * one that has left polling refuses it afterwards. */
static void check_session(struct engine_ask *ask, const struct sessions *sessions, const struct http1_head *head,
                          const struct engineio_query *asked, bool polling)
{
    enum polling_outcome found = polling_look(sessions, asked->sid);
    bool probes = head->upgrade_websocket && !polling;
    if (found == POLLING_UNKNOWN_SID)
        refuse(ask, ENGINEIO_UNKNOWN_SID, REFUSAL_SESSION_UNKNOWN);
    else if (!probes && (found == POLLING_BAD_REQUEST || !polling || head->upgrade_websocket))
        refuse(ask, ENGINEIO_BAD_REQUEST, REFUSAL_TRANSPORT_OTHER);
    else if (!span_equal(asked->eio, SPAN_LIT("4")))
        refuse(ask, ENGINEIO_BAD_REQUEST, REFUSAL_EIO_OLD);
    else if (probes)
        ask->use = ENGINE_PROBE;
    else if (span_equal(head->method, SPAN_LIT("GET")))
        ask->use = ENGINE_GET;
    else if (span_equal(head->method, SPAN_LIT("POST")))
        ask->use = ENGINE_POST;
    else
        ask->use = ENGINE_OTHER;
}

static void check_handshake(struct engine_ask *ask, const struct http1_head *head, const struct engineio_query *asked,
                            bool polling)
{
    if (!span_equal(head->method, SPAN_LIT("GET")))
        refuse(ask, ENGINEIO_BAD_METHOD,
               span_equal(head->method, SPAN_LIT("OPTIONS")) ? REFUSAL_CORS : REFUSAL_HANDSHAKE_METHOD);
    else if (polling == head->upgrade_websocket)
        refuse(ask, ENGINEIO_BAD_REQUEST, REFUSAL_HANDSHAKE_INVALID);
    else if (!span_equal(asked->eio, SPAN_LIT("4")))
        refuse(ask, ENGINEIO_UNSUPPORTED_VERSION, REFUSAL_EIO_OLD);
    else
        ask->use = polling ? ENGINE_HANDSHAKE : ENGINE_WEBSOCKET;
}

void engine_check(struct engine_ask *ask, const struct engine_config *config, const struct sessions *sessions,
                  const struct http1_head *head, struct span query)
{
    struct engineio_query asked;
    engineio_query_decode(query, &asked);
    uint64_t mark = asked.t.len > 0 ? broker_digest(asked.t) : 0;
    *ask = (struct engine_ask){.use = ENGINE_REFUSED, .sid = asked.sid, .mark = mark};
    bool polling = span_equal(asked.transport, SPAN_LIT("polling"));
    bool websocket = span_equal(asked.transport, SPAN_LIT("websocket"));
    if (!(polling && config->polling) && !(websocket && config->websocket)) {
        refuse(ask, ENGINEIO_UNKNOWN_TRANSPORT, REFUSAL_TRANSPORT_UNKNOWN);
    } else if (!http1_received_is_valid(http1_field_get(head, SPAN_LIT("Origin")))) {
        refuse(ask, ENGINEIO_BAD_REQUEST, REFUSAL_HTTP_INVALID);
    } else if (polling && asked.j.data != NULL) {
        refuse(ask, ENGINEIO_BAD_REQUEST, REFUSAL_JSONP);
        ask->message = refusal_text(REFUSAL_JSONP);
    } else if (asked.sid.len > 0) {
        check_session(ask, sessions, head, &asked, polling);
    } else {
        check_handshake(ask, head, &asked, polling);
    }
}
