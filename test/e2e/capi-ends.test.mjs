// capi-ends: the handler `disconnect` of a program in C is called once for each socket in the whole fleet, also when the instance that the
// socket was on is killed; on Redis and on Postgres.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { io } from 'socket.io-client';
import { freePort, redis, sennit, sleep, until } from './lib.mjs';
import { missing, postgres } from './postgres.mjs';

const probe = path.join(path.resolve(fs.realpathSync(sennit), '../../..'), 'test/e2e/capi/capi_probe');
const running = new Set(), clients = [], brokers = [];
after(async () => {
  for (const socket of clients) socket.close();
  for (const child of running) child.kill('SIGKILL');
  for (const broker of brokers) await broker.close();
});

async function instance(args) {
  const port = await freePort();
  const child = spawn(probe, ['--port', String(port), '--log-format', 'json', ...args],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, K_SERVICE: '', REDIS_URL: '', SENNIT_BROKER: '' } });
  const run = { url: `http://127.0.0.1:${port}/probe`, output: '' };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (run.output += data));
  const ended = once(child, 'close').finally(() => running.delete(child));
  running.add(child);
  run.stop = async (signal = 'SIGTERM') => {
    child.kill(signal);
    const [code] = await ended;
    assert.doesNotMatch(run.output, /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|Assertion .* failed/);
    return code;
  };
  await until('it listens', () => {
    if (child.exitCode !== null) throw new Error(run.output);
    return run.output.includes('"listening"');
  });
  return run;
}

async function client(server) {
  const socket = io(server.url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100 });
  socket.ends = [];
  socket.on('told disconnect', (end) => socket.ends.push(end));
  clients.push(socket);
  await until('it is connected', () => socket.connected);
  socket.was = socket.id;
  return socket;
}

const goes = (socket) => { // without a word, and for good
  socket.io.reconnection(false);
  socket.io.engine.close();
};

async function ends(broker, option) {
  brokers.push(broker);
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => instance([option, broker.url])));
  const watcher = await client(b);
  const [stays, away, left, back] = [await client(a), await client(a), await client(a), await client(a)];
  left.close();
  const told = (socket) => watcher.ends.filter((end) => end.id === socket.was);
  await until('the one that left is told', () => told(left).length === 1);
  goes(away);
  await sleep(100);
  back.io.uri = c.url.replace('/probe', '');
  stays.io.reconnection(false);
  await a.stop('SIGKILL');
  await until('one came back', () => back.connected && back.recovered && back.id === back.was);
  await until('the others are told', () => told(stays).length === 1 && told(away).length === 1, 20000);
  for (const socket of [stays, away]) {
    assert.deepEqual([told(socket)[0].data, told(socket)[0].reason], ['born here', 'instance_lost']);
    assert.match(b.output + c.output, new RegExp(`"instance":"${told(socket)[0].instance}"`));
  }
  assert.equal(told(back).length, 0);
  back.close();
  await until('its end is told where it was', () => told(back).length === 1);
  assert.equal(told(back)[0].reason, 'left');
  // Cut off on an instance that lives: that one knows why.
  const cut = await client(c);
  goes(cut);
  await until('it is told', () => told(cut).length === 1);
  assert.notEqual(told(cut)[0].reason, 'instance_lost');
  await sleep(2000); // a lease of theirs would have lapsed again
  for (const socket of [stays, away, left, back, cut]) assert.equal(told(socket).length, 1);
  watcher.close();
  for (const one of [b, c]) assert.equal(await one.stop(), 0);
}

describe('an instance is killed: another one tells the end of each of its sockets, once, with its data', { concurrency: true }, () => {
  test('on Redis', async () => ends(await redis(), '--redis-url'));
  test('on Postgres', { skip: missing() ?? false }, async () => ends(await postgres(), '--broker'));
});
