// api: the HTTP API on two instances with a Redis: the commands of docs/api.md; messages and directives to stock clients, live, polling
// and cut off; questions while an instance dies.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { freePort, redis, serve, temporary, top, until } from './lib.mjs';

const config = 'namespaces:\n  /:\n    log: {entries: 10000, age: 1h}\n    recovery: 2m\n    events:\n      msg: {to: everyone, log: true}\n      typing: {to: others}\n      join: {join: 0}\n  /bare:\n    events:\n      typing: {to: others}\n  "/board-*":\n    log: {entries: 10}\n    events:\n      msg: {to: others, log: true}\n';
const quickly = { timeout: 60000 };
let server, one, two;
const sockets = [];

before(async () => {
  server = await redis();
  [one, two] = await Promise.all([serve(config, { redisUrl: server.url }), serve(config, { redisUrl: server.url })]);
});

after(async () => {
  for (const socket of sockets) socket.disconnect();
  for (const instance of [one, two]) await instance.close();
  await server.close();
});

async function ask(instance, target, body, headers = {}) {
  const answer = await fetch(`${instance.url}/api/v1/${target}`, body === undefined ? { headers } : { method: 'POST', body: JSON.stringify(body), headers });
  return { status: answer.status, ...(await answer.json()) };
}

async function connect(instance, options = {}, nsp = '') {
  const socket = io(instance.url + nsp, { transports: ['websocket'], forceNew: true, ...options });
  sockets.push(socket);
  socket.got = [];
  socket.on('msg', (value) => socket.got.push(value));
  await until('it is connected', () => socket.connected);
  return socket;
}

const publish = (instance, value, rooms) => ask(instance, 'publish', { event: 'msg', args: [value], ...(rooms && { rooms }) });

