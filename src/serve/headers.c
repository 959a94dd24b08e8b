/* headers: the default fields, and the operator's replacements, checked to be one line each. */
#include "serve/headers.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/http1.h"

enum { VALUE_BYTES_MAX = 4096 };

/* A page runs and loads what comes from here, talks to here, and stands in no frame of another site. Styles may be set
 * on elements, as pages with charts and drawings do. */
#define CSP \
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; " \
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"

static bool line_read(struct buf *to, const struct yaml_node *mapping, const char *key, const char *name,
                      const char *fallback, struct err *err)
{
    const struct yaml_node *node = mapping != NULL ? yaml_get(mapping, key) : NULL;
    struct span value = span_str(fallback);
    if (node != NULL && !yaml_string(node, &value, err))
        return false;
    if (span_equal(value, SPAN_LIT("none")))
        return true;
    if (value.len > VALUE_BYTES_MAX || !http1_value_is_valid(value))
        return yaml_error(err, node, "expected up to %d visible ASCII characters on one line, or none",
                          VALUE_BYTES_MAX);
    buf_printf(to, "%s: " SPAN_FMT "\r\n", name, SPAN_ARG(value));
    return true;
}

char *headers_read(const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"csp", "referrer_policy", NULL};
    struct buf lines = {0};
    char *text = NULL;
    if (node != NULL && (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err)))
        return NULL;
    buf_append(&lines, SPAN_LIT("X-Content-Type-Options: nosniff\r\n"));
    if (line_read(&lines, node, "csp", "Content-Security-Policy", CSP, err) &&
        line_read(&lines, node, "referrer_policy", "Referrer-Policy", "strict-origin-when-cross-origin", err))
        text = mem_text(buf_span(&lines));
    buf_finish(&lines);
    return text;
}
