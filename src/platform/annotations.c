/* annotations: the table, and the checks of names and values. */
#include "platform/annotations.h"

#include <stdio.h>

#include "base/meant.h"
#include "base/shown.h"
#include "platform/spec.h"

#define AUTOSCALING "autoscaling.knative.dev/"
#define RUN "run.googleapis.com/"
#define SERVING "serving.knative.dev/"

enum kind {
    KIND_TEXT,     /* any */
    KIND_WORD,     /* one of `words` */
    KIND_BOOL,     /* true or false, in any case */
    KIND_COUNT,    /* a whole number from min to max */
    KIND_DECIMAL,  /* a number from min to max thousandths, or one of `words` */
    KIND_DURATION, /* in Go's form, from min to max milliseconds, in whole seconds, as Knative has it */
};

enum { SECOND = 1000, HOUR = 3600 * SECOND, THOUSAND = 1000, ANY = 1000000000 };

struct known {
    const char *name;
    enum kind kind;
    const char *words; /* "one|other" */
    uint64_t min, max;
    const char *usual; /* the value that asks for nothing else than what happens here; NULL: none */
    const char *consequence;
};

#define NOT_SCALED_SO "instances are added when all slots are taken, and removed after 15 minutes without a request"
#define NO_NETWORK "programs use the network of this machine"
#define NOT_BUILT_HERE ""

