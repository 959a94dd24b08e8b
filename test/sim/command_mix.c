/* command_mix: see command_mix.h. A command is written as a pattern: `[...]` may be left out, `(a|b)` is one of them,
 * `%x` is made up. */
#include "command_mix.h"

#include <assert.h>
#include <stdio.h>

/* %s %h %e %z %x: a key that mostly holds a string, hash, set, sorted set, stream; %k: any key.
 * %v value; %f field; %m member; %i integer; %n small count; %d score; %b bound of scores; %r rank;
 * %t milliseconds to live; %T seconds; %I rising stream id; %J any stream id; %B bound of ids; %g pattern. */
static const char *const patterns[] = {
    "GET %s",
    "SET %s %v",
    "SET %s %i",
    "SET %s %v [(NX|XX)] [GET] [(EX %T|PX %t|KEEPTTL)]",
    "SET %s %v (NX|XX|GET|EX %T|PX %t|KEEPTTL|nonsense) [(NX|XX|GET|EX %T|PX %t|KEEPTTL)]",
    "INCR %s",
    "INCRBY %s %i",
    "APPEND %s %v",
    "STRLEN %s",
    "MGET %s %s %k",
    "DEL %k [%k] [%k]",
    "UNLINK %k [%k]",
    "EXISTS %k [%k] [%k]",
    "TYPE %k",
    "EXPIRE %k %T [(NX|XX|GT|LT|ZZ)] [(NX|XX|GT|LT)]",
    "PEXPIRE %k %t [(NX|XX|GT|LT)]",
    "PERSIST %k",
    "TTL %k",
    "PTTL %k",
    "HSET %h %f %v [%f %v] [%f %i]",
    "HSET %h %f %i",
    "HSETNX %h %f %v",
    "HGET %h %f",
    "HMGET %h %f [%f] [%f]",
    "HGETALL %h",
    "HKEYS %h",
    "HVALS %h",
    "HDEL %h %f [%f] [%f]",
    "HLEN %h",
    "HEXISTS %h %f",
    "HINCRBY %h %f %i",
    "HSCAN %h 0 [MATCH %g] [COUNT %n]",
    "HSCAN %h (0|x) [(MATCH %g|COUNT %i|COUNT|nonsense %n)]",
    "SADD %e %m [%m] [%m]",
    "SREM %e %m [%m]",
    "SMEMBERS %e",
    "SISMEMBER %e %m",
    "SCARD %e",
    "SPOP %e (0|99|x|-1) [surplus]",
    "ZADD %z %d %m [%d %m] [%d %m]",
    "ZADD %z [(NX|XX)] [(GT|LT)] [CH] [INCR] %d %m [%d %m]",
    "ZADD %z (%d|x|nan|inf|-inf) %m",
    "ZINCRBY %z %d %m",
    "ZREM %z %m [%m]",
    "ZSCORE %z %m",
    "ZCARD %z",
    "ZCOUNT %z %b %b",
    "ZRANGE %z %r %r [REV] [WITHSCORES]",
    "ZRANGE %z %b %b BYSCORE [REV] [LIMIT %r %r] [WITHSCORES]",
    "ZRANGE %z %r %r [(BYSCORE|REV|LIMIT %n %n|nonsense)]",
    "ZRANGEBYSCORE %z %b %b [WITHSCORES] [LIMIT %r %r]",
    "ZREVRANGEBYSCORE %z %b %b [WITHSCORES] [LIMIT %r %r]",
    "ZREMRANGEBYSCORE %z %b %b",
    "ZREMRANGEBYRANK %z %r %r",
    "XADD %x %I %f %v [%f %v]",
    "XADD %x %I %f %v",
    "XADD %x [NOMKSTREAM] (MAXLEN|MINID) [(~|=)] %n [LIMIT %n] %I %f %v",
    "XADD %x MAXLEN [(~|=)] %n %I %f %v",
    "XADD %x MINID [(~|=)] %J %I %f %v",
    "XADD %x (%J|0-0|x|1-2-3|%I) %f %v [%f]",
    "XLEN %x",
    "XRANGE %x %B %B [COUNT %r]",
    "XRANGE %x - + [COUNT %n]",
    "XREVRANGE %x %B %B [COUNT %r]",
    "XREVRANGE %x + - [COUNT %n]",
    "XTRIM %x MAXLEN [(~|=)] %n [LIMIT %n]",
    "XTRIM %x MINID [(~|=)] %J [LIMIT %n]",
    "XTRIM %x (MAXLEN|MINID|nonsense) %r [(LIMIT %r|MAXLEN %n)]",
    "XDEL %x %J [%J] [x]",
    "XINFO STREAM %x",
    "DBSIZE",
    "KEYS (*|s?|[hz]*|*1|nothing)",
    "PING [%v]",
    "SELECT (0|0|0|99|x)",
    "CONFIG GET (stream-node-max-entries|maxmemory-policy|maxmemory|nonsense)",
    "MEMORY USAGE %k",
    "NONSENSE %v %i",
    "SCRIPT EXISTS (0123456789012345678901234567890123456789|x)",
    "EVALSHA (0123456789012345678901234567890123456789|x) (0|1|x|-1|9) %k",
};

