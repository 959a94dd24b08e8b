/* control: what the commands `sennit apply`, `services`, `revisions`, `traffic` and `rollback` ask of a running `sennit
 * up`: HTTP and JSON on a unix socket, DIR/control/socket, in a folder that its user alone may open (0700). The kernel
 * is asked, too, which user has connected. `up` owns it.
 *
 *     GET  /services                    the services, their revisions and their traffic
 *     GET  /logs?service=NAME&...       their logs (control_logs.h)
 *     POST /apply?PATH                  deploys the documents in the body, of the file at PATH
 *     POST /services/NAME/traffic       ?to=A=90,LATEST=10 and ?tags=TAG=REVISION, or both (&)
 *     POST /services/NAME/rollback      to the revision before, or ?to=REVISION
 *
 * A change that is wrong gets 409 and {"error": "..."}, and changes nothing. Values in a target are percent-encoded. */
#ifndef SENNIT_PLATFORM_CONTROL_H
#define SENNIT_PLATFORM_CONTROL_H

#include "http/http.h"
#include "net/listener.h"
#include "platform/catalog.h"

enum { CONTROL_BODY_BYTES_MAX = 1 << 20, CONTROL_CLIENTS_MAX = 32 };

struct control {
    struct listener listener;
    struct http_server http;
    struct catalog *catalog;
    uint16_t port; /* of the ingress, for the services' addresses */
};

/* Listens in the catalog's folder, which is open. What prevents it is told in the log; all else goes on. */
void control_open(struct control *control, struct net *net, struct catalog *catalog, uint16_t port);
/* Takes no new clients and cuts the present ones; harmless if it is not open. */
void control_close(struct control *control);
/* Appends all services as a JSON array. */
void control_services_encode(struct buf *to, const struct catalog *catalog, uint16_t port);

#endif
