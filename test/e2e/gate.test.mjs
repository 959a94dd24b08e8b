// gate: instances of `sennit up` have CPU only while they start, serve, are probed or stop; and no more memory than they may.
// alone: it measures processor time
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, program, sleep, temporary, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
let directory, server;

before(() => {
  directory = temporary();
  server = path.join(directory, 'server.cjs');
  fs.writeFileSync(server, `
    let ticks = 0;
    setInterval(() => ticks++, 20);
    process.on('SIGTERM', () => setTimeout(() => { console.log('ended in order'); process.exit(); }, 300));
    require('node:http').createServer((request, response) => {
      if (request.url === '/memory') globalThis.taken = Buffer.alloc(300 << 20, 1);
      if (request.url === '/slow') return setTimeout(() => response.end(String(ticks)), 1000);
      response.end(String(ticks));
    }).listen(process.env.PORT);`);
});
after(() => fs.rmSync(directory, { recursive: true, force: true }));

const kept = { 'autoscaling.knative.dev/minScale': '1', 'autoscaling.knative.dev/maxScale': '1' };

const yaml = (annotations, container) => `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: gated}
spec:
  template:
    metadata:
      annotations: ${JSON.stringify({ 'sennit.dev/run': `${process.execPath} ${server}`, ...kept, ...annotations })}
    spec:
      containers:
        - image: x
${container}`;

async function up(t, { annotations = {}, container = '' } = {}) {
  const service = await start(yaml(annotations, container), { ready: 1 });
  t.after(() => service.close());
  service.get = async (target = '/') => {
    const response = await fetch(service.url + target);
    return { status: response.status, text: await response.text() };
  };
  service.ticks = async (target) => Number((await service.get(target)).text);
  return service;
}

test('the clock of an idle instance stands still; a request lets it go on', quickly, async (t) => {
  const service = await up(t), before_ = await service.ticks();
  await until('it stands still', async () => (await service.status_()).instances[0].cpu === false);
  await sleep(2000);
  const after_ = await service.ticks();
  assert.ok(after_ - before_ < 30, `${after_ - before_} ticks of 100`);
  assert.ok((await service.ticks('/slow')) - after_ > 20, 'while a request is open, it runs');
});

test('a user who may make no control groups has the same by signals, and memory is looked at', { ...quickly, skip: process.getuid() !== 0 && 'this is not root' }, async (t) => {
  const file = path.join(directory, 'service.yaml'), port = await freePort(), statusPort = await freePort();
  fs.chmodSync(directory, 0o755);
  fs.writeFileSync(file, yaml({}, '          resources: {limits: {memory: 128Mi}}\n'));
  const service = program(['up', file, '--port', port, '--status-port', statusPort, '--user', 'nobody', '--log-format', 'json']);
  t.after(() => service.stop());
  const instance = async () => (await (await fetch(`http://127.0.0.1:${statusPort}/status`)).json()).instances[0];
  const get = async (target) => (await fetch(`http://127.0.0.1:${port}${target}`)).text();
  await until('it is ready', async () => (await instance().catch(() => undefined))?.state === 'ready');
  assert.match(service.output, /may not bound the memory/);
  const before_ = Number(await get('/'));
  await until('it stands still', async () => (await instance()).cpu === false);
  await sleep(1500);
  assert.ok(Number(await get('/')) - before_ < 30);
  await get('/memory').catch(() => {});
  await until('it is told', () => /Memory limit exceeded[^\n]*"limit_mib":128/.test(service.output));
});

test('cpu-throttling: "false" leaves it its CPU', quickly, async (t) => {
  const service = await up(t, { annotations: { 'run.googleapis.com/cpu-throttling': 'false' } }), before_ = await service.ticks();
  await sleep(1500);
  assert.ok((await service.ticks()) - before_ > 40);
  assert.equal((await service.status_()).instances[0].cpu, true);
});

test('one that stands still ends in order, and with the platform that is killed', quickly, async (t) => {
  const service = await up(t);
  await until('it stands still', async () => (await service.status_()).instances[0].cpu === false);
  await service.stop();
  assert.match(service.output, /ended in order/);
  const killed = await up(t);
  await until('it stands still', async () => (await killed.status_()).instances[0].cpu === false);
  const [{ pid }] = (await killed.status_()).instances;
  await killed.stop('SIGKILL');
  await until('its instance is gone', () => !fs.existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')));
});

test('a probe wakes it', quickly, async (t) => {
  const service = await up(t, { container: '          livenessProbe: {httpGet: {path: /}, periodSeconds: 1, failureThreshold: 1}\n' });
  await sleep(3500);
  assert.doesNotMatch(service.output, /LIVENESS probe failed/);
  assert.equal((await service.get()).status, 200);
});

test('one that takes more memory than it may is ended, and its request gets 500 with the reason', quickly, async (t) => {
  const service = await up(t, { container: '          resources: {limits: {memory: 128Mi}}\n' });
  const response = await fetch(`${service.url}/memory`);
  // Without rights on control groups, memory is looked at once a second: the answer may be out by then.
  if (!/may not bound the memory/.test(service.output)) {
    assert.equal(response.status, 500);
    assert.equal(response.headers.get('x-sennit-reason'), 'memory-limit');
    assert.match(await response.text(), /using too much memory and was terminated/);
  }
  await until('it is told', () => /"severity":"ERROR"[^\n]*Memory limit exceeded[^\n]*"limit_mib":128/.test(service.output));
  await until('another one serves', async () => (await service.get()).status === 200);
});
