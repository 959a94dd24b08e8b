/* firestore_process: starts and ends the emulator, or takes the one that runs. See firestore_process.h. */
#include "firestore_process.h"

#include "free_port.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/firestore.h"

enum { START_MS_MAX = 60000 };

static const char jar[] = "/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar";

static const char *given(void)
{
    const char *host = getenv("FIRESTORE_EMULATOR_HOST");
    return host != NULL && strncmp(host, "127.0.0.1:", 10) == 0 ? host + 10 : NULL;
}

bool firestore_process_is_installed(void)
{
    return given() != NULL || (access(jar, R_OK) == 0 && access("/usr/bin/java", X_OK) == 0);
}

/* In the child. */
static void become(const struct firestore_process *firestore)
{
    char port[8];
    sigset_t none;
    snprintf(port, sizeof port, "%u", firestore->port);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int fd = open("/dev/null", O_WRONLY);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execl("/usr/bin/java", "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Duser.language=en",
          "-cp", jar, "com.google.cloud.datastore.emulator.firestore.CloudFirestore", "--host", "127.0.0.1", "--port",
          port, (char *)NULL);
    _exit(127);
}

void firestore_process_start(struct firestore_process *firestore)
{
    if (given() != NULL) {
        firestore->port = (uint16_t)atoi(given());
        return;
    }
    firestore->port = free_port();
    firestore->pid = fork();
    assert_true(firestore->pid >= 0);
    if (firestore->pid == 0)
        become(firestore);
    if (!port_await(firestore->port, &firestore->pid, START_MS_MAX))
        fail_msg("the emulator of Firestore does not come up");
}

void firestore_process_finish(struct firestore_process *firestore)
{
    if (firestore->pid == 0)
        return;
    kill(firestore->pid, SIGKILL);
    waitpid(firestore->pid, NULL, 0);
    firestore->pid = 0;
}

struct broker *firestore_process_broker(struct net *net, const char *host, const char *prefix, const char *instance,
                                        const struct broker_bounds *bounds, struct err *err)
{
    struct broker_firestore_config config = {.url = "firestore://demo-sennit",
                                             .emulator_host = host,
                                             .prefix = prefix,
                                             .instance = instance,
                                             .bounds = *bounds};
    return broker_firestore_create(net, &config, err);
}
