// moves: the stock client, with its default options and with polling alone, on five instances behind random balancing. Each instance
// is frozen (SIGSTOP) whenever it has no request. Nothing may be lost, doubled or out of order.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { redis, serve, sleep, until } from './lib.mjs';

const INSTANCES = 5;
const logged = 'namespaces:\n  /:\n    log: {entries: 10000, age: 1h}\n    events:\n      say: {to: everyone, log: true}\n      join: {join: 0}\n      tell: {to: room, room: 0, log: true}\n      wave: {to: everyone}\n';
const quickly = { timeout: 90000 };
let server, instances, front, requests, refused, over = false;

// A request's instance runs, and is frozen again behind the last one.
function enter(instance) {
  if (instance.requests++ === 0) process.kill(instance.pid, 'SIGCONT');
}

function leave(instance) {
  if (--instance.requests === 0 && !over) process.kill(instance.pid, 'SIGSTOP');
}

const random = () => instances[Math.floor(Math.random() * instances.length)];

function relay(request, response) {
  const instance = random();
  let left = false;
  const done = () => {
    if (!left) leave(instance);
    left = true;
  };
  enter(instance);
  requests++;
  const inner = http.request({ port: instance.port, host: '127.0.0.1', method: request.method, path: request.url, headers: request.headers, agent: false }, (answer) => {
    if (answer.statusCode !== 200) refused.push(`${request.method} ${answer.statusCode}`);
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
    answer.on('close', done);
  });
  inner.on('error', () => {
    done();
    response.destroy();
  });
  response.on('close', () => {
    if (!response.writableFinished) inner.destroy();
  });
  request.pipe(inner);
}

