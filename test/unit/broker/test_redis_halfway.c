/* test_redis_halfway: each call of each script that writes fails in turn. Redis takes nothing back, so the scripts must
 * be made for it: either what counts is as it was before and the answer is an error, or the answer says what was done,
 * and it was.
 *
 * What counts is what others are told from: logs, leases, members, the number of a publisher's call. What stands in a
 * life's set of something that is not there does no harm. */
#include <stdio.h>
#include <string.h>

#include "broker_scripts.h"
#include "instances.h"

/* In front of a script: the call that ARGV's last two entries number, and how it fails. */
static const char failing[] =
    "local real, at, calls = redis, tonumber(ARGV[#ARGV]), 0\n"
    "ARGV[#ARGV] = nil\n"
    "local function fails() calls = calls + 1 return calls == at end\n"
    "local redis = {error_reply = real.error_reply, sha1hex = real.sha1hex,\n"
    "    call = function(...) if fails() then real.call('SET', 'failed', '1') error({err = 'ERR made to fail'}) end "
    "return real.call(...) end,\n"
    "    pcall = function(...) if fails() then real.call('SET', 'failed', '1') return {err = 'ERR made to fail'} end "
    "return real.pcall(...) end}\n";

static const char setting[] =
    "redis.call('FLUSHALL')\n"
    "redis.call('HSET', 'p:state', 'epoch', 'e', 'seq', '5', 'run_id', 'run', 'pulse_ms', '1', 'bytes', '0')\n"
    "redis.call('SET', 'p:publisher', '1')\n"
    "redis.call('ZADD', 'p:lives', '99999999999999', 'i:2', '1', 'i:1')\n"
    "redis.call('SADD', 'p:of:i:1', 'lpid', 'h1 rsid')\n"
    "redis.call('HSET', 'p:lease:pid', 'generation', '1', 'sid', 's', 'own', '@o', 'rooms', 'R', 'data', '', 'window', "
    "'60000',\n"
    "    'owner', 'inbox1', 'life', 'i:1')\n"
    "redis.call('HSET', 'p:lease:seen', 'generation', '1', 'sid', 's', 'own', '@o', 'rooms', 'R', 'data', '', "
    "'window', "
    "'60000',\n"
    "    'owner', 'inbox1', 'life', 'i:0', 'watch', 'w')\n"
    "redis.call('ZADD', 'p:ends:w', '1', 'seen')\n"
    "redis.call('SET', 'p:owner:@o', 'inbox1')\n"
    "redis.call('HSET', 'p:here:r', 'sid', 'i:1 1 tells', 'mine', 'i:2 1 tells')\n"
    "redis.call('XADD', 'p:log:r', '3-1', 'p', '0 0', 'a', '', 'b', 'body')\n"
    "redis.call('HSET', 'p:room:r', 'last', '3', 'sum', '4', 'from', '0', 'from_ms', '1', 'until_ms', "
    "'99999999999999', 'age',\n"
    "    '3600000', 'size', '4')\n"
    "redis.call('ZADD', 'p:rooms', '99999999999999', 'r')\n"
    "redis.call('ZADD', 'p:sizes', '4', 'r')\n";

/* Of what counts, as one text. The counter may have moved on. */
static const char counting[] =
    "local all = {}\n"
    "for _, key in ipairs({'p:lease:pid', 'p:lease:seen', 'p:here:r'}) do\n"
    "    local got = redis.call('HGETALL', key)\n"
    "    if redis.call('HEXISTS', key, 'ended') == 1 then got = {'ended', '1'} end\n" /* the rest means nothing then */
    "    for i = 1, #got, 2 do all[#all + 1] = key .. ' ' .. got[i] .. ' ' .. got[i + 1] end\n"
    "end\n"
    "for _, key in ipairs({'p:log:r', 'p:log:new'}) do\n"
    "    for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do all[#all + 1] = key .. ' ' .. entry[2][6] end\n"
    "end\n"
    "table.sort(all)\n"
    "return table.concat(all, '|')\n";

struct script {
    const char *name, *text;
    const char *args[40]; /* how many keys, keys, arguments */
    bool told_what;       /* the answer says what was done, so more than an error may be told */
};

