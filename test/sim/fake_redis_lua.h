/* fake_redis_lua: Lua 5.1 as scripts see it in Redis. For the files that run scripts. */
#ifndef SENNIT_SIM_FAKE_REDIS_LUA_H
#define SENNIT_SIM_FAKE_REDIS_LUA_H

#include <lua.h>

#include "fake_redis_parts.h"

struct fake_scripts {
    lua_State *lua;
    struct map by_sha;
    int walls, on_error; /* in Lua's registry: what scripts have for globals; what is called when one dies */
    /* Of the script that runs. */
    struct fake_call *call;
    struct buf reply; /* of the command it called */
    bool wrote;
};

/* Opens the state: libraries, walls, `redis`. */
void fake_lua_open(struct fake_scripts *scripts);
/* Replies the value on top of the stack. */
void fake_lua_reply(lua_State *lua, struct fake_call *call);
/* The text that the table on top of the stack has under this key, borrowed from it. */
bool fake_lua_field_text(lua_State *lua, const char *key, struct span *text);
void fake_sha1_hex(struct span text, char hex[FAKE_SHA_BYTES + 1]);

#endif