test('the commands of the manual work', quickly, async () => {
  const socket = await connect(one);
  const text = fs.readFileSync(path.join(top, 'docs/api.md'), 'utf8');
  const commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap((block) => block[1].trim().split('\n'));
  assert.ok(commands.length >= 14, `${commands.length} commands`);
  for (const command of commands) {
    const here = command.replaceAll('127.0.0.1:8080', `127.0.0.1:${one.port}`).replace(/^curl/, 'curl -sS --fail-with-body');
    const ran = spawnSync('sh', ['-c', here], { env: { ...process.env, SID: socket.id, TOKEN: 'none is needed here' }, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${command}\n${ran.stdout}${ran.stderr}`);
    JSON.parse(ran.stdout);
  }
  await until('the message has come', () => socket.got.includes('hello'));
  socket.disconnect();
});

test('a namespace that a pattern makes is made for a request, and dropped behind it', quickly, async () => {
  const made = async (instance) => Number((await (await fetch(`${instance.url}/metrics`)).text()).match(/^sennit_namespaces_made (\d+)$/m)[1]);
  assert.equal((await ask(one, 'publish', { namespace: '/board-1', event: 'msg', args: [1] })).accepted, true);
  const history = await ask(two, 'history?namespace=/board-1');
  assert.deepEqual(history.entries.map((entry) => entry.args), [['msg', 1]]);
  assert.equal((await ask(two, 'history?namespace=/board-2')).entries.length, 0);
  assert.equal((await ask(one, 'count?namespace=/other')).reason, 'namespace_unknown');
  assert.deepEqual([await made(one), await made(two)], [0, 0]);
  const socket = await connect(one, {}, '/board-1');
  assert.equal((await ask(two, 'count?namespace=/board-1')).sockets, 1);
  await ask(two, 'publish', { namespace: '/board-1', event: 'msg', args: [2] });
  await until('the message has come', () => socket.got.includes(2));
  assert.deepEqual([await made(one), await made(two)], [1, 0]);
  socket.disconnect();
});

test('a message is published once, whichever instance is asked', quickly, async () => {
  const [here, there] = [await connect(one), await connect(two)];
  const message = { event: 'msg', args: ['once'], id: 'a name' };
  const first = await ask(one, 'publish', message), again = await ask(two, 'publish', message);
  assert.deepEqual([first.status, again.status], [200, 200]);
  assert.ok(first.at && first.at === again.at, `${first.at} ${again.at}`);
  assert.equal((await ask(two, 'publish', { ...message, args: ['another'] })).status, 409);
  await publish(two, 'end');
  for (const socket of [here, there]) {
    await until('both have the last', () => socket.got.includes('end'));
    assert.deepEqual(socket.got, ['once', 'end']);
  }
  const past = await ask(one, 'history?limit=2');
  assert.deepEqual(past.entries.map((entry) => entry.args), [['msg', 'once'], ['msg', 'end']]);
  assert.equal(past.entries[0].at, first.at);
  assert.deepEqual((await ask(two, `history?after=${first.at}`)).entries.map((entry) => entry.args[1]), ['end']);
  here.disconnect();
  there.disconnect();
});

test('sockets join, leave and end, on whichever instance they are', quickly, async () => {
  const [here, there] = [await connect(one), await connect(two)];
  const polling = await connect(two, { transports: ['polling'] });
  assert.equal((await ask(one, 'sockets/join', { join: 'r' })).status, 200);
  await ask(one, 'sockets/join', { socket: polling.id, join: ['p'] });
  await publish(two, 1, ['r']);
  await publish(one, 2, ['p']);
  await publish(one, 3, ['r']);
  await ask(two, 'sockets/leave', { rooms: 'r', except: 'p', leave: 'r' });
  await publish(one, 4, 'r');
  await publish(two, 'end');
  for (const socket of [here, there, polling]) await until('the last has come', () => socket.got.includes('end'));
  assert.deepEqual(here.got, [1, 3, 'end']);
  assert.deepEqual(there.got, [1, 3, 'end']);
  assert.deepEqual(polling.got, [1, 2, 3, 4, 'end']);
  const rooms = await ask(two, 'rooms');
  assert.equal(rooms.incomplete, false);
  assert.equal(rooms.instances.answered, 2);
  const reason = new Promise((resolve) => there.on('disconnect', resolve));
  await ask(one, 'sockets/disconnect', { socket: there.id });
  assert.equal(await reason, 'io server disconnect');
  const closed = new Promise((resolve) => polling.on('disconnect', resolve));
  await ask(two, 'sockets/disconnect', { rooms: ['p'], close: true });
  assert.equal(await closed, 'io server disconnect');
  assert.equal(here.connected, true);
  here.disconnect();
});

test('a client that is cut off has joined when it is back', quickly, async () => {
  const socket = await connect(one, { reconnectionDelay: 1500, reconnectionDelayMax: 1500, randomizationFactor: 0 });
  await publish(one, 'first'); // the stock client resumes with a position only behind an event
  await until('it has come', () => socket.got.length === 1);
  const id = socket.id;
  socket.io.engine.close();
  await until('it is cut off', () => !socket.connected);
  await publish(two, 'no', ['late']);
  await ask(two, 'sockets/join', { socket: id, join: 'late' });
  await publish(two, 'yes', ['late']);
  await until('it is back', () => socket.connected);
  await until('what it missed has come', () => socket.got.includes('yes'));
  assert.equal(socket.recovered, true);
  assert.deepEqual(socket.got, ['first', 'yes']);
  socket.disconnect();
});

test('lists and counts are of all instances, and page', quickly, async () => {
  const five = [await connect(one), await connect(two), await connect(one), await connect(two), await connect(one)];
  await ask(one, 'sockets/join', { socket: five[0].id, join: ['x', 'y'] });
  await until('all are listed', async () => (await ask(two, 'count')).sockets === 5);
  const seen = [];
  let next = null, pages = 0;
  do {
    const page = await ask(two, `sockets?limit=2${next ? `&after=${next}` : ''}`);
    seen.push(...page.sockets.map((socket) => socket.socket));
    next = page.next;
    pages++;
  } while (next);
  assert.deepEqual(seen, five.map((socket) => socket.id).sort());
  assert.equal(pages, 3);
  await until('it has joined', async () => (await ask(two, 'count?room=x')).sockets === 1);
  const found = await ask(two, `sockets/${five[0].id}`);
  assert.deepEqual([found.socket, found.transport, found.rooms.sort()], [five[0].id, 'websocket', ['x', 'y']]);
  assert.equal((await ask(two, 'count?except=x')).sockets, 4);
  assert.equal((await ask(two, 'count?local=true')).sockets, 2);
  assert.equal((await ask(two, 'sockets/aaaaaaaaaaaaaaaaaaaa')).status, 404);
  for (const socket of five) socket.disconnect();
});

test('where nothing is logged, live sockets obey', quickly, async () => {
  const socket = await connect(two, {}, '/bare');
  const said = new Promise((resolve) => socket.on('note', resolve));
  const joined = await ask(one, 'sockets/join', { namespace: '/bare', join: 'r' });
  assert.deepEqual([joined.status, joined.at], [200, null]);
  await until('it has joined', async () => (await ask(one, 'count?namespace=/bare&room=r')).sockets === 1);
  assert.equal((await ask(one, 'publish', { namespace: '/bare', rooms: 'r', event: 'note', args: [7] })).at, null);
  assert.equal(await said, 7);
  assert.equal((await ask(one, 'publish', { namespace: '/bare', event: 'note', id: 'x' })).field, 'id');
  socket.disconnect();
});

test('who may ask', quickly, async () => {
  const directory = temporary();
  const file = path.join(directory, 'token');
  const port = await freePort();
  fs.writeFileSync(file, 'a-token-of-some-length\n');
  const instance = await serve(`api: {token_file: ${file}, loopback: false, listen: ${port}}\n${config}`, { redisUrl: server.url });
  const its = { url: `http://127.0.0.1:${port}` };
  const bearer = (token) => ({ authorization: `Bearer ${token}` });
  try {
    assert.equal((await ask(instance, 'count', undefined, bearer('a-token-of-some-length'))).reason, 'api_path');
    const refused = await ask(its, 'count');
    assert.deepEqual([refused.status, refused.reason], [401, 'api_forbidden']);
    assert.equal((await ask(its, 'publish', { event: 'msg' }, bearer('a-token-of-some-lengtH'))).status, 401);
    assert.equal((await ask(its, 'count', undefined, bearer('a-token-of-some-length'))).status, 200);
    assert.equal((await fetch(`${its.url}/`)).status, 401);
    fs.writeFileSync(file, 'another-token-of-some-length\n');
    await until('the new token counts', async () => (await ask(its, 'count', undefined, bearer('another-token-of-some-length'))).status === 200);
    assert.equal((await ask(its, 'count', undefined, bearer('a-token-of-some-length'))).status, 401);
    for (const headers of [{ 'x-forwarded-for': '10.0.0.1' }, { forwarded: 'for=10.0.0.1' }, { origin: 'http://127.0.0.1:1' }]) {
      assert.equal((await ask(one, 'publish', { event: 'msg' }, headers)).status, 403);
    }
  } finally {
    await instance.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test('an instance that dies makes answers incomplete, and no message is lost', quickly, async () => {
  const third = await serve(config, { redisUrl: server.url });
  const here = await connect(one);
  await until('three answer', async () => (await ask(one, 'count')).instances.answered === 3);
  const publishing = (async () => {
    for (let i = 0; i < 100; i++) assert.equal((await publish(two, i)).status, 200);
  })();
  process.kill(third.pid, 'SIGKILL');
  await until('the answer says that one lacks', async () => (await ask(one, 'count')).incomplete, 2000);
  await publishing;
  await until('all have come', () => here.got.length === 100);
  assert.deepEqual(here.got, [...Array(100).keys()]);
  await until('it is counted no more', async () => {
    const { incomplete, instances } = await ask(one, 'count');
    return !incomplete && instances.living === 2;
  });
  await third.ended;
  here.disconnect();
});
