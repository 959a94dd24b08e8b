// binary: events and answers with attachments between stock clients, over two instances and a real Redis.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { redis, serve, sleep, until } from './lib.mjs';

const config = `
namespaces:
  /:
    log: {entries: 1000, bytes: 16MiB, age: 1h}
    rooms:
      "replayed": {replay: all}
    events:
      say: {to: everyone, log: true, id: 0.id}
      cursor: {to: others}
      join: {join: 0}
      tell: {to: room, room: 0, log: true}
      past: {history: 0}
`;

let broker, servers;
const open = [];
before(async () => {
  broker = await redis();
  servers = [await serve(config, { redisUrl: broker.url }), await serve(config, { redisUrl: broker.url })];
});
after(async () => {
  for (const socket of open) socket.disconnect();
  for (const server of servers) await server.close();
  await broker.close();
});

async function client(server) {
  const socket = io(servers[server].url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100 });
  open.push(socket);
  socket.got = [];
  socket.cuts = 0;
  socket.onAny((event, ...args) => socket.got.push([event, ...args.slice(0, -1)]));
  socket.on('disconnect', () => socket.cuts++);
  await until('the client is connected', () => socket.connected);
  return socket;
}

const ask = (socket, ...args) => socket.timeout(10000).emitWithAck(...args);
const gotAll = (socket, count) => until(`${count} events`, () => socket.got.length >= count);

test('bytes in any place of the arguments arrive on the other instance as they were sent', async () => {
  const [a, b] = [await client(0), await client(1)];
  const sent = [Buffer.from([0, 1, 255]), { deep: [{ here: new Uint8Array([1, 2, 3]) }], text: 'ä' }, Buffer.alloc(0), 'end'];
  a.emit('cursor', ...sent);
  await gotAll(b, 1);
  const [, first, second, third, fourth] = b.got[0];
  assert.deepEqual([...first], [0, 1, 255]);
  assert.deepEqual([...second.deep[0].here], [1, 2, 3]);
  assert.equal(second.text, 'ä');
  assert.equal(third.length, 0);
  assert.equal(fourth, 'end');
  assert.equal(a.cuts + b.cuts, 0);
});

test('an event of nearly maxPayload passes both ways; a larger one is refused by itself', async () => {
  const [a, b] = [await client(0), await client(1)];
  for (const [from, to] of [[a, b], [b, a]]) {
    const bytes = randomBytes(990_000), id = randomBytes(12).toString('hex');
    assert.deepEqual(await ask(from, 'say', { id }, bytes), undefined);
    const event = await until('the large event', () => to.got.find(([, first]) => first?.id === id)); // the one before may still be on its way
    assert.ok(Buffer.compare(Buffer.from(event[2]), bytes) === 0);
  }
  const answer = await ask(a, 'say', {}, randomBytes(600_000), randomBytes(600_000));
  assert.equal(answer.reason, 'event_too_large');
  assert.equal(a.cuts, 0);
});

test('the same name with other bytes is another message', async () => {
  const a = await client(0);
  const id = randomBytes(12).toString('hex');
  assert.equal(await ask(a, 'say', { id }, Buffer.from('one')), undefined);
  assert.equal(await ask(a, 'say', { id }, Buffer.from('one')), undefined);
  assert.equal((await Promise.race([ask(a, 'say', { id }, Buffer.from('two')).catch(() => 'unanswered'), sleep(1000)])) === undefined, true);
  await sleep(200);
  assert.deepEqual(a.got.filter(([, first]) => first?.id === id).map((args) => String(Buffer.from(args[2]))), ['one']);
});

test('a client that was cut off gets the bytes that it missed, once and in order', async () => {
  const [a, b] = [await client(0), await client(1)];
  assert.equal(await ask(a, 'say', 'before'), undefined);
  await gotAll(b, 1);
  b.io.engine.close();
  const sent = Array.from({ length: 30 }, (_, i) => randomBytes(1 + i * 37));
  await Promise.all(sent.map((bytes, i) => ask(a, 'say', i, bytes, { again: bytes })));
  await until('it is back', () => b.connected && b.got.length >= 31);
  assert.equal(b.recovered, true);
  assert.deepEqual(b.got.slice(1).map((args) => args[1]), sent.map((_, i) => i));
  b.got.slice(1).forEach((args, i) => {
    assert.ok(Buffer.compare(Buffer.from(args[2]), sent[i]) === 0);
    assert.ok(Buffer.compare(Buffer.from(args[3].again), sent[i]) === 0);
  });
});

test('history answers with attachments, ten at a time, and a new member is sent them', async () => {
  const [a, b] = [await client(0), await client(1)];
  await ask(a, 'join', 'replayed');
  for (let i = 0; i < 25; i++) await ask(a, 'tell', 'replayed', i, i % 5 === 4 ? { _placeholder: true, num: 7 } : Buffer.from(`bytes of ${i}`));
  await ask(b, 'join', 'replayed');
  await gotAll(b, 25);
  // Without a position the newest come first: backwards to the beginning.
  let page = await ask(b, 'past', 'replayed', { limit: 100 });
  const read = page.entries;
  for (let pages = 1; page.more; pages++) {
    assert.ok(pages < 25);
    page = await ask(b, 'past', 'replayed', { before: read[0].at });
    read.unshift(...page.entries);
  }
  const value = (arg) => (arg._placeholder ? 'lookalike' : String(Buffer.from(arg)));
  const expected = Array.from({ length: 25 }, (_, i) => [i, i % 5 === 4 ? 'lookalike' : `bytes of ${i}`]);
  assert.deepEqual(read.map(({ args }) => [args[2], value(args[3])]), expected);
  assert.deepEqual(b.got.map((args) => [args[2], value(args[3])]), expected);
  const forward = await ask(b, 'past', 'replayed', { after: read[1].at });
  assert.equal(forward.more, true);
  assert.deepEqual(forward.entries.map(({ args }) => [args[2], value(args[3])]), expected.slice(2, 2 + forward.entries.length));
});

test('a packet that breaks the rules of attachments ends its connection alone', async () => {
  const [a, b] = [await client(0), await client(0)];
  a.io.engine.write(Buffer.from('out of the blue'));
  await until('it is cut', () => a.cuts === 1);
  await until('it is back', () => a.connected);
  a.io.engine.write('451-["say",{"_placeholder":true,"num":0}]');
  a.io.engine.write('2["say"]');
  await until('it is cut', () => a.cuts === 2);
  assert.equal(b.cuts, 0);
});