static uint64_t random_next(struct command_mix *mix)
{
    uint64_t a = mix->random[0], b = mix->random[1];
    mix->random[0] = b;
    a ^= a << 23;
    mix->random[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return mix->random[1] + b;
}

void command_mix_init(struct command_mix *mix, uint64_t seed)
{
    *mix = (struct command_mix){.random = {seed * 0x9e3779b97f4a7c15u + 3, seed ^ 0x6a09e667f3bcc909u}};
    for (int i = 0; i < 8; i++)
        random_next(mix);
}

uint64_t command_mix_below(struct command_mix *mix, uint64_t below)
{
    return random_next(mix) % below;
}

static bool chance(struct command_mix *mix, uint64_t percent)
{
    return command_mix_below(mix, 100) < percent;
}

/* The arguments lie in `bytes` one behind the other while they are made; their addresses are known at the end. */
void command_begin(struct command *command)
{
    buf_clear(&command->bytes);
    command->count = 0;
    command->waits = false;
}

void command_add(struct command *command, struct span arg)
{
    assert(command->count < COMMAND_ARGS_MAX);
    buf_append(&command->bytes, arg);
    command->args[command->count++] = span_of(NULL, arg.len);
}

void command_add_words(struct command *command, const char *words)
{
    struct span rest = span_str(words), word;
    while (span_next(&rest, ' ', &word))
        command_add(command, word);
}

void command_addf(struct command *command, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    command_add(command, span_of(text, (size_t)len));
}

void command_finish(struct command *command)
{
    const char *at = buf_span(&command->bytes).data;
    for (size_t i = 0; i < command->count; i++) {
        command->args[i].data = at;
        at += command->args[i].len;
    }
}

static const char *pick(struct command_mix *mix, const char *const *texts, size_t count)
{
    return texts[command_mix_below(mix, count)];
}
#define PICK(mix, ...) \
    pick((mix), (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void value_make(struct command_mix *mix, struct command *command)
{
    char bytes[200];
    size_t len = command_mix_below(mix, chance(mix, 10) ? sizeof bytes : 12);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(chance(mix, 10) ? command_mix_below(mix, 256) : 'a' + command_mix_below(mix, 26));
    command_add(command, span_of(bytes, len));
}

static void key_make(struct command_mix *mix, struct command *command, char type)
{
    if (mix->only != '\0') {
        command_addf(command, "%c", type);
        return;
    }
    if (type == 'k' || chance(mix, 4))
        type = "shezx"[command_mix_below(mix, 5)];
    command_addf(command, "%c%d", type, (int)command_mix_below(mix, 3));
}

static void integer_make(struct command_mix *mix, struct command *command)
{
    if (chance(mix, 10))
        command_addf(command, "%s",
                     PICK(mix, "9223372036854775807", "-9223372036854775808", "9223372036854775808", "01", "-0", "+1",
                          " 1", "1 ", "", "1.5", "x", "-"));
    else
        command_addf(command, "%lld", (long long)command_mix_below(mix, 200) - 100);
}

static void score_make(struct command_mix *mix, struct command *command, bool bound)
{
    const char *before = bound && chance(mix, 20) ? "(" : "";
    if (chance(mix, 10))
        command_addf(command, "%s%s", before, PICK(mix, "inf", "-inf", "+inf", "1e3", "1e2", "nan", "x", "", "-0"));
    else
        command_addf(command, "%s%g", before, (double)command_mix_below(mix, 40) / 2 - 5);
}

static void life_make(struct command_mix *mix, struct command *command, bool seconds)
{
    uint64_t dice = command_mix_below(mix, 100);
    if (dice < 6)
        command_addf(command, "%s", PICK(mix, "0", "-1", "x", "9223372036854775807", "-9223372036854775808", "1.5"));
    else if (dice < 16 && !seconds) {
        command->waits = true;
        command_addf(command, "%d", (int)command_mix_below(mix, 4) + 1);
    } else
        /* Far apart: two ends may be compared, and the two servers' clocks are not quite the same. */
        command_addf(command, "%d", 1000000 + (int)command_mix_below(mix, 1000000000));
}

static void id_make(struct command_mix *mix, struct command *command, bool rising)
{
    uint64_t dice = command_mix_below(mix, 100);
    uint64_t ms = rising ? mix->ids : command_mix_below(mix, mix->ids + 2), seq = command_mix_below(mix, 3);
    mix->ids += rising && chance(mix, 60);
    if (dice < 10)
        command_addf(command, "%llu", (unsigned long long)ms);
    else if (dice < 30 && rising)
        command_addf(command, "%llu-*", (unsigned long long)ms);
    else
        command_addf(command, "%llu-%llu", (unsigned long long)ms, (unsigned long long)(rising ? mix->ids : seq));
}

static void bound_make(struct command_mix *mix, struct command *command)
{
    uint64_t dice = command_mix_below(mix, 100);
    if (dice < 30)
        command_addf(command, "%s", PICK(mix, "-", "+"));
    else if (dice < 36)
        command_addf(command, "%s",
                     PICK(mix, "(", "(-", "(+", "x", "(0", "(0-0", "(18446744073709551615-18446744073709551615", "5-*",
                          "18446744073709551616", "0-18446744073709551615", "(3-18446744073709551615"));
    else
        command_addf(command, dice < 50 ? "(%d-%d" : "%d-%d", (int)command_mix_below(mix, mix->ids + 2),
                     (int)command_mix_below(mix, 3));
}

static void make(struct command_mix *mix, struct command *command, char what)
{
    switch (what) {
    case 'v':
        value_make(mix, command);
        break;
    case 'f':
        command_addf(command, "f%d", (int)command_mix_below(mix, 8));
        break;
    case 'm':
        command_addf(command, chance(mix, 50) ? "m%d" : "%d", (int)command_mix_below(mix, 8));
        break;
    case 'i':
        integer_make(mix, command);
        break;
    case 'n':
        command_addf(command, "%d", (int)command_mix_below(mix, chance(mix, 20) ? 400 : 8));
        break;
    case 'r':
        command_addf(command, "%d", (int)command_mix_below(mix, 14) - 4);
        break;
    case 'd':
    case 'b':
        score_make(mix, command, what == 'b');
        break;
    case 't':
    case 'T':
        life_make(mix, command, what == 'T');
        break;
    case 'I':
    case 'J':
        id_make(mix, command, what == 'I');
        break;
    case 'B':
        bound_make(mix, command);
        break;
    case 'g':
        command_addf(command, "%s", PICK(mix, "*", "f?", "f[0-3]", "f[^2]", "*5", "x*", "f\\3", "f[", "[a-z]*[1-4]"));
        break;
    default:
        key_make(mix, command, what);
        break;
    }
}

/* Behind the bracket that closes the one at `at`. */
static const char *group_end(const char *at)
{
    int depth = 0;
    do {
        depth += *at == '[' || *at == '(';
        depth -= *at == ']' || *at == ')';
        at++;
    } while (depth > 0);
    return at;
}

static void expand(struct command_mix *mix, struct command *command, const char *at, const char *end);

/* `(a|b)`, from behind the opening to the closing. */
static void expand_one_of(struct command_mix *mix, struct command *command, const char *at, const char *end)
{
    const char *starts[16], *ends[16];
    size_t count = 0;
    starts[0] = at;
    for (; at < end; at++)
        if (*at == '|') {
            ends[count++] = at;
            assert(count < 16);
            starts[count] = at + 1;
        }
    ends[count++] = end;
    size_t picked = command_mix_below(mix, count);
    expand(mix, command, starts[picked], ends[picked]);
}

static void expand(struct command_mix *mix, struct command *command, const char *at, const char *end)
{
    while (at < end) {
        const char *start = at;
        if (*at == ' ') {
            at++;
        } else if (*at == '[') {
            at = group_end(at);
            if (chance(mix, 50))
                expand(mix, command, start + 1, at - 1);
        } else if (*at == '(') {
            at = group_end(at);
            expand_one_of(mix, command, start + 1, at - 1);
        } else if (*at == '%') {
            make(mix, command, at[1]);
            at += 2;
        } else {
            while (at < end && *at != ' ')
                at++;
            command_add(command, span_of(start, (size_t)(at - start)));
        }
    }
}

void command_mix_next(struct command_mix *mix, struct command *command)
{
    const char *pattern;
    do
        pattern = patterns[command_mix_below(mix, sizeof patterns / sizeof patterns[0])];
    while (mix->only != '\0' && mix->only != pattern[0]);
    command_begin(command);
    expand(mix, command, pattern, pattern + strlen(pattern));
    /* A word too few or too many. (Without its count, SPOP takes what it likes.) */
    bool random = strncmp(pattern, "SPOP", 4) == 0;
    if (chance(mix, 2) && command->count > 1 && !random)
        command->bytes.len -= command->args[--command->count].len;
    if (chance(mix, 2))
        command_add(command, SPAN_LIT("surplus"));
    command_finish(command);
}
