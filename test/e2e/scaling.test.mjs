// scaling: how many instances `sennit up` runs, with its clock made faster: an hour in a minute.
// alone: a clock sixty times as fast makes each delay a minute
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, temporary, until, up as start } from './lib.mjs';

const patiently = { timeout: 90000 };
let directory, run;

before(() => {
  directory = temporary();
  const server = path.join(directory, 'server.cjs');
  fs.writeFileSync(server, `
    require('node:http').createServer((request, response) => response.end('ok')).on('upgrade', (request, socket) => {
      socket.on('error', () => {});
      socket.write('HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n');
    }).listen(process.env.PORT);`);
  run = `${process.execPath} ${server}`;
});
after(() => fs.rmSync(directory, { recursive: true, force: true }));

async function up(t, annotations, flags, { concurrency = 10, timeout = 3600 } = {}) {
  const service = await start({ run, annotations, concurrency, timeout }, { flags: ['--time-scale', '60', ...flags], ready: 0 });
  t.after(() => service.close());
  await until('it listens', () => /"status"/.test(service.output));
  return service;
}

async function sockets(t, service, count) {
  const all = Array.from({ length: count }, () => net.connect(service.port, '127.0.0.1').on('error', () => {}));
  t.after(() => all.forEach((socket) => socket.destroy()));
  for (const socket of all) socket.write('GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await Promise.all(all.map((socket) => once(socket, 'data')));
  return all;
}

const count = async (service) => (await service.instances()).length;

test('nine sockets at a concurrency of ten need a second instance after a minute; without any, all stop after fifteen', patiently, async (t) => {
  const service = await up(t, {}, []), open = await sockets(t, service, 9);
  assert.equal(await count(service), 1);
  await until('a second instance', async () => (await count(service)) === 2, 5000);
  await sleep(1500);
  assert.equal(await count(service), 2);
  // Meanwhile a request waits for the one slot of another service, as long as it may.
  const full = await up(t, { 'autoscaling.knative.dev/maxScale': '1' }, [], { concurrency: 1 });
  await sockets(t, full, 1);
  const asked = Date.now(), refused = fetch(full.url).then(async (response) => [response.status, response.headers.get('x-sennit-reason'), (await response.text()).split('\n')[0], Date.now() - asked > 9000]);
  for (const socket of open) socket.destroy();
  const begun = Date.now();
  await until('zero', async () => (await count(service)) === 0, 30000);
  assert.ok(Date.now() - begun > 10000, 'not before they were idle for a while');
  assert.deepEqual(await refused, [429, 'max-instances', 'Rate exceeded.', true]);
});

test('with another target, with manual scaling, and with Knative\'s autoscaler', patiently, async (t) => {
  const loose = await up(t, { 'run.googleapis.com/scaling-concurrency-target': '0.95' }, []);
  await sockets(t, loose, 9);
  const manual = await up(t, { 'run.googleapis.com/scalingMode': 'manual', 'run.googleapis.com/manualInstanceCount': '3' }, []);
  await until('three', async () => (await count(manual)) === 3);
  // 16 of 20 requests: ceil(16 / 7) = 3. Within a minute and a half without any, it is at zero.
  const knative = await up(t, {}, ['--autoscaler', 'kpa'], { concurrency: 10 });
  const first = await sockets(t, knative, 8), second = await sockets(t, knative, 8);
  await until('three of Knative\'s', async () => (await count(knative)) === 3, 10000);
  for (const socket of [...first, ...second]) socket.destroy();
  await until('zero', async () => (await count(knative)) === 0, 15000);
  assert.equal(await count(loose), 1);
  assert.equal(await count(manual), 3);
});

test('a WebSocket is cut at timeoutSeconds of the faster clock', patiently, async (t) => {
  const service = await up(t, {}, [], { timeout: 120 }), [socket] = await sockets(t, service, 1);
  const begun = Date.now();
  await once(socket, 'close');
  assert.ok(Math.abs(Date.now() - begun - 2000) < 900, `${Date.now() - begun}`);
});
