/* test_spec_container: what service.yaml may say of its container: probes, resources, user, port; and fields behind
 * whose colon there is nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spec_with.h"

static void test_probes(void **state)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"startupProbe: {exec: {command: [a]}}", "Cloud Run has no exec probes: use httpGet or tcpSocket"},
        {"livenessProbe: {tcpSocket: {}}", "a liveness probe asks with httpGet"},
        {"livenessProbe: {httpGet: {}, grpc: {}}", "not several"},
        {"startupProbe: {periodSeconds: 241}", "from 1 to 240"},
        {"startupProbe: {timeoutSeconds: 11}", "at most periodSeconds (10), found 11"},
        {"livenessProbe: {successThreshold: 2}", "expected"},
        {"livenessProbe: {httpGet: {path: health}}", "expected a path like /health"},
        {"livenessProbe: {httpGet: {path: \"/a b\"}}", "expected a path like /health"},
        {"livenessProbe: {httpGet: {port: 70000}}", "from 1 to 65535"},
        {"livenessProbe: {httpGet: {httpHeaders: [{name: \"A B\", value: c}]}}", "cannot be a field"},
        {"livenessProbe: {httpGett: {}}", "did you mean \"httpGet\""},
    };
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "          %s\n", bad[i].line);
        refuse_with("", "", line, bad[i].why);
    }
    accept_with(
        "", "",
        "          ports: [{containerPort: 9000}]\n"
        "          startupProbe: {tcpSocket: {port: 9000}}\n"
        "          livenessProbe: {httpGet: {path: /up?x=1, httpHeaders: [{name: A, value: b}]}, periodSeconds: 5}\n"
        "          readinessProbe: {grpc: {}}\n");
    const struct probe_spec *probes = spec.probes;
    assert_int_equal(probes[SPEC_PROBE_STARTUP].kind, PROBE_TCP);
    assert_int_equal(probes[SPEC_PROBE_STARTUP].port, 0); /* the one that the instance is given */
    assert_int_equal(probes[SPEC_PROBE_STARTUP].period_ms, 10000);
    assert_int_equal(probes[SPEC_PROBE_STARTUP].failures, 3);
    assert_int_equal(probes[SPEC_PROBE_LIVENESS].period_ms, 5000);
    assert_string_equal(
        probes[SPEC_PROBE_LIVENESS].question,
        "GET /up?x=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-probe/sennit\r\nA: b\r\nConnection: "
        "close\r\n\r\n");
    assert_int_equal(probes[SPEC_PROBE_READINESS].kind, PROBE_NONE);
    assert_int_equal(spec.lacking.count, 1);
    accept_with("", "",
                "          livenessProbe: {httpGet: {host: ignored, httpHeaders: [{name: host, value: a.example}, "
                "{name: USER-AGENT, value: mine}]}}\n");
    assert_string_equal(spec.probes[SPEC_PROBE_LIVENESS].question,
                        "GET / HTTP/1.1\r\nhost: a.example\r\nUSER-AGENT: mine\r\nConnection: close\r\n\r\n");
    accept_with("", "", "          readinessProbe: {tcpSocket: {}}\n"); /* Knative's */
    assert_int_equal(spec.probes[SPEC_PROBE_READINESS].kind, PROBE_TCP);
}

static void test_resources(void **state)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"{limits: {cpu: banana}}", "expected 0.08 to 1 in steps of 0.01, or 1, 2, 4, 6 or 8 CPUs"},
        {"{limits: {cpu: \"3\"}}", "expected 0.08 to 1"},
        {"{limits: {cpu: \"0.075\"}}", "expected 0.08 to 1"},
        {"{limits: {cpu: 1500m}}", "expected 0.08 to 1"},
        {"{limits: {cpu: \"0.5.5\"}}", "expected 0.08 to 1"},
        {"{limits: {memory: 127Mi}}", "expected"},
        {"{limits: {memory: 33Gi}}", "expected"},
        {"{limits: {cpu: \"4\", memory: 1Gi}}", "4 CPUs need at least 2Gi"},
        {"{limits: {cpu: 8000m, memory: 2Gi}}", "8 CPUs need at least 4Gi"},
        {"{limits: {mem: 1Gi}}", "unknown field"},
        {"{limit: {}}", "did you mean \"limits\""},
        {"{limits: {memory: 512MB}}", "expected a size from 128Mi to 32Gi (like 512Mi, 1.5Gi, 1G)"},
        {"{limits: {memory: Mi}}", "expected a size"},
        {"{limits: {memory: 99999999999999999Ti}}", "expected a size"},
        {"{requests: {cpu: banana}}", "requests.cpu: expected up to 8 CPUs"},
        {"{requests: {cpu: 0}}", "expected up to 8 CPUs"},
        {"{requests: {disk: 1}}", "unknown field"},
        {"{requests: {memory: x}}", "requests.memory: expected a size"},
        {"{limits: {cpu: 1}, requests: {cpu: 1001m}}", "requests.cpu: more than resources.limits.cpu"},
        {"{limits: {memory: 128Mi}, requests: {memory: 129Mi}}", "requests.memory: more than"},
    };
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "          resources: %s\n", bad[i].line);
        refuse_with("", "", line, bad[i].why);
    }
    accept_with("", "", "          resources: {limits: {cpu: 1000m, memory: 512Mi}, requests: {cpu: 1}}\n");
    assert_int_equal(spec.cpu_milli, 1000);
    assert_int_equal(spec.memory_bytes_max, 512 << 20);
    assert_int_equal(spec.concurrency, 80);
    accept_with("", "", "          resources: {limits: {cpu: \"0.5\"}}\n");
    assert_int_equal(spec.cpu_milli, 500);
    assert_int_equal(spec.concurrency, 1); /* below one CPU, as on Cloud Run */
    assert_true(spec.throttled);
    accept_with("        run.googleapis.com/cpu-throttling: \"False\"\n", "", "");
    assert_false(spec.throttled);
    refuse_with("        run.googleapis.com/cpu-throttling: \"False\"\n", "",
                "          resources: {limits: {cpu: \"0.5\"}}\n", "needs at least one CPU");
}

