// life: how an instance lives with slow clients, with a deadline, with SIGTERM, and with a Redis that it cannot use.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { board, Client, differences, program, redis, redisClient, serve, sleep, temporary, until, up } from './lib.mjs';

const config = `
max_payload: 100kB
namespaces:
  /:
    log: {entries: 100000, age: 1h}
    events:
      drawing: {to: others, log: true, id: 0.id}
      cursor: {to: others}
  /plain:
    events:
      drawing: {to: others}
`;

test('a client that does not read for a while loses nothing, in a namespace that logs', { timeout: 60000 }, async () => {
  const broker = await redis();
  const server = await serve(config, { redisUrl: broker.url });
  const drawer = new Client(server.url, { name: 'drawer' });
  const slow = new Client(server.url, { name: 'slow' });
  const quick = new Client(server.url, { name: 'quick' });
  try {
    for (const client of [drawer, slow, quick]) await client.connected();
    const stream = slow.socket.io.engine.transport.ws._socket;
    stream.pause();
    const pad = 'x'.repeat(20000);
    for (let n = 0; n < 2000; n++) { // 40 MB: more than any queue and the kernel's buffers hold
      drawer.draw({ pad });
      if (n % 50 === 49) drawer.socket.emit('cursor', n);
      if (n % 100 === 99) await drawer.settled();
    }
    await until('the quick one has all', () => quick.got.length === 2000, 20000);
    assert.ok((await server.metric('slowed_total')) > 0, 'its queue was dropped');
    stream.resume();
    await until('the slow one has all', () => slow.got.length === 2000, 30000).catch(() => {});
    const expected = Array.from({ length: 2000 }, (_, n) => `drawer-${n}`);
    assert.equal(differences(slow, expected), '');
    assert.deepEqual(slow.got, expected);
    assert.deepEqual(slow.connects, [false], 'on one connection');
  } finally {
    [drawer, slow, quick].forEach((client) => client.close());
    await server.close();
    await broker.close();
  }
});

test('in a namespace that logs nothing it is closed', { timeout: 60000 }, async () => {
  const server = await serve(config);
  const drawer = new Client(`${server.url}/plain`, { name: 'drawer' });
  const slow = new Client(`${server.url}/plain`, { name: 'slow', reconnection: false });
  try {
    for (const client of [drawer, slow]) await client.connected();
    slow.socket.io.engine.transport.ws._socket.pause();
    for (let n = 0; n < 1000; n++) {
      drawer.draw({ pad: 'x'.repeat(20000) });
      if (n % 100 === 99) await drawer.settled();
    }
    assert.equal(await server.metric('closes_total\\{reason="slow_consumer"\\}'), 1);
  } finally {
    [drawer, slow].forEach((client) => client.close());
    await server.close();
  }
});

test('sessions are rotated ahead of the request timeout, in a quiet moment, and nothing is cut', { timeout: 60000 }, async () => {
  const service = await up(board({ timeout: 4, rotate: '2s' }), { ready: 3 });
  const drawer = new Client(service.url, { name: 'drawer' });
  const viewers = Array.from({ length: 20 }, (_, n) => new Client(service.url, { name: `v${n}` }));
  const reasons = [];
  for (const client of viewers) client.socket.on('disconnect', (reason) => reasons.push(reason));
  try {
    for (const client of [drawer, ...viewers]) await client.connected();
    for (const end = Date.now() + 10000; Date.now() < end;) {
      drawer.draw();
      await sleep(150);
    }
    await drawer.settled();
    const expected = Array.from({ length: drawer.sent }, (_, n) => `drawer-${n}`);
    await until('everybody has all', () => viewers.every((viewer) => viewer.got.length >= expected.length), 10000).catch(() => {});
    assert.deepEqual(viewers.map((viewer) => differences(viewer, expected)).filter(Boolean), []);
    for (const viewer of viewers) assert.ok(viewer.connects.length >= 3 && viewer.connects.slice(1).every(Boolean), `${viewer.connects}`);
    assert.equal((await service.status_()).counters.timeouts, 0, 'the platform had nothing to cut');
    assert.ok(reasons.length >= 40 && reasons.every((reason) => reason === 'transport close'), 'a clean close each');
  } finally {
    [drawer, ...viewers].forEach((client) => client.close());
    await service.close();
  }
});

