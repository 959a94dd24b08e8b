// bill: what a known load is billed, the ledger, and `sennit bill`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { program, serviceYaml, sleep, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
const SCALE = 20;
const flags = ['--time-scale', String(SCALE)];
// Answers at once, and holds what asks for /hold.
const run = `${process.execPath} -e "require('node:http').createServer((request, response) => request.url === '/hold' ? response.write('held') : response.end('ok')).listen(process.env.PORT)"`;
const yaml = (annotations = {}) => serviceYaml({ name: 'board', run, annotations });

async function up(t, ...rest) {
  const service = await start(...rest);
  t.after(async () => {
    await service.again?.stop(); // it writes in the folder that goes
    await service.close();
  });
  await until('it serves', () => service.output.includes('"serving"'));
  return service;
}
const get = async (service) => (await fetch(service.url, { headers: { connection: 'close' } })).text();
const bill = async (service) => (await service.status_()).services[0].bill;
const ledger = (service) => path.join(service.directory, 'control', 'ledger.jsonl');
const lines = (service) => fs.readFileSync(ledger(service), 'utf8').trim().split('\n').filter((line) => line).map((line) => JSON.parse(line));
const sum = (service, key) => lines(service).reduce((all, line) => all + line[key], 0);
async function command(service, ...args) {
  const ran = program([args[0], '--state', service.directory, ...args.slice(1)]);
  await ran.ended;
  assert.equal(ran.status, 0, ran.output);
  return ran.output;
}
async function hold(t, service) {
  const socket = net.connect(service.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'data');
  return socket;
}
// Nothing runs any more: two answers are the same.
const settled = (service) => until('it rests', async () => {
  const status = await service.status_();
  return status.instances.length > 0 && status.instances.every((one) => one.state === 'ready' && one.requests === 0) && status.services[0].bill;
});
// Of the default size, 1 vCPU and 512 MiB, in dollars.
const worth = (ms, requests) => (ms / 1000 * (24000 + 2500 / 2) + requests * 400) / 1e9;

test('the union of open requests is billed, idle time is not, and all sums agree', quickly, async (t) => {
  const service = await up(t, yaml(), { flags });
  assert.equal((await bill(service)).billable_ms, 0);
  await get(service);
  const before = await settled(service);
  assert.ok(before.billable_ms > 0, 'its start is billed');
  await sleep(250); // five seconds of the platform
  const idle = await bill(service);
  assert.equal(idle.billable_ms, before.billable_ms);
  assert.ok(idle.passed_s >= before.passed_s + 5);

  const began = performance.now();
  const one = await hold(t, service), both = performance.now();
  const two = await hold(t, service);
  await sleep(1000);
  const ending = performance.now();
  one.destroy(), two.destroy();
  const after = await settled(service);
  const billed = after.billable_ms - before.billable_ms;
  assert.ok(billed >= (ending - both) * SCALE - 100, `${billed} ms for ${ending - both} ms`);
  assert.ok(billed <= (performance.now() - began) * SCALE + 200, `${billed} ms for ${performance.now() - began} ms`);
  assert.equal(after.requests, 3);
  assert.equal(after.billable_ms % 100, 0);
  assert.equal(after.vcpu_seconds, after.billable_ms / 1000);
  assert.equal(after.gib_seconds, after.billable_ms / 2000);
  assert.ok(Math.abs(after.usd - worth(after.billable_ms, 3)) < 1e-8, JSON.stringify(after));
  assert.ok(Math.abs(after.usd_month / (after.usd / after.passed_s * 30 * 86400) - 1) < 0.001, JSON.stringify(after));

  assert.match(await command(service, 'services'), /USD\/MONTH[^]*board .* 0\.\d{9} +\d+\.\d{9}/);
  await service.stop();
  const told = JSON.parse(service.output.split('\n').find((line) => line.includes('would have cost')));
  assert.ok(told.billable_ms > after.billable_ms, 'its end is billed');
  assert.equal(told.requests, 3);
  assert.ok(Math.abs(told.usd - worth(told.billable_ms, 3)) < 1e-8);
  assert.equal(sum(service, 'ms'), told.billable_ms);
  assert.equal(sum(service, 'requests'), 3);
  assert.equal(fs.statSync(ledger(service)).mode & 0o777, 0o600);
  const text = await command(service, 'bill', 'board');
  const day = new Date(lines(service).at(-1).time_ms).toISOString().slice(0, 10);
  assert.match(text, new RegExp(`board +${day} +[0-9.]+ `));
  assert.match(text, new RegExp(`total +${(told.billable_ms / 1000).toFixed(1)} +${(told.billable_ms / 1000).toFixed(1)} +\\S+ +3 +${told.usd.replace('.', '\\.')}`));
  assert.match(await command(service, 'bill', '--free-tier'), /to pay +0\.0+\n/);
  assert.match(await command(service, 'bill', 'another'), /total +0\.0 /);
});