/* Kubernetes' quantities. */
static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"512Mi", 512 << 20},      {"512M", 512000000},      {"1.5Gi", 3 << 29},    {"1G", 1000000000},
                {"1048576Ki", 1ULL << 30}, {"1000000k", 1000000000}, {"134217728", 1 << 27}};
    char line[256];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(line, sizeof line, "          resources: {limits: {memory: %s}, requests: {cpu: 125m, memory: 1Mi}}\n",
                 good[i].text);
        accept_with("", "", line);
        assert_int_equal(spec.memory_bytes_max, good[i].bytes);
        assert_int_equal(spec.cpu_request_milli, 125);
    }
}

static void test_users(void **state)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"{runAsUser: -10}", "securityContext.runAsUser: expected a whole number from 0 to 2147483647"},
        {"{runAsUser: node}", "runAsUser: expected a whole number"},
        {"{runAsGroup: 5}", "a group needs a runAsUser"},
        {"{runAsUser: 0, runAsNonRoot: true}", "runAsNonRoot is true, and this is root"},
        {"{privileged: true}", "the platforms run no privileged programs"},
        {"{runAsNonRoot: \"true\"}", "take the quotes away"},
        {"{runAsUsr: 5}", "did you mean \"runAsUser\""},
    };
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "          securityContext: %s\n", bad[i].line);
        refuse_with("", "", line, bad[i].why);
    }
    accept_with("", "", "          securityContext: {runAsUser: 2020, runAsGroup: 7, runAsNonRoot: true}\n");
    assert_true(spec.uid.is_given && spec.gid.is_given && spec.not_root);
    assert_int_equal(spec.uid.number, 2020);
    assert_int_equal(spec.gid.number, 7);
    assert_int_equal(spec.lacking.count, 0);
    accept_with("", "",
                "          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, "
                "readOnlyRootFilesystem: true, seccompProfile: {type: RuntimeDefault}}\n");
    assert_false(spec.uid.is_given || spec.gid.is_given || spec.not_root);
    assert_int_equal(spec.lacking.count, 1); /* readOnlyRootFilesystem */
}

static void test_ports(void **state)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"{containerPort: 80}, {containerPort: 81}", "a container has one port"},
        {"{hostPort: 80}", "unknown field \"hostPort\""},
        {"{name: arbitrary}", "expected http1, found \"arbitrary\""},
        {"{name: h2c}", "WebSockets need http1"},
        {"{protocol: UDP}", "ports[0].protocol: expected TCP, found \"UDP\""},
    };
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "          ports: [%s]\n", bad[i].line);
        refuse_with("", "", line, bad[i].why);
    }
    accept_with("", "", "          ports: [{name: http1, containerPort: 9000, protocol: TCP}]\n");
    assert_int_equal(spec.container_port, 9000);
}

static void test_nothing_is_absent(void **state)
{
    accept_with(
        "", "      volumes:\n      timeoutSeconds:\n      serviceAccountName: ~\n",
        "          command:\n          args: null\n          env:\n          ports:\n          resources:\n"
        "          workingDir:\n          startupProbe:\n          securityContext:\n          volumeMounts:\n");
    assert_int_equal(spec.timeout_s, 300);
    assert_null(spec.working_dir);
    assert_int_equal(spec.probes[SPEC_PROBE_STARTUP].kind, PROBE_NONE);
    accept_with("", "", "          env: [{name: A, value: }]\n          resources: {limits: }\n");
    assert_string_equal(spec.env.list[0], "A=");
    refuse_with("", "", "          env: [{name: }]\n", "needs a name");
    refuse_with("", "", "          ports: [~]\n", "expected a mapping");
}

static void test_times_within_the_timeout(void **state)
{
    accept_with("", "      timeoutSeconds: 60\n      responseStartTimeoutSeconds: 60\n      idleTimeoutSeconds: 0\n",
                "");
    assert_int_equal(spec.lacking.count, 2);
    refuse_with("", "      responseStartTimeoutSeconds: 400\n", "", "expected a whole number from 0 to 300, found 400");
    refuse_with("", "      timeoutSeconds: 9\n      idleTimeoutSeconds: 10\n", "", "from 0 to 9, found 10");
    accept_with("", "      imagePullSecrets: [{name: a}]\n      automountServiceAccountToken: false\n", "");
}

static int finish(void **state)
{
    service_spec_finish(&spec);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_nothing_is_absent),
        cmocka_unit_test(test_times_within_the_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
