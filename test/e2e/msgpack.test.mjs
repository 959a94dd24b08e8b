// msgpack: `parser: msgpack` with the stock client and npm's socket.io-msgpack-parser, over two instances and a real Redis.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import parser from 'socket.io-msgpack-parser';
import { redis, serve, until } from './lib.mjs';

const rules = `
namespaces:
  /:
    log: {entries: 1000, bytes: 16MiB, age: 1h}
    events:
      say: {to: everyone, log: true, id: 0.id}
      past: {history: 0}
  /other:
    events:
      say: {to: others}
`;

let broker, servers, plain;
const open = [];
before(async () => {
  broker = await redis();
  servers = [await serve(`parser: msgpack\n${rules}`, { redisUrl: broker.url }), await serve(`parser: msgpack\n${rules}`, { redisUrl: broker.url })];
  plain = await serve(rules, { redisUrl: broker.url });
});
after(async () => {
  for (const socket of open) socket.disconnect();
  for (const server of [...servers, plain]) await server.close();
  await broker.close();
});

async function client(server, { name = '/', ...options } = {}) {
  const socket = io(server.url + name, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, parser, ...options });
  open.push(socket);
  socket.got = [];
  socket.cuts = 0;
  socket.onAny((event, ...args) => socket.got.push([event, ...args]));
  socket.on('disconnect', () => socket.cuts++);
  await until('the client is connected', () => socket.connected);
  return socket;
}
const ask = (socket, ...args) => socket.timeout(10000).emitWithAck(...args);

test('values pass as they are, bytes among them, and are acknowledged', async () => {
  const [a, b] = [await client(servers[0]), await client(servers[1])];
  const bytes = randomBytes(300);
  const sent = [{ n: [0, -1, 1.5, 4294967296, -70000, null, true], 'ä"\\\u0007😀': '😀'.repeat(40) }, bytes, { deep: [Buffer.alloc(0)] }, 'end'];
  assert.equal(await ask(a, 'say', ...sent), undefined);
  await until('the event', () => b.got.length > 0);
  const [, first, second, third, fourth, token] = b.got[0];
  assert.deepEqual(first, sent[0]);
  assert.deepEqual(Buffer.from(second), bytes);
  assert.equal(third.deep[0].length, 0);
  assert.equal(fourth, 'end');
  assert.equal(typeof token, 'string');
});

test('undefined is absent, and a date is its text', async () => {
  const [a, b] = [await client(servers[0]), await client(servers[1])];
  await ask(a, 'say', { gone: undefined, at: new Date(1234567890123) });
  await until('the event', () => b.got.length > 0);
  assert.deepEqual(b.got[0][1], { at: '2009-02-13T23:31:30.123Z' });
});

test('clients of both parsers hear each other through one broker', async () => {
  const [a, b] = [await client(servers[0]), await client(plain, { parser: undefined })];
  const bytes = randomBytes(1000);
  await ask(a, 'say', 'packed', { bytes });
  await ask(b, 'say', 'text', { bytes });
  await until('all', () => a.got.length >= 2 && b.got.length >= 2);
  for (const socket of [a, b]) {
    assert.deepEqual(socket.got.map((args) => args[1]), ['packed', 'text']);
    for (const args of socket.got) assert.deepEqual(Buffer.from(args[2].bytes), bytes);
  }
});

test('a client that was cut off resumes, and history has the bytes', async () => {
  const [a, b] = [await client(servers[0]), await client(servers[1])];
  await ask(a, 'say', 'before');
  await until('the first', () => b.got.length === 1);
  b.io.engine.close();
  const sent = Array.from({ length: 20 }, (_, i) => randomBytes(10 + i));
  for (const [i, bytes] of sent.entries()) await ask(a, 'say', i, bytes);
  await until('it is back', () => b.connected && b.got.length >= 21);
  assert.equal(b.recovered, true);
  b.got.slice(1).forEach((args, i) => assert.deepEqual([args[1], Buffer.from(args[2])], [i, sent[i]]));
  const page = await ask(b, 'past', null, { limit: 5 });
  assert.deepEqual(page.entries.map(({ args }) => Buffer.from(args[2])), sent.slice(-5));
});

test('namespaces, refusals and goodbyes', async () => {
  const [a, b] = [await client(servers[0], { name: '/other' }), await client(servers[0], { name: '/other' })];
  a.emit('say', new Uint8Array([1, 2, 3]).buffer);
  await until('the event', () => b.got.length > 0);
  assert.deepEqual([...Buffer.from(b.got[0][1])], [1, 2, 3]);
  const none = io(`${servers[0].url}/none`, { transports: ['websocket'], forceNew: true, parser });
  open.push(none);
  const error = await new Promise((resolve) => none.on('connect_error', resolve));
  assert.equal(error.message, 'Invalid namespace');
  const eleven = await ask(await client(servers[0]), 'say', ...Array.from({ length: 11 }, () => Buffer.from('x')));
  assert.equal(eleven.reason, 'attachments');
});

test('a client of the other parser, and bytes that are no packet, are cut off', async () => {
  const other = io(servers[0].url, { transports: ['websocket'], forceNew: true, reconnection: false });
  open.push(other);
  assert.equal(await new Promise((resolve) => other.io.on('close', resolve)), 'transport close');
  const a = await client(servers[0]);
  for (const bytes of [[0xc1], [0xdd, 0xff, 0xff, 0xff, 0xff], [0x81, 0xa4, 0x74, 0x79, 0x70, 0x65, 2], []]) {
    const before = a.cuts;
    a.io.engine.write(Buffer.from(bytes));
    await until('it is cut', () => a.cuts === before + 1);
    await until('it is back', () => a.connected);
  }
});

test('the library with the parser is served by this service only', async () => {
  const served = await fetch(`${servers[0].url}/socket.io/socket.io.msgpack.min.js`);
  assert.equal(served.status, 200);
  assert.match(await served.text(), /msgpack|notepack|Socket\.IO/);
  assert.notEqual((await fetch(`${plain.url}/socket.io/socket.io.msgpack.min.js`)).status, 200);
});
