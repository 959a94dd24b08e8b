// attack: one pass of those attacks that do the same each time and take little time; `make attack` tries all of them, and measures.
// alone: it measures how long others wait during an attack
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { attempt, cases, Control } from '../attack/run.mjs';

// Time is judged by make attack: other programs may keep this machine busy.
const options = { quick: true, seed: 1, seconds: 2, slack: 2000 };

// By name; `*` stands for whatever follows.
const chosen = ['pid-of-another-namespace*', 'nul-in-rooms', 'unreadable-exceptions', 'guessed-*', 'rooms-of-one*', 'forged-offsets*', 'past-flood*', 'leave-flood, redis', 'join-leave-flood*',
  'reconnect-under-way', 'left-under-way', 'halves of messages', 'held-bytes, one slow reader, memory', 'large-presence, redis', 'sessions-without-connect', 'silent-connections', 'redis-dies', 'live: packets, memory', 'live: heads'];
const fits = (name) => chosen.some((word) => (word.endsWith('*') ? name.startsWith(word.slice(0, -1)) : name === word));

let control;
before(async () => (control = await Control.open()));
after(() => control.close());

for (const one of (await cases()).filter(({ name }) => fits(name))) {
  test(`${one.name}: ${one.expects}`, { timeout: 90000 }, async () => {
    const { faults } = await attempt(one, { ...options, control });
    assert.deepEqual(faults, []);
  });
}

// A judge that cannot object proves nothing.
test('an attack that breaks its promise is seen', { timeout: 60000 }, async () => {
  const broken = { name: 'broken', config: 'namespaces:', expects: 'nothing', run: async (world) => {
    world.memory = () => 2 ** 33;
    world.server.child.kill('SIGKILL');
    await world.server.ended.catch(() => {});
  } };
  const { faults } = await attempt(broken, { ...options, control });
  assert.match(faults.join('\n'), /the process ended/);
});
