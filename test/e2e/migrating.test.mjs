// migrating: docs/migrating.md, row by row, with the stock client. The left cell of each row of the document's table is the name of a
// test here: a row without a test, or a test without a row, fails. What the document says of "the same", "better" and "not there"
// follows below the table.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { redis, serve, sleep, temporary, top, until } from './lib.mjs';

const secret = '0123456789abcdef0123456789abcdef';
const keys = temporary();
fs.writeFileSync(path.join(keys, 'key'), secret);
const config = `
cors: {origin: ["https://app.example.com"], credentials: true}
cookie: {name: io}
ping_interval: 3s
ping_timeout: 2s
max_payload: 1MiB
handshake: {headers: [User-Agent], query: true, auth: true}
jwt:
  keys: [{file: ${keys}/key, alg: HS256}]
namespaces:
  /:
    auth: none
    log: {entries: 100, age: 1h}
    recovery: 1m
    presence: true
    events:
      say: {to: room, room: 0, log: true}
      shout: {to: others}
      all: {to: everyone, log: true, id: 0.id}
      room-others: {to: room-others, room: 0}
      spare: {to: everyone, except: 1}
      tell: {to: socket, socket: 0}
      cursor: {to: others}
      join: {join: 0}
      leave: {leave: 0}
      past: {history: 0}
  /chat: {auth: none, events: {all: {to: everyone}}}
  /members:
    auth: jwt
    access: {rooms: {"*{sub}": {join: own}}}
    events: {all: {to: everyone}, join: {join: 0}}
`;
const slow = { timeout: 60000 };
const sockets = [];
let broker, one, two;

before(async () => {
  broker = await redis();
  [one, two] = [await serve(config, { redisUrl: broker.url }), await serve(config, { redisUrl: broker.url })];
});
after(async () => {
  for (const socket of sockets) socket.disconnect();
  await one?.close();
  await two?.close();
  await broker?.close();
  fs.rmSync(keys, { recursive: true, force: true });
});

const token = (claims) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
};

