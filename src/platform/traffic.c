/* traffic: keeps the targets, and reads the lists of the command line. */
#include "platform/traffic.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"

enum { TAG_BYTES_MAX = 11 }; /* with "---" and a name of 49 bytes, a label of 63 */

void traffic_finish(struct traffic *traffic)
{
    for (size_t i = 0; i < traffic->count; i++) {
        free(traffic->list[i].revision);
        free(traffic->list[i].tag);
    }
    free(traffic->list);
    *traffic = (struct traffic){0};
}

void traffic_add(struct traffic *traffic, struct span revision, struct span tag, uint32_t percent)
{
    traffic->list = mem_resize(traffic->list, (traffic->count + 1) * sizeof *traffic->list);
    traffic->list[traffic->count++] = (struct traffic_target){
        .revision = revision.len > 0 ? mem_text(revision) : NULL,
        .tag = tag.len > 0 ? mem_text(tag) : NULL,
        .percent = percent,
    };
}

void traffic_copy(struct traffic *to, const struct traffic *from)
{
    struct traffic copy = {0};
    for (size_t i = 0; i < from->count; i++)
        traffic_add(&copy, span_str(from->list[i].revision), span_str(from->list[i].tag), from->list[i].percent);
    traffic_finish(to);
    *to = copy;
}

const struct traffic_target *traffic_tagged(const struct traffic *traffic, struct span tag)
{
    for (size_t i = 0; i < traffic->count; i++)
        if (traffic->list[i].tag != NULL && span_equal_nocase(span_str(traffic->list[i].tag), tag))
            return &traffic->list[i];
    return NULL;
}

bool traffic_tag_is_valid(struct span tag)
{
    if (tag.len == 0 || tag.len > TAG_BYTES_MAX || tag.data[0] < 'a' || tag.data[0] > 'z' ||
        tag.data[tag.len - 1] == '-')
        return false;
    for (size_t i = 0; i < tag.len; i++) {
        char c = tag.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

static struct span revision_meant(struct span text)
{
    return span_equal(text, SPAN_LIT(TRAFFIC_LATEST)) ? SPAN_LIT("") : text;
}

static bool room_check(const struct traffic *traffic, struct err *err)
{
    return traffic->count < TRAFFIC_TARGETS_MAX ||
           err_set(err, "more than %d shares and tags: remove some", TRAFFIC_TARGETS_MAX);
}

static bool share_add(struct traffic *traffic, struct span part, uint64_t *sum, struct err *err)
{
    struct span rest = part, name;
    uint64_t percent;
    span_next(&rest, '=', &name);
    if (name.len == 0 || rest.data == NULL || !span_to_u64(rest, &percent) || percent > TRAFFIC_PERCENT)
        return err_set(err, "expected REVISION=PERCENT, like board-00001=90,LATEST=10, found %s", SHOWN_FOUND(part));
    *sum += percent;
    if (!room_check(traffic, err))
        return false;
    traffic_add(traffic, revision_meant(name), SPAN_LIT(""), (uint32_t)percent);
    return true;
}

static bool tags_keep(struct traffic *to, const struct traffic *from, struct err *err)
{
    for (size_t i = 0; i < from->count; i++) {
        if (from->list[i].tag == NULL)
            continue;
        if (!room_check(to, err))
            return false;
        traffic_add(to, span_str(from->list[i].revision), span_str(from->list[i].tag), 0);
    }
    return true;
}

bool traffic_shares_set(struct traffic *traffic, struct span text, struct err *err)
{
    struct traffic made = {0};
    struct span part;
    uint64_t sum = 0;
    bool ok = true;
    while (ok && span_next(&text, ',', &part))
        ok = share_add(&made, part, &sum, err);
    if (ok && sum != TRAFFIC_PERCENT)
        ok = err_set(err, "the shares add up to %llu, expected %d", (unsigned long long)sum, TRAFFIC_PERCENT);
    ok = ok && tags_keep(&made, traffic, err);
    struct traffic *left = ok ? traffic : &made;
    traffic_finish(left);
    if (ok)
        *traffic = made;
    return ok;
}

/* The target keeps its share. */
static void tag_remove(struct traffic *traffic, struct span tag)
{
    for (size_t i = 0; i < traffic->count; i++) {
        struct traffic_target *target = &traffic->list[i];
        if (target->tag == NULL || !span_equal(span_str(target->tag), tag))
            continue;
        free(target->tag);
        target->tag = NULL;
    }
}

static bool tag_set(struct traffic *traffic, struct span part, struct err *err)
{
    struct span rest = part, tag;
    span_next(&rest, '=', &tag);
    if (rest.data == NULL || !traffic_tag_is_valid(tag))
        return err_set(err,
                       "expected TAG=REVISION, like canary=board-00002, with a tag of at most %d lower-case letters, "
                       "digits and hyphens; found %s",
                       TAG_BYTES_MAX, SHOWN_FOUND(part));
    tag_remove(traffic, tag);
    if (rest.len == 0)
        return true;
    if (!room_check(traffic, err))
        return false;
    traffic_add(traffic, revision_meant(rest), tag, 0);
    return true;
}

bool traffic_tags_set(struct traffic *traffic, struct span text, struct err *err)
{
    struct traffic made = {0};
    struct span part;
    bool ok = true;
    traffic_copy(&made, traffic);
    while (ok && span_next(&text, ',', &part))
        ok = tag_set(&made, part, err);
    struct traffic *left = ok ? traffic : &made;
    traffic_finish(left);
    if (ok)
        *traffic = made;
    return ok;
}
