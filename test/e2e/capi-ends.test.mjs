// capi-ends: the handler `disconnect` of a program in C is called once for each socket in the whole fleet, also when the instance that the
// socket was on is killed; on Redis and on Postgres.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { dial, end, instance, probe } from './capi.mjs';
import { redis, sleep, until } from './lib.mjs';
import { missing, postgres } from './postgres.mjs';

const brokers = [];
after(async () => {
  end();
  for (const broker of brokers) await broker.close();
});

async function client(server) {
  const socket = dial(`${server.url}/probe`);
  socket.ends = [];
  socket.on('told disconnect', (one) => socket.ends.push(one));
  await until('it is connected', () => socket.connected);
  socket.was = socket.id;
  return socket;
}

const goes = (socket) => { // without a word, and for good
  socket.io.reconnection(false);
  socket.io.engine.close();
};

async function ends(broker, option) {
  brokers.push(broker);
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => instance(probe, [option, broker.url])));
  const watcher = await client(b);
  const [stays, away, left, back] = [await client(a), await client(a), await client(a), await client(a)];
  left.close();
  const told = (socket) => watcher.ends.filter((end) => end.id === socket.was);
  await until('the one that left is told', () => told(left).length === 1);
  goes(away);
  await sleep(100);
  back.io.uri = c.url;
  stays.io.reconnection(false);
  await a.stop('SIGKILL');
  await until('one came back', () => back.connected && back.recovered && back.id === back.was);
  await until('the others are told', () => told(stays).length === 1 && told(away).length === 1, 20000);
  for (const socket of [stays, away]) {
    assert.deepEqual([told(socket)[0].data, told(socket)[0].reason], ['born here', 'instance_lost']);
    assert.match(b.output + c.output, new RegExp(`"instance":"${told(socket)[0].instance}"`));
  }
  assert.equal(told(back).length, 0);
  back.close();
  await until('its end is told where it was', () => told(back).length === 1);
  assert.equal(told(back)[0].reason, 'left');
  // Cut off on an instance that lives: that one knows why.
  const cut = await client(c);
  goes(cut);
  await until('it is told', () => told(cut).length === 1);
  assert.notEqual(told(cut)[0].reason, 'instance_lost');
  await sleep(2000); // a lease of theirs would have lapsed again
  for (const socket of [stays, away, left, back, cut]) assert.equal(told(socket).length, 1);
  watcher.close();
  for (const one of [b, c]) assert.equal(await one.stop(), 0);
}

describe('an instance is killed: another one tells the end of each of its sockets, once, with its data', { concurrency: true }, () => {
  test('on Redis', async () => ends(await redis(), '--redis-url'));
  test('on Postgres', { skip: missing() ?? false }, async () => ends(await postgres(), '--broker'));
});
