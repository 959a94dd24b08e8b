// clients: stock Socket.IO clients on a fleet whose streams are cut, whose instances die, whose Redis goes away.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { board, Client, differences, sleep, temporary, until, up } from './lib.mjs';

const quickly = (ms) => ({ timeout: ms });

// Draws `perSecond` strokes until told to stop.
function drawing(client, perSecond) {
  let drawn = 0;
  const started = Date.now();
  const timer = setInterval(() => {
    while (drawn < ((Date.now() - started) / 1000) * perSecond) {
      client.draw();
      drawn++;
    }
  }, 10);
  return () => clearInterval(timer);
}

const idsOf = (client) => Array.from({ length: client.sent }, (_, n) => `${client.name}-${n}`);

// Everybody but the drawer has every stroke of it once, and all in one order.
function assertWhole(drawers, viewers) {
  const all = drawers.flatMap(idsOf);
  const complaints = [...viewers.map((viewer) => differences(viewer, all)),
    ...drawers.map((drawer) => differences(drawer, all.filter((id) => !id.startsWith(`${drawer.name}-`))))].filter(Boolean);
  assert.deepEqual(complaints, []);
  const order = viewers[0].got;
  for (const viewer of viewers) assert.deepEqual(viewer.got, order);
}

async function settle(drawers, viewers, ms = 30000) {
  for (const drawer of drawers) await drawer.settled(ms);
  const all = drawers.reduce((sum, drawer) => sum + drawer.sent, 0);
  await until('everybody has everything', () => viewers.every((viewer) => viewer.got.length >= all), ms).catch(() => {});
  await sleep(300);
}

test('cut at the request timeout, everybody comes back to exactly what it missed', quickly(60000), async () => {
  const service = await up(board({ timeout: 2 }), { ready: 3 });
  const drawers = [new Client(service.url, { name: 'a' }), new Client(service.url, { name: 'b' })];
  const viewers = Array.from({ length: 10 }, (_, n) => new Client(service.url, { name: `v${n}` }));
  try {
    for (const client of [...drawers, ...viewers]) await client.connected();
    const stops = drawers.map((drawer) => drawing(drawer, 100));
    await sleep(11000);
    stops.forEach((stop) => stop());
    await settle(drawers, viewers);
    assertWhole(drawers, viewers);
    for (const client of [...drawers, ...viewers]) {
      assert.ok(client.connects.length > 3, `${client.name} was cut ${client.connects.length - 1} times`);
      assert.deepEqual(client.connects.slice(1).filter((recovered) => !recovered), [], `${client.name} always recovered`);
    }
    assert.ok(new Set(viewers.flatMap((viewer) => viewer.instances)).size >= 3, 'they landed everywhere');
  } finally {
    [...drawers, ...viewers].forEach((client) => client.close());
    await service.close();
  }
});

