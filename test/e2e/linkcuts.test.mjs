// linkcuts: instances lose their links to Redis while they hold the requests of polling clients, and get them back. No session may end,
// and nothing may be lost, doubled or out of order.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { freePort, ready, redisCli, redisServer, serve, sleep, temporary, until } from './lib.mjs';

const config = 'namespaces:\n  /:\n    log: {entries: 10000, age: 1h}\n    events:\n      say: {to: everyone, log: true}\n';
const quickly = { timeout: 60000 };
let directory, port, server, instances, front;

// A Redis that keeps what it has accepted over its own end.
async function start() {
  server = spawn(redisServer, ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'yes', '--appendfsync', 'no'].map(String),
    { stdio: 'ignore' });
  await until('Redis answers', async () => (await redisCli('-p', port, 'PING')) === 'PONG');
}

async function stop() {
  server.kill('SIGKILL');
  await once(server, 'close');
}

// Each request reaches another instance.
function relay(request, response) {
  const instance = instances[Math.floor(Math.random() * instances.length)];
  const inner = http.request({ port: instance.port, host: '127.0.0.1', method: request.method, path: request.url, headers: request.headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  inner.on('error', () => response.destroy());
  response.on('close', () => response.writableFinished || inner.destroy());
  request.pipe(inner);
}

before(async () => {
  directory = temporary();
  port = await freePort();
  await start();
  instances = [];
  for (let i = 0; i < 3; i++) instances.push(await serve(config, { redisUrl: `redis://127.0.0.1:${port}` }));
  front = http.createServer(relay);
  await new Promise((resolve) => front.listen(0, '127.0.0.1', resolve));
});

after(async () => {
  front.closeAllConnections?.();
  front.close();
  await Promise.all(instances.map((instance) => instance.close()));
  await stop();
  fs.rmSync(directory, { recursive: true, force: true });
});

function dial() {
  const client = io(`http://127.0.0.1:${front.address().port}`, { forceNew: true, transports: ['polling'] });
  client.got = [];
  client.cuts = [];
  client.on('say', (n) => client.got.push(n));
  client.on('disconnect', (reason) => client.cuts.push(reason));
  client.on('connect_error', (error) => client.cuts.push(error.message));
  return client;
}

// Three clients talk while `fault` happens again and again; their held requests and their messages meet it.
async function talk(count, fault) {
  const clients = [dial(), dial(), dial()];
  let acked = 0;
  try {
    await until('all are connected', () => clients.every((client) => client.connected));
    await sleep(200);
    for (let n = 0; n < count; n++) {
      if (n % 10 === 5) await fault(n / 10);
      clients[n % clients.length].emit('say', n, () => acked++);
      await sleep(30);
    }
    await until('all are accepted', () => acked === count).catch(() => {});
    await until('all have everything', () => clients.every((client) => client.got.length >= count)).catch(() => {});
    for (const client of clients) {
      assert.deepEqual(client.cuts, []);
      assert.deepEqual(client.got, clients[0].got);
      assert.deepEqual([...client.got].sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
    }
  } finally {
    clients.forEach((client) => client.close());
  }
}

test('cut links under held requests', quickly, async () => {
  await talk(60, (n) => redisCli('-p', port, 'CLIENT', 'KILL', 'TYPE', n % 2 < 1 ? 'pubsub' : 'normal'));
});

test('cut links and a Redis that is started again, while nothing else happens', quickly, async () => {
  const clients = [dial(), dial()];
  try {
    await until('all are connected', () => clients.every((client) => client.connected));
    await sleep(300);
    for (const type of ['normal', 'pubsub', 'normal']) {
      await redisCli('-p', port, 'CLIENT', 'KILL', 'TYPE', type);
      await sleep(1000);
    }
    await stop();
    await start();
    await sleep(500);
    await Promise.all(instances.map(ready));
    await clients[0].timeout(10000).emitWithAck('say', 'still here');
    await until('all hear it', () => clients.every((client) => client.got.includes('still here')));
    for (const client of clients) assert.deepEqual(client.cuts, []);
  } finally {
    clients.forEach((client) => client.close());
  }
});
