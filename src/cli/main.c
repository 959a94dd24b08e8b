/* main: finds the command. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "loop/process.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"serve", cmd_serve, "run one realtime instance for Socket.IO clients"},
    {"up", cmd_up, "run a service.yaml on this machine, as Cloud Run would"},
    {"deploy", cmd_deploy, "build a folder of source and deploy it, as gcloud run deploy does"},
    {"apply", cmd_apply, "deploy a changed service.yaml on a running `sennit up`"},
    {"services", cmd_services, "list its services"},
    {"revisions", cmd_revisions, "list its revisions, and what became of them"},
    {"traffic", cmd_traffic, "divide a service's requests among its revisions"},
    {"logs", cmd_logs, "print what its requests and programs have logged"},
    {"rollback", cmd_rollback, "give them to an earlier revision"},
    {"new", cmd_new, "write the folder of a new service in C"},
    {"schema", cmd_schema, "print the SQL that the broker on Postgres needs"},
    {"bill", cmd_bill, "sum up what its services would have cost on Cloud Run"},
    {"token", cmd_token, "print an identity token for a service that asks for one"},
    {"load", cmd_load, "put clients on a server, measure, and check what is delivered"},
};

static void usage(FILE *to)
{
    fputs("Usage: sennit COMMAND [OPTION...]\n\nWebSocket services on stateless, autoscaled instances.\n\n", to);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "  sennit %-9s %s\n", commands[i].name, commands[i].what);
    fputs("\n`sennit COMMAND --help` says more. `sennit --version` tells the version.\n", to);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        puts("sennit " SENNIT_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        process_signals_set();
        /* argp names the program by argv[0]. */
        char name[64];
        snprintf(name, sizeof name, "sennit %s", commands[i].name);
        argv[1] = name;
        return commands[i].run(argc - 1, argv + 1);
    }
    /* Anything but a word may be a value with a secret in it. */
    if (argv[1][strspn(argv[1], "abcdefghijklmnopqrstuvwxyz-")] == '\0' && strlen(argv[1]) <= 20)
        fprintf(stderr, "sennit: there is no command \"%s\"\n\n", argv[1]);
    else
        fputs("sennit: the first argument is no command\n\n", stderr);
    usage(stderr);
    return 2;
}