test('kill -9 keeps the lines; a torn last one is dropped, and the sum goes on', quickly, async (t) => {
  const service = await up(t, yaml(), { flags });
  await get(service);
  await settled(service);
  await until('the ledger has it', async () => fs.statSync(ledger(service)).size > 0 && sum(service, 'requests') === 1);
  const billed = (await bill(service)).billable_ms;
  assert.equal(sum(service, 'ms'), billed);
  await service.stop('SIGKILL');
  const kept = fs.readFileSync(ledger(service), 'utf8');
  fs.appendFileSync(ledger(service), '{"time_ms":1,"service":"bo');
  assert.match(await command(service, 'bill'), new RegExp(`total +${(billed / 1000).toFixed(1)} `));

  const again = service.again = program(['up', path.join(service.directory, 'service.yaml'), '--port', service.port, '--status-port', service.statusPort, '--state', service.directory, '--log-format', 'json', ...flags]);
  await until('it serves again', () => again.output.includes('"serving"'));
  assert.match(again.output, /torn by a crash.*"bytes":26/);
  assert.equal(fs.readFileSync(ledger(service), 'utf8'), kept);
  await get(service);
  await again.stop();
  assert.equal(sum(service, 'requests'), 2);
  assert.ok(sum(service, 'ms') > billed);
  assert.match(await command(service, 'bill'), /total .* 2 +0\.0/);
});

test('the idle instances of minScale are billed at their rate, the others are not', quickly, async (t) => {
  const service = await up(t, yaml({ 'autoscaling.knative.dev/minScale': 2 }), { flags, ready: 2 });
  // How many idle instances, and how much of an instance's time, were billed between two looks, a second of the platform.
  const rates = async () => {
    const one = await bill(service);
    await sleep(200);
    const two = await bill(service), passed = (two.passed_s - one.passed_s) * 1000;
    return { idle: (two.kinds.idle - one.kinds.idle) / passed, busy: (two.kinds.request - one.kinds.request) / passed };
  };
  const near = (found, expected) => assert.ok(Math.abs(found.idle - expected.idle) < 0.005 && Math.abs(found.busy - expected.busy) < 0.1, JSON.stringify(found));
  await settled(service);
  near(await rates(), { idle: 2, busy: 0 });
  const held = await hold(t, service);
  near(await rates(), { idle: 1, busy: 1 });
  held.destroy();
  await settled(service);
  near(await rates(), { idle: 2, busy: 0 });
  await service.stop();
  const told = JSON.parse(service.output.split('\n').find((line) => line.includes('would have cost')));
  assert.equal(sum(service, 'ms'), told.billable_ms);
  assert.deepEqual([...new Set(lines(service).map((line) => line.kind))].sort(), ['idle', 'request']);
});

test('with CPU always, the whole life is billed, at least a minute, and requests are free', quickly, async (t) => {
  const service = await up(t, yaml({ 'run.googleapis.com/cpu-throttling': 'false' }));
  await get(service);
  await until('time passes', async () => (await bill(service)).kinds.instance > 0);
  await service.stop();
  const told = JSON.parse(service.output.split('\n').find((line) => line.includes('would have cost')));
  assert.equal(told.billable_ms, 60000);
  assert.equal(Number(told.usd).toFixed(8), (60 * (18000 + 1000) / 1e9).toFixed(8));
  assert.deepEqual(lines(service).map(({ kind, ms, requests }) => ({ kind, ms, requests })).at(-1), { kind: 'instance', ms: 60000, requests: 1 });
});
