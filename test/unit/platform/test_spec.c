/* test_spec: what a service.yaml may say, and what it is told when it says something else: file, line, field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/file.h"
#include "spec_with.h"

static void test_volumes(void **state)
{
    static const struct {
        const char *volumes, *mounts, *why;
    } bad[] = {
        {"{name: a, secret: {}}", "", "volumes[0].secret: needs a secretName"},
        {"{name: a, secret: {secretName: ../x}}", "", "a secret's name"},
        {"{name: a, secret: {secretName: x, items: []}}", "", "needs an item"},
        {"{name: a, secret: {secretName: x, items: [{key: latest}]}}", "", "needs key (the version"},
        {"{name: a, secret: {secretName: x, items: [{key: newest, path: a}]}}", "", "expected the version"},
        {"{name: a, secret: {secretName: x, items: [{key: latest, path: ../a}]}}", "", "without . and .."},
        {"{name: a, secret: {secretName: x, items: [{key: latest, path: /a}]}}", "", "without . and .."},
        {"{name: a, secret: {secretName: x, items: [{key: \"1\", path: a}, {key: \"2\", path: a}]}}", "",
         "another item has this path"},
        {"{name: a, secret: {secretName: x, defaultMode: 01000}}", "", "expected a mode from 0 to 0777"},
        {"{name: a, secret: {secretName: x, defaultMode: 512}}", "", "expected a mode from 0 to 0777"},
        {"{name: a, secret: {secretName: x, defaultMode: 09}}", "", "expected a mode from 0 to 0777"},
        {"{name: a, secret: {secretName: x}, emptyDir: {}}", "", "needs one of secret, emptyDir"},
        {"{name: a}", "", "needs one of secret, emptyDir"},
        {"{name: A, emptyDir: {}}", "", "expected a name of lower-case letters"},
        {"{name: a, emptyDir: {}}, {name: a, emptyDir: {}}", "", "another volume has this name"},
        {"{name: a, emptyDir: {medium: Disk}}", "", "expected Memory, found \"Disk\""},
        {"{name: a, emptyDir: {sizeLimit: 0}}", "", "sizeLimit: expected a size"},
        {"{name: a, configMap: {name: b}}", "", "configMap"},
        {"{name: a, emptyDir: {}}", "{name: b, mountPath: /a}", "no volume of this name"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: a}", "expected a path that begins with /"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /}", "expected a path that begins with /"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /a/../b}", "expected a path that begins with /"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: //a}", "expected a path that begins with /"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /proc/a}", "nothing can be mounted in /dev"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /sys}", "nothing can be mounted in /dev"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /a}, {name: a, mountPath: /a/b}",
         "choose paths side by side"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /a/}, {name: a, mountPath: /a}", "choose paths side by side"},
        {"{name: a, emptyDir: {}}", "{name: a, mountPath: /a, subPath: b}", "subPath"},
    };
    char template[512], container[512];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(template, sizeof template, "      volumes: [%s]\n", bad[i].volumes);
        snprintf(container, sizeof container, "          volumeMounts: [%s]\n", bad[i].mounts);
        refuse_with("", template, container, bad[i].why);
    }
    accept_with(
        "",
        "      volumes: [{name: a, secret: {secretName: x, defaultMode: 0640, items: [{key: latest, path: b/c}, "
        "{key: \"3\", path: d, mode: 511}]}}, {name: e, secret: {secretName: y}}, {name: f, emptyDir: {medium: "
        "Memory, sizeLimit: 2Mi}}, {name: g, nfs: {server: s, path: /}}]\n",
        "          volumeMounts: [{name: f, mountPath: /devices/}, {name: a, mountPath: /a}, {name: e, "
        "mountPath: /ab, readOnly: true}]\n");
    const struct volumes *volumes = &spec.volumes;
    assert_int_equal(volumes->count, 4);
    assert_int_equal(volumes->item_count, 3);
    assert_int_equal(volumes->list[0].items[0].mode, 0440); /* Cloud Run's umask is 0222 */
    assert_string_equal(volumes->list[0].items[0].path, "b/c");
    assert_int_equal(volumes->list[0].items[1].mode, 0555);
    assert_string_equal(volumes->list[1].items[0].path, "y"); /* by default the secret's name, */
    assert_string_equal(volumes->list[1].items[0].version, "latest");
    assert_int_equal(volumes->list[1].items[0].mode, 0444); /* for everybody to read */
    assert_int_equal(volumes->list[2].bytes_max, 2 << 20);
    assert_int_equal(volumes->mount_count, 3);
    assert_string_equal(volumes->mounts[0].path, "/devices");
    assert_int_equal(volumes->mounts[0].volume, 2);
    assert_int_equal(spec.lacking.count, 1);
    assert_non_null(strstr(spec.lacking.list[0], "nfs"));
}