// A stock client, with its default options unless said otherwise; `got` has all that it received, without tokens.
async function client({ at = one, nsp = '/', ...options } = {}) {
  const socket = io(at.url + nsp, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
  sockets.push(socket);
  socket.got = [];
  socket.presence = [];
  socket.onAny((name, ...args) => (name === 'presence' ? socket.presence.push(args[0]) : socket.got.push([name, ...args])));
  await until('it is connected', () => socket.connected);
  return socket;
}
const clients = async (count, options) => {
  const made = [];
  for (let i = 0; i < count; i++) made.push(await client({ at: i % 2 ? two : one, ...options }));
  return made;
};
// The first arguments of the events of this name that have come.
const heard = (socket, name) => socket.got.filter((args) => args[0] === name).map((args) => args.slice(1));
const has = (socket, name, ...args) => until(`${name} ${args} has come`, () => heard(socket, name).some((one) => args.every((arg, at) => JSON.stringify(one[at]) === JSON.stringify(arg))));
const lacks = (socket, name) => assert.deepEqual(heard(socket, name), []);
const join = (socket, room) => socket.timeout(5000).emitWithAck('join', room);
async function ask(target, body) {
  const answer = await fetch(`${two.url}/api/v1/${target}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, ...(await answer.json()) };
}

const rows = {
  '`new Server({cors, path, cookie, transports, maxHttpBufferSize, pingInterval, …})`': async () => {
    const hands = await fetch(`${one.url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: 'https://app.example.com' } });
    const open = JSON.parse((await hands.text()).slice(1));
    assert.deepEqual([open.pingInterval, open.pingTimeout, open.maxPayload], [3000, 2000, 1048576]);
    assert.equal(hands.headers.get('access-control-allow-origin'), 'https://app.example.com');
    assert.equal(hands.headers.get('access-control-allow-credentials'), 'true');
    assert.match(hands.headers.get('set-cookie'), new RegExp(`^io=${open.sid};`));
    const other = await serve('path: /rt\ntransports: [websocket]\nnamespaces: {/: {events: {}}}\n');
    try {
      const socket = await client({ at: other, path: '/rt', transports: ['websocket'] });
      socket.disconnect();
      assert.equal((await fetch(`${other.url}/rt/?EIO=4&transport=polling`)).status, 400);
    } finally {
      await other.close();
    }
  },
  '`connectionStateRecovery`': async () => {
    const [a, b] = await clients(2);
    await a.timeout(5000).emitWithAck('all', { id: 'before' });
    await has(b, 'all', { id: 'before' });
    b.io.engine.close(); // cut: the client comes back by itself
    await a.timeout(5000).emitWithAck('all', { id: 'meanwhile' });
    await has(b, 'all', { id: 'meanwhile' });
    await until('it is back', () => b.connected);
    assert.equal(b.recovered, true);
    assert.equal(heard(b, 'all').length, 2);
  },
  '`io.of("/chat")`': async () => {
    const chat = await client({ nsp: '/chat' }), other = await client();
    chat.emit('all', 'hello');
    await has(chat, 'all', 'hello');
    lacks(other, 'all');
  },
  '`io.use(…)` with a token': async () => {
    const refused = io(`${one.url}/members`, { forceNew: true });
    sockets.push(refused);
    const error = await new Promise((resolve) => refused.once('connect_error', resolve));
    assert.ok(error instanceof Error && error.message !== '' && typeof error.data === 'object', `${error}`);
    const member = await client({ nsp: '/members', auth: { token: token({ sub: 'ann' }) } });
    assert.ok(member.connected);
  },
  '`socket.on("say", (room, text) => io.to(room).emit("say", room, text))`': async () => {
    const [a, b, c] = await clients(3);
    await join(a, 'r1');
    await join(b, 'r1');
    a.emit('say', 'r1', 'hi');
    await has(a, 'say', 'r1', 'hi');
    await has(b, 'say', 'r1', 'hi');
    lacks(c, 'say');
  },
  '`socket.broadcast.emit` / `io.emit` from a handler': async () => {
    const [a, b] = await clients(2);
    a.emit('shout', 1);
    a.emit('all', { id: 'to everyone' });
    await has(b, 'shout', 1);
    await has(b, 'all', { id: 'to everyone' });
    await has(a, 'all', { id: 'to everyone' });
    lacks(a, 'shout');
  },
  '`socket.to(room).emit` from a handler': async () => {
    const [a, b] = await clients(2);
    await join(a, 'r2');
    await join(b, 'r2');
    a.emit('room-others', 'r2', 1);
    await has(b, 'room-others', 'r2', 1);
    lacks(a, 'room-others');
  },
  '`.except(room)` from a handler': async () => {
    const [a, b] = await clients(2);
    await join(b, 'muted');
    a.emit('spare', 1, ['muted']);
    await has(a, 'spare', 1);
    a.emit('spare', 2, []);
    await has(b, 'spare', 2);
    assert.equal(heard(b, 'spare').length, 1);
  },
  '`io.to(socketId).emit` from a handler': async () => {
    const [a, b, c] = await clients(3);
    a.emit('tell', b.id, 'psst');
    await has(b, 'tell', b.id, 'psst');
    lacks(a, 'tell');
    lacks(c, 'tell');
  },
  '`socket.join(room)` / `socket.leave(room)` in a handler': async () => {
    const [a, b] = await clients(2);
    for (const socket of [a, b]) await join(socket, 'r3');
    a.emit('say', 'r3', 1);
    await has(b, 'say', 'r3', 1);
    await b.timeout(5000).emitWithAck('leave', 'r3');
    await a.timeout(5000).emitWithAck('say', 'r3', 2);
    await sleep(200);
    assert.equal(heard(b, 'say').length, 1);
    // Who may: a member's own room only.
    const member = await client({ nsp: '/members', auth: { token: token({ sub: 'ann' }) } });
    await join(member, 'of-ann');
    assert.ok((await join(member, 'of-bob')).reason);
    assert.deepEqual((await ask(`sockets/${member.id}?namespace=/members`)).rooms, ['of-ann']);
  },
  '`socket.volatile.emit`': async () => {
    const [a, b] = await clients(2);
    a.volatile.emit('cursor', 1);
    await has(b, 'cursor', 1);
    b.io.engine.close();
    await until('it is cut', () => !b.connected);
    a.volatile.emit('cursor', 2);
    await until('it is back', () => b.connected);
    a.volatile.emit('cursor', 3);
    await has(b, 'cursor', 3);
    assert.equal(heard(b, 'cursor').filter(([n]) => n === 2).length, 0, 'an event without a log is not kept');
  },
  '`io.emit`, `io.to(rooms).except(rooms).emit` from elsewhere': async () => {
    const [a, b, c] = await clients(3);
    for (const socket of [a, b]) await join(socket, 'r4');
    await join(b, 'deaf');
    assert.equal((await ask('publish', { event: 'news', args: ['to r4'], rooms: ['r4'], except: ['deaf'] })).accepted, true);
    assert.equal((await ask('publish', { event: 'news', args: ['to all'] })).accepted, true);
    for (const socket of [a, b, c]) await has(socket, 'news', 'to all');
    assert.deepEqual([a, b, c].map((socket) => heard(socket, 'news').some(([text]) => text === 'to r4')), [true, false, false]);
  },
  '`io.volatile.emit`, `io.local.emit`': async () => {
    const [here, there] = [await client({ at: two }), await client({ at: one })];
    assert.equal((await ask('publish', { event: 'tick', args: [1], volatile: true })).at, null);
    await has(here, 'tick', 1);
    await has(there, 'tick', 1);
    await ask('publish', { event: 'tick', args: [2], local: true });
    await has(here, 'tick', 2);
    await sleep(200);
    assert.equal(heard(there, 'tick').length, 1);
  },
  '`io.in(room).socketsJoin(rooms)` / `socketsLeave`': async () => {
    const [a, b] = await clients(2);
    await join(a, 'r5');
    await ask('sockets/join', { rooms: ['r5'], join: ['vip'] });
    await until('it has joined', async () => (await ask(`sockets/${a.id}`)).rooms?.includes('vip'));
    assert.deepEqual((await ask(`sockets/${b.id}`)).rooms, []);
    await ask('sockets/leave', { rooms: ['vip'], leave: ['vip', 'r5'] });
    await until('it has left', async () => (await ask(`sockets/${a.id}`)).rooms?.length === 0);
  },
  '`io.in(room).disconnectSockets(close)`': async () => {
    const [a, b] = await clients(2);
    const reasons = [];
    for (const socket of [a, b]) socket.on('disconnect', (reason) => reasons.push(reason));
    await join(a, 'out');
    await join(b, 'far out');
    await ask('sockets/disconnect', { rooms: ['out'] });
    await until('it was told', () => reasons.length === 1);
    assert.deepEqual(reasons, ['io server disconnect']);
    assert.equal(a.active, false);
    await ask('sockets/disconnect', { rooms: ['far out'], close: true });
    await until('its connection has ended', () => reasons.length === 2);
  },
  '`io.in(room).fetchSockets()`': async () => {
    const [a, b] = await clients(2);
    for (const socket of [a, b]) await join(socket, 'r6');
    const found = await ask('sockets?room=r6');
    assert.deepEqual(found.sockets.map((socket) => socket.socket).sort(), [a.id, b.id].sort());
  },
  '`io.of("/").adapter.rooms`, `sockets.size`, `engine.clientsCount`': async () => {
    const [a] = await clients(1);
    await join(a, 'r7');
    assert.equal((await ask('rooms')).rooms.find((room) => room.room === 'r7').sockets, 1);
    const fresh = await serve(config, { redisUrl: broker.url }); // whose sessions are known
    const more = [await client({ at: fresh, nsp: '/chat' }), await client({ at: fresh, nsp: '/chat' })];
    try {
      await join(a, 'counted');
      assert.equal((await ask('count?room=counted')).sockets, 1);
      assert.equal((await (await fetch(`${fresh.url}/api/v1/count?namespace=/chat&local=true`)).json()).sockets, 2);
      assert.equal(await fresh.metric('sessions'), 2);
    } finally {
      for (const socket of more) socket.disconnect();
      await fresh.close();
    }
  },
  '`socket.handshake`': async () => {
    const a = await client({ auth: { name: 'Ann' }, query: { q: '7' } });
    const { handshake } = await ask(`sockets/${a.id}`);
    assert.deepEqual(handshake.auth, { name: 'Ann' });
    assert.equal(handshake.query.q, '7');
    assert.ok('user-agent' in handshake.headers && handshake.address === '127.0.0.1' && handshake.xdomain === false, JSON.stringify(handshake));
    assert.ok(handshake.url.startsWith('/socket.io/?') && handshake.issued > 1.6e12 && typeof handshake.time === 'string' && handshake.secure === false);
  },
  '`socket.data`': async () => {
    const service = await serve('namespaces: {/: {presence: {data: about}, events: {}}}\n');
    try {
      const a = await client({ at: service, auth: { about: { name: 'Ann' } } });
      const b = await client({ at: service, auth: { about: { name: 'Bob' } } });
      await until('both are named', () => JSON.stringify(b.presence).includes('Ann') && JSON.stringify(a.presence).includes('Bob'));
      a.disconnect();
      b.disconnect();
    } finally {
      await service.close();
    }
  },
  '`socket.on("disconnect")`': async () => {
    const [a, b] = await clients(2);
    const id = b.id;
    b.disconnect();
    await until('the others are told', () => JSON.stringify(a.presence.map((news) => news.left ?? [])).includes(id));
  },
  '`io.timeout(ms).emitWithAck`, `io.to(room).timeout(ms).emitWithAck`': async () => {
    const [a, b] = await clients(2);
    for (const socket of [a, b]) await join(socket, 'r8');
    a.on('ready?', (round, answer) => answer('yes', round));
    const told = await ask('ask', { event: 'ready?', args: [1], rooms: ['r8'], timeout_ms: 500 });
    assert.deepEqual(told.answers, [{ socket: a.id, answer: ['yes', 1] }]);
    assert.deepEqual(told.missing, [b.id]);
  },
  '`io.serverSideEmit`': async () => assert.equal((await ask('serverSideEmit', { event: 'x' })).status, 501),
  '`@socket.io/admin-ui`': async () => {
    assert.match(await (await fetch(`${one.url}/metrics`)).text(), /^sennit_sessions \d+$/m);
    assert.ok((await ask('sockets?limit=1')).sockets.length <= 1);
  },
  '`@socket.io/redis-adapter` and its kin': async () => {
    const [a, b] = [await client({ at: one }), await client({ at: two })];
    a.emit('all', { id: 'across' });
    await has(b, 'all', { id: 'across' });
  },
};