static const struct known known[] = {
    {AUTOSCALING "min-scale", KIND_COUNT, NULL, 0, SPEC_INSTANCES_MAX, NULL, NULL},
    {AUTOSCALING "max-scale", KIND_COUNT, NULL, 1, SPEC_INSTANCES_MAX, NULL, NULL},
    {AUTOSCALING "class", KIND_WORD, "kpa.autoscaling.knative.dev|hpa.autoscaling.knative.dev", 0, 0,
     "kpa.autoscaling.knative.dev", NOT_SCALED_SO},
    {AUTOSCALING "metric", KIND_WORD, "concurrency|rps|cpu|memory", 0, 0, "concurrency", NOT_SCALED_SO},
    {AUTOSCALING "target", KIND_DECIMAL, "", 10, ANY, NULL, NULL},
    {AUTOSCALING "target-utilization-percentage", KIND_DECIMAL, "", THOUSAND, 100 * THOUSAND, NULL, NULL},
    {AUTOSCALING "window", KIND_DURATION, NULL, 6 * SECOND, HOUR, NULL, NULL},
    {AUTOSCALING "panic-window-percentage", KIND_DECIMAL, "", THOUSAND, 100 * THOUSAND, NULL, NULL},
    {AUTOSCALING "panic-threshold-percentage", KIND_DECIMAL, "", 110 * THOUSAND, 1000 * THOUSAND, NULL, NULL},
    {AUTOSCALING "target-burst-capacity", KIND_DECIMAL, "-1", 0, ANY, NULL, NOT_SCALED_SO},
    {AUTOSCALING "initial-scale", KIND_COUNT, NULL, 0, 1000, NULL, "as many instances start as minScale says"},
    {AUTOSCALING "activation-scale", KIND_COUNT, NULL, 1, 1000, NULL, NULL},
    {AUTOSCALING "scale-down-delay", KIND_DURATION, NULL, 0, HOUR, NULL, NULL},
    {AUTOSCALING "scale-to-zero-pod-retention-period", KIND_DURATION, NULL, 0, HOUR, NULL, NULL},
    {AUTOSCALING "metric-aggregation-algorithm", KIND_WORD, "linear|weighted-exponential", 0, 0, NULL, NOT_SCALED_SO},
    {RUN "minScale", KIND_COUNT, NULL, 0, SPEC_INSTANCES_MAX, NULL, NULL},
    {RUN "maxScale", KIND_COUNT, NULL, 1, SPEC_INSTANCES_MAX, NULL, NULL},
    {RUN "scalingMode", KIND_WORD, "automatic|manual", 0, 0, NULL, NULL},
    {RUN "manualInstanceCount", KIND_COUNT, NULL, 0, 1000, NULL, NULL},
    {RUN "scaling-cpu-target", KIND_DECIMAL, "disabled|default", 100, 900, NULL, NULL},
    {RUN "scaling-concurrency-target", KIND_DECIMAL, "disabled|default", 100, 950, NULL, NULL},
    {RUN "ingress", KIND_WORD, "all|internal|internal-and-cloud-load-balancing", 0, 0, "all",
     "every client that reaches the port is served"},
    {RUN "ingress-status", KIND_WORD, "all|internal|internal-and-cloud-load-balancing", 0, 0, NULL, ""},
    {RUN "default-url-disabled", KIND_BOOL, NULL, 0, 0, "false", "the service is served at its address"},
    {RUN "invoker-iam-disabled", KIND_BOOL, NULL, 0, 0, "true",
     "sennit.dev/allow-unauthenticated says whether requests need an identity token"},
    {RUN "iap-enabled", KIND_BOOL, NULL, 0, 0, "false", "nobody is asked to sign in"},
    {RUN "cpu-throttling", KIND_BOOL, NULL, 0, 0, NULL, NULL},
    {RUN "startup-cpu-boost", KIND_BOOL, NULL, 0, 0, "false", ""},
    {RUN "sessionAffinity", KIND_BOOL, NULL, 0, 0, NULL, NULL},
    {RUN "execution-environment", KIND_WORD, "gen1|gen2", 0, 0, "gen2", ""},
    {RUN "health-check-disabled", KIND_BOOL, NULL, 0, 0, NULL, ""},
    {RUN "container-dependencies", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "vpc-access-connector", KIND_TEXT, NULL, 0, 0, NULL, NO_NETWORK},
    {RUN "vpc-access-egress", KIND_WORD, "all|all-traffic|private-ranges-only", 0, 0, NULL, NO_NETWORK},
    {RUN "network-interfaces", KIND_TEXT, NULL, 0, 0, NULL, NO_NETWORK},
    {RUN "cloudsql-instances", KIND_TEXT, NULL, 0, 0, NULL, "there is no socket under /cloudsql"},
    {RUN "secrets", KIND_TEXT, NULL, 0, 0, NULL, "an alias is not followed: the secret is the file that has its name"},
    {RUN "encryption-key", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "encryption-key-shutdown-hours", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "post-key-revocation-action-type", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "binary-authorization", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "binary-authorization-breakglass", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "gpu-zonal-redundancy-disabled", KIND_BOOL, NULL, 0, 0, NULL, ""},
    {RUN "custom-audiences", KIND_TEXT, NULL, 0, 0, NULL, NULL},
    {RUN "threat-detection", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "base-images", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-base-image", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-enable-automatic-updates", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-environment-variables", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-function-target", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-id", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-image-uri", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-name", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-service-account", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-source-location", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "build-worker-pool", KIND_TEXT, NULL, 0, 0, NULL, NOT_BUILT_HERE},
    {RUN "launch-stage", KIND_WORD, "ALPHA|BETA|GA|EARLY_ACCESS|DEPRECATED|PRELAUNCH|UNIMPLEMENTED", 0, 0, NULL, ""},
    {RUN "description", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "client-name", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "client-version", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "operation-id", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {RUN "urls", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {SERVING "creator", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {SERVING "lastModifier", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {SERVING "forceUpgrade", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {SERVING "revision-tag-routing", KIND_TEXT, NULL, 0, 0, NULL, ""},
    {SERVING "rollout-duration", KIND_DURATION, NULL, 0, ANY, "0s", "traffic moves at once"},
    {SERVING "progress-deadline", KIND_DURATION, NULL, SECOND, ANY, NULL, ""},
    {SERVING "no-gc", KIND_TEXT, NULL, 0, 0, NULL, ""},
};
enum { KNOWN = sizeof known / sizeof known[0], WORDS_BYTES_MAX = 160 };

static struct span prefix_of(struct span name)
{
    ptrdiff_t slash = span_find(name, '/');
    return span_sub(name, 0, slash < 0 ? 0 : (size_t)slash + 1);
}

/* True for `minScale` where `name` is `min-scale`, and for the same spelling. */
static bool is_spelled(struct span key, const char *name)
{
    size_t at = 0;
    for (; *name != '\0'; name++) {
        char c = *name;
        bool joined = c == '-' && at < key.len && key.data[at] != '-';
        if (joined)
            c = (char)(*++name & ~32); /* the letter behind the hyphen, upper case */
        if (at == key.len || key.data[at++] != c)
            return false;
    }
    return at == key.len;
}

static const struct known *find(struct span key)
{
    for (size_t i = 0; i < KNOWN; i++) {
        bool both = span_starts_with(span_str(known[i].name), SPAN_LIT(AUTOSCALING)) ||
                    span_equal(span_str(known[i].name), SPAN_LIT(SERVING "rollout-duration"));
        if (both ? is_spelled(key, known[i].name) : span_equal(key, span_str(known[i].name)))
            return &known[i];
    }
    return NULL;
}

static bool refuse_name(const struct yaml_pair *pair, struct span prefix, struct err *err)
{
    const char *names[KNOWN + 1];
    size_t count = 0;
    for (size_t i = 0; i < KNOWN; i++)
        if (span_starts_with(span_str(known[i].name), prefix))
            names[count++] = known[i].name;
    names[count] = NULL;
    const char *meant = name_meant(pair->key, names);
    return meant != NULL
               ? yaml_error(err, pair->value, "the platforms know no such annotation; did you mean \"%s\"?", meant)
               : yaml_error(err, pair->value,
                            "the platforms know no such annotation, and refuse what they do not know: take it away");
}

/* Whether `text` is one of "one|other", any case if `fold`. */
static bool is_among(struct span text, const char *words, bool fold)
{
    struct span rest = span_str(words), word;
    while (words[0] != '\0' && span_next(&rest, '|', &word))
        if (fold ? span_equal_nocase(text, word) : span_equal(text, word))
            return true;
    return false;
}

/* The unit in front of `text`, in microseconds; `*len`: its length. 0: none. */
static uint64_t unit_read(struct span text, size_t *len)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = {{"ms", 1000}, {"us", 1}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        *len = strlen(units[i].name);
        if (span_starts_with(text, span_str(units[i].name)))
            return units[i].us;
    }
    return 0;
}

/* "1m30s", "1.5h", "0": numbers with units, as Go's time.ParseDuration reads them. */
static bool go_duration_read(struct span text, uint64_t *us)
{
    uint64_t sum = 0, thousandths;
    if (span_equal(text, SPAN_LIT("0")))
        return (*us = 0, true);
    for (size_t at = 0, unit_len; at < text.len; at += unit_len) {
        size_t from = at;
        while (at < text.len && (text.data[at] == '.' || (text.data[at] >= '0' && text.data[at] <= '9')))
            at++;
        uint64_t unit = unit_read(span_from(text, at), &unit_len);
        if (unit == 0 || !span_to_thousandths(span_sub(text, from, at - from), &thousandths) || thousandths > ANY)
            return false;
        sum += thousandths * unit / THOUSAND;
        if (sum > (uint64_t)ANY * THOUSAND)
            return false;
    }
    *us = sum;
    return text.len > 0;
}

static bool duration_read(const struct known *one, const struct yaml_node *node, struct span text, uint64_t *ms,
                          struct err *err)
{
    uint64_t us;
    if (!go_duration_read(text, &us) || us / THOUSAND < one->min || us / THOUSAND > one->max)
        return yaml_error(
            err, node, "expected a duration from %llus to %llus, with units (like 90s, 1m30s, 1h), found %s",
            (unsigned long long)one->min / SECOND, (unsigned long long)one->max / SECOND, SHOWN_FOUND(text));
    if (us % (SECOND * THOUSAND) != 0)
        return yaml_error(err, node, "expected whole seconds, found %s", SHOWN_FOUND(text));
    *ms = us / THOUSAND;
    return true;
}

static bool value_check(const struct known *one, const struct yaml_node *node, struct span text,
                        struct annotation *found, struct err *err)
{
    switch (one->kind) {
    case KIND_TEXT:
        return true;
    case KIND_COUNT:
        return yaml_u64_text(node, one->min, one->max, &found->number, err);
    case KIND_DURATION:
        return duration_read(one, node, text, &found->number, err);
    case KIND_BOOL:
        return is_among(text, "true|false", true) ||
               yaml_error(err, node, "expected \"true\" or \"false\", found %s", SHOWN_FOUND(text));
    case KIND_WORD:
        return is_among(text, one->words, false) ||
               yaml_error(err, node, "expected one of %.*s, found %s", WORDS_BYTES_MAX, one->words, SHOWN_FOUND(text));
    case KIND_DECIMAL:
        break;
    }
    found->is_word = is_among(text, one->words, false);
    if (found->is_word)
        return true;
    if (span_to_thousandths(text, &found->number) && found->number >= one->min && found->number <= one->max)
        return true;
    return yaml_error(err, node, "expected a number from %g to %.10g%s%s, found %s", (double)one->min / THOUSAND,
                      (double)one->max / THOUSAND, one->words[0] != '\0' ? ", or " : "", one->words, SHOWN_FOUND(text));
}

bool annotation_check(const struct yaml_pair *pair, struct annotation *found, struct err *err)
{
    struct span prefix = prefix_of(pair->key), text;
    const struct known *one = find(pair->key);
    *found = (struct annotation){0};
    if (one == NULL) {
        bool ours = span_equal(prefix, SPAN_LIT(AUTOSCALING)) || span_equal(prefix, SPAN_LIT(RUN)) ||
                    span_equal(prefix, SPAN_LIT(SERVING));
        return ours ? refuse_name(pair, prefix, err) : true;
    }
    if (!yaml_string(pair->value, &text, err) || !value_check(one, pair->value, text, found, err))
        return false;
    found->name = one->name;
    found->text = text;
    if (one->usual == NULL || !span_equal_nocase(text, span_str(one->usual)))
        found->consequence = one->consequence;
    return true;
}
