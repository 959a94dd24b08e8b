/* test_firestore_recorded: a conversation with Google's emulator that was recorded, replayed to the broker. So what a
 * server of Google's says, in its own bytes, is read where the emulator is not installed.
 *
 *     test_broker_firestore_recorded firestore_model FILE     replays it
 *     test_broker_firestore_recorded firestore FILE           holds it with the emulator, and writes it there
 *
 * The file has a line for each message: `> CALL METHOD MESSAGE` of the broker, `< CALL MESSAGE` of the server, `. CALL
 * STATUS`, the messages in hexadecimal. The broker must say the same again, but for what is random: the digits of its
 * publisher and of the epoch, which are then replaced in what the server says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc_server.h"
#include "instances.h"

#include "base/mem.h"

enum { CALLS_MAX = 256, LINES_MAX = 1024, RANDOMS_MAX = 8, RANDOM_BYTES_MIN = 8, RANDOM_BYTES_MAX = 16 };

static struct tape {
    const char *path;
    FILE *out; /* it is being recorded */
    struct grpc_server server;
    struct grpc_link link; /* to the emulator */
    bool opened;
    unsigned calls;
    struct grpc_stream *streams[CALLS_MAX]; /* by call; NULL: over */
    /* Of a replay. */
    char *lines[LINES_MAX];
    size_t line_count, at;
    struct buf last; /* what the broker said last */
    struct {
        char was[RANDOM_BYTES_MAX + 1], is[RANDOM_BYTES_MAX + 1];
    } randoms[RANDOMS_MAX];
    size_t random_count;
} tape;

static void hex_write(FILE *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        fprintf(out, "%02x", (unsigned)(unsigned char)bytes.data[i]);
    fputc('\n', out);
}

static void hex_read(struct buf *to, const char *text)
{
    unsigned byte;
    for (; sscanf(text, "%2x", &byte) == 1; text += 2)
        buf_append_char(to, (char)byte);
}

/* --- recording: between the broker and the emulator */

struct leg {
    unsigned number;
};

static bool leg_message(void *arg, struct span message)
{
    const struct leg *leg = arg;
    if (tape.streams[leg->number] == NULL)
        return true;
    fprintf(tape.out, "< %u ", leg->number);
    hex_write(tape.out, message);
    grpc_stream_send(tape.streams[leg->number], message);
    return true;
}

static void leg_ended(void *arg, enum grpc_status status, struct span text)
{
    struct leg *leg = arg;
    struct grpc_stream *stream = tape.streams[leg->number];
    if (stream != NULL && tape.out != NULL) {
        fprintf(tape.out, ". %u %d\n", leg->number, status);
        tape.streams[leg->number] = NULL;
        grpc_stream_end(stream, status, "as recorded");
    }
    free(leg);
}

static const struct grpc_call_events leg_events = {leg_message, leg_ended};

static void forward(struct grpc_stream *stream, unsigned number, struct span message)
{
    char path[128];
    struct leg *leg = mem_alloc(sizeof *leg);
    leg->number = number;
    snprintf(path, sizeof path, "/google.firestore.v1.Firestore/%s", stream->method);
    const struct grpc_method method = {.path = path, .resource = SPAN_LIT("projects/demo-sennit/databases/(default)")};
    grpc_call_send(grpc_call_begin(&tape.link, &method, &leg_events, leg), message,
                   strcmp(stream->method, "Listen") != 0);
}

static void link_opened(struct grpc_link *link)
{
    tape.opened = true;
}

static void link_closed(struct grpc_link *link, const char *why)
{
    tape.opened = false;
}

static const struct grpc_link_events link_events = {link_opened, link_closed};

/* --- replaying */

static void replace(struct span text, const char *was, const char *is)
{
    size_t len = strlen(was);
    char *at = (char *)(uintptr_t)text.data, *end = at + text.len, *found;
    for (; (found = memmem(at, (size_t)(end - at), was, len)) != NULL; at = found + len)
        memcpy(found, is, len);
}

static void replace_all(struct span text)
{
    for (size_t i = 0; i < tape.random_count; i++)
        replace(text, tape.randoms[i].was, tape.randoms[i].is);
}

