// asks: stock clients ask each other, and make namespaces by naming them, through `sennit up` with four instances and random balancing: by
// polling alone, by WebSocket, and with default options.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { io as io31 } from 'socket.io-client-3';
import { io as io40 } from 'socket.io-client-4.0';
import parser from 'socket.io-msgpack-parser';
import { redis, serve, sleep, temporary, until, up } from './lib.mjs';

const config = `
namespaces:
  /:
    auth: none
    events:
      ask: {to: socket, socket: 0, ack: receiver, timeout: 10s}
      soon: {to: socket, socket: 0, ack: receiver, timeout: 300ms}
  "/board-*":
    auth: none
    log: {entries: 1000}
    replay: all
    events:
      draw: {to: others, log: true}
`;
let directory, run;
const sockets = [];

const KINDS = { polling: { transports: ['polling'] }, websocket: { transports: ['websocket'] }, default: {} };

async function client(options, nsp = '/', on = {}) {
  const socket = io(run.url + nsp, { forceNew: true, reconnectionDelay: 50, ...options });
  sockets.push(socket);
  for (const [event, handler] of Object.entries(on)) socket.on(event, handler);
  await until('it is connected', () => socket.connected);
  return socket;
}

before(async () => {
  directory = temporary();
  const file = path.join(directory, 'asks.yaml');
  fs.writeFileSync(file, config);
  run = await up({ name: 'asks', concurrency: 250, run: `sennit serve --config ${file}`, env: { SENNIT_ROTATE: 'off' },
    annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 4 } }, { ready: 4 });
});

