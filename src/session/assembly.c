/* assembly: keeps the parts of a packet until it is whole. */
#include "session/assembly.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/session.h"
#include "wire/payload.h"

static void drop(struct unfinished *unfinished)
{
    struct session *session = container_of(unfinished, struct assembly, unfinished)->session;
    session_close(session, CLOSE_UNFINISHED);
    session->transport->type->abort(session->transport, CLOSE_UNFINISHED);
}

static void resize(struct assembly *assembly)
{
    struct sessions *sessions = assembly->session->sessions;
    unfinished_resize(&sessions->unfinished, &assembly->unfinished,
                      sizeof *assembly + assembly->text.cap + assembly->bytes.cap,
                      sessions->limits.unfinished_bytes_max);
}

void assembly_begin(struct session *session, struct span text, uint32_t wanted)
{
    assert(session_has(session).assembly == NULL && wanted > 0 && wanted <= CONTENT_ATTACHMENTS_MAX);
    struct assembly *assembly = session_extra(session)->assembly = mem_zero(1, sizeof *assembly);
    assembly->session = session;
    assembly->wanted = wanted;
    assembly->too_many = wanted > session->sessions->limits.attachments_max;
    buf_append(&assembly->text, text);
    unfinished_begin(&session->sessions->unfinished, &assembly->unfinished, drop);
    resize(assembly);
}

bool assembly_add(struct assembly *assembly, struct span bytes)
{
    size_t most = assembly->session->sessions->limits.payload_bytes_max;
    size_t kept = assembly->text.len + assembly->bytes.len;
    assert(assembly->count < assembly->wanted);
    assembly->too_large |= kept > most || bytes.len > most - kept;
    if (assembly->too_large || assembly->too_many)
        buf_finish(&assembly->bytes);
    else
        buf_append(&assembly->bytes, bytes);
    assembly->ends[assembly->count++] = assembly->bytes.len;
    resize(assembly);
    return assembly->count == assembly->wanted;
}

void assembly_content(const struct assembly *assembly, struct content *content)
{
    *content = (struct content){.count = assembly->count};
    for (uint32_t i = 0; i < assembly->count; i++) {
        size_t begin = i > 0 ? assembly->ends[i - 1] : 0;
        content->attachments[i] = span_sub(buf_span(&assembly->bytes), begin, assembly->ends[i] - begin);
    }
}

struct assembly *assembly_take(struct session *session)
{
    struct assembly *assembly = session_has(session).assembly;
    if (assembly != NULL)
        session->extra->assembly = NULL;
    return assembly;
}

void assembly_destroy(struct assembly *assembly)
{
    if (assembly == NULL)
        return;
    unfinished_end(&assembly->session->sessions->unfinished, &assembly->unfinished);
    buf_finish(&assembly->text);
    buf_finish(&assembly->bytes);
    free(assembly);
}

enum { PARKED_WHOLE = 'K', PARKED_LARGE = 'L' };

void assembly_park(struct buf *to, const struct session *session)
{
    const struct assembly *assembly = session_has(session).assembly;
    struct content content = {.count = 0};
    if (assembly == NULL)
        return;
    bool is_kept = !assembly->too_large && !assembly->too_many;
    if (is_kept)
        assembly_content(assembly, &content);
    buf_append_char(to, assembly->too_large ? PARKED_LARGE : PARKED_WHOLE);
    buf_append_char(to, ENGINEIO_MESSAGE);
    buf_append(to, buf_span(&assembly->text));
    for (uint32_t i = 0; i < assembly->count; i++) {
        buf_append_char(to, PAYLOAD_SEPARATOR);
        payload_binary_encode(to, is_kept ? content.attachments[i] : SPAN_LIT(""));
    }
}

void assembly_restore(struct session *session, struct span parked)
{
    struct span packet, rest = span_from(parked, 1);
    bool begun = false;
    if (parked.len == 0)
        return;
    while (!session_is_ending(session) && payload_next(&rest, &begun, &packet))
        session_received(session, packet);
    struct assembly *assembly = session_has(session).assembly;
    if (assembly != NULL)
        assembly->too_large |= parked.data[0] == PARKED_LARGE;
    else
        session_close(session, CLOSE_BROKER_INVALID);
}
