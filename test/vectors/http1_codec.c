/* http1_codec: a connection's bytes as heads and bodies, one exchange after another, until one says that it is the
 * last. Checks on the way that every span of a head lies in the bytes given. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vectors/codecs.h"
#include "wire/http1.h"

struct state {
    bool response, show_fields, show_trailers, in_body, last;
    struct span method;
    size_t seen;
    struct http1_head head;
    struct http1_body body;
    struct buf data, trailers;
};

static void *http1_create(const struct vector *vector)
{
    struct state *state = mem_zero(1, sizeof *state);
    state->response = span_equal(vector_option(vector, "kind"), SPAN_LIT("response"));
    state->show_fields = span_equal(vector_option(vector, "show"), SPAN_LIT("fields"));
    state->show_trailers = span_equal(vector_option(vector, "show"), SPAN_LIT("trailers"));
    state->method = vector_option(vector, "method");
    return state;
}

static void http1_destroy(void *data)
{
    struct state *state = data;
    buf_finish(&state->data);
    buf_finish(&state->trailers);
    free(state);
}

static void assert_inside(struct span part, struct span bytes)
{
    assert(part.data >= bytes.data && part.data + part.len <= bytes.data + bytes.len);
}

/* Nothing in a received value ends its line: visible bytes, those above 127 among them, SP and HTAB. */
static bool value_is_one_line(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
            return false;
    return span_trim(value).len == value.len;
}

static void head_check(const struct state *state, struct span bytes)
{
    const struct http1_head *head = &state->head;
    assert(head->field_count <= HTTP1_FIELDS_MAX);
    for (size_t i = 0; i < head->field_count; i++) {
        assert_inside(head->fields[i].name, bytes);
        assert_inside(head->fields[i].value, bytes);
        assert(http1_name_is_valid(head->fields[i].name) && value_is_one_line(head->fields[i].value));
    }
    if (!state->response) {
        assert_inside(head->method, bytes);
        assert(head->target.len != 0);
        assert(head->host.data != NULL || head->minor == 0);
    }
}

static void head_print(const struct state *state, struct buf *out)
{
    static const char *const bodies[] = {"none", "length:", "chunked", "close"};
    const struct http1_head *head = &state->head;
    if (state->response)
        buf_printf(out, "response %d 1.%d", head->status, head->minor);
    else
        buf_printf(out, "request " SPAN_FMT " " SPAN_FMT " 1.%d host=" SPAN_FMT, SPAN_ARG(head->method),
                   SPAN_ARG(head->target), head->minor, SPAN_ARG(head->host));
    buf_printf(out, " body=%s", bodies[head->body]);
    if (head->body == HTTP1_BODY_LENGTH)
        buf_append_u64(out, head->content_length);
    buf_printf(out, "%s%s%s", head->keep_alive ? " keep-alive" : "", head->upgrade_websocket ? " websocket" : "",
               head->expect_continue ? " continue" : "");
    if (state->response)
        buf_printf(out, " reason=\"" SPAN_FMT "\"", SPAN_ARG(head->reason));
    buf_append_char(out, '\n');
    for (size_t i = 0; state->show_fields && i < head->field_count; i++)
        buf_printf(out, "field " SPAN_FMT ":%s" SPAN_FMT "\n", SPAN_ARG(head->fields[i].name),
                   head->fields[i].value.len != 0 ? " " : "", SPAN_ARG(head->fields[i].value));
}

static void trailers_print(struct state *state, struct buf *out)
{
    struct span lines = buf_span(&state->trailers);
    struct http1_field field;
    while (state->show_trailers && http1_trailer_next(&lines, &field)) {
        assert(http1_name_is_valid(field.name) && value_is_one_line(field.value));
        buf_printf(out, "trailer " SPAN_FMT ":%s" SPAN_FMT "\n", SPAN_ARG(field.name), field.value.len != 0 ? " " : "",
                   SPAN_ARG(field.value));
    }
    assert(!state->show_trailers || lines.len == 0 || !state->body.done);
    buf_clear(&state->trailers);
}

static void body_print(struct state *state, bool complete, struct buf *out)
{
    buf_append(out, SPAN_LIT("body "));
    vector_quote(out, buf_span(&state->data));
    buf_append(out, complete ? SPAN_LIT(" end\n") : SPAN_LIT(" open\n"));
    buf_clear(&state->data);
    trailers_print(state, out);
    state->in_body = false;
}

static ptrdiff_t head_feed(struct state *state, struct span bytes, struct buf *out)
{
    int status = 0;
    ptrdiff_t taken = state->response ? http1_response_decode(bytes, state->seen, state->method, &state->head)
                                      : http1_request_decode(bytes, state->seen, &state->head, &status);
    state->seen = taken == 0 ? bytes.len : 0;
    if (taken < 0) {
        if (state->response)
            buf_printf(out, "bad\n");
        else
            buf_printf(out, "bad %d\n", status);
    }
    if (taken <= 0)
        return taken;
    head_check(state, span_sub(bytes, 0, (size_t)taken));
    head_print(state, out);
    http1_body_start(&state->body, &state->head);
    if (state->show_trailers)
        state->body.trailers = &state->trailers;
    state->in_body = !state->body.done;
    state->last = !state->head.keep_alive || state->head.upgrade_websocket;
    return taken;
}

static ptrdiff_t http1_feed(void *data, char *bytes, size_t len, struct buf *out)
{
    struct state *state = data;
    if (!state->in_body)
        return state->last ? 0 : head_feed(state, span_of(bytes, len), out);
    struct span part;
    ptrdiff_t taken = http1_body_decode(&state->body, span_of(bytes, len), &part);
    if (taken < 0) {
        body_print(state, false, out);
        buf_printf(out, "bad body\n");
        return -1;
    }
    if (part.len != 0)
        assert_inside(part, span_of(bytes, (size_t)taken));
    buf_append(&state->data, part);
    if (state->body.done)
        body_print(state, true, out);
    return taken;
}

static void http1_end(void *data, struct span left, struct buf *out)
{
    struct state *state = data;
    if (state->in_body)
        body_print(state, state->body.kind == HTTP1_BODY_UNTIL_CLOSE, out);
    if (left.len != 0) {
        buf_append(out, SPAN_LIT("left "));
        vector_quote(out, left);
        buf_append_char(out, '\n');
    }
}

const struct vector_codec vector_http1 = {
    .create = http1_create, .destroy = http1_destroy, .feed = http1_feed, .end = http1_end};
