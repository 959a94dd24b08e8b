/* spec_annotations: the annotations that have an effect here: the number of instances and how it is found, affinity,
 * CPU, and what sennit.dev adds. */
#include "platform/spec_parts.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/annotations.h"
#include "wire/json.h"

/* `managed`, the only value. */
static bool managed_read(const struct yaml_node *node, const char *instead, bool *managed, struct err *err)
{
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    *managed = span_equal(text, SPAN_LIT("managed"));
    return *managed ||
           yaml_error(err, node, "expected managed, found %s; for %s under env instead", SHOWN_FOUND(text), instead);
}

/* `["https://board.example.com"]` */
static bool audiences_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    struct span text, one;
    if (!yaml_string(node, &text, err))
        return false;
    struct span list = json_trim(text);
    words_finish(&spec->audiences);
    if (text.len > SPEC_AUDIENCES_BYTES_MAX || !json_is_valid(text) || json_type(list) != JSON_ARRAY)
        return yaml_error(err, node,
                          "expected a JSON list of texts of at most %d bytes, like '[\"https://x.example\"]'",
                          SPEC_AUDIENCES_BYTES_MAX);
    while (json_array_next(&list, &one)) {
        struct buf audience = {0};
        bool ok = json_type(one) == JSON_STRING && json_string_decode(one, &audience) && audience.len > 0 &&
                  span_find(buf_span(&audience), '\0') < 0 && spec->audiences.count < SPEC_AUDIENCES_MAX;
        if (ok)
            words_add(&spec->audiences, mem_text(buf_span(&audience)));
        buf_finish(&audience);
        if (!ok)
            return yaml_error(err, node, "expected at most %d audiences, each a text", SPEC_AUDIENCES_MAX);
    }
    return true;
}

/* "a@example.com, b@example.com" */
static bool invokers_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    struct span rest, one;
    if (!yaml_string(node, &rest, err))
        return false;
    words_finish(&spec->invokers);
    while (span_next(&rest, ',', &one)) {
        one = span_trim(one);
        if (span_find(one, '@') <= 0 || spec->invokers.count == SPEC_INVOKERS_MAX)
            return yaml_error(err, node, "expected 1 to %d e-mail addresses with commas between them, found %s",
                              SPEC_INVOKERS_MAX, SHOWN_FOUND(one));
        words_add(&spec->invokers, mem_text(one));
    }
    return true;
}

static bool access_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    bool is_open = span_equal_nocase(text, SPAN_LIT("true"));
    if (!is_open && !span_equal_nocase(text, SPAN_LIT("false")))
        return yaml_error(err, node, "expected \"true\" or \"false\", found %s", SHOWN_FOUND(text));
    spec->access = is_open ? SPEC_ACCESS_OPEN : SPEC_ACCESS_CLOSED;
    return true;
}

