/* moves: the legal moves of an object with a life, from one table.
 *
 *     #define DOOR_MOVES(MOVE)         \
 *         MOVE(DOOR_OPEN, DOOR_CLOSED) \
 *         MOVE(DOOR_CLOSED, DOOR_OPEN)
 *
 *     static const bool legal[DOOR_STATES][DOOR_STATES] = {DOOR_MOVES(MOVE_LEGAL)};
 *     assert(legal[door->state][state]);
 *
 * The comment that draws the life says which event makes which move; tools/tidy.py compares it with the table. */
#ifndef SENNIT_BASE_MOVES_H
#define SENNIT_BASE_MOVES_H

#define MOVE_LEGAL(from, to) [from][to] = true,

#endif
