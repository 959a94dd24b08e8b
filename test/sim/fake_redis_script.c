/* fake_redis_script: scripts: loading and running them. fake_redis_lua.c has their environment in Lua. */
#include <lauxlib.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_lua.h"

struct script {
    struct map_node by_sha;
    int function; /* in Lua's registry */
    char sha[FAKE_SHA_BYTES + 1];
};

struct fake_scripts *fake_scripts_create(void)
{
    struct fake_scripts *scripts = mem_zero(1, sizeof *scripts);
    fake_map_init(&scripts->by_sha);
    fake_lua_open(scripts);
    return scripts;
}

void fake_scripts_clear(struct fake_scripts *scripts)
{
    struct map_node *node;
    while ((node = map_next(&scripts->by_sha, NULL)) != NULL) {
        struct script *script = container_of(node, struct script, by_sha);
        map_remove(&scripts->by_sha, node);
        luaL_unref(scripts->lua, LUA_REGISTRYINDEX, script->function);
        free(script);
    }
}

void fake_scripts_destroy(struct fake_scripts *scripts)
{
    fake_scripts_clear(scripts);
    map_finish(&scripts->by_sha);
    lua_close(scripts->lua);
    buf_finish(&scripts->reply);
    free(scripts);
}

static struct script *script_find(const struct fake_scripts *scripts, struct span sha)
{
    char lower[FAKE_SHA_BYTES];
    if (sha.len != FAKE_SHA_BYTES)
        return NULL;
    for (int i = 0; i < FAKE_SHA_BYTES; i++)
        lower[i] = sha.data[i] >= 'A' && sha.data[i] <= 'Z' ? (char)(sha.data[i] + 32) : sha.data[i];
    struct map_node *node = map_find(&scripts->by_sha, span_of(lower, sizeof lower));
    return node != NULL ? container_of(node, struct script, by_sha) : NULL;
}

/* The script of this text, compiled once; NULL, with the error replied, when it cannot be. */
static struct script *script_load(struct fake_call *call, struct span text)
{
    struct fake_scripts *scripts = call->redis->scripts;
    lua_State *lua = scripts->lua;
    char sha[FAKE_SHA_BYTES + 1];
    fake_sha1_hex(text, sha);
    struct script *script = script_find(scripts, span_of(sha, FAKE_SHA_BYTES));
    if (script != NULL)
        return script;
    if (luaL_loadbuffer(lua, text.data, text.len, "@user_script") != 0) {
        fake_reply_error(call, "ERR Error compiling script (new function): %s", lua_tostring(lua, -1));
        lua_pop(lua, 1);
        return NULL;
    }
    lua_rawgeti(lua, LUA_REGISTRYINDEX, scripts->walls);
    lua_setfenv(lua, -2);
    script = mem_zero(1, sizeof *script);
    script->function = luaL_ref(lua, LUA_REGISTRYINDEX);
    memcpy(script->sha, sha, sizeof sha);
    map_add(&scripts->by_sha, &script->by_sha, span_of(script->sha, FAKE_SHA_BYTES));
    return script;
}

static void set_list(lua_State *lua, const char *name, const struct span *items, size_t count)
{
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(lua, items[i].len != 0 ? items[i].data : "", items[i].len);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setglobal(lua, name);
}

/* The script's error is on top of the stack. */
static void reply_death(lua_State *lua, struct fake_call *call, const struct script *script)
{
    struct span text = SPAN_LIT("ERR unknown error"), source;
    fake_lua_field_text(lua, "err", &text);
    lua_getfield(lua, -1, "line");
    int line = (int)lua_tointeger(lua, -1);
    lua_pop(lua, 1);
    if (fake_lua_field_text(lua, "source", &source))
        fake_reply_error(call, SPAN_FMT " script: %s, on " SPAN_FMT ":%d.", SPAN_ARG(text), script->sha,
                         SPAN_ARG(source), line);
    else
        fake_reply_error(call, SPAN_FMT " script: %s.", SPAN_ARG(text), script->sha);
}

static void script_run(struct fake_call *call, const struct script *script, size_t keys)
{
    struct fake_scripts *scripts = call->redis->scripts;
    lua_State *lua = scripts->lua;
    set_list(lua, "KEYS", call->args + 3, keys);
    set_list(lua, "ARGV", call->args + 3 + keys, call->count - 3 - keys);
    scripts->call = call;
    scripts->wrote = false;
    unsigned db = call->client->db; /* a script's SELECT ends with it */
    lua_rawgeti(lua, LUA_REGISTRYINDEX, scripts->on_error);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, script->function);
    if (lua_pcall(lua, 0, 1, -2) == 0)
        fake_lua_reply(lua, call);
    else
        reply_death(lua, call, script);
    lua_settop(lua, 0);
    call->client->db = db;
    scripts->call = NULL;
}

static bool keys_read(struct fake_call *call, int64_t *keys)
{
    if (!fake_arg_i64(call, 2, keys))
        return false;
    if (*keys > (int64_t)call->count - 3) {
        fake_reply_error(call, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    if (*keys < 0)
        fake_reply_error(call, "ERR Number of keys can't be negative");
    return *keys >= 0;
}

static void eval(struct fake_call *call)
{
    int64_t keys;
    if (!keys_read(call, &keys))
        return;
    const struct script *script = script_load(call, call->args[1]);
    if (script != NULL)
        script_run(call, script, (size_t)keys);
}

static void evalsha(struct fake_call *call)
{
    int64_t keys;
    const struct script *script = script_find(call->redis->scripts, call->args[1]);
    if (call->args[1].len == FAKE_SHA_BYTES && !keys_read(call, &keys))
        return;
    if (script != NULL)
        script_run(call, script, (size_t)keys);
    else
        fake_reply_error(call, "NOSCRIPT No matching script. Please use EVAL.");
}

static void script_command(struct fake_call *call)
{
    static const char *const known[] = {"load", "exists", "flush", NULL};
    if (fake_arg_is(call, 1, "load") && call->count == 3) {
        const struct script *loaded = script_load(call, call->args[2]);
        if (loaded != NULL)
            fake_reply_bulk(call, span_of(loaded->sha, FAKE_SHA_BYTES));
    } else if (fake_arg_is(call, 1, "exists") && call->count >= 3) {
        fake_reply_array(call, call->count - 2);
        for (size_t i = 2; i < call->count; i++)
            fake_reply_integer(call, script_find(call->redis->scripts, call->args[i]) != NULL);
    } else if (fake_arg_is(call, 1, "flush") && call->count <= 3) {
        if (call->count == 3 && !fake_arg_is(call, 2, "async") && !fake_arg_is(call, 2, "sync")) {
            fake_reply_error(call, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
            return;
        }
        fake_scripts_clear(call->redis->scripts);
        fake_reply_status(call, "OK");
    } else {
        fake_reply_subcommand_error(call, known);
    }
}

const struct fake_command fake_script_commands[] = {
    {"eval", eval, -3, FAKE_NOSCRIPT},
    {"evalsha", evalsha, -3, FAKE_NOSCRIPT},
    {"script", script_command, -2, FAKE_NOSCRIPT},
    {NULL, NULL, 0, 0},
};
