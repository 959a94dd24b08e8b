/* spec_limits: how much the container may use (`resources`), and as whom its program runs (`securityContext`).
 * Quantities are written as Kubernetes has them. */
#include "base/shown.h"
#include "platform/spec_parts.h"

enum { THOUSAND = 1000, UID_MAX = 2147483647 };

/* "500m", "0.5", "2": thousandths of a CPU. */
static bool cpu_parse(struct span text, uint64_t *milli)
{
    bool is_milli = text.len > 1 && text.data[text.len - 1] == 'm';
    return is_milli ? span_to_u64(span_sub(text, 0, text.len - 1), milli) : span_to_thousandths(text, milli);
}

/* What Cloud Run takes. */
static bool cpu_limit_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    static const uint32_t whole[] = {1000, 2000, 4000, 6000, 8000};
    struct span text;
    uint64_t number = 0;
    if (!yaml_string(node, &text, err))
        return false;
    bool ok = cpu_parse(text, &number) && number >= 80 && number <= 8000;
    bool known = number < 1000 && number % 10 == 0;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        known = known || number == whole[i];
    if (!ok || !known)
        return yaml_error(err, node, "expected 0.08 to 1 in steps of 0.01, or 1, 2, 4, 6 or 8 CPUs, found %s",
                          SHOWN_FOUND(text));
    spec->cpu_milli = (uint32_t)number;
    return true;
}

/* "512Mi", "1.5Gi", "1G", "1000000". */
static bool bytes_parse(struct span text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"Ki", 1 << 10},    {"Mi", 1 << 20},      {"Gi", 1 << 30},
                 {"Ti", 1ULL << 40}, {"k", 1000},          {"M", 1000000},
                 {"G", 1000000000},  {"T", 1000000000000}, {"", 1}};
    size_t len = 0, i = 0;
    uint64_t thousandths;
    while (len < text.len && (text.data[len] == '.' || (text.data[len] >= '0' && text.data[len] <= '9')))
        len++;
    while (units[i].bytes != 1 && !span_equal(span_from(text, len), span_str(units[i].name)))
        i++;
    if (!span_equal(span_from(text, len), span_str(units[i].name)) ||
        !span_to_thousandths(span_sub(text, 0, len), &thousandths) || thousandths > UINT64_MAX / units[i].bytes)
        return false;
    *bytes = thousandths * units[i].bytes / THOUSAND;
    return true;
}

bool spec_bytes_read(const struct yaml_node *node, uint64_t min, const char *least, uint64_t *bytes, struct err *err)
{
    struct span text;
    uint64_t number;
    if (!yaml_string(node, &text, err))
        return false;
    if (!bytes_parse(text, &number) || number < min || number > SPEC_MEMORY_MAX)
        return yaml_error(err, node, "expected a size from %s to 32Gi (like 512Mi, 1.5Gi, 1G), found %s", least,
                          SHOWN_FOUND(text));
    *bytes = number;
    return true;
}

static bool limits_read(struct service_spec *spec, const struct yaml_node *limits, struct err *err)
{
    static const char *const names[] = {"cpu", "memory", "nvidia.com/gpu", NULL};
    if (!yaml_only(limits, names, err))
        return false;
    const struct yaml_node *cpu = spec_get(limits, "cpu"), *memory = spec_get(limits, "memory");
    if ((cpu != NULL && !cpu_limit_read(spec, cpu, err)) ||
        (memory != NULL && !spec_bytes_read(memory, SPEC_MEMORY_MIN, "128Mi", &spec->memory_bytes_max, err)))
        return false;
    uint64_t least = spec->cpu_milli >= 6000 ? SPEC_MEMORY_6_CPU : spec->cpu_milli >= 4000 ? SPEC_MEMORY_4_CPU : 0;
    if (memory != NULL && spec->memory_bytes_max < least)
        return yaml_error(err, memory, "%u CPUs need at least %lluGi", spec->cpu_milli / THOUSAND,
                          (unsigned long long)(least >> 30));
    if (spec_get(limits, "nvidia.com/gpu") != NULL)
        spec_inert(spec, "nvidia.com/gpu", "instances have no GPU of their own");
    return true;
}

