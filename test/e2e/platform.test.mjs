// platform: what surrounds the instances of `sennit up`: the managed Redis, and signals.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { program, serve, serviceYaml, sleep, temporary, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
const server = `${process.execPath} -e "require('node:http').createServer((request, response) => response.end('hello')).listen(process.env.PORT)"`;
const managed = { run: server, annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 1 } };

// Whatever a test leaves running ends with it.
async function up(t, ...rest) {
  const service = await start(...rest);
  t.after(() => service.close());
  return service;
}
function command(t, args) {
  const run = program(args);
  t.after(() => run.stop('SIGKILL'));
  return run;
}
function directory(t) {
  const path = temporary();
  t.after(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}

test('two services do not write into one append-only file', quickly, async (t) => {
  const state = directory(t);
  const first = await up(t, managed, { ready: 1, flags: ['--state', state] });
  const file = path.join(first.directory, 'service.yaml');
  const second = command(t, ['up', file, '--port', '0', '--state', state]);
  assert.equal(await Promise.race([second.ended, sleep(5000).then(() => 'still running')]), 1, second.output);
  assert.match(second.output, new RegExp(`a directory of its own \\(--state DIR.*redis/lock: process ${first.pid} holds it`));
  assert.equal((await first.status_()).redis.ready, true);
  await first.stop('SIGKILL');
  await up(t, managed, { ready: 1, flags: ['--state', state] }); // what a killed one held is free
});

test('a directory that cannot be used', quickly, async (t) => {
  const state = directory(t);
  fs.writeFileSync(path.join(state, 'redis'), 'a file');
  fs.writeFileSync(path.join(state, 'service.yaml'), serviceYaml(managed));
  const run = command(t, ['up', path.join(state, 'service.yaml'), '--port', '0', '--state', state]);
  assert.equal(await Promise.race([run.ended, sleep(5000).then(() => 'still running')]), 1, run.output);
  assert.match(run.output, /--state DIR.*redis.*: Not a directory/);
});

test('a Redis that comes up at its second try', quickly, async (t) => {
  const state = directory(t);
  const files = path.join(state, 'redis/appendonlydir');
  fs.mkdirSync(files, { recursive: true });
  fs.writeFileSync(path.join(files, 'appendonly.aof.manifest'), 'garbage\n');
  const service = await up(t, managed, { flags: ['--state', state] });
  await until('it is told why', () => /redis ended.*Invalid AOF manifest file format.*directory/.test(service.output));
  fs.rmSync(files, { recursive: true });
  await until('an instance is ready', async () => (await service.instances()).length === 1);
});

test('the terminal is closed', quickly, async (t) => {
  const service = await up(t, managed, { ready: 1 });
  await service.stop('SIGHUP');
  assert.equal(service.status, 0, service.output);
  assert.match(service.output, /"stopping redis"[^]*"stopped"/);
});

test('a shell that allows few open files is no limit for connections', quickly, async (t) => {
  const within = ['sh', '-c', 'ulimit -Sn 100 && exec "$@"', 'sh'];
  const service = await up(t, { run: server, annotations: { 'autoscaling.knative.dev/minScale': 1 } }, { ready: 1, within });
  const instance = await serve('namespaces: {/: {events: {}}}\n', { within, args: ['--broker', 'memory'] });
  t.after(() => instance.close());
  for (const { port } of [service, instance]) {
    const sockets = Array.from({ length: 200 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    sockets.at(-1).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await Promise.race([once(sockets.at(-1), 'data'), sleep(3000).then(() => assert.fail('no answer'))]);
  }
});