const text = fs.readFileSync(path.join(top, 'docs/migrating.md'), 'utf8');
const cells = text.slice(text.indexOf("| Socket.IO's server |")).split('\n').slice(2).filter((line) => line.startsWith('|'));
const named = cells.map((line) => line.slice(2, line.indexOf(' |')));

test('each row of the table has a test, and each test a row', () => assert.deepEqual(Object.keys(rows).sort(), named.slice().sort()));
for (const row of Object.keys(rows)) test(row, slow, rows[row]);

test('the same: ids, the upgrade, attachments, acknowledgements, timeouts', slow, async () => {
  const [a, b] = await clients(2);
  assert.match(a.id, /^[\w-]{20}$/);
  await until('it has upgraded', () => a.io.engine.transport.name === 'websocket');
  a.emit('shout', { file: Buffer.from([1, 2, 3]) });
  await until('the bytes have come', () => heard(b, 'shout').length === 1);
  assert.deepEqual([...heard(b, 'shout')[0][0].file], [1, 2, 3]);
  assert.equal(await new Promise((resolve) => a.emit('shout', 2, (...args) => resolve(args.length))), 0, 'acknowledged without arguments');
  // An acknowledgement that cannot come.
  const late = a.timeout(1).emitWithAck('all', { id: 'late' });
  a.io.engine.close();
  await assert.rejects(late, /timed out|disconnected/);
});