static void test_defaults(void **state)
{
    accept_with("", "", "");
    assert_string_equal(spec.name, "plain");
    assert_string_equal(spec.revision, "plain-00001");
    assert_string_equal(spec.directory, "dir/");
    assert_int_equal(spec.concurrency, 80);
    assert_int_equal(spec.timeout_s, 300);
    assert_int_equal(spec.instances_max, 100);
    assert_int_equal(spec.redis_memory_bytes_max, 512 << 20);
    assert_false(spec.redis);
    assert_false(spec.postgres);
}

static void test_managed_servers(void **state)
{
    accept_with("        sennit.dev/postgres: managed\n", "", "");
    assert_true(spec.postgres);
    assert_false(spec.redis);
    accept_with("        sennit.dev/postgres: managed\n        sennit.dev/redis: managed\n", "", "");
    assert_true(spec.postgres && spec.redis);
    refuse_with("        sennit.dev/postgres: \"16\"\n", "", "",
                ":10: spec.template.metadata.annotations.sennit.dev/postgres: expected managed, found \"16\"; for a "
                "Postgres of your own, set DATABASE_URL");
    refuse_with("        sennit.dev/redis: mine\n", "", "",
                "expected managed, found \"mine\"; for a Redis of your own");
    refuse_with("        sennit.dev/postgres-memory: 1GiB\n", "", "", "unknown annotation; known:");
    refuse_with("        sennit.dev/postgres: managed\n", "", "          env: [{name: DATABASE_URL, value: a}]\n",
                "DATABASE_URL is set by the platform");
    accept_with("", "", "          env: [{name: DATABASE_URL, value: a}]\n");
    accept_with("        sennit.dev/postgres: managed\n", "",
                "          env: [{name: SENNIT_BROKER, value: memory}]\n");
}

static void test_numbers_that_are_none(void **state)
{
    static const char *const bad[] = {"-1",
                                      "18446744073709551616",
                                      "9223372036854775808",
                                      "1e3",
                                      "0x10",
                                      "010",
                                      "1.5",
                                      ".inf",
                                      ".nan",
                                      "[1]",
                                      "{a: 1}",
                                      "\"\"",
                                      "yes",
                                      "1 2",
                                      "99999999999999999999999999"};
    char line[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "      timeoutSeconds: %s\n", bad[i]);
        refuse_with("", line, "", ":11: spec.template.spec.timeoutSeconds: expected");
        snprintf(line, sizeof line, "      containerConcurrency: %s\n", bad[i]);
        refuse_with("", line, "", ":11: spec.template.spec.containerConcurrency: expected");
        snprintf(line, sizeof line, "        autoscaling.knative.dev/maxScale: %s\n", bad[i]);
        refuse_with(line, "", "", ":10: spec.template.metadata.annotations.autoscaling.knative.dev/maxScale: ");
        snprintf(line, sizeof line, "          ports: [{containerPort: %s}]\n", bad[i]);
        refuse_with("", "", line, "containers[0].ports[0].containerPort: expected");
    }
    refuse_with("        sennit.dev/redis-memory: 1MiB\n", "", "",
                ":10: spec.template.metadata.annotations.sennit.dev/redis-memory: expected a size from 16MiB to");
    refuse_with("        sennit.dev/redis-memory: -5\n", "", "", "expected a size");
    refuse_with("        sennit.dev/redis-memory: 99999999999999999999GiB\n", "", "", "expected a size");
    accept_with("        sennit.dev/redis-memory: \"64MiB\"\n", "", "");
    assert_int_equal(spec.redis_memory_bytes_max, 64 << 20);
    refuse_with("        sennit.dev/redis-restart-delay: 300000000h\n", "", "", "expected a duration");
}

