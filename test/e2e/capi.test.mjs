// capi: programs in C with sennit.h: the examples, two instances each on one Redis, with the stock client. One more program, of the test,
// tries what the examples do not.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { freePort, redis, sennit, serve, temporary, top, until } from './lib.mjs';

const build = path.resolve(fs.realpathSync(sennit), '../../..');
const example = (name) => path.join(build, 'examples', name);

// One instance of a program of ours.
async function instance(file, redisUrl, env = {}) {
  const port = await freePort();
  const child = spawn(file, ['--port', String(port), '--redis-url', redisUrl, '--log-format', 'json'],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, K_SERVICE: '', REDIS_URL: '', ...env } });
  const run = { port, url: `http://127.0.0.1:${port}`, pid: child.pid, output: '' };
  child.stdout.on('data', (data) => (run.output += data));
  child.stderr.on('data', (data) => (run.output += data));
  const ended = once(child, 'close');
  run.stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const [code] = await ended;
    assert.doesNotMatch(run.output, /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|Assertion .* failed/);
    return code;
  };
  await until(`${path.basename(file)} listens`, () => {
    if (child.exitCode !== null) throw new Error(run.output);
    return run.output.includes('"listening"');
  });
  return run;
}

const clients = [];
function client(server, options = {}) {
  const socket = io(server.url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, ...options });
  socket.got = [];
  socket.onAny((...args) => socket.got.push(args));
  socket.had = (name, check = () => true) => until(`${name} has come, not only ${JSON.stringify(socket.got)}`, () => socket.got.find((one) => one[0] === name && check(one[1])));
  clients.push(socket);
  return socket;
}

let broker;
before(async () => { broker = await redis(); });
after(async () => {
  for (const socket of clients) socket.close();
  await broker.close();
});

test('the whiteboard: strokes reach the others, once, and whoever comes later', async () => {
  const two = [await instance(example('whiteboard'), broker.url), await instance(example('whiteboard'), broker.url)];
  const [a, b] = [client(two[0]), client(two[1])];
  await until('both are connected', () => a.connected && b.connected);
  await a.timeout(5000).emitWithAck('drawing', { x0: 1, id: 'stroke-1' });
  await a.timeout(5000).emitWithAck('drawing', { x0: 1, id: 'stroke-1' });
  await a.timeout(5000).emitWithAck('drawing', { x0: 2, id: 'stroke-2' });
  await b.had('drawing', (one) => one.x0 === 2);
  assert.deepEqual(b.got.filter((one) => one[0] === 'drawing').map((one) => one[1].id), ['stroke-1', 'stroke-2']);
  assert.deepEqual(a.got.filter((one) => one[0] === 'drawing'), []);
  const late = client(two[1]);
  await late.had('drawing', (one) => one.x0 === 2);
  assert.equal(late.got.filter((one) => one[0] === 'drawing').length, 2);
  for (const socket of [a, b, late]) socket.close();
  for (const one of two) assert.equal(await one.stop(), 0);
});

test("the chatroom, by the events of Socket.IO's example: the number of users is the fleet's, also when one has been cut off", async () => {
  const two = [await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' }), await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' })];
  const [ann, bob] = [client(two[0]), client(two[1])];
  await until('both are connected', () => ann.connected && bob.connected);
  ann.emit('add user', 'ann');
  assert.deepEqual((await ann.had('login'))[1], { numUsers: 1 });
  bob.emit('add user', 'bob');
  assert.deepEqual((await bob.had('login'))[1], { numUsers: 2 });
  assert.deepEqual((await ann.had('user joined'))[1], { username: 'bob', numUsers: 2 });
  bob.emit('typing');
  assert.deepEqual((await ann.had('typing'))[1], { username: 'bob' });
  bob.emit('stop typing');
  await ann.had('stop typing');
  bob.emit('new message', 'hello "\\<b>');
  assert.deepEqual((await ann.had('new message'))[1], { username: 'bob', message: 'hello "\\<b>' });
  // Cut off: the name is known when the socket is back, on the other instance.
  const id = bob.id;
  bob.io.uri = two[0].url;
  bob.io.engine.close();
  await until('bob is back', () => bob.connected && bob.recovered && bob.id === id);
  bob.emit('new message', 'again');
  assert.deepEqual((await ann.had('new message', (one) => one.message === 'again'))[1], { username: 'bob', message: 'again' });
  assert.equal(ann.got.filter((one) => one[0] === 'user left').length, 0);
  // Gone without a word: the disconnect comes when the time is over.
  bob.io.reconnection(false);
  bob.io.engine.close();
  assert.deepEqual((await ann.had('user left'))[1], { username: 'bob', numUsers: 1 });
  // Gone with a word: at once.
  const eve = client(two[1]);
  await until('eve is connected', () => eve.connected);
  eve.emit('add user', 'eve');
  await ann.had('user joined', (one) => one.username === 'eve');
  eve.close();
  assert.deepEqual((await ann.had('user left', (one) => one.username === 'eve'))[1], { username: 'eve', numUsers: 1 });
  ann.close();
  for (const one of two) assert.equal(await one.stop(), 0);
  assert.equal(ann.got.filter((one) => one[0] === 'user left').length, 2);
});

test("the chatroom, by the events of Google's tutorial: rooms, history in the acknowledgement, notifications", async () => {
  const two = [await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' }), await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' })];
  const [ann, bob, far] = [client(two[0]), client(two[1]), client(two[1])];
  await until('all are connected', () => ann.connected && bob.connected && far.connected);
  const ask = (socket, ...args) => new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer)));
  assert.deepEqual(await ask(ann, 'sendMessage', 'too early'), ['Sign in first, and write at most 4000 bytes']);
  assert.match((await ask(ann, 'signin', { user: '', room: 'tea' }))[0], /missing/);
  assert.deepEqual(await ask(ann, 'signin', { user: 'ann', room: 'tea' }), [null, []]);
  assert.deepEqual(await ask(ann, 'sendMessage', 'one'), []);
  assert.deepEqual(await ask(far, 'signin', { user: 'far', room: 'coffee' }), [null, []]);
  assert.deepEqual(await ask(bob, 'signin', { user: 'bob', room: 'tea' }), [null, [{ user: 'ann', text: 'one' }]]);
  assert.deepEqual((await ann.had('notification'))[1], { title: "Someone's here", description: 'bob just entered the room' });
  assert.deepEqual(await ask(bob, 'sendMessage', 'two'), []);
  await ann.had('message', (one) => one.text === 'two');
  await bob.had('message', (one) => one.text === 'two');
  assert.equal(far.got.filter((one) => one[0] === 'message').length, 0);
  for (const socket of [ann, bob, far]) socket.close();
  for (const one of two) assert.equal(await one.stop(), 0);
});