test('better: an instance ends, and its client recovers on another', slow, async () => {
  // What stands in front of the instances: new connections go to the one that lives.
  const doomed = await serve(config, { redisUrl: broker.url });
  let port = doomed.port;
  const front = net.createServer((from) => {
    const to = net.connect(port, '127.0.0.1');
    for (const [here, there] of [[from, to], [to, from]]) here.on('error', () => {}).on('close', () => there.destroy()).pipe(there);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  try {
    const [a, b] = [await client(), await client({ at: { url: `http://127.0.0.1:${front.address().port}` } })];
    await a.timeout(5000).emitWithAck('all', { id: 'on the first' });
    await has(b, 'all', { id: 'on the first' });
    port = two.port;
    await doomed.close('SIGKILL');
    await a.timeout(5000).emitWithAck('all', { id: 'while nobody was there' });
    await has(b, 'all', { id: 'while nobody was there' });
    assert.equal(b.recovered, true);
    assert.equal(heard(b, 'all').length, 2);
    b.disconnect();
  } finally {
    await doomed.close('SIGKILL');
    front.close();
  }
});

test('better: a repeated event with an id counts once, and history shows it', slow, async () => {
  const [a, b] = await clients(2);
  for (let i = 0; i < 3; i++) await a.timeout(5000).emitWithAck('all', { id: 'once' });
  await a.timeout(5000).emitWithAck('all', { id: 'behind' });
  await has(b, 'all', { id: 'behind' });
  assert.equal(heard(b, 'all').filter(([one]) => one.id === 'once').length, 1);
  const past = await new Promise((resolve) => a.emit('past', null, { limit: 100 }, resolve));
  assert.equal(JSON.stringify(past).split('"once"').length - 1, 1, JSON.stringify(past));
});

test('not there: Engine.IO 3 and JSONP are refused with a text', slow, async () => {
  for (const query of ['EIO=3&transport=polling', 'EIO=4&transport=polling&j=0']) {
    const refused = await fetch(`${one.url}/socket.io/?${query}`);
    assert.equal(refused.status, 400, query);
    assert.ok((await refused.json()).message.length > 0);
  }
});

test('an event without a rule is refused, with its name in the log', slow, async () => {
  const fresh = await serve(config, { redisUrl: broker.url });
  try {
    const a = await client({ at: fresh });
    for (const name of ['nobody wrote a rule', 'nor for this one']) {
      const told = await a.timeout(5000).emitWithAck(name, 1);
      assert.equal(told.reason, 'event_unknown');
      assert.match(told.error, /add it under `events:`/);
    }
    await until('the log names the first', () => fresh.output.includes('nobody wrote a rule'));
    a.disconnect();
  } finally {
    await fresh.close();
  }
});