static void test_scales_that_cross(void **state)
{
    refuse_with(
        "        autoscaling.knative.dev/minScale: \"5\"\n        autoscaling.knative.dev/maxScale: \"3\"\n", "", "",
        ":11: spec.template.metadata.annotations.autoscaling.knative.dev/maxScale: minScale (5) is above maxScale (3)");
    refuse_with("        autoscaling.knative.dev/minScale: \"101\"\n", "", "", ":10: ");
}

static void test_texts_that_cannot_be_passed(void **state)
{
    static const char *const places[] = {"          command: [%s]\n", "          args: [a, %s]\n",
                                         "          workingDir: %s\n", "          env: [{name: A, value: %s}]\n"};
    char line[256];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(line, sizeof line, places[i], "\"a\\0b\"");
        refuse_with("", "", line, "a text with a NUL");
    }
    refuse_with("        sennit.dev/run: \"node\\0 x\"\n", "", "", "a text with a NUL");
    char *large = mem_alloc(SPEC_TEXT_BYTES_MAX + 200);
    int head = snprintf(large, 64, "          args: [\"");
    memset(large + head, 'a', SPEC_TEXT_BYTES_MAX + 1);
    snprintf(large + head + SPEC_TEXT_BYTES_MAX + 1, 8, "\"]\n");
    refuse_with("", "", large, "containers[0].args[0]: a text of 102401 bytes; a program can be passed 102400");
    free(large);
    /* Aliases make much out of little. */
    struct buf many = {0};
    buf_printf(&many, "          env:\n            - {name: A, value: &a \"");
    for (int i = 0; i < 100000; i++)
        buf_append_char(&many, 'a');
    buf_printf(&many, "\"}\n");
    for (int i = 0; i < 20; i++)
        buf_printf(&many, "            - {name: A%d, value: *a}\n", i);
    buf_append_char(&many, '\0');
    refuse_with("", "", many.data + many.off, "more than 1048576 bytes of texts in all");
    buf_finish(&many);
}

static void test_variables(void **state)
{
    static const struct {
        const char *env, *why;
    } bad[] = {
        {"{name: \"\", value: a}", "cannot be the name of a variable"},
        {"{name: \"A=B\", value: a}", "cannot be the name of a variable"},
        {"{name: \"A\\0\", value: a}", "a text with a NUL"},
        {"{name: \"A\\nB\", value: a}", "cannot be the name of a variable"},
        {"{name: 1A, value: a}", "cannot be the name of a variable"},
        {"{name: PORT, value: a}", "PORT is set by the platform"},
        {"{name: SENNIT_INSTANCE, value: a}", "SENNIT_INSTANCE is set by the platform"},
        {"{name: A, value: [a]}", "env[0].value: expected a text"},
        {"{name: A, valueFrom: {secretKeyRef: {}}}", "needs name (of the secret) and key"},
        {"{name: A, valueFrom: {}}", "needs a secretKeyRef"},
        {"{name: A, valueFrom: {configMapKeyRef: {name: a, key: b}}}", "configMapKeyRef"},
        {"{name: A, valueFrom: {secretKeyRef: {name: ../a, key: latest}}}", "a secret's name"},
        {"{name: A, valueFrom: {secretKeyRef: {name: a, key: newest}}}", "expected the version of the secret"},
        {"{name: A, valueFrom: {secretKeyRef: {name: a, key: \"01\"}}}", "expected the version of the secret"},
        {"{name: A, value: b, valueFrom: {secretKeyRef: {name: a, key: latest}}}", "either a value or a valueFrom"},
        {"{name: PORT, valueFrom: {secretKeyRef: {name: a, key: latest}}}", "PORT is set by the platform"},
        {"{value: a}", "needs a name"},
        {"5", "env[0]: expected"},
    };
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "          env: [%s]\n", bad[i].env);
        refuse_with("", "", line, bad[i].why);
    }
    accept_with("", "",
                "          env: [{name: REDIS_URL, value: a}, {name: a.b-c_D1, value: \"x\\ny\"}, {name: E}]\n");
    assert_string_equal(spec.env.list[1], "a.b-c_D1=x\ny");
    accept_with(
        "", "",
        "          env: [{name: A, value: a}, {name: B, valueFrom: {secretKeyRef: {name: s, key: latest}}}, {name: A, "
        "valueFrom: {secretKeyRef: {name: t, key: \"2\"}}}, {name: B, value: b}]\n");
    assert_int_equal(spec.env.count, 1); /* of two with one name the last counts */
    assert_string_equal(spec.env.list[0], "B=b");
    assert_int_equal(spec.secrets.count, 3);
    assert_string_equal(spec.secrets.list[0], "A");
    assert_string_equal(spec.secrets.list[1], "t");
    assert_string_equal(spec.secrets.list[2], "2");
    accept_with("", "",
                "          env: [{name: REDIS_URL, value: a}, {name: a.b-c_D1, value: \"x\\ny\"}, {name: E}]\n");
    assert_string_equal(spec.env.list[2], "E=");
    accept_with("", "", "          env: [{name: A, value: first}, {name: B, value: b}, {name: A, value: last}]\n");
    assert_int_equal(spec.env.count, 2);
    assert_string_equal(spec.env.list[0], "A=last");
    refuse_with("        sennit.dev/redis: managed\n", "", "          env: [{name: REDIS_URL, value: a}]\n",
                "REDIS_URL is set by the platform");
}

