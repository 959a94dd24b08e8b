/* main: finds the command, or guesses which one was meant. */
#include <stdio.h>
#include <string.h>

#include "base/meant.h"
#include "cli/cli.h"
#include "loop/process.h"

enum { WORD_MAX = 20 };

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

/* The command that was meant, perhaps; NULL: no idea. */
static const char *guess(const char *word)
{
    const char *names[sizeof commands / sizeof commands[0] + 1] = {NULL};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        names[i] = commands[i].name;
    return name_meant(span_str(word), names);
}

static int unknown(const char *word)
{
    /* Anything but a word may be a value with a secret in it. */
    bool is_word = word[strspn(word, "abcdefghijklmnopqrstuvwxyz-")] == '\0' && strlen(word) <= WORD_MAX;
    const char *meant = is_word ? guess(word) : NULL;
    if (meant != NULL) {
        fprintf(stderr, "sennit: there is no command \"%s\"; did you mean \"%s\"? `sennit --help` lists all\n", word,
                meant);
        return 2;
    }
    if (is_word)
        fprintf(stderr, "sennit: there is no command \"%s\"\n\n", word);
    else
        fputs("sennit: the first argument is no command\n\n", stderr);
    usage(stderr);
    return 2;
}

int main(int argc, char **argv)
{
    char help[] = "--help";
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        puts("sennit " SENNIT_VERSION);
        return 0;
    }
    bool asks_help = strcmp(argv[1], "help") == 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (asks_help && argc == 2)) {
        usage(stdout);
        return 0;
    }
    if (asks_help) { /* `sennit help up` is `sennit up --help` */
        argc = 3;
        argv[1] = argv[2];
        argv[2] = help;
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
    return unknown(argv[1]);
}