function tunnel(request, socket, head) {
  const instance = random();
  let left = false;
  enter(instance);
  const inner = net.connect(instance.port, '127.0.0.1', () => {
    inner.write(`GET ${request.url} HTTP/1.1\r\n${Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    inner.write(head);
    socket.pipe(inner).pipe(socket);
  });
  const done = () => {
    socket.destroy();
    inner.destroy();
    if (!left) leave(instance);
    left = true;
  };
  for (const end of [socket, inner]) end.on('close', done).on('error', done);
}

before(async () => {
  server = await redis();
  instances = [];
  for (let i = 0; i < INSTANCES; i++) instances.push(Object.assign(await serve(logged, { redisUrl: server.url }), { requests: 0 }));
  front = http.createServer(relay).on('upgrade', tunnel);
  await new Promise((resolve) => front.listen(0, '127.0.0.1', resolve));
  for (const instance of instances) process.kill(instance.pid, 'SIGSTOP');
});

after(async () => {
  over = true;
  front.closeAllConnections?.();
  front.close();
  for (const instance of instances) process.kill(instance.pid, 'SIGCONT');
  await Promise.all(instances.map((instance) => instance.close()));
  await server.close();
});

const calls = async () => {
  const socket = net.connect(server.port, '127.0.0.1');
  let text = '';
  socket.on('data', (data) => (text += data));
  socket.write('INFO commandstats\r\nQUIT\r\n');
  await new Promise((resolve) => socket.on('close', resolve));
  return Number(text.match(/cmdstat_evalsha:calls=(\d+)/)?.[1] ?? 0);
};

function dial(options) {
  const client = io(`http://127.0.0.1:${front.address().port}`, { forceNew: true, ...options });
  client.got = [];
  client.cuts = [];
  client.on('say', (n) => client.got.push(n));
  client.on('disconnect', (reason) => client.cuts.push(reason));
  client.on('connect_error', (error) => client.cuts.push(error.message));
  return client;
}

async function together(options, count, gapMs) {
  requests = 0;
  refused = [];
  const clients = [dial(options), dial(options), dial(options)], acked = [];
  try {
    await until('all are connected', () => clients.every((client) => client.connected));
    for (let n = 0; n < count; n++) {
      clients[n % clients.length].emit('say', n, () => acked.push(n));
      await sleep(gapMs);
    }
    await until('all are accepted', () => acked.length === count);
    await until('all have everything', () => clients.every((client) => client.got.length >= count));
    await sleep(200);
    for (const client of clients) {
      assert.deepEqual(client.cuts, []);
      assert.deepEqual(client.got, clients[0].got);
      assert.equal(new Set(client.got).size, count);
      assert.equal(client.got.length, count);
    }
    assert.deepEqual(refused, []);
    return clients.map((client) => client.io.engine.transport.name);
  } finally {
    clients.forEach((client) => client.close());
  }
}

test('default options: every client upgrades, whichever instances its requests reach', quickly, async () => {
  assert.deepEqual(await together({}, 200, 10), ['websocket', 'websocket', 'websocket']);
});

test('polling alone', quickly, async () => {
  assert.deepEqual(await together({ transports: ['polling'] }, 200, 10), ['polling', 'polling', 'polling']);
  assert.ok(requests > 200, `${requests} requests`);
});

test('polling alone, at so slow a pace that each request wakes a frozen instance', quickly, async () => {
  await together({ transports: ['polling'] }, 12, 600);
});

test('rooms that are joined by one request are heard by the next', quickly, async () => {
  refused = [];
  const [one, two] = [dial({ transports: ['polling'] }), dial({ transports: ['polling'] })], heard = [];
  two.on('tell', (room, n) => heard.push(n));
  try {
    await until('both are connected', () => one.connected && two.connected);
    for (const client of [one, two]) await client.timeout(5000).emitWithAck('join', 'r');
    for (let n = 0; n < 20; n++) await one.timeout(5000).emitWithAck('tell', 'r', n);
    await until('all are heard', () => heard.length >= 20);
    assert.deepEqual(heard, Array.from({ length: 20 }, (_, n) => n));
    assert.deepEqual([...one.cuts, ...two.cuts, ...refused], []);
  } finally {
    one.close();
    two.close();
  }
});

test('events that are not logged are kept between two polls', quickly, async () => {
  refused = [];
  const poller = dial({ transports: ['polling'] }), sender = dial({ transports: ['websocket'] }), heard = [];
  for (const name of ['wave', 'say']) poller.on(name, (n) => heard.push(n));
  try {
    await until('both are connected', () => poller.connected && sender.connected);
    for (let n = 0; n < 300; n++) {
      sender.emit(n % 10 === 9 ? 'say' : 'wave', n);
      await sleep(n % 50 === 0 ? 100 : 5);
    }
    await until('all are heard', () => heard.length >= 300);
    assert.deepEqual(heard, Array.from({ length: 300 }, (_, n) => n));
    assert.deepEqual([...poller.cuts, ...sender.cuts, ...refused], []);
  } finally {
    poller.close();
    sender.close();
  }
});

test('what it costs in calls of the broker', quickly, async (t) => {
  const client = dial({ transports: ['polling'] });
  try {
    await until('it is connected', () => client.connected);
    await sleep(1500);
    const before = await calls(), idle = Date.now();
    const count = 40;
    for (let n = 0; n < count; n++) await client.timeout(5000).emitWithAck('say', n);
    const spent = (await calls()) - before;
    const beats = (INSTANCES * (Date.now() - idle)) / 800;
    t.diagnostic(`${(spent / count).toFixed(1)} calls for a message that a polling client sends, and gets back with its acknowledgement, heartbeats of ${INSTANCES} instances in ${Date.now() - idle} ms included`);
    assert.ok((spent - beats) / count < 8, `${(spent - beats) / count} calls a message`);
  } finally {
    client.close();
  }
});

test('what an upgrade costs in calls of the broker', quickly, async (t) => {
  const keeper = dial({ transports: ['websocket'] }), costs = [];
  try {
    await until('it is connected', () => keeper.connected);
    for (let n = 0; n < 5; n++) {
      const before = await calls(), since = Date.now(), client = dial({});
      await until('it is on a WebSocket', () => client.connected && client.io.engine.transport.name === 'websocket');
      await sleep(100);
      costs.push((await calls()) - before - (INSTANCES * (Date.now() - since)) / 800);
      client.close();
      await sleep(100);
    }
    costs.sort((a, b) => a - b);
    t.diagnostic(`${costs[2].toFixed(1)} calls for a client that connects and upgrades, without heartbeats`);
    assert.ok(costs[2] < 14, `${costs} calls`);
  } finally {
    keeper.close();
  }
});