static void test_who_may_call(void **state)
{
    accept_with("", "", "");
    assert_int_equal(spec.access, SPEC_ACCESS_UNSAID);
    assert_null(spec.service_account);
    accept_with("        sennit.dev/allow-unauthenticated: \"False\"\n"
                "        sennit.dev/invokers: a@example.com,  b@example.com\n"
                "        run.googleapis.com/invoker-iam-disabled: \"true\"\n"
                "        run.googleapis.com/custom-audiences: '[\"https://a.example\",\"b \\u0022\"]'\n",
                "      serviceAccountName: me@example.com\n", "");
    assert_int_equal(spec.access, SPEC_ACCESS_CLOSED);
    assert_true(spec.iam_disabled);
    assert_string_equal(spec.invokers.list[1], "b@example.com");
    assert_int_equal(spec.invokers.count, 2);
    assert_string_equal(spec.audiences.list[1], "b \"");
    assert_string_equal(spec.service_account, "me@example.com");
    assert_int_equal(spec.lacking.count, 0);
}

/* Names in the platforms' prefixes, and values, are the platforms'. */
static void test_annotations(void **state)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"autoscaling.knative.dev/maxscale: \"2\"", "did you mean \"autoscaling.knative.dev/max-scale\""},
        {"run.googleapis.com/fooBar: x", "the platforms know no such annotation"},
        {"run.googleapis.com/sessionAfinity: \"true\"", "did you mean \"run.googleapis.com/sessionAffinity\""},
        {"serving.knative.dev/creater: x", "did you mean \"serving.knative.dev/creator\""},
        {"sennit.dev/rum: x", "unknown annotation; known: sennit.dev/run"},
        {"run.googleapis.com/ingress: bogus", "expected one of all|internal|"},
        {"run.googleapis.com/cpu-throttling: banana", "expected \"true\" or \"false\", found"},
        {"autoscaling.knative.dev/window: 5s", "expected"},
        {"autoscaling.knative.dev/window: 2h", "expected a duration from 6s to 3600s"},
        {"autoscaling.knative.dev/window: \"60\"", "with units (like 90s"},
        {"autoscaling.knative.dev/window: 1d", "with units"},
        {"autoscaling.knative.dev/window: 6.5s", "expected whole seconds"},
        {"autoscaling.knative.dev/scale-down-delay: 99999999999999999999h", "expected a duration"},
        {"serving.knative.dev/rolloutDuration: soon", "expected a duration"},
        {"autoscaling.knative.dev/target: \"0.001\"", "expected a number from 0.01"},
        {"autoscaling.knative.dev/targetBurstCapacity: \"-2\"", "or -1, found"},
        {"run.googleapis.com/scaling-cpu-target: \"0.95\"", "expected a number from 0.1 to 0.9, or disabled|default"},
        {"run.googleapis.com/maxScale: \"0\"", "expected"},
        {"sennit.dev/allow-unauthenticated: \"no\"", "expected \"true\" or \"false\", found"},
        {"sennit.dev/invokers: allUsers", "e-mail addresses with commas between them, found"},
        {"run.googleapis.com/custom-audiences: https://a.example", "expected a JSON list of texts"},
        {"run.googleapis.com/custom-audiences: '[1]'", "each a text"},
        {"run.googleapis.com/scalingMode: auto", "expected one of automatic|manual"},
    };
    static const char good[] = "        run.googleapis.com/ingress: all\n"
                               "        run.googleapis.com/cpu-throttling: \"False\"\n"
                               "        autoscaling.knative.dev/minScale: \"1\"\n"
                               "        autoscaling.knative.dev/max-scale: \"3\"\n"
                               "        autoscaling.knative.dev/targetBurstCapacity: \"-1\"\n"
                               "        run.googleapis.com/scaling-cpu-target: disabled\n"
                               "        run.googleapis.com/sessionAffinity: \"true\"\n"
                               "        run.googleapis.com/client-name: gcloud\n"
                               "        example.com/own: anything\n";
    char line[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "        %s\n", bad[i].line);
        refuse_with(line, "", "", bad[i].why);
    }
    accept_with(good, "", "          resources: {}\n");
    assert_int_equal(spec.instances_min, 1);
    assert_int_equal(spec.instances_max, 3);
    assert_true(spec.affinity);
    assert_true(spec.scaling.cpu_target == 0 && spec.scaling.concurrency_target == 0.6);
    assert_int_equal(spec.lacking.count, 1);
    assert_true(span_equal(buf_span(&spec.inert), SPAN_LIT("run.googleapis.com/client-name")));
}

