/* raw_check: messages of raw rooms, and who is owed them. See raw_check.h. */
#include "raw_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    SETTLED_US = 1000000, /* so soon after its handshake a client is in its room, where nothing is wrong */
    DUE_US = 1000000,     /* so soon a message is with the broker, and with the others */
    BINARY_EACH = 3,
    LARGE_EACH = 40,
    LARGE_BYTES = 30000,
    PAD_BYTES_MAX = 400,
};

/* A message that was sent (`sender` set), or published: whom it must have reached by then. */
struct due {
    struct list node;
    uint64_t due_us, since_us;
    uint32_t message;
    const struct raw_member *sender;
    uint64_t lives[RAW_MEMBERS_MAX]; /* 0: nothing is owed */
};

void raw_check_init(struct raw_check *raw, struct check *check, uint64_t slack_us)
{
    *raw = (struct raw_check){.check = check, .slack_us = slack_us};
    list_init(&raw->dues);
}

void raw_check_finish(struct raw_check *raw)
{
    struct list *node;
    while (raw->dues.next != NULL && (node = list_take(&raw->dues)) != NULL)
        free(container_of(node, struct due, node));
    free(raw->messages);
}

void raw_check_add(struct raw_check *raw, struct raw_member *member, int number)
{
    snprintf(member->name, sizeof member->name, "raw client %d", number);
    member->number = number;
    raw->members[raw->count++] = member;
}

void raw_member_finish(struct raw_member *member)
{
    bits_finish(&member->seen);
}

void raw_check_opened(struct raw_check *raw, struct raw_member *member, int instance)
{
    member->life = ++raw->lives;
    member->open_us = sim_now_us(raw->check->sim);
    member->instance = instance;
    member->order = 0;
    raw_member_finish(member);
}

void raw_check_closed(struct raw_check *raw, struct raw_member *member)
{
    member->life = 0;
}

static bool is_binary(uint32_t number)
{
    return number % BINARY_EACH == 0;
}

/* `<number> ` and letters beyond ASCII, or any bytes. */
static void bytes_make(struct buf *to, uint32_t number)
{
    size_t pad = number % LARGE_EACH == 7 ? LARGE_BYTES : number * 31u % PAD_BYTES_MAX;
    buf_printf(to, "%u ", number);
    for (size_t i = 0; i < pad; i++)
        if (is_binary(number))
            buf_append_char(to, (char)(number + i));
        else
            buf_append(to, i % 2 == 0 ? SPAN_LIT("x") : SPAN_LIT("\xc3\xa9"));
}

static struct due *due_add(struct raw_check *raw, uint32_t number)
{
    struct due *due = mem_zero(1, sizeof *due);
    due->since_us = sim_now_us(raw->check->sim);
    due->due_us = due->since_us + DUE_US + raw->slack_us;
    due->message = number;
    list_init(&due->node);
    list_append(&raw->dues, &due->node);
    return due;
}

bool raw_check_sends(struct raw_check *raw, const struct raw_member *member, struct buf *to)
{
    if (raw->message_count == raw->message_cap) {
        raw->message_cap = raw->message_cap * 2 + 256;
        raw->messages = mem_resize(raw->messages, raw->message_cap * sizeof *raw->messages);
    }
    uint32_t number = raw->message_count++;
    raw->messages[number] = (struct raw_message){.room = member->room, .life = member->life};
    raw->counts.sent++;
    struct due *due = due_add(raw, number);
    due->sender = member;
    due->lives[member->number] = member->life;
    bytes_make(to, number);
    return is_binary(number);
}

/* The message that these bytes are; NULL: none, or a changed one. */
static struct raw_message *message_read(struct raw_check *raw, struct span bytes, uint32_t *number)
{
    struct span rest = bytes, digits;
    struct buf expected = {0};
    uint64_t value;
    if (!span_next(&rest, ' ', &digits) || !span_to_u64(digits, &value) || value >= raw->message_count)
        return NULL;
    bytes_make(&expected, *number = (uint32_t)value);
    bool same = span_equal(buf_span(&expected), bytes);
    buf_finish(&expected);
    return same ? &raw->messages[value] : NULL;
}

