/* forwarded: walks the list from its right end, and reads one entry. */
#include "serve/forwarded.h"

#include "base/shown.h"

/* Cuts the last entry off `*list`. */
static struct span last_take(struct span *list)
{
    size_t at = list->len;
    while (at > 0 && list->data[at - 1] != ',')
        at--;
    struct span last = span_trim(span_from(*list, at));
    *list = span_sub(*list, 0, at > 0 ? at - 1 : 0);
    return last;
}

/* Finds the entry number `hops` from the right, 1 being the last. Empty entries do not count (RFC 9110 section 5.6.1).
 */
static bool entry_find(const struct http1_head *head, unsigned hops, struct span *entry)
{
    for (size_t i = head->field_count; i-- > 0;) {
        if (!span_equal_nocase(head->fields[i].name, SPAN_LIT("X-Forwarded-For")))
            continue;
        struct span list = head->fields[i].value;
        while (list.len > 0) {
            *entry = last_take(&list);
            if (entry->len > 0 && --hops == 0)
                return true;
        }
    }
    return false;
}

/* `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`. */
static bool entry_read(struct span entry, struct addr_ip *client)
{
    struct span host = entry, port = {NULL, 0};
    struct addr addr;
    uint64_t number = 0;
    ptrdiff_t end = span_find(entry, ']'), colon = span_find(entry, ':');
    if (entry.data[0] == '[') {
        if (end < 0)
            return false;
        host = span_sub(entry, 1, (size_t)end - 1);
        struct span rest = span_from(entry, (size_t)end + 1);
        if (span_find(host, ':') < 0 || (rest.len > 0 && rest.data[0] != ':'))
            return false;
        if (rest.len > 0)
            port = span_from(rest, 1);
    } else if (colon >= 0 && span_find(span_from(entry, (size_t)colon + 1), ':') < 0) {
        host = span_sub(entry, 0, (size_t)colon);
        port = span_from(entry, (size_t)colon + 1);
    }
    if (port.data != NULL && (!span_to_u64(port, &number) || number > UINT16_MAX))
        return false;
    if (!addr_from_ip(&addr, host, (uint16_t)number))
        return false;
    addr_ip_of(&addr, client);
    return true;
}

bool forwarded_find(const struct http1_head *head, unsigned hops, struct addr_ip *client)
{
    struct span entry;
    return hops > 0 && entry_find(head, hops, &entry) && entry_read(entry, client);
}

bool forwarded_hops_read(unsigned *hops, const char *flag, const char *environment, const struct yaml_node *root,
                         struct err *err)
{
    const char *text = flag != NULL ? flag : environment;
    const struct yaml_node *node = root != NULL ? yaml_get(root, "trusted_hops") : NULL;
    uint64_t number = 0;
    if (node != NULL && !yaml_u64(node, 0, FORWARDED_HOPS_MAX, &number, err))
        return false;
    if (text != NULL && (!span_to_u64(span_str(text), &number) || number > FORWARDED_HOPS_MAX))
        return err_set(err, "%s: expected the number of trusted proxies, 0 to %d, found %s",
                       flag != NULL ? "--trusted-hops" : "SENNIT_TRUSTED_HOPS", FORWARDED_HOPS_MAX,
                       SHOWN_FOUND(span_str(text)));
    *hops = (unsigned)number;
    return true;
}