static const struct script scripts[] = {
    {.name = "lease_write",
     .text = script_lease_write,
     .args = {"4", "p:lease:pid", "p:of:i:2", "p:lives", "p:owner:@o", "2", "s", "R2", "", "inbox2", "i:2", "@o",
              "60000", "pid", "1 r", "60000", ""}},
    {.name = "lease_write, watched",
     .text = script_lease_write,
     .args = {"4", "p:lease:pid", "p:of:i:2", "p:lives", "p:owner:@o", "2", "s", "R2", "", "inbox2", "i:2", "@o",
              "60000", "pid", "1 r", "60000", "w"}},
    {.name = "lease_claim",
     .text = script_lease_claim,
     .args = {"4", "p:lease:pid", "p:state", "p:of:i:2", "p:lives", "inbox2", "i:2", "e", "1", "pid", "p:", "0"}},
    {.name = "lease_claim, lapsed",
     .text = script_lease_claim,
     .args = {"4", "p:ends:w", "p:state", "p:of:i:2", "p:lives", "inbox2", "i:2", "", "0", "", "p:", "0"}},
    {.name = "lease_release",
     .text = script_lease_release,
     .args = {"3", "p:lease:pid", "p:of:i:1", "p:owner:@o", "1", "pid", "1"}},
    {.name = "lease_release, watched",
     .text = script_lease_release,
     .args = {"3", "p:lease:seen", "p:of:i:1", "p:owner:@o", "1", "seen", "1"}},
    {.name = "lease_release, watched and left",
     .text = script_lease_release,
     .args = {"3", "p:lease:seen", "p:of:i:1", "p:owner:@o", "1", "seen", "0"}},
    {.name = "present +",
     .text = script_present,
     .args = {"5", "p:here:r", "p:away", "p:of:i:2", "p:lives", "p:heres", "+", "r", "sid", "t", "i:2", "p:push:r",
              "p:", "4000", "2"}},
    {.name = "present -",
     .text = script_present,
     .args = {"5", "p:here:r", "p:away", "p:of:i:2", "p:lives", "p:heres", "-", "r", "mine", "t", "i:2", "p:push:r",
              "p:", "4000", "2"}},
    {.name = "open",
     .text = script_open,
     .args = {"4", "p:state", "p:publisher", "p:lives", "p:rooms", "other", "f", "e", "i:3", "2500"}},
    {.name = "fence", .text = script_fence, .args = {"2", "p:state", "p:room:r", "inbox", "1", "e", "r"}},
    {.name = "publish",
     .text = script_publish,
     .args = {"11",       "p:state",   "p:publisher", "p:recent",   "p:rooms",     "p:sizes",  "p:log:r",
              "p:room:r", "p:names:r", "p:log:new",   "p:room:new", "p:names:new", "e",        "2",
              "0",        "2",         "100",         "100000000",  "0",           "p:push:r", "100",
              "100000",   "3600000",   "90000000",    "p:push:new", "100",         "100000",   "3600000",
              "90000000", "1",         "00aname",     "",           "one",         "2",        "",
              "",         "two"},
     .told_what = true},
};

static const char *run(const struct script *script, int at)
{
    static char text[65536];
    char number[16];
    const char *words[64] = {"EVAL", text};
    size_t count = 2;
    snprintf(text, sizeof text, "%s%s", failing, script->text);
    for (size_t i = 0; script->args[i] != NULL; i++)
        words[count++] = script->args[i];
    snprintf(number, sizeof number, "%d", at);
    words[count] = number;
    return redis_try_words(&redis, words);
}

static const char *what_counts(char *to, size_t size)
{
    snprintf(to, size, "%s", redis_ask(&redis, "EVAL", counting, "0", NULL));
    return to;
}

static bool holds(const char *what, const char *entry)
{
    return strstr(what, entry) != NULL;
}

/* Accepted, and not named among those that were refused, is in the log; refused is not. */
static void check_published(const char *answer, const char *after, int at)
{
    bool one = holds(after, "p:log:r one"), two = holds(after, "p:log:new two");
    /* The call's number is 2; behind it come place, reason and key of each. */
    bool one_refused = holds(answer, "\n1\nspoiled") || holds(answer, "\n1\nbytes");
    bool two_refused = holds(answer, "\n2\nspoiled") || holds(answer, "\n2\nbytes");
    if (one == one_refused || two == two_refused)
        fail_msg("publish, call %d fails: %d %d are in the log, and the answer is %s", at, one, two, answer);
}

static void each_call_of_each_script_fails(void **state)
{
    char before[4096], after[4096], whole[4096];
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        const struct script *script = &scripts[i];
        int at = 0;
        for (bool failed = true; failed; at++) {
            redis_ask(&redis, "EVAL", setting, "0", NULL);
            what_counts(before, sizeof before);
            char answer[1024];
            snprintf(answer, sizeof answer, "%s", run(script, at));
            failed = redis_ask_number(&redis, "EXISTS", "failed", NULL) == 1 || at == 0;
            what_counts(after, sizeof after);
            if (at == 0) {
                assert_int_not_equal(answer[0], '-');
                snprintf(whole, sizeof whole, "%s", after);
            } else if (answer[0] == '-') {
                if (strcmp(before, after) != 0)
                    fail_msg("%s, call %d fails: %s became %s, told was %s", script->name, at, before, after, answer);
            } else if (script->told_what) {
                check_published(answer, after, at);
            } else if (strcmp(after, whole) != 0) {
                fail_msg("%s, call %d fails: %s became %s, and that was told as done: %s", script->name, at, before,
                         after, answer);
            }
        }
        assert_true(at > 3);
    }
    redis_ask(&redis, "FLUSHALL", NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(each_call_of_each_script_fails),
    };
    return instances_main(argc, argv, "broker/redis_halfway", tests, sizeof tests / sizeof tests[0], NULL);
}
