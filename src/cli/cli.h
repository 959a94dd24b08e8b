/* cli: one file per command. A command parses its arguments with argp, runs, prints an error once, on standard error,
 * and returns the exit status: 0 for success, 1 for a failure, 2 for a wrong command line. */
#ifndef SENNIT_CLI_CLI_H
#define SENNIT_CLI_CLI_H

#include "embed/command_line.h"

/* The option by which a command finds the `sennit up` that it is about. */
#define CLI_OPTION_STATE(key) \
    { \
        "state", key, "DIR", 0, "The --state of that sennit up (default: $XDG_STATE_HOME/sennit)", 0 \
    }

/* The one argument that a command takes. */
static inline void cli_one_take(const char **to, const char *argument, struct argp_state *state)
{
    if (*to != NULL)
        argp_error(state, "one at a time; argument %d is a second one", state->next - 1);
    *to = argument;
}

int cmd_serve(int argc, char **argv);
int cmd_up(int argc, char **argv);
/* cmd_control.c: they ask a running `sennit up`. apply also returns 1 when a revision does not become ready. */
int cmd_apply(int argc, char **argv);
int cmd_services(int argc, char **argv);
int cmd_revisions(int argc, char **argv);
int cmd_traffic(int argc, char **argv);
int cmd_rollback(int argc, char **argv);
int cmd_deploy(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_new(int argc, char **argv);
int cmd_schema(int argc, char **argv);
int cmd_bill(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_load(int argc, char **argv); /* also 3: it could not connect, or was interrupted */

#endif