static void test_scaling(void **state)
{
    accept_with("        autoscaling.knative.dev/class: kpa.autoscaling.knative.dev\n"
                "        autoscaling.knative.dev/target: \"20\"\n"
                "        autoscaling.knative.dev/targetUtilizationPercentage: \"50\"\n"
                "        autoscaling.knative.dev/window: 30s\n"
                "        autoscaling.knative.dev/scale-down-delay: 1m30.5s500ms29s\n"
                "        run.googleapis.com/scaling-concurrency-target: \"0.75\"\n",
                "", "");
    assert_true(spec.scaling.is_kpa);
    assert_true(kpa_target(&spec.scaling.kpa) == 10);
    assert_int_equal(spec.scaling.kpa.window_s, 30);
    assert_int_equal(spec.scaling.kpa.down_delay_us, 120000000);
    assert_true(spec.scaling.concurrency_target == 0.75);
    assert_int_equal(spec.lacking.count, 0);
    accept_with(
        "        run.googleapis.com/scalingMode: manual\n        run.googleapis.com/manualInstanceCount: \"3\"\n", "",
        "");
    assert_true(spec.scaling.is_manual);
    assert_int_equal(spec.scaling.instances_manual, 3);
    refuse_with("        run.googleapis.com/scaling-cpu-target: disabled\n"
                "        run.googleapis.com/scaling-concurrency-target: disabled\n",
                "", "", "cannot both be disabled");
}

static bool parsed(const char *behind)
{
    struct buf text = {0};
    buf_printf(&text,
               "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: plain}\nspec:\n  template:\n    "
               "spec: {containers: [{image: x}]}\n%s",
               behind);
    service_spec_finish(&spec);
    bool ok = service_spec_parse(&spec, "dir/service.yaml", buf_span(&text), &err);
    buf_finish(&text);
    return ok;
}

static void test_traffic(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"  traffic: [{percent: 90, latestRevision: true}]\n", "add up to 90, expected 100"},
        {"  traffic: [{percent: 60, latestRevision: true}, {percent: 60, revisionName: plain-1}]\n", "add up to 120"},
        {"  traffic: [{percent: 101, latestRevision: true}]\n", "from 0 to 100"},
        {"  traffic: [{percent: 100, latestRevision: false}]\n", "needs revisionName, or latestRevision: true"},
        {"  traffic: [{percent: 100, latestRevision: true, revisionName: a}]\n", "not both"},
        {"  traffic: [{percent: 100, latestRevision: true, tag: Old}]\n", "expected a tag"},
        {"  traffic: [{percent: 100, latestRevision: true, tag: a}, {revisionName: b, tag: a}]\n", "given twice"},
        {"  traffic: [{precent: 100, latestRevision: true}]\n", "did you mean \"percent\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(parsed(bad[i].text));
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("expected: %s\nbut: %s", bad[i].why, err.text);
    }
    assert_true(parsed("  traffic: [{percent: 100, latestRevision: true}, {tag: old, revisionName: plain-1}]\n"));
    assert_int_equal(spec.lacking.count, 0);
    assert_int_equal(spec.traffic.count, 2);
    assert_null(spec.traffic.list[0].revision);
    assert_string_equal(spec.traffic.list[1].tag, "old");
    assert_true(parsed("  traffic: [{percent: 50, latestRevision: true}, {percent: 50, revisionName: plain-1}]\n"));
    assert_int_equal(spec.lacking.count, 0);
    assert_string_equal(spec.traffic.list[1].revision, "plain-1");
    assert_int_equal(spec.traffic.list[1].percent, 50);
    assert_true(parsed("  traffic: [{percent: 100}, {tag: new}]\n"));
    assert_null(spec.traffic.list[0].revision);
    assert_string_equal(spec.traffic.list[1].tag, "new");
    assert_true(parsed("  traffic: []\n"));
    assert_int_equal(spec.traffic.count, 0);
}

