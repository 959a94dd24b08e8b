/* fake_redis_lua: the environment of a script: the same conversions, errors and restrictions as in Redis.
 *
 * One Lua state for all scripts. What a script sees as its globals is an empty table in front of the true ones, which
 * lets names be read but not be set. */
#include "fake_redis_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { SHA1_BYTES = 20 };

void fake_sha1_hex(struct span text, char hex[FAKE_SHA_BYTES + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_Digest(text.len != 0 ? text.data : "", text.len, digest, NULL, EVP_sha1(), NULL);
    for (int i = 0; i < SHA1_BYTES; i++)
        snprintf(hex + i * 2, 3, "%02x", digest[i]);
}

static struct fake_scripts *scripts_of(lua_State *lua)
{
    struct fake_scripts *scripts;
    lua_getfield(lua, LUA_REGISTRYINDEX, "scripts");
    scripts = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return scripts;
}

/* Replies become values. */

static void push_text_table(lua_State *lua, const char *key, struct span text)
{
    lua_createtable(lua, 0, 1);
    lua_pushlstring(lua, text.data, text.len);
    lua_setfield(lua, -2, key);
}

static struct span line_take(struct span *rest)
{
    ptrdiff_t end = span_find(*rest, '\r');
    struct span line = span_sub(*rest, 1, (size_t)end - 1);
    *rest = span_from(*rest, (size_t)end + 2);
    return line;
}

/* Pushes the reply at the front of `rest`, which one of our own commands made. */
static void push_reply(lua_State *lua, struct span *rest)
{
    char mark = rest->data[0];
    struct span line = line_take(rest);
    int64_t number = 0;
    if (mark == '+') {
        push_text_table(lua, "ok", line);
        return;
    }
    if (mark == '-') {
        push_text_table(lua, "err", line);
        return;
    }
    fake_span_i64(line, &number);
    if (mark == ':') {
        lua_pushnumber(lua, (lua_Number)number);
    } else if (number < 0) {
        lua_pushboolean(lua, false);
    } else if (mark == '$') {
        lua_pushlstring(lua, rest->data, (size_t)number);
        *rest = span_from(*rest, (size_t)number + 2);
    } else {
        lua_createtable(lua, (int)number, 0);
        luaL_checkstack(lua, 4, "a reply too deep");
        for (int i = 1; i <= number; i++) {
            push_reply(lua, rest);
            lua_rawseti(lua, -2, i);
        }
    }
}

/* Values become replies. */

bool fake_lua_field_text(lua_State *lua, const char *key, struct span *text)
{
    lua_pushstring(lua, key);
    lua_rawget(lua, -2);
    bool found = lua_type(lua, -1) == LUA_TSTRING;
    if (found)
        text->data = lua_tolstring(lua, -1, &text->len);
    lua_pop(lua, 1); /* the table still holds it */
    return found;
}

static void reply_table(lua_State *lua, struct fake_call *call)
{
    struct span text;
    struct buf items = {0}, *reply = call->reply;
    size_t count = 0;
    if (fake_lua_field_text(lua, "err", &text)) {
        fake_reply_error(call, SPAN_FMT, SPAN_ARG(text));
        return;
    }
    if (fake_lua_field_text(lua, "ok", &text)) {
        buf_printf(reply, "+" SPAN_FMT "\r\n", SPAN_ARG(text));
        return;
    }
    call->reply = &items;
    for (int i = 1;; i++) {
        lua_rawgeti(lua, -1, i);
        bool end = lua_isnil(lua, -1);
        if (!end)
            fake_lua_reply(lua, call);
        lua_pop(lua, 1);
        if (end)
            break;
        count++;
    }
    call->reply = reply;
    fake_reply_array(call, count);
    buf_append(reply, buf_span(&items));
    buf_finish(&items);
}

void fake_lua_reply(lua_State *lua, struct fake_call *call)
{
    struct span text;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        text.data = lua_tolstring(lua, -1, &text.len);
        fake_reply_bulk(call, text);
        break;
    case LUA_TNUMBER:
        fake_reply_integer(call, (int64_t)lua_tonumber(lua, -1));
        break;
    case LUA_TBOOLEAN:
        lua_toboolean(lua, -1) ? fake_reply_integer(call, 1) : fake_reply_nil(call);
        break;
    case LUA_TTABLE:
        if (lua_checkstack(lua, 4))
            reply_table(lua, call);
        else
            fake_reply_error(call, "ERR reached lua stack limit");
        break;
    default:
        fake_reply_nil(call);
        break;
    }
}