/* Takes the value of an annotation that has an effect here. */
static void effect_set(struct service_spec *spec, const struct annotation *found)
{
    struct scaling *scaling = &spec->scaling;
    static const struct {
        const char *name;
        size_t offset;
        double scale;
    } decimals[] = {
        {"run.googleapis.com/scaling-concurrency-target", offsetof(struct scaling, concurrency_target), 1},
        {"run.googleapis.com/scaling-cpu-target", offsetof(struct scaling, cpu_target), 1},
        {"autoscaling.knative.dev/target", offsetof(struct scaling, kpa.target), 1},
        {"autoscaling.knative.dev/target-utilization-percentage", offsetof(struct scaling, kpa.utilization), 0.01},
        {"autoscaling.knative.dev/panic-window-percentage", offsetof(struct scaling, kpa.panic_window), 0.01},
        {"autoscaling.knative.dev/panic-threshold-percentage", offsetof(struct scaling, kpa.panic_threshold), 0.01},
    };
    struct span name = span_str(found->name);
    for (size_t i = 0; i < sizeof decimals / sizeof decimals[0]; i++)
        if (span_equal(name, span_str(decimals[i].name)))
            *(double *)((char *)scaling + decimals[i].offset) =
                found->is_word ? (span_equal(found->text, SPAN_LIT("disabled")) ? 0 : SPEC_TARGET_DEFAULT)
                               : (double)found->number / 1000 * decimals[i].scale;
    if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/min-scale")) ||
        span_equal(name, SPAN_LIT("run.googleapis.com/minScale")))
        spec->instances_min = (uint32_t)found->number;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/max-scale")) ||
             span_equal(name, SPAN_LIT("run.googleapis.com/maxScale")))
        spec->instances_max = (uint32_t)found->number;
    else if (span_equal(name, SPAN_LIT("run.googleapis.com/cpu-throttling")))
        spec->throttled = !span_equal_nocase(found->text, SPAN_LIT("false"));
    else if (span_equal(name, SPAN_LIT("run.googleapis.com/sessionAffinity")))
        spec->affinity = span_equal_nocase(found->text, SPAN_LIT("true"));
    else if (span_equal(name, SPAN_LIT("run.googleapis.com/invoker-iam-disabled")))
        spec->iam_disabled = span_equal_nocase(found->text, SPAN_LIT("true"));
    else if (span_equal(name, SPAN_LIT("run.googleapis.com/scalingMode")))
        scaling->is_manual = span_equal(found->text, SPAN_LIT("manual"));
    else if (span_equal(name, SPAN_LIT("run.googleapis.com/manualInstanceCount")))
        scaling->instances_manual = (uint32_t)found->number;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/class")))
        scaling->is_kpa = span_starts_with(found->text, SPAN_LIT("kpa."));
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/window")))
        scaling->kpa.window_s = (uint32_t)(found->number / 1000);
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/activation-scale")))
        scaling->kpa.activation = (uint32_t)found->number;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/scale-down-delay")))
        scaling->kpa.down_delay_us = found->number * 1000;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/scale-to-zero-pod-retention-period")))
        scaling->kpa.retention_us = found->number * 1000;
}

static bool platforms_annotation_read(struct service_spec *spec, const struct yaml_pair *pair, struct err *err)
{
    struct annotation found;
    if (!annotation_check(pair, &found, err))
        return false;
    if (found.name == NULL)
        return true;
    if (strcmp(found.name, "run.googleapis.com/custom-audiences") == 0)
        return audiences_read(spec, pair->value, err);
    effect_set(spec, &found);
    if (found.consequence != NULL)
        spec_inert(spec, found.name, found.consequence);
    return true;
}

bool spec_annotation_read(struct service_spec *spec, const struct yaml_pair *pair, struct err *err)
{
    struct span key = pair->key, text;
    if (!span_starts_with(key, SPAN_LIT("sennit.dev/")))
        return platforms_annotation_read(spec, pair, err);
    if (!yaml_string(pair->value, &text, err))
        return false;
    if (span_equal(key, SPAN_LIT("sennit.dev/run"))) {
        return spec_text_set(spec, pair->value, &spec->run, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/hint"))) {
        return spec_text_set(spec, pair->value, &spec->hint, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/redis"))) {
        return managed_read(pair->value, "a Redis of your own, set REDIS_URL", &spec->redis, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/postgres"))) {
        return managed_read(pair->value, "a Postgres of your own, set DATABASE_URL, or SENNIT_BROKER=postgres://...,",
                            &spec->postgres, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/allow-unauthenticated"))) {
        return access_read(spec, pair->value, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/invokers"))) {
        return invokers_read(spec, pair->value, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/redis-restart-delay"))) {
        return yaml_duration_ms(pair->value, 0, 3600000, &spec->redis_restart_delay_ms, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/redis-memory"))) {
        return yaml_bytes(pair->value, SPEC_REDIS_MEMORY_MIN, SPEC_REDIS_MEMORY_MAX, &spec->redis_memory_bytes_max,
                          err);
    }
    return yaml_error(err, pair->value,
                      "unknown annotation; known: sennit.dev/run, sennit.dev/hint, sennit.dev/redis, "
                      "sennit.dev/redis-memory, sennit.dev/redis-restart-delay, sennit.dev/postgres, "
                      "sennit.dev/allow-unauthenticated, sennit.dev/invokers");
}
