// adapter: Node servers with Socket.IO's Redis adapter, a backend with its emitter, and instances of ours share rooms: two of each,
// behind random balancing, with stock clients. Once with the classic adapter, once with the sharded one.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { Emitter } from '@socket.io/redis-emitter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { Plain } from './plain.mjs';
import { redis, redisCli, redisClient, serve, sleep, top, until } from './lib.mjs';

const config = (url, mode) => `
bridge: {socketio-redis: "${url}", key: shared, mode: ${mode}}
namespaces:
  /:
    auth: none
    events: {say: {to: others}, shout: {to: everyone}, tell: {to: room, room: 0}, hint: {to: everyone, volatile: true}, enter: {join: 0}, exit: {leave: 0}}
  /board:
    auth: none
    log: {entries: 100}
    replay: all
    events: {drawing: {to: others, log: true, id: 0.id}, enter: {join: 0}}
`;

async function nodeServer(url, mode, ends, key = 'shared') {
  const publisher = createClient({ url }), subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const adapter = mode === 'sharded' ? createShardedAdapter(publisher, subscriber, { channelPrefix: key }) : createAdapter(publisher, subscriber, { key });
  const server = http.createServer();
  const sockets = new Server(server, { adapter });
  for (const nsp of [sockets.of('/'), sockets.of('/board')])
    nsp.on('connection', (socket) => {
      socket.on('say', (...args) => socket.broadcast.emit('say', ...args));
      socket.on('shout', (...args) => nsp.emit('shout', ...args));
      socket.on('tell', (room, ...args) => nsp.to(room).emit('tell', room, ...args));
      socket.on('drawing', (...args) => socket.broadcast.emit('drawing', ...args));
      socket.on('enter', (room, done) => Promise.resolve(socket.join(room)).then(() => done?.()));
    });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  ends.push(async () => {
    await new Promise((resolve) => sockets.close(resolve));
    await Promise.all([publisher.quit(), subscriber.quit()]);
  });
  return { port: server.address().port, io: sockets };
}