static bool is_well(const struct raw_check *raw, int instance, uint64_t since_us)
{
    return raw->trouble_us[instance] < since_us;
}

void raw_check_pushed(struct raw_check *raw, struct span room, struct span body)
{
    uint32_t number;
    uint64_t now = sim_now_us(raw->check->sim);
    struct raw_message *message = body.len > 0 ? message_read(raw, span_from(body, 1), &number) : NULL;
    if (message == NULL || body.data[0] != (is_binary(number) ? 'b' : 't')) {
        check_fail(raw->check, "a message of the raw room " SPAN_FMT " that nobody sent", SPAN_ARG(room));
        return;
    }
    if (room.len == 0 || room.data[room.len - 1] - '0' != message->room)
        check_fail(raw->check, "raw message %u was published in " SPAN_FMT, number, SPAN_ARG(room));
    message->last = ++raw->pushes;
    if (message->pushes++ == 0)
        message->first = message->last;
    struct due *due = due_add(raw, number);
    for (int i = 0; i < raw->count; i++) {
        const struct raw_member *member = raw->members[i];
        bool is_owed = member->life != 0 && member->life != message->life && member->room == message->room &&
                       now > member->open_us + SETTLED_US + raw->slack_us &&
                       is_well(raw, member->instance, member->open_us > now - LOOP_S(3) ? member->open_us : now);
        due->lives[i] = is_owed ? member->life : 0;
    }
}

void raw_check_heard(struct raw_check *raw, struct raw_member *member, bool binary, struct span bytes)
{
    uint32_t number;
    struct raw_message *message = message_read(raw, bytes, &number);
    if (message == NULL || binary != is_binary(number)) {
        check_fail(raw->check, "%s: gets what nobody sent, or not as it was sent: " SPAN_FMT, member->name,
                   SPAN_ARG(span_sub(bytes, 0, bytes.len < 20 ? bytes.len : 20)));
        return;
    }
    raw->counts.shown++;
    check_digest(raw->check, 'r', (uint64_t)member->number, number);
    if (message->life == member->life)
        check_fail(raw->check, "%s: gets its own message %u", member->name, number);
    if (message->room != member->room)
        check_fail(raw->check, "%s: gets message %u of room %d in room %d", member->name, number, message->room,
                   member->room);
    if (message->pushes == 0)
        check_fail(raw->check, "%s: gets message %u before the broker has it", member->name, number);
    if (bits_have(&member->seen, number) && message->pushes < 2)
        check_fail(raw->check, "%s: gets message %u twice", member->name, number);
    if (message->last <= member->order)
        check_fail(raw->check, "%s: gets message %u behind what the broker was given after it", member->name, number);
    member->order = message->first > member->order ? message->first : message->last;
    bits_put(&member->seen, number, true);
}

void raw_check_trouble(struct raw_check *raw, int instance, uint64_t lasts_us)
{
    uint64_t until_us = sim_now_us(raw->check->sim) + lasts_us;
    for (int i = 0; i < RAW_INSTANCES_MAX; i++)
        if ((instance < 0 || instance == i) && raw->trouble_us[i] < until_us)
            raw->trouble_us[i] = until_us;
}

static void due_check(struct raw_check *raw, const struct due *due)
{
    const struct raw_message *message = &raw->messages[due->message];
    for (int i = 0; i < raw->count; i++) {
        const struct raw_member *member = raw->members[i];
        if (due->lives[i] == 0 || due->lives[i] != member->life || !is_well(raw, member->instance, due->since_us))
            continue;
        raw->counts.owed++;
        if (due->sender != NULL && message->pushes == 0)
            check_fail(raw->check, "%s: its message %u has not reached the broker, and its connection stands",
                       member->name, due->message);
        else if (due->sender == NULL && !bits_have(&member->seen, due->message))
            check_fail(raw->check, "%s: message %u of room %d did not come", member->name, due->message, message->room);
    }
}

void raw_check_due(struct raw_check *raw)
{
    uint64_t now = sim_now_us(raw->check->sim);
    list_each (node, &raw->dues) {
        struct due *due = container_of(node, struct due, node);
        if (due->due_us > now)
            break; /* they are in order */
        due_check(raw, due);
        list_remove(&due->node);
        free(due);
    }
}