static bool named(const char *name, const char *revision)
{
    struct buf text = {0};
    buf_printf(&text,
               "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: \"%s\"}\nspec:\n  template:\n    "
               "metadata: {name: \"%s\"}\n    spec: {containers: [{image: x}]}\n",
               name, revision);
    service_spec_finish(&spec);
    bool ok = service_spec_parse(&spec, "dir/service.yaml", buf_span(&text), &err);
    buf_finish(&text);
    return ok;
}

/* They stand in heads, in the log, in JSON and in the environment. */
static void test_names(void **state)
{
    char text[80];
    assert_true(named("a", "a-1"));
    assert_true(named("plain", "plain-v2-x"));
    static const char *const names[] = {"", "A", "-a", "a-", "1a", "a_b", "a.b", "a b", "a\\nb", "\\u00e9"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "%s-1", names[i]);
        assert_false(named(names[i], text));
        assert_non_null(strstr(err.text, "dir/service.yaml:3: metadata.name: "));
    }
    static const char *const revisions[] = {"", "a", "a-", "b-1", "a-\\\"", "a-\\r\\nX: y", "a-\\e[31m", "a-B"};
    for (size_t i = 0; i < sizeof revisions / sizeof revisions[0]; i++) {
        assert_false(named("a", revisions[i]));
        assert_non_null(strstr(err.text, "dir/service.yaml:6: spec.template.metadata.name: "));
    }
    memset(text, 'a', 79);
    text[79] = '\0';
    assert_false(named(text, "x"));
    text[1] = '-';
    assert_false(named("a", text));
}

/* No file, however broken, does more than be refused. */
static void test_broken_files(void **state)
{
    static const char *const files[] = {EXAMPLES "/whiteboard/service.yaml", EXAMPLES "/node-hello/service.yaml"};
    static const char *const splices[] = {"\0",
                                          ": ",
                                          "\n",
                                          "- ",
                                          "{",
                                          "}",
                                          "[",
                                          "]",
                                          "\"",
                                          "&a ",
                                          "*a",
                                          "!!x ",
                                          "-1",
                                          "null",
                                          "~",
                                          "\t",
                                          "99999999999999999999",
                                          "sennit.dev/redis: managed\n",
                                          "\xff",
                                          "|",
                                          "> ",
                                          "? "};
    unsigned good = 0;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        struct buf text = {0};
        assert_true(file_read(files[i % 2], 1 << 20, &text, &err));
        struct buf broken = {0};
        size_t at = (size_t)rand() % text.len, skip = (size_t)rand() % 12;
        const char *splice = splices[(size_t)rand() % (sizeof splices / sizeof splices[0])];
        buf_append(&broken, span_sub(buf_span(&text), 0, at));
        buf_append(&broken, span_of(splice, splice[0] == '\0' ? 1 : strlen(splice)));
        buf_append(&broken, span_from(buf_span(&text), at + skip));
        service_spec_finish(&spec);
        err.text[0] = '\0';
        if (service_spec_parse(&spec, files[i % 2], buf_span(&broken), &err))
            good++;
        else
            assert_int_equal(strncmp(err.text, files[i % 2], strlen(files[i % 2])), 0);
        buf_finish(&text);
        buf_finish(&broken);
    }
    assert_true(good > 100);
}

static int finish(void **state)
{
    service_spec_finish(&spec);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes),           cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_managed_servers),   cmocka_unit_test(test_numbers_that_are_none),
        cmocka_unit_test(test_scales_that_cross), cmocka_unit_test(test_texts_that_cannot_be_passed),
        cmocka_unit_test(test_variables),         cmocka_unit_test(test_who_may_call),
        cmocka_unit_test(test_annotations),       cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_traffic),           cmocka_unit_test(test_names),
        cmocka_unit_test(test_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
