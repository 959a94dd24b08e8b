// bench: the loads of bench/log.mjs run, each for a moment: what they measure is not looked at here, except how many commands a message
// costs Redis, which no machine changes.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { output } from '../../bench/parts.mjs';
import { redis, redisCli, sennit, serve, ready } from './lib.mjs';

const loads = path.join(path.dirname(sennit), 'bench');
let server;

before(async () => { server = await redis(); });
after(() => server.close());

const load = async (name, ...args) => JSON.parse(await output([path.join(loads, `bench_${name}`), '--port', server.port, ...args].map(String)));
const publish = (way, ...args) => load('publish', '--pid', server.pid, '--way', way, '--subscribed', 1, '--messages', 400, '--warm', 40, ...args);

for (const way of ['broker', 'entry', 'script', 'short', 'commands', 'plain']) {
  test(`publish, ${way}: every message is answered`, { timeout: 20000 }, async () => {
    await redisCli('-p', server.port, 'FLUSHALL');
    assert.equal((await publish(way)).messages, 360);
  });
}

test('publish, one at a time: a message costs ten commands, and now and then a few more', { timeout: 20000 }, async () => {
  await redisCli('-p', server.port, 'FLUSHALL');
  await redisCli('-p', server.port, 'CONFIG', 'RESETSTAT');
  await publish('broker', '--publishers', 1);
  const stats = await redisCli('-p', server.port, 'INFO', 'commandstats');
  const calls = Object.fromEntries([...stats.matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)].map(([, name, count]) => [name, Number(count)]));
  const inside = ['hmget', 'get', 'time', 'hset', 'xadd', 'publish', 'zadd', 'set', 'xlen', 'zcard'].reduce((sum, name) => sum + (calls[name] ?? 0), 0);
  assert.ok(calls.evalsha >= 400, stats);
  assert.ok(inside / 400 > 8 && inside / 400 < 10.5, `${inside / 400} commands a message: ${stats}`);
});

test('latency: both feeds answer', { timeout: 20000 }, async () => {
  const { ours, plain } = await load('latency', '--rate', 200, '--seconds', 1);
  assert.ok(ours.count > 0 && plain.count > 0);
});

test('resume: every client gets what it missed', { timeout: 20000 }, async (t) => {
  const instance = await serve('namespaces:\n  /:\n    auth: none\n    log: {entries: 10000, age: 1h}\n    events:\n      drawing: {to: others, log: true}\n',
    { redisUrl: server.url });
  t.after(() => instance.close());
  await ready(instance);
  const run = JSON.parse(await output([path.join(loads, 'bench_resume'), '--port', instance.port, '--pid', instance.pid, '--redis-port', server.port, '--redis-pid', server.pid,
    '--clients', 20, '--missed', 30, '--rate', 1000].map(String)));
  assert.equal(run.clients, 20);
});