/* Weights the CPU of instances against each other, and reserves nothing. */
static bool requests_read(struct service_spec *spec, const struct yaml_node *requests, struct err *err)
{
    static const char *const names[] = {"cpu", "memory", NULL};
    struct span text;
    uint64_t milli = 0, bytes = 0;
    if (!yaml_only(requests, names, err))
        return false;
    const struct yaml_node *cpu = spec_get(requests, "cpu"), *memory = spec_get(requests, "memory");
    if (cpu != NULL && !yaml_string(cpu, &text, err))
        return false;
    if (cpu != NULL && (!cpu_parse(text, &milli) || milli == 0 || milli > SPEC_CPU_MILLI_MAX))
        return yaml_error(err, cpu, "expected up to %d CPUs (like 125m, 0.5, 2), found %s",
                          SPEC_CPU_MILLI_MAX / THOUSAND, SHOWN_FOUND(text));
    if (spec->cpu_milli != 0 && milli > spec->cpu_milli)
        return yaml_error(err, cpu, "more than resources.limits.cpu");
    if (memory != NULL && !spec_bytes_read(memory, 1, "1", &bytes, err))
        return false;
    if (spec->memory_bytes_max != 0 && bytes > spec->memory_bytes_max)
        return yaml_error(err, memory, "more than resources.limits.memory");
    spec->cpu_request_milli = (uint32_t)milli;
    return true;
}

bool spec_resources_read(struct service_spec *spec, const struct yaml_node *resources, struct err *err)
{
    static const char *const keys[] = {"limits", "requests", NULL};
    if (resources == NULL)
        return true;
    if (!yaml_only(resources, keys, err))
        return false;
    const struct yaml_node *limits = spec_get(resources, "limits"), *requests = spec_get(resources, "requests");
    return (limits == NULL || limits_read(spec, limits, err)) &&
           (requests == NULL || requests_read(spec, requests, err));
}

static bool flag_read(const struct yaml_node *mapping, const char *key, bool *flag, struct err *err)
{
    const struct yaml_node *node = spec_get(mapping, key);
    return node == NULL || yaml_bool(node, flag, err);
}

static bool id_read(const struct yaml_node *mapping, const char *key, struct spec_id *id, struct err *err)
{
    uint32_t number;
    if (!spec_number_read(mapping, key, 0, UID_MAX, &number, err))
        return false;
    if (spec_get(mapping, key) != NULL)
        *id = (struct spec_id){true, number};
    return true;
}

bool spec_security_read(struct service_spec *spec, const struct yaml_node *context, struct err *err)
{
    static const char *const keys[] = {"runAsUser",  "runAsGroup",   "runAsNonRoot",   "allowPrivilegeEscalation",
                                       "privileged", "capabilities", "seccompProfile", "readOnlyRootFilesystem",
                                       NULL};
    bool not_root = false, gains = false, privileged = false, sealed = false;
    if (context == NULL)
        return true;
    if (!yaml_only(context, keys, err) || !id_read(context, "runAsUser", &spec->uid, err) ||
        !id_read(context, "runAsGroup", &spec->gid, err) || !flag_read(context, "runAsNonRoot", &not_root, err) ||
        !flag_read(context, "allowPrivilegeEscalation", &gains, err) ||
        !flag_read(context, "privileged", &privileged, err) ||
        !flag_read(context, "readOnlyRootFilesystem", &sealed, err))
        return false;
    if (privileged)
        return yaml_error(err, spec_get(context, "privileged"),
                          "the platforms run no privileged programs: take it away");
    if (not_root && spec->uid.is_given && spec->uid.number == 0)
        return yaml_error(err, spec_get(context, "runAsUser"), "runAsNonRoot is true, and this is root");
    if (spec->gid.is_given && !spec->uid.is_given)
        return yaml_error(err, spec_get(context, "runAsGroup"), "a group needs a runAsUser beside it");
    spec->not_root = not_root;
    if (gains)
        spec_inert(spec, "allowPrivilegeEscalation", "programs cannot gain privileges");
    if (sealed)
        spec_inert(spec, "readOnlyRootFilesystem", "the program may write its files");
    if (spec_get(context, "capabilities") != NULL)
        spec_inert(spec, "capabilities", "");
    if (spec_get(context, "seccompProfile") != NULL)
        spec_inert(spec, "seccompProfile", "");
    return true;
}