/* The library. */

/* An error table on top of the stack: raised by redis.call, returned by redis.pcall. */
static int finish_error(lua_State *lua, bool raises)
{
    return raises ? lua_error(lua) : 1;
}

static int refuse(lua_State *lua, bool raises, const char *text)
{
    push_text_table(lua, "err", span_str(text));
    return finish_error(lua, raises);
}

/* The arguments as they were given; NULL when one is neither text nor number. The memory is Lua's. */
static struct span *args_take(lua_State *lua, int count)
{
    struct span *args = lua_newuserdata(lua, (size_t)count * sizeof *args);
    for (int i = 0; i < count; i++) {
        int type = lua_type(lua, i + 1);
        if (type == LUA_TNUMBER) {
            char text[64];
            int len = snprintf(text, sizeof text, "%.17g", lua_tonumber(lua, i + 1));
            lua_pushlstring(lua, text, (size_t)len);
            lua_replace(lua, i + 1);
        } else if (type != LUA_TSTRING) {
            return NULL;
        }
        args[i].data = lua_tolstring(lua, i + 1, &args[i].len);
    }
    return args;
}

static int command_call(lua_State *lua, bool raises)
{
    struct fake_scripts *scripts = scripts_of(lua);
    struct fake_redis *redis = scripts->call->redis;
    int count = lua_gettop(lua);
    if (count == 0)
        return refuse(lua, raises, "ERR Please specify at least one argument for this redis lib call");
    const struct span *args = args_take(lua, count);
    if (args == NULL)
        return refuse(lua, raises, "ERR Lua redis lib command arguments must be strings or integers");
    const struct fake_command *command = fake_command_find(redis, args[0]);
    if (command == NULL)
        return refuse(lua, raises, "ERR Unknown Redis command called from script");
    if (!fake_arity_fits(command, (size_t)count))
        return refuse(lua, raises, "ERR Wrong number of args calling Redis command from script");
    if (command->flags & FAKE_NOSCRIPT)
        return refuse(lua, raises, "ERR This Redis command is not allowed from script");
    /* Once a script has written it runs to its end. */
    if (command->flags & FAKE_WRITE && !scripts->wrote) {
        struct span failure = fake_failure_take(redis, command);
        if (failure.data != NULL) {
            push_text_table(lua, "err", failure);
            return finish_error(lua, raises);
        }
    }
    scripts->wrote |= (command->flags & FAKE_WRITE) != 0;
    buf_clear(&scripts->reply);
    struct fake_call call = {redis, scripts->call->client, args, (size_t)count, &scripts->reply};
    command->run(&call);
    struct span rest = buf_span(&scripts->reply);
    bool failed = rest.data[0] == '-';
    push_reply(lua, &rest);
    return failed ? finish_error(lua, raises) : 1;
}

static int lua_redis_call(lua_State *lua)
{
    return command_call(lua, true);
}

static int lua_redis_pcall(lua_State *lua)
{
    return command_call(lua, false);
}

static bool one_string(lua_State *lua)
{
    if (lua_gettop(lua) == 1 && lua_type(lua, -1) == LUA_TSTRING)
        return true;
    push_text_table(lua, "err", SPAN_LIT("ERR wrong number or type of arguments"));
    return false;
}

static int lua_error_reply(lua_State *lua)
{
    struct span text;
    if (!one_string(lua))
        return 1;
    text.data = lua_tolstring(lua, 1, &text.len);
    text = span_from(text, text.len > 0 && text.data[0] == '-');
    if (span_find(text, ' ') < 0)
        lua_pushfstring(lua, "ERR %s", text.data); /* a code alone is none */
    else
        lua_pushlstring(lua, text.data, text.len);
    text.data = lua_tolstring(lua, -1, &text.len);
    push_text_table(lua, "err", text);
    return 1;
}

static int lua_status_reply(lua_State *lua)
{
    struct span text;
    if (!one_string(lua))
        return 1;
    text.data = lua_tolstring(lua, 1, &text.len);
    push_text_table(lua, "ok", text);
    return 1;
}

static int lua_sha1hex(lua_State *lua)
{
    struct span text;
    char hex[FAKE_SHA_BYTES + 1];
    if (lua_gettop(lua) != 1)
        return refuse(lua, true, "ERR wrong number of arguments");
    text.data = lua_tolstring(lua, 1, &text.len);
    fake_sha1_hex(text, hex);
    lua_pushstring(lua, hex);
    return 1;
}