after(async () => {
  for (const socket of sockets) socket.disconnect();
  await run?.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

for (const [from, to] of [['websocket', 'websocket'], ['default', 'default'], ['polling', 'websocket'], ['websocket', 'polling'], ['polling', 'polling']]) {
  test(`${from} asks ${to}, and is answered`, { timeout: 60000 }, async () => {
    const one = await client(KINDS[from]), two = await client(KINDS[to]);
    const ASKS = 60;
    let asked = 0;
    for (const socket of [one, two]) {
      socket.on('ask', (sid, n, ...rest) => {
        const callback = rest.pop();
        asked++;
        assert.equal(sid, socket.id);
        assert.equal(rest.length, 0); // no token
        setTimeout(() => callback('yes', n * 2), n % 5);
      });
    }
    const answers = [];
    const ask = async (socket, other, n) => {
      const answer = await new Promise((resolve) => socket.emit('ask', other.id, n, (...args) => resolve(args)));
      answers.push([n, answer]);
    };
    const started = [];
    for (let n = 0; n < ASKS; n++) {
      started.push(ask(one, two, n), ask(two, one, n));
      if (n % 3 === 0) await sleep(7);
    }
    await Promise.all(started);
    for (const [n, answer] of answers) assert.deepEqual(answer, ['yes', n * 2]);
    assert.equal(asked, 2 * ASKS);
  });
}

test('binary answers, timeouts of both kinds, and the end of the receiver', { timeout: 30000 }, async () => {
  const one = await client(KINDS.default), two = await client(KINDS.websocket);
  two.on('ask', (sid, bytes, callback) => callback(Buffer.concat([bytes, Buffer.from([3])]), 'and text'));
  const bytes = Buffer.from([1, 2]);
  assert.deepEqual(await one.timeout(5000).emitWithAck('ask', two.id, bytes), Buffer.from([1, 2, 3]));
  const failure = await one.timeout(5000).emitWithAck('soon', two.id);
  assert.equal(failure.reason, 'answer_late');
  await assert.rejects(one.timeout(100).emitWithAck('soon', two.id));
  two.off('ask');
  two.on('ask', () => two.io.engine.close());
  assert.equal((await one.timeout(5000).emitWithAck('ask', two.id)).reason, 'receiver_gone');
  await until('it is back', () => two.connected);
});

test('clients with socket.io-msgpack-parser', { timeout: 30000 }, async () => {
  const instance = await serve(`parser: msgpack\n${config}`);
  const [one, two] = [0, 1].map(() => io(instance.url, { forceNew: true, parser }));
  sockets.push(one, two);
  try {
    await until('both are connected', () => one.connected && two.connected);
    two.on('ask', (sid, question, callback) => callback({ question, bytes: Buffer.from([1, 2, 3]) }, 'text'));
    const [answer, text] = await new Promise((resolve) => one.emit('ask', two.id, Buffer.from([9]), (...args) => resolve(args)));
    assert.deepEqual([Buffer.from(answer.question), Buffer.from(answer.bytes), text], [Buffer.from([9]), Buffer.from([1, 2, 3]), 'text']);
    two.off('ask');
    two.on('ask', (sid, callback) => callback());
    assert.deepEqual(await new Promise((resolve) => one.emit('ask', two.id, (...args) => resolve(args))), []);
  } finally {
    await instance.close();
  }
});

for (const [version, connect] of [['3.1', io31], ['4.0', io40]]) {
  test(`socket.io-client ${version} asks and is asked`, { timeout: 30000 }, async () => {
    const old = connect(run.url, { forceNew: true });
    const fresh = await client(KINDS.default);
    sockets.push(old);
    await until('it is connected', () => old.connected);
    for (const socket of [old, fresh]) socket.on('ask', (sid, n, callback) => callback(n + 1));
    assert.equal(await new Promise((resolve) => old.emit('ask', fresh.id, 1, resolve)), 2);
    assert.equal(await new Promise((resolve) => fresh.emit('ask', old.id, 5, resolve)), 6);
  });
}

// Such sockets have no lease on the broker, by which other instances know where sockets are.
test('a backend asks clients of a namespace that logs nothing, on two instances', { timeout: 30000 }, async () => {
  const broker = await redis();
  const instances = [];
  try {
    for (let i = 0; i < 2; i++) instances.push(await serve('namespaces:\n  /:\n    events: {hum: {to: others}}\n', { redisUrl: broker.url }));
    const clients = instances.map(({ url }) => io(url, { forceNew: true, transports: ['websocket'] }));
    sockets.push(...clients);
    await until('both are connected', () => clients.every((socket) => socket.connected));
    for (const [i, socket] of clients.entries()) socket.on('ready?', (callback) => setTimeout(callback, 600 * i, i));
    await until('both instances live', async () => (await (await fetch(`${instances[0].url}/api/v1/count`)).json()).sockets === 2);
    const answer = await fetch(`${instances[0].url}/api/v1/ask`, { method: 'POST', body: JSON.stringify({ event: 'ready?', timeout_ms: 5000 }) });
    const { answers, missing, incomplete } = await answer.json();
    assert.deepEqual(Object.fromEntries(answers.map((one) => [one.socket, one.answer])), { [clients[0].id]: [0], [clients[1].id]: [1] });
    assert.deepEqual([missing, incomplete], [[], false]);
  } finally {
    for (const instance of instances) await instance.close();
    await broker.close();
  }
});

test('namespaces by pattern', { timeout: 30000 }, async () => {
  const got = { same: [], other: [] };
  const one = await client(KINDS.default, '/board-1');
  await client(KINDS.polling, '/board-1', { draw: (n) => got.same.push(n) });
  await client(KINDS.default, '/board-2', { draw: (n) => got.other.push(n) });
  for (let n = 0; n < 20; n++) await one.timeout(5000).emitWithAck('draw', n);
  await until('it has all', () => got.same.length === 20);
  const replayed = [];
  await client(KINDS.default, '/board-1', { draw: (n) => replayed.push(n) });
  await until('a late joiner has all', () => replayed.length === 20);
  assert.deepEqual(replayed, got.same);
  assert.deepEqual(got.other, []);
  const refused = io(`${run.url}/else`, { forceNew: true, transports: ['websocket'] });
  sockets.push(refused);
  const error = await new Promise((resolve) => refused.on('connect_error', resolve));
  assert.equal(error.message, 'Invalid namespace');
});