// Gives each connection to one of these ports, at random, and counts.
async function balancer(ports, ends) {
  const hits = new Map(ports.map((port) => [port, 0]));
  const server = net.createServer((client) => {
    const port = ports[Math.floor(Math.random() * ports.length)];
    hits.set(port, hits.get(port) + 1);
    const upstream = net.connect(port, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    for (const [one, other] of [[client, upstream], [upstream, client]]) one.on('error', () => other.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  ends.push(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, hits };
}

// Everything that it is sent, as `event arguments`, without the token of a namespace that logs.
function client(url, nsp = '/') {
  const socket = io(url + nsp, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50 });
  const got = [];
  socket.onAny((event, ...args) => {
    if (typeof args.at(-1) === 'function') args.pop()(`${socket.id}`);
    if (event !== 'sennit') got.push([event, ...args.filter((arg) => !(typeof arg === 'string' && socket._pid && arg.length > 20))]);
  });
  return { socket, got };
}

const count = (one, event, first) => one.got.filter((line) => line[0] === event && (first === undefined || JSON.stringify(line[1]) === JSON.stringify(first))).length;

for (const mode of ['classic', 'sharded']) describe(mode, () => {
  const ends = [];
  let bus, nodes, ours, clients, byPort, backend;

  before(async () => {
    const broker = await redis();
    bus = await redis();
    ends.push(() => broker.close(), () => bus.close());
    ours = await Promise.all([1, 2].map(() => serve(config(bus.url, mode), { redisUrl: broker.url })));
    ends.push(...ours.map((one) => () => one.close()));
    nodes = await Promise.all([1, 2].map(() => nodeServer(bus.url, mode, ends)));
    for (const one of ours) await until('the bridge is up', async () => (await one.metric('bridge_up')) === 1);
    const ports = [...nodes, ...ours].map((one) => one.port);
    const balanced = await balancer(ports, ends);
    clients = [];
    while ([...balanced.hits.values()].some((hits) => hits === 0) || clients.length < 8) {
      const one = client(balanced.url);
      clients.push(one);
      await until('it is connected', () => one.socket.connected);
    }
    // One on each, to speak there.
    byPort = ports.map((port) => client(`http://127.0.0.1:${port}`));
    for (const one of byPort) await until('it is connected', () => one.socket.connected);
    clients.push(...byPort);
    const connection = createClient({ url: bus.url });
    await connection.connect();
    ends.push(() => connection.quit());
    backend = new Emitter(connection, { key: 'shared' });
  });
  after(async () => {
    for (const one of clients ?? []) one.socket.disconnect();
    for (const end of ends.reverse()) await end();
  });

  const everyone = (what, event, first, but = []) => until(what, () => clients.every((one) => but.includes(one) || count(one, event, first) >= 1));
  const exactly = async (event, first, but = []) => {
    await sleep(100);
    for (const one of clients) assert.equal(count(one, event, first), but.includes(one) ? 0 : 1, `${event} ${JSON.stringify(first)}`);
  };

  test('what any server broadcasts reaches every client once', async () => {
    for (const [at, speaker] of byPort.entries()) {
      speaker.socket.emit('say', { from: at });
      speaker.socket.emit('shout', { from: at });
    }
    for (const [at, speaker] of byPort.entries()) {
      await everyone('all have it', 'shout', { from: at });
      await everyone('the others have it', 'say', { from: at }, [speaker]);
    }
    for (const [at, speaker] of byPort.entries()) {
      await exactly('shout', { from: at });
      await exactly('say', { from: at }, [speaker]);
    }
  });

  test('bytes come as bytes', async () => {
    for (const speaker of byPort) {
      const bytes = Buffer.from(`from ${speaker.socket.id}`);
      speaker.socket.emit('shout', { bytes, and: [bytes] });
      await until('all have them', () => clients.every((one) => one.got.some(([event, arg]) => event === 'shout' && Buffer.isBuffer(arg?.bytes) &&
        arg.bytes.equals(bytes) && arg.and[0].equals(bytes))));
    }
  });

  test('rooms and exceptions count on every server', async () => {
    const [inside, outside] = [byPort, clients.filter((one) => !byPort.includes(one))];
    for (const one of inside) await one.socket.timeout(5000).emitWithAck('enter', 'room');
    // With the sharded adapter a server hears of a room a moment after the first member has joined.
    await until('all hear the room', async () => {
      for (const node of nodes) node.io.to('room').emit('shout', 'heard');
      await sleep(20);
      return inside.every((one) => count(one, 'shout', 'heard') > 1);
    });
    for (const one of inside) one.socket.emit('tell', 'room', one.socket.id);
    await until('all in the room have all', () => inside.every((one) => count(one, 'tell') >= 4));
    await sleep(100);
    for (const one of inside) assert.equal(count(one, 'tell'), 4);
    assert.equal(outside.filter((one) => count(one, 'shout', 'heard')).length, 0);
    for (const one of outside) assert.equal(count(one, 'tell'), 0);
    nodes[0].io.except('room').emit('shout', 'outside');
    await everyone('those outside have it', 'shout', 'outside', inside);
    await exactly('shout', 'outside', inside);
    nodes[0].io.to(['room', outside[0].socket.id]).except(inside[3].socket.id).emit('shout', 'union');
    await until('they have it', () => [...inside.slice(0, 3), outside[0]].every((one) => count(one, 'shout', 'union') === 1));
    await sleep(100);
    assert.equal(clients.filter((one) => count(one, 'shout', 'union')).length, 4);
    nodes[1].io.local.emit('shout', 'local');
    await until('its own client has it', () => count(byPort[1], 'shout', 'local') === 1);
    nodes[1].io.volatile.emit('shout', 'volatile');
    await everyone('all have it', 'shout', 'volatile');
    for (const one of [byPort[2], byPort[3]]) assert.equal(count(one, 'shout', 'local'), 0);
  });

  test('one socket is reached wherever it is', async () => {
    for (const one of byPort) nodes[0].io.to(one.socket.id).emit('shout', `to ${one.socket.id}`);
    for (const one of byPort) {
      await until('it has it', () => count(one, 'shout', `to ${one.socket.id}`) === 1);
      assert.equal(clients.filter((other) => count(other, 'shout', `to ${one.socket.id}`)).length, 1);
    }
  });

  test('acknowledgements come from the clients of all servers', async () => {
    const answers = await nodes[0].io.timeout(1500).emitWithAck('ask', 'who is there?');
    assert.deepEqual(answers.sort(), clients.map((one) => one.socket.id).sort());
    assert.deepEqual((await nodes[1].io.to('room').timeout(1500).emitWithAck('ask', 'in the room?')).sort(), byPort.map((one) => one.socket.id).sort());
  });

  test('a client that cannot answer gets the event alone', async () => {
    const plain = new Plain(ours[0].url);
    await plain.connected();
    const answers = await nodes[0].io.timeout(1500).emitWithAck('ask', 'plain?');
    assert.equal(answers.length, clients.length);
    await until('it has the event', () => plain.events.some((one) => one.event === 'ask'));
    plain.close();
  });

  test('fetchSockets and allSockets see all', async () => {
    const found = await nodes[0].io.fetchSockets();
    assert.deepEqual(found.map((one) => one.id).sort(), clients.map((one) => one.socket.id).sort());
    const mine = found.find((one) => one.id === byPort[2].socket.id);
    assert.deepEqual([...mine.rooms].sort(), [byPort[2].socket.id, 'room'].sort());
    assert.equal(mine.handshake.address, '127.0.0.1');
    assert.ok(Math.abs(Date.now() - mine.handshake.issued) < 60000);
    assert.equal((await nodes[1].io.in('room').fetchSockets()).length, 4);
    if (mode === 'classic') assert.ok((await nodes[0].io.of('/').adapter.allRooms()).has(byPort[3].socket.id));
  });

  test('servers and emitters move sockets, and end them', async () => {
    nodes[0].io.in(byPort.map((one) => one.socket.id)).socketsJoin(['red', 'blue']);
    await until('all have joined', async () => (await nodes[1].io.in('red').fetchSockets()).length === 4);
    nodes[1].io.in('red').socketsLeave('blue');
    await until('all have left', async () => (await nodes[0].io.in('blue').fetchSockets()).length === 0);
    const leaver = client(ours[0].url);
    await until('it is connected', () => leaver.socket.connected);
    nodes[0].io.in(leaver.socket.id).disconnectSockets();
    await until('it is gone', () => leaver.socket.disconnected);
  });

  test('serverSideEmit with an answer is answered', async () => {
    nodes[1].io.on('ping?', (answer) => answer('pong'));
    const answers = await nodes[0].io.serverSideEmitWithAck('ping?');
    assert.deepEqual(answers.filter(Boolean), ['pong']);
    assert.equal(answers.length, 3);
    for (const one of ours) await until('the log says so', () => /bridge_server_emit/.test(one.output));
  });

  test('the HTTP API reaches the clients of Node servers', async () => {
    const post = async (path, body) => {
      const answer = await fetch(`${ours[0].url}/api/v1/${path}`, { method: 'POST', body: JSON.stringify(body) });
      assert.equal(answer.status, 200, await answer.text());
    };
    await post('publish', { namespace: '/', event: 'shout', args: ['from the API'] });
    await everyone('all have it', 'shout', 'from the API');
    await exactly('shout', 'from the API');
    await post('sockets/join', { namespace: '/', socket: byPort[0].socket.id, join: 'green' });
    await until('it has joined', async () => (await nodes[1].io.in('green').fetchSockets()).length === 1);
    await post('sockets/leave', { namespace: '/', rooms: ['green'], leave: 'green' });
    await until('it has left', async () => (await nodes[1].io.in('green').fetchSockets()).length === 0);
  });

  test('the HTTP API sees the sockets of Node servers', async () => {
    const get = async (path) => (await fetch(`${ours[1].url}/api/v1/${path}`)).json();
    const all = await get('sockets?limit=1000');
    assert.deepEqual(all.sockets.map((one) => one.socket).sort(), clients.map((one) => one.socket.id).sort());
    assert.deepEqual([all.incomplete, all.instances], [false, { living: 3, answered: 3 }]);
    assert.equal((await get('count')).sockets, clients.length);
    assert.deepEqual((await get('rooms')).rooms.find((one) => one.room === 'room'), { room: 'room', sockets: 4 });
    const theirs = (await get(`sockets/${byPort[0].socket.id}`));
    assert.deepEqual([theirs.socket, theirs.instance, theirs.rooms.includes('room')], [byPort[0].socket.id, null, true]);
  });

  test('what comes from there is logged once, and replayed', async () => {
    const board = [client(ours[0].url, '/board'), client(ours[1].url, '/board'), client(`http://127.0.0.1:${nodes[0].port}`, '/board')];
    for (const one of board) await until('it is connected', () => one.socket.connected);
    for (let n = 0; n < 20; n++) nodes[n % 2].io.of('/board').emit('drawing', n % 3);
    board[2].socket.emit('drawing', { id: 'by hand' });
    board[0].socket.emit('drawing', { id: 'ours' });
    for (const one of board.slice(0, 2)) await until('it has all', () => count(one, 'drawing') >= (one === board[0] ? 21 : 22));
    await until('Node clients have ours', () => count(board[2], 'drawing', { id: 'ours' }) === 1);
    await sleep(100);
    assert.equal(count(board[1], 'drawing'), 22);
    const late = client(ours[1].url, '/board');
    await until('a late one is replayed all', () => count(late, 'drawing') >= 22);
    await sleep(100);
    assert.equal(count(late, 'drawing'), 22);
    for (let n = 0; n < 3; n++) assert.equal(count(late, 'drawing', n), count(board[1], 'drawing', n));
    [...board, late].forEach((one) => one.socket.disconnect());
  });

  if (mode === 'classic') test('a backend with the emitter is heard by all', async () => {
    backend.emit('shout', 'backend');
    backend.to('room').emit('shout', 'backend, room');
    await everyone('all have it', 'shout', 'backend');
    await until('the room has it', () => byPort.every((one) => count(one, 'shout', 'backend, room') === 1));
    await exactly('shout', 'backend');
    backend.in('room').socketsJoin('moved');
    await until('they have joined', async () => (await nodes[0].io.in('moved').fetchSockets()).length === 4);
    backend.in('moved').disconnectSockets();
    await until('they are gone', () => byPort.every((one) => one.socket.disconnected));
  });
});

// The configuration, the user and the commands of docs/bridge.md, in the steps in which a service moves.
test('docs/bridge.md: a service moves over', async (t) => {
  const page = fs.readFileSync(path.join(top, 'docs/bridge.md'), 'utf8'), ends = [];
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  const bus = await redis();
  ends.push(() => bus.close());
  const user = /^ {4}user (bridge on .*)$/m.exec(page)[1].split(' ');
  assert.match(await redisCli('-p', bus.port, 'acl', 'setuser', ...user), /OK/);
  const node = await nodeServer(bus.url, 'classic', ends, 'socket.io');
  const [yaml] = /```yaml\n([^]*?)```/.exec(page).slice(1);
  const instance = await serve(yaml, { env: { SENNIT_BRIDGE_URL: bus.url.replace('redis://', 'redis://bridge:secret@') } });
  ends.push(() => instance.close());
  const [metrics, classic, sharded] = /```sh\n(curl[^]*?)```/.exec(page)[1].trim().split('\n');
  const shell = (line) => {
    const run = spawnSync('sh', ['-c', line.replace('127.0.0.1:8080', `127.0.0.1:${instance.port}`).replace('redis-cli', `${redisClient} -p ${bus.port}`)], { encoding: 'utf8' });
    assert.equal(run.status, 0, line + run.stderr);
    return run.stdout;
  };
  await until('the bridge is up', () => /the bridge is up/.test(instance.output));
  assert.match(shell(metrics), /^sennit_bridge_up 1$/m);
  assert.match(shell(classic), /^2$/m);
  assert.match(shell(sharded), /^0$/m);
  const [there, here] = [client(`http://127.0.0.1:${node.port}`), client(instance.url)];
  ends.push(() => [there, here].forEach((one) => one.socket.disconnect()));
  for (const one of [there, here]) {
    await until('it is connected', () => one.socket.connected);
    await one.socket.timeout(5000).emitWithAck('enter', 'hall');
  }
  there.socket.emit('say', 'hello from there');
  here.socket.emit('say', 'hello from here');
  there.socket.emit('tell', 'hall', 'from there');
  here.socket.emit('tell', 'hall', 'from here');
  await until('each has heard the other', () => count(here, 'say', 'hello from there') === 1 && count(there, 'say', 'hello from here') === 1);
  for (const one of [there, here]) await until('it has heard both in the room', () => count(one, 'tell') === 2);
});

test('what is wrong is said, and ends nothing', async (t) => {
  const bus = await redis();
  const one = await serve(config(bus.url, 'classic'), {});
  t.after(async () => {
    await one.close();
    await bus.close();
  });
  await until('the bridge is up', async () => (await one.metric('bridge_up')) === 1);
  for (const [channel, bytes] of [['shared#/#', 'nonsense'], ['shared#/#', ''], ['shared-request#/#', '{"type":2}'], ['shared#/board#', '\x93\xa1u']])
    await redisCli('-p', bus.port, 'publish', channel, bytes);
  await until('all are counted', async () => (await one.metric('refusals_total\\{reason="bridge_invalid"\\}')) === 4);
  assert.match(one.output, /"reason":"bridge_invalid"/);
  assert.equal(await one.metric('bridge_up'), 1);
  // The link breaks, and is made again; what is sent meanwhile is lost, and counted.
  const speaker = client(one.url);
  t.after(() => speaker.socket.disconnect());
  await until('it is connected', () => speaker.socket.connected);
  await redisCli('-p', bus.port, 'client', 'kill', 'type', 'pubsub');
  await until('it is down', () => /the link to the bridge's Redis broke/.test(one.output));
  await until('it is up again', async () => (await one.metric('bridge_up')) === 1 && one.output.split('the bridge is up').length === 3);
  await bus.close();
  await until('it is down again', async () => (await one.metric('bridge_up')) === 0);
  speaker.socket.emit('shout', 'into the void');
  await until('its own hear it', () => count(speaker, 'shout') === 1);
  await until('the loss is counted', async () => (await one.metric('refusals_total\\{reason="bridge_away"\\}')) === 1);
});