/* The language's own, which gives the text of an error table instead of the table. */
static int lua_protected_call(lua_State *lua)
{
    luaL_checkany(lua, 1);
    bool ok = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0) == 0;
    struct span text;
    if (!ok && lua_istable(lua, -1) && fake_lua_field_text(lua, "err", &text)) {
        lua_pushlstring(lua, text.data, text.len);
        lua_replace(lua, -2);
    }
    lua_pushboolean(lua, ok);
    lua_insert(lua, 1);
    return lua_gettop(lua);
}

/* The walls. */

static int global_unknown(lua_State *lua)
{
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", luaL_checkstring(lua, 2));
}

static int table_readonly(lua_State *lua)
{
    return luaL_error(lua, "Attempt to modify a readonly table");
}

/* Puts an empty table in front of the one on top, through which it can be read and not be written. */
static void wall(lua_State *lua)
{
    lua_newtable(lua);
    lua_newtable(lua);
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, table_readonly);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, false);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_remove(lua, -2);
}

/* Of those a name alone would leave something behind or reach outside. */
static void globals_clean(lua_State *lua)
{
    static const char *const unwanted[] = {"dofile",  "loadfile", "load",    "loadstring", "print",  "module",
                                           "require", "getfenv",  "setfenv", "newproxy",   "rawset", "gcinfo"};
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        lua_pushnil(lua);
        lua_setglobal(lua, unwanted[i]);
    }
    lua_getglobal(lua, "math");
    lua_pushnil(lua);
    lua_setfield(lua, -2, "random");
    lua_pushnil(lua);
    lua_setfield(lua, -2, "randomseed");
    lua_pop(lua, 1);
}

static void library_open(lua_State *lua, const char *name, lua_CFunction open)
{
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

static void library_wall(lua_State *lua, const char *name)
{
    lua_getglobal(lua, name);
    wall(lua);
    lua_setglobal(lua, name);
}

/* Where it happened, for the end of the text. */
static int error_locate(lua_State *lua)
{
    lua_Debug info = {0};
    if (!lua_istable(lua, 1)) {
        bool text = lua_isstring(lua, 1); /* or a number */
        lua_pushfstring(lua, "ERR %s", text ? lua_tostring(lua, 1) : luaL_typename(lua, 1));
        lua_createtable(lua, 0, 1);
        lua_insert(lua, -2);
        lua_setfield(lua, -2, "err");
        lua_replace(lua, 1);
    }
    for (int level = 1; level <= 2 && lua_getstack(lua, level, &info); level++) {
        lua_getinfo(lua, "Sl", &info);
        if (strcmp(info.what, "C") != 0)
            break;
    }
    if (info.source != NULL) {
        lua_pushstring(lua, info.source);
        lua_setfield(lua, 1, "source");
        lua_pushinteger(lua, info.currentline);
        lua_setfield(lua, 1, "line");
    }
    lua_settop(lua, 1);
    return 1;
}

void fake_lua_open(struct fake_scripts *scripts)
{
    static const luaL_Reg functions[] = {{"call", lua_redis_call},         {"pcall", lua_redis_pcall},
                                         {"error_reply", lua_error_reply}, {"status_reply", lua_status_reply},
                                         {"sha1hex", lua_sha1hex},         {NULL, NULL}};
    lua_State *lua = scripts->lua = luaL_newstate();
    lua_pushlightuserdata(lua, scripts);
    lua_setfield(lua, LUA_REGISTRYINDEX, "scripts");
    library_open(lua, "", luaopen_base);
    library_open(lua, LUA_STRLIBNAME, luaopen_string);
    library_open(lua, LUA_TABLIBNAME, luaopen_table);
    library_open(lua, LUA_MATHLIBNAME, luaopen_math);
    globals_clean(lua);
    lua_pushcfunction(lua, lua_protected_call);
    lua_setglobal(lua, "pcall");
    lua_newtable(lua);
    luaL_register(lua, NULL, functions);
    lua_setglobal(lua, "redis");
    library_wall(lua, "redis");
    library_wall(lua, LUA_STRLIBNAME);
    library_wall(lua, LUA_TABLIBNAME);
    library_wall(lua, LUA_MATHLIBNAME);
    /* Unknown names are errors. */
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    lua_newtable(lua);
    lua_pushcfunction(lua, global_unknown);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
    wall(lua);
    lua_pushvalue(lua, -1);
    lua_setglobal(lua, "_G");
    scripts->walls = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, error_locate);
    scripts->on_error = luaL_ref(lua, LUA_REGISTRYINDEX);
}
