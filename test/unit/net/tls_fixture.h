/* tls_fixture: a loop, a connection of ours with TLS, its peer, and certificates in a directory that is gone
 * afterwards. */
#ifndef SENNIT_TEST_TLS_FIXTURE_H
#define SENNIT_TEST_TLS_FIXTURE_H

#include "await.h"
#include "net/conn.h"
#include "tls_peer.h"

enum { DAY_S = 86400, WAIT_MS = 20000 };

/* Our end. */
struct link {
    struct conn conn;
    struct buf got;
    size_t keep; /* leaves this many bytes with the connection as long as it is open */
    bool opened, drained, closed;
    bool moody; /* pauses now and then, and resumes a little later */
    struct timer mood;
    uint64_t seed;
    enum close_reason reason;
    struct tls_problem problem;
};

extern struct loop *loop;
extern struct net net;
extern struct tls_peer peer;
extern struct link ours;
extern struct tls_client *client;
extern const struct conn_events events;
extern struct conn_limits limits;
extern struct cert ca, other_ca, good, expired;
extern char *directory, *ca_path, *other_ca_path, *cert_path, *key_path;

int set_up_all(void **state);
int tear_down_all(void **state);
int set_up(void **state);
int tear_down(void **state);

/* Conditions. */
bool is_open(void); /* or closed */
bool is_closed(void);
bool peer_has_hello(void);
bool we_have_answer(void);

/* Connects with these options; try_it also waits until the connection is open or closed. */
void begin(const struct tls_client_options *options);
void try_it(const struct tls_client_options *options);
/* The right CA and name. */
const struct tls_client_options *usual(void);
/* "hello" and "answer" go over it. */
void say_hello(void);
/* Waits until the connection was closed with TLS_FAILED and this fault, and the peer has received this alert. */
void assert_refused(enum tls_fault fault, const char *text, int alert);
char *path_in_directory(const char *name);

#endif
