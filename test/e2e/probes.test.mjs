// probes: what startup, liveness and readiness probes do to the instances of `sennit up`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, temporary, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
// /well answers as the file `state` says; /hang never returns; /up is well from a while after the start.
const source = `
  const fs = require('node:fs'), begun = Date.now();
  require('node:http').createServer((request, response) => {
    if (request.url === '/hang') for (;;);
    if (request.url === '/well') response.statusCode = Number(fs.readFileSync(process.env.STATE, 'utf8'));
    if (request.url === '/up') response.statusCode = Date.now() - begun > Number(process.env.SLOW ?? 0) ? 200 : 503;
    if (request.url === '/early') response.statusCode = Date.now() - begun > Number(process.env.SLOW) ? 200 : 503;
    response.end(process.env.SENNIT_INSTANCE);
  }).on('upgrade', (request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n');
    socket.pipe(socket);
  }).listen(process.env.PORT);`;

async function up(t, { probes, env = {}, annotations = {}, ready, flags }) {
  const directory = temporary();
  const server = path.join(directory, 'server.cjs'), state = path.join(directory, 'state');
  fs.writeFileSync(server, source);
  fs.writeFileSync(state, '200');
  const lines = [...Object.entries({ ...env, STATE: state }).map(([name, value]) => `            - {name: ${name}, value: '${value}'}`)];
  const file = `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: probed}
spec:
  template:
    metadata:
      annotations: ${JSON.stringify({ 'sennit.dev/run': `${process.execPath} ${server}`, ...annotations })}
    spec:
      timeoutSeconds: 20
      containers:
        - image: x
          env:
${lines.join('\n')}
          ${probes.join('\n          ')}
`;
  const service = await start(file, { ready, flags });
  t.after(async () => {
    await service.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  service.begun = Date.now();
  service.answer = (status) => fs.writeFileSync(state, String(status));
  return service;
}

const one = { 'autoscaling.knative.dev/minScale': '1', 'autoscaling.knative.dev/maxScale': '1' };

test('no request reaches an instance before its startup probe succeeded', quickly, async (t) => {
  const service = await up(t, { env: { SLOW: '1500' }, probes: ['startupProbe: {httpGet: {path: /up}, periodSeconds: 1, failureThreshold: 10}'] });
  await until('it listens', () => /"serving"/.test(service.output));
  const begun = Date.now();
  assert.equal((await fetch(`${service.url}/early`)).status, 200);
  assert.ok(Date.now() - begun > 1000);
});

test('an instance whose startup probe fails too often is not started, and that is told', quickly, async (t) => {
  const service = await up(t, { env: { SLOW: '100000' }, annotations: one, probes: ['startupProbe: {httpGet: {path: /up}, periodSeconds: 1, failureThreshold: 2}'] });
  await until('it is told', () => /STARTUP probe failed: the instance was not started"[^\n]*"probe":"HTTP","times":2/.test(service.output));
  await until('another one is tried', () => service.output.match(/"instance starts"/g).length >= 2);
});

test('a liveness probe ends an instance that hangs, and another one serves', quickly, async (t) => {
  const service = await up(t, { annotations: one, ready: 1, probes: ['livenessProbe: {httpGet: {path: /up}, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 2}'] });
  const hung = fetch(`${service.url}/hang`).then((response) => response.status);
  await until('it is told', () => /LIVENESS probe failed[^\n]*"times":2,"requests_open":1/.test(service.output), 10000);
  assert.equal(await hung, 503);
  assert.equal((await fetch(`${service.url}/up`)).status, 200);
});

test('an instance that is unready gets no new requests, keeps its streams, and nothing is started for it', quickly, async (t) => {
  const service = await up(t, { annotations: { 'autoscaling.knative.dev/minScale': '1', 'autoscaling.knative.dev/maxScale': '5' }, ready: 1,
    probes: ['readinessProbe: {httpGet: {path: /well}, periodSeconds: 1, failureThreshold: 1}'] });
  const socket = net.connect(service.port, '127.0.0.1');
  socket.write('GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await once(socket, 'data');
  service.answer(503);
  await until('it is unready', async () => (await service.status_()).instances[0].state === 'unready');
  let answered = false;
  const waits = fetch(`${service.url}/up`).then((response) => ((answered = true), response.status));
  await sleep(1500);
  assert.equal(answered, false);
  socket.write('hello');
  assert.equal(String((await once(socket, 'data'))[0]), 'hello');
  assert.equal((await service.status_()).instances.length, 1);
  service.answer(200);
  assert.equal(await waits, 200);
  socket.destroy();
});

test('an instance gets no request before its readiness probe has succeeded; it has CPU until then, and no other is started', quickly, async (t) => {
  const service = await up(t, { env: { SLOW: '3000' }, probes: ['readinessProbe: {httpGet: {path: /up}, periodSeconds: 30, failureThreshold: 1}'] });
  await until('it listens', () => /"serving"/.test(service.output));
  const states = new Set(), watch = setInterval(async () => (await service.status_()).instances.forEach((one) => states.add(`${one.state} ${one.cpu}`)), 100);
  const response = await fetch(`${service.url}/up`); // 503 for a while
  clearInterval(watch);
  assert.equal(response.status, 200);
  assert.deepEqual([...states], ['starting true']);
  assert.equal((await service.status_()).instances.length, 1);
});

test('an instance that is not ready yet is not idle; its readiness probe has its own time', quickly, async (t) => {
  const service = await up(t, { env: { SLOW: '4500' }, flags: ['--startup-timeout', '3'],
    probes: ['startupProbe: {httpGet: {path: /early}, periodSeconds: 1, failureThreshold: 10}', 'readinessProbe: {httpGet: {path: /well}}'] });
  await until('it listens', () => /"serving"/.test(service.output));
  service.answer(503);
  const left = net.connect(service.port, '127.0.0.1');
  left.write('GET /up HTTP/1.1\r\nHost: a\r\n\r\n');
  await sleep(300);
  left.destroy(); // nobody waits for it any more
  await until('its startup probe has succeeded', async () => (await service.status_()).instances.length === 1 && Date.now() - service.begun > 6000, 20000);
  service.answer(200);
  await until('it is ready', async () => (await service.instances()).length === 1);
  assert.doesNotMatch(service.output, /never succeeded|instance stops/);
});

test('a revision whose readiness probe never succeeds fails, and says so', quickly, async (t) => {
  const service = await up(t, { probes: ['readinessProbe: {tcpSocket: {port: 1}}'], flags: ['--startup-timeout', '2'] });
  await until('it listens', () => /"serving"/.test(service.output));
  assert.equal((await fetch(service.url)).status, 500);
  assert.match(service.output, /READINESS probe never succeeded: the instance was not started/);
  assert.match(service.output, /the instance ended before its readiness probe succeeded/);
});