static bool is_digit(char c)
{
    return strchr("0123456789abcdef", c) != NULL && c != '\0';
}

/* What the broker says differs here from what was recorded: these are digits of its own choice. */
static void random_learn(struct span was, struct span is, size_t at)
{
    size_t begin = at, end = at;
    while (begin > 0 && is_digit(was.data[begin - 1]) && is_digit(is.data[begin - 1]))
        begin--;
    while (end < was.len && is_digit(was.data[end]) && is_digit(is.data[end]))
        end++;
    if (end - begin < RANDOM_BYTES_MIN || end - begin > RANDOM_BYTES_MAX || tape.random_count == RANDOMS_MAX)
        fail_msg("%s: the broker says something else than was recorded, at byte %zu of line %zu", tape.path, at,
                 tape.at + 1);
    snprintf(tape.randoms[tape.random_count].was, sizeof tape.randoms[0].was, SPAN_FMT,
             SPAN_ARG(span_sub(was, begin, end - begin)));
    snprintf(tape.randoms[tape.random_count].is, sizeof tape.randoms[0].is, SPAN_FMT,
             SPAN_ARG(span_sub(is, begin, end - begin)));
    tape.random_count++;
}

static void compare(struct span was, struct span is)
{
    if (was.len != is.len)
        fail_msg("%s, line %zu: the broker says %zu bytes instead of %zu", tape.path, tape.at + 1, is.len, was.len);
    replace_all(was);
    for (size_t i = 0; i < was.len; i++) {
        if (was.data[i] == is.data[i])
            continue;
        random_learn(was, is, i);
        replace_all(was);
    }
}

/* What the server says before the broker speaks again. */
static void play(void)
{
    for (; tape.at < tape.line_count && tape.lines[tape.at][0] != '>'; tape.at++) {
        struct buf message = {0};
        unsigned number = 0;
        int status = 0, end = 0;
        const char *line = tape.lines[tape.at];
        assert_true(sscanf(line + 2, "%u %n", &number, &end) == 1 && number < CALLS_MAX);
        struct grpc_stream *stream = tape.streams[number];
        if (stream != NULL && line[0] == '<') {
            hex_read(&message, line + 2 + end);
            replace_all(buf_span(&message));
            grpc_stream_send(stream, buf_span(&message));
        } else if (stream != NULL && sscanf(line + 2 + end, "%d", &status) == 1) {
            tape.streams[number] = NULL;
            grpc_stream_end(stream, (enum grpc_status)status, "as recorded");
        }
        buf_finish(&message);
    }
}

static void replay(struct grpc_stream *stream, unsigned number, struct span message)
{
    struct buf was = {0};
    char method[64];
    unsigned recorded = 0;
    int end = 0;
    if (tape.at == tape.line_count)
        return; /* a heartbeat behind the end */
    assert_true(sscanf(tape.lines[tape.at] + 2, "%u %63s %n", &recorded, method, &end) == 2);
    assert_string_equal(stream->method, method);
    assert_int_equal(number, recorded);
    hex_read(&was, tape.lines[tape.at] + 2 + end);
    compare(buf_span(&was), message);
    buf_finish(&was);
    tape.at++;
    play();
}

static void message_came(struct grpc_stream *stream, struct span message)
{
    if (tape.out == NULL && tape.calls > 0 && span_equal(buf_span(&tape.last), message))
        return; /* said again: this process stood still for so long */
    buf_clear(&tape.last);
    buf_append(&tape.last, message);
    unsigned number = tape.calls++;
    assert_true(number < CALLS_MAX);
    tape.streams[number] = stream;
    if (tape.out == NULL) {
        replay(stream, number, message);
        return;
    }
    fprintf(tape.out, "> %u %s ", number, stream->method);
    hex_write(tape.out, message);
    forward(stream, number, message);
}

static void stream_closed(struct grpc_stream *stream)
{
    for (unsigned i = 0; i < tape.calls; i++)
        if (tape.streams[i] == stream)
            tape.streams[i] = NULL;
}

static const struct grpc_server_events server_events = {message_came, stream_closed};