test('an instance is killed while they draw', quickly(60000), async () => {
  const service = await up(board({ min: 3 }), { ready: 3 });
  const drawers = [new Client(service.url, { name: 'a' }), new Client(service.url, { name: 'b' })];
  const viewers = Array.from({ length: 12 }, (_, n) => new Client(service.url, { name: `v${n}` }));
  try {
    for (const client of [...drawers, ...viewers]) await client.connected();
    const stops = drawers.map((drawer) => drawing(drawer, 100));
    await sleep(1000);
    const [victim] = await service.instances();
    process.kill(victim.pid, 'SIGKILL');
    await until('it is out of the routing', async () => !(await service.status_()).instances.some((one) => one.id === victim.id), 1000);
    await until('another has taken its place', async () => (await service.instances()).length >= 3);
    for (let n = 0; n < 50; n++) assert.equal((await fetch(`${service.url}/health`)).status, 200);
    await sleep(2000);
    stops.forEach((stop) => stop());
    await settle(drawers, viewers);
    assertWhole(drawers, viewers);
    const back = [...drawers, ...viewers].filter((client) => client.connects.length > 1);
    assert.ok(back.length > 0, 'somebody was on it');
    for (const client of back) assert.deepEqual(client.connects.slice(1), [true], `${client.name} recovered`);
  } finally {
    [...drawers, ...viewers].forEach((client) => client.close());
    await service.close();
  }
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`Redis is away for ten seconds after ${signal}`, quickly(90000), async () => {
    const service = await up(board({ direct: true, annotations: { 'sennit.dev/redis-restart-delay': '10s' } }), { ready: 3 });
    const drawers = [new Client(service.url, { name: 'a' }), new Client(service.url, { name: 'b' })];
    const viewers = Array.from({ length: 6 }, (_, n) => new Client(service.url, { name: `v${n}` }));
    try {
      for (const client of [...drawers, ...viewers]) await client.connected();
      const before = await service.instances();
      await until('they are ready', async () => (await fetch(`http://127.0.0.1:${before[0].port}/ready`)).status === 200);
      const stops = drawers.map((drawer) => drawing(drawer, 50));
      await sleep(1000);
      const accepted = drawers.map((drawer) => drawer.sent - drawer.outbox.size);
      process.kill((await service.status_()).redis.pid, signal);
      await sleep(1500);
      for (const { port } of before) assert.equal((await fetch(`http://127.0.0.1:${port}/ready`)).status, 503);
      for (const { port } of before) assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
      await until('Redis is back', async () => (await service.status_()).redis.ready, 20000);
      await until('they are ready again', async () => (await fetch(`http://127.0.0.1:${before[0].port}/ready`)).status === 200);
      await sleep(1000);
      stops.forEach((stop) => stop());
      await settle(drawers, viewers);
      assertWhole(drawers, viewers);
      drawers.forEach((drawer, n) => assert.ok(accepted[n] > 10 && drawer.sent > accepted[n] + 400, 'they drew all the time'));
      for (const client of [...drawers, ...viewers]) assert.deepEqual(client.connects, [false], `${client.name}'s stream stayed open`);
      assert.deepEqual((await service.status_()).instances.map((one) => one.pid), before.map((one) => one.pid), 'no replacements');
    } finally {
      [...drawers, ...viewers].forEach((client) => client.close());
      await service.close();
    }
  });
}

// A directory for PATH, whose redis-server is the real one on a disk that takes 1.5 seconds to sync.
function slowDisk() {
  const directory = temporary();
  const [source, object, wrapper] = ['slow.c', 'slow.so', 'redis-server'].map((name) => path.join(directory, name));
  const real = execFileSync('sh', ['-c', 'command -v redis-server || command -v valkey-server'], { encoding: 'utf8' }).trim();
  fs.writeFileSync(source, '#include <unistd.h>\nint fdatasync(int fd) { usleep(1500000); return fsync(fd); }\n');
  execFileSync('cc', ['-shared', '-fPIC', '-o', object, source]);
  fs.writeFileSync(wrapper, `#!/bin/sh\nLD_PRELOAD=${object} exec ${real} "$@"\n`, { mode: 0o755 });
  return directory;
}

test('Redis is killed again and again, on a slow disk', quickly(60000), async () => {
  const directory = slowDisk();
  const service = await up(board(), { ready: 3, env: { PATH: `${directory}:${process.env.PATH}` } });
  const drawers = [new Client(service.url, { name: 'a' }), new Client(service.url, { name: 'b' })];
  const viewers = Array.from({ length: 4 }, (_, n) => new Client(service.url, { name: `v${n}` }));
  try {
    for (const client of [...drawers, ...viewers]) await client.connected();
    const stops = drawers.map((drawer) => drawing(drawer, 100));
    for (let n = 0; n < 3; n++) {
      await sleep(2300);
      const { pid } = (await service.status_()).redis;
      process.kill(pid, 'SIGKILL');
      await until('another one is there', async () => {
        const { redis } = await service.status_();
        return redis.ready && redis.pid !== pid;
      }, 20000);
    }
    await sleep(1000);
    stops.forEach((stop) => stop());
    await settle(drawers, viewers);
    assertWhole(drawers, viewers);
  } finally {
    [...drawers, ...viewers].forEach((client) => client.close());
    await service.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
