/* http_coding: reads Accept-Encoding, and encodes bodies. */
#include "http/http_coding.h"

#include "http/http_parts.h"
#include "wire/deflate.h"

enum { WEIGHT_MAX = 1000, UNSET = -1 };

/* In thousandths; UNSET: not listed. */
struct weights {
    int gzip, deflate, identity, others;
};

/* "0", "0.8", "1.000": at most three digits behind the dot. UNSET for anything else. */
static int weight_read(struct span text)
{
    int weight = 0, unit = WEIGHT_MAX;
    if (text.len == 0 || text.len > 5 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.len > 1 && text.data[1] != '.'))
        return UNSET;
    weight = (text.data[0] - '0') * WEIGHT_MAX;
    for (size_t i = 2; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return UNSET;
        unit /= 10;
        weight += (text.data[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : UNSET;
}

/* One element: a coding, and perhaps ";q=". One that cannot be read counts as not listed. */
static void element_take(struct weights *weights, struct span element)
{
    struct span rest = element, name, parameter;
    int weight = WEIGHT_MAX;
    if (!span_next(&rest, ';', &name))
        return;
    while (span_next(&rest, ';', &parameter)) {
        parameter = span_trim(parameter);
        if (parameter.len >= 2 && span_equal_nocase(span_sub(parameter, 0, 2), SPAN_LIT("q=")))
            weight = weight_read(span_from(parameter, 2));
    }
    name = span_trim(name);
    if (span_equal_nocase(name, SPAN_LIT("gzip")) || span_equal_nocase(name, SPAN_LIT("x-gzip")))
        weights->gzip = weight;
    else if (span_equal_nocase(name, SPAN_LIT("deflate")))
        weights->deflate = weight;
    else if (span_equal_nocase(name, SPAN_LIT("identity")))
        weights->identity = weight;
    else if (span_equal(name, SPAN_LIT("*")))
        weights->others = weight;
}

struct http_coding http_coding_choose(const struct http1_head *head)
{
    struct weights weights = {UNSET, UNSET, UNSET, UNSET};
    for (size_t i = 0; i < head->field_count; i++) {
        struct span rest = head->fields[i].value, element;
        if (!span_equal_nocase(head->fields[i].name, SPAN_LIT("Accept-Encoding")))
            continue;
        while (span_next(&rest, ',', &element))
            element_take(&weights, element);
    }
    int others = weights.others != UNSET ? weights.others : 0;
    int gzip = weights.gzip != UNSET ? weights.gzip : others;
    int deflate = weights.deflate != UNSET ? weights.deflate : others;
    int best = gzip >= deflate ? gzip : deflate;
    bool forbidden = weights.identity == 0 || (weights.identity == UNSET && weights.others == 0);
    if (best == 0 || weights.identity > best)
        return (struct http_coding){HTTP_IDENTITY, false};
    return (struct http_coding){gzip >= deflate ? HTTP_GZIP : HTTP_DEFLATE, forbidden};
}

void http_respond_coded(struct http *http, int status, struct span type, struct span fields, struct span body)
{
    struct buf coded = {0}, all_fields = {0};
    struct http_coding coding = {HTTP_IDENTITY, false};
    if (http->exchange != NULL)
        coding = http->exchange->coding;
    bool may = body.len <= HTTP_CODED_BYTES_MAX && (body.len >= HTTP_CODED_BYTES_MIN || coding.required);
    buf_append(&all_fields, fields);
    buf_append(&all_fields, SPAN_LIT("Vary: Accept-Encoding\r\n"));
    if (may && coding.kind == HTTP_GZIP)
        deflate_gzip(&coded, body);
    else if (may && coding.kind == HTTP_DEFLATE)
        deflate_zlib(&coded, body);
    bool is_coded = coded.len > 0 && (coded.len < body.len || coding.required);
    if (is_coded)
        buf_printf(&all_fields, "Content-Encoding: %s\r\n", coding.kind == HTTP_GZIP ? "gzip" : "deflate");
    http_respond(http, status, type, buf_span(&all_fields), is_coded ? buf_span(&coded) : body);
    buf_finish(&all_fields);
    buf_finish(&coded);
}