static void lines_read(void)
{
    FILE *in = fopen(tape.path, "r");
    char *line = NULL;
    size_t size = 0;
    if (in == NULL)
        fail_msg("%s cannot be read", tape.path);
    while (getline(&line, &size, in) > 0) {
        assert_true(tape.line_count < LINES_MAX);
        tape.lines[tape.line_count++] = mem_text(span_str(line));
    }
    free(line);
    fclose(in);
}

static const char *tape_start(void)
{
    static char url[32];
    grpc_server_start(&tape.server, &net, &server_events, NULL);
    snprintf(url, sizeof url, "127.0.0.1:%u", grpc_server_port(&tape.server));
    if (firestore.is_modelled) {
        lines_read();
        return url;
    }
    struct addr addr;
    addr_loopback(&addr, firestore.port);
    grpc_link_init(&tape.link, &net, &link_events);
    grpc_link_open(&tape.link, &addr, "127.0.0.1", NULL);
    AWAIT(tape.opened);
    tape.out = fopen(tape.path, "w");
    assert_non_null(tape.out);
    return url;
}

static void tape_finish(void)
{
    if (tape.out != NULL) {
        FILE *out = tape.out;
        tape.out = NULL;
        memset(tape.streams, 0, sizeof tape.streams);
        grpc_link_finish(&tape.link);
        fclose(out);
    } else {
        assert_int_equal(tape.at, tape.line_count); /* all of it was said */
    }
    grpc_server_finish(&tape.server);
    for (size_t i = 0; i < tape.line_count; i++)
        free(tape.lines[i]);
    buf_finish(&tape.last);
}

static void assert_pushed(const struct instance *to, size_t from, const char *bodies)
{
    for (size_t i = 0; i < strlen(bodies); i++) {
        const char body[] = {bodies[i], '\0'};
        assert_span(told_at(to, TOLD_PUSHED, "r", from + i)->body, body);
    }
}

/* The recording is replayed years later, and a log hides what is too old. */
static struct call *publish_for_long(struct instance *by, const char *body)
{
    static const struct broker_retention ages = {
        .entries_max = 1000, .bytes_max = 1 << 20, .age_ms_max = UINT64_C(1) << 44};
    return publish_with(by, &(struct broker_publish){.room = SPAN_LIT("r"), .body = span_str(body)}, &ages);
}

/* The first instance of a new database, and one that comes when it has ended. */
static void what_was_said(void **state)
{
    if (!firestore.is_modelled) { /* the emulator's first answers take long */
        instances_use_prefix("warm");
        struct instance *first = instance_up("first");
        publish_now(first, "r", "x");
        instance_destroy(first);
    }
    instances_use_prefix("recorded");
    const char *url = tape_start();
    struct instance *a = instance_open_at("A", url);
    a->recorded = true;
    AWAIT(a->up);
    subscribe_now(a, "r");
    struct call *one = publish_for_long(a, "1");
    AWAIT_ANSWER(one);
    struct call *calls[] = {one, publish_for_long(a, "2"), publish_for_long(a, "3"), publish_for_long(a, "4")};
    for (int i = 0; i < 4; i++) {
        AWAIT_ANSWER(calls[i]);
        assert_int_equal(calls[i]->result, BROKER_OK);
    }
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 4);
    assert_pushed(a, 0, "1234");
    assert_int_equal(read_all(a, "r")->page.count, 4);
    instance_destroy(a);
    struct instance *b = instance_open_at("B", url);
    b->recorded = true;
    AWAIT(b->up);
    subscribe_now(b, "r");
    assert_int_equal(read_all(b, "r")->page.count, 4);
    publish_now(b, "r", "5");
    assert_pushed(b, 0, "5");
    assert_int_equal(told_count(b, TOLD_DOWN, ""), 0);
    instance_destroy(b);
    tape_finish();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {BROKER_TEST(what_was_said)};
    if (argc < 3) {
        printf("broker/firestore_recorded: needs a kind of broker and the file\n");
        return 2;
    }
    tape.path = argv[2];
    return instances_main(argc, argv, "broker/firestore_recorded", tests, 1, NULL);
}