test('SIGTERM: everybody is sent elsewhere within ten seconds, by a clean close, and comes back', { timeout: 60000 }, async () => {
  const broker = await redis();
  const servers = [await serve(config, { redisUrl: broker.url }), await serve(config, { redisUrl: broker.url })];
  const clients = Array.from({ length: 200 }, (_, n) => new Client(servers[0].url, { name: `c${n}` }));
  const drawer = new Client(servers[1].url, { name: 'drawer' });
  const disconnects = [];
  try {
    for (const client of [...clients, drawer]) {
      await client.connected();
      client.socket.on('disconnect', (reason) => {
        disconnects.push([reason, Date.now()]);
        client.socket.io.uri = servers[1].url;
      });
    }
    const timer = setInterval(() => drawer.draw(), 20);
    const started = Date.now();
    servers[0].child.kill('SIGTERM');
    await servers[0].ended;
    const took = Date.now() - started;
    await until('all are back', () => clients.every((client) => client.socket.connected && client.connects.length === 2), 10000);
    clearInterval(timer);
    await drawer.settled();
    const expected = Array.from({ length: drawer.sent }, (_, n) => `drawer-${n}`);
    await until('everybody has all', () => clients.every((client) => client.got.length >= expected.length)).catch(() => {});
    assert.deepEqual(clients.map((client) => differences(client, expected)).filter(Boolean), []);
    assert.ok(clients.every((client) => client.connects[1]), 'all recovered');
    assert.deepEqual([...new Set(disconnects.map(([reason]) => reason))], ['transport close']);
    assert.ok(took > 100 && took < 9000, `${took} ms`);
    const span = Math.max(...disconnects.map(([, at]) => at)) - Math.min(...disconnects.map(([, at]) => at));
    assert.ok(span > 100, `paced: over ${span} ms`);
  } finally {
    [...clients, drawer].forEach((client) => client.close());
    for (const server of servers) await server.close();
    await broker.close();
  }
});

async function refusal(args, env = {}) {
  const directory = temporary();
  const file = path.join(directory, 'config.yaml');
  fs.writeFileSync(file, config);
  const run = program(['serve', '--config', file, '--port', '0', '--log-format', 'json', ...args], { env: { ...process.env, K_SERVICE: '', REDIS_URL: '', ...env } });
  try {
    await until('it has ended', () => run.status !== null);
  } finally {
    await run.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  }
  assert.equal(run.status, 1, run.output);
  assert.ok(!run.output.includes('"listening"'), 'it never listened');
  return run.output.split('\n').find((line) => line.startsWith('sennit serve:'));
}

test('a Redis that cannot be used is refused at the start, with what to do', { timeout: 30000 }, async () => {
  const evicting = await redis(['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru']);
  const locked = await redis(['--requirepass', 'secret', '--user', 'poor', 'on', '>poor', '~sennit:*', '&*', '+@all', '-xadd']);
  try {
    assert.match(await refusal(['--redis-url', evicting.url]), /allkeys-lru.*CONFIG SET maxmemory-policy noeviction/);
    assert.match(await refusal(['--redis-url', locked.url]), /NOAUTH.*redis:\/\/:password@host/);
    assert.match(await refusal(['--redis-url', `redis://:wrong@127.0.0.1:${locked.port}`]), /WRONGPASS.*REDIS_URL/);
    assert.match(await refusal(['--redis-url', `redis://poor:poor@127.0.0.1:${locked.port}`]), /does not let its user call XADD.*docs\/serve\.md/);
    assert.match(await refusal(['--redis-url', `redis://:secret@127.0.0.1:${locked.port}/99`]), /DB index.*another number/);
    const fine = await serve(config, { redisUrl: `redis://:secret@127.0.0.1:${locked.port}/3` });
    assert.equal((await fetch(`${fine.url}/ready`)).status, 200);
    await fine.close();
  } finally {
    await evicting.close();
    await locked.close();
  }
});

test('an eviction policy switched on at run time makes the instance unready, with what to do, until it is put right', { timeout: 60000 }, async () => {
  const broker = await redis();
  const server = await serve(config, { redisUrl: broker.url });
  const set = (...words) => execFileSync(redisClient, ['-p', String(broker.port), 'CONFIG', 'SET', ...words]);
  const ready = async () => { const answer = await fetch(`${server.url}/ready`); return [answer.status, await answer.text()]; };
  try {
    assert.equal((await ready())[0], 200);
    set('maxmemory', '1gb');
    set('maxmemory-policy', 'allkeys-lru');
    await until('it is not ready', async () => (await ready())[0] === 503);
    assert.match((await ready())[1], /allkeys-lru.*CONFIG SET maxmemory-policy noeviction/);
    assert.match(server.output, /allkeys-lru/);
    const stranger = await fetch(`${server.url}/ready`, { headers: { 'X-Forwarded-For': '203.0.113.7' } });
    assert.equal(await stranger.text(), 'the broker does not answer\n');
    set('maxmemory-policy', 'noeviction');
    await until('it is ready again', async () => (await ready())[0] === 200);
  } finally {
    await server.close();
    await broker.close();
  }
});

test('a Redis that is not there yet is waited for: alive, not ready, and then it is', { timeout: 30000 }, async () => {
  const later = await redis();
  const { port } = later;
  await later.close();
  const server = await serve(config, { redisUrl: `redis://127.0.0.1:${port}` });
  let broker;
  try {
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
    assert.equal((await fetch(`${server.url}/ready`)).status, 503);
    const client = io(server.url, { transports: ['websocket'], forceNew: true });
    broker = await redis(['--port', String(port)]);
    await until('it is ready', async () => (await fetch(`${server.url}/ready`)).status === 200);
    await until('the client that came early is in', () => client.connected);
    client.disconnect();
  } finally {
    await server.close();
    await broker?.close();
  }
});
