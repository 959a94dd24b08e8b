/* fleet_config: the configuration of a fleet's instances. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fleet_parts.h"

void config_write(struct fleet *fleet)
{
    static const char text[] =
        "ping_interval: %s\nping_timeout: %s\nconnect_timeout: 3s\n"
        "namespaces:\n  /:\n    log: {entries: %llu, bytes: %llu, age: %llums}\n    replay: %s\n    announce: true\n"
        "    presence: %s\n    recovery: 10m\n    events:\n"
        "      all: {to: everyone, log: true, id: 0.id, except: 1}\n"
        "      others: {to: others, log: true, id: 0.id, except: 1}\n"
        "      say: {to: room, room: 0, log: true, id: 1.id, except: 2}\n"
        "      tell: {to: room-others, room: 0, log: true, id: 1.id, except: 2}\n"
        "      dm: {to: socket, socket: 0, log: true, id: 1.id}\n"
        "      wave: {to: everyone, except: 1}\n"
        "      cursor: {to: others, except: 1}\n"
        "      hum: {to: room, room: 0, except: 2}\n"
        "      whisper: {to: room-others, room: 0, except: 2}\n"
        "      poke: {to: socket, socket: 0}\n"
        "      join: {join: 0}\n      leave: {leave: 0}\n      past: {history: 0}\n%s%s%s%s%s%s";
    /* Where hostile clients may do what they want. */
    static const char evil[] =
        "  /evil:\n    log: {entries: 100, bytes: 1MiB, age: 1h}\n    recovery: 10m\n    presence: true\n"
        "    events:\n      all: {to: everyone, log: true}\n      who: {who: 0}\n";
    /* Where clients ask each other (ask_check.h). */
    static const char asks[] =
        "  /asks:\n    log: {entries: 100, bytes: 1MiB, age: 1h}\n    recovery: 10m\n    events:\n"
        "      ask: {to: socket, socket: 0, ack: receiver, timeout: 3s}\n";
    /* Where clients are asked together (survey_check.h). In half of the fleets nothing is logged there, so sockets on
     * WebSockets have no lease. */
    static const char surveys[] =
        "  /survey:\n    log: {entries: 100, bytes: 1MiB, age: 1h}\n    recovery: 10m\n    events:\n"
        "      enter: {join: 0}\n",
                      logged[] = "      note: {to: everyone, log: true}\n";
    const struct fleet_plan *plan = fleet->plan;
    char replay[16];
    snprintf(fleet->config, sizeof fleet->config, "/tmp/sennit-sim-XXXXXX");
    snprintf(replay, sizeof replay, "%d", plan->replay);
    int fd = mkstemp(fleet->config);
    assert(fd >= 0);
    /* Where nothing but the request timeout ends anything, polls are held to the end. */
    bool pings_seldom = plan->polling > 0 && plan->timeout_s > 0 && plan->cuts == 0;
    dprintf(fd, text, pings_seldom ? "20s" : "2s", plan->stalls || plan->patient ? "8s" : "2s",
            (unsigned long long)plan->log_entries,
            plan->log_bytes != 0 ? (unsigned long long)plan->log_bytes : 64ull << 20,
            plan->log_age_ms != 0 ? (unsigned long long)plan->log_age_ms : 3600000,
            plan->replay == 0  ? "none"
            : plan->replay < 0 ? "all"
                               : replay,
            plan->presence ? "{data: me}" : "false", plan->presence ? "      who: {who: 0}\n" : "",
            plan->hostiles > 0 ? evil : "", plan->askers > 0 ? asks : "", plan->surveyors > 0 ? surveys : "",
            plan->surveyors > 0 && !plan->unlogged ? logged : "", plan->raws > 0 ? "raw: on\n" : "");
    close(fd);
}
