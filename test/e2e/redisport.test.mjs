// redisport: REDISHOST and REDISPORT lead to the managed Redis, for processes of its user alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { serviceYaml, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const mirror = `${process.execPath} -e "require('node:http').createServer((request, response) => response.end(JSON.stringify(process.env))).listen(process.env.PORT)"`;

async function place(t) {
  const service = await up(serviceYaml({ run: mirror, annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 1 } }), { ready: 1 });
  t.after(() => service.close());
  const env = await (await fetch(service.url)).json();
  assert.equal(env.REDISHOST, '127.0.0.1');
  return { service, port: Number(env.REDISPORT) };
}
async function connect(t, port) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.text = '';
  socket.on('data', (data) => (socket.text += data.toString('latin1')));
  return socket;
}

test('commands and large answers pass, both ways', quickly, async (t) => {
  const { port } = await place(t), socket = await connect(t, port), size = 4 << 20;
  socket.write('PING\r\n');
  await until('an answer', () => socket.text === '+PONG\r\n');
  socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${size}\r\n${'x'.repeat(size)}\r\n`);
  await until('it is set', () => socket.text.endsWith('+OK\r\n'));
  socket.text = '';
  socket.pause();
  for (let i = 0; i < 4; i++) socket.write('GET k\r\n');
  await new Promise((resolve) => setTimeout(resolve, 300));
  socket.resume();
  await until('all of it', () => socket.text.length === 4 * (`$${size}\r\n`.length + size + 2));
});

test('when Redis ends, the connection does, and the next one finds it again', quickly, async (t) => {
  const { service, port } = await place(t), socket = await connect(t, port);
  socket.write('PING\r\n');
  await until('an answer', () => socket.text === '+PONG\r\n');
  process.kill((await service.status_()).redis.pid, 'SIGKILL');
  await once(socket, 'close');
  await until('it is back', async () => {
    const next = await connect(t, port);
    next.write('PING\r\n');
    await Promise.race([once(next, 'data'), once(next, 'close')]);
    return next.text === '+PONG\r\n';
  });
});

test('another user gets an error and nothing else', { ...quickly, skip: process.getuid() !== 0 && 'this is not root' }, async (t) => {
  // Root may ask as anybody; what it starts as another user may not.
  const service = await up(serviceYaml({ run: mirror, annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 1 } }), { ready: 1 });
  t.after(() => service.close());
  const { REDISPORT } = await (await fetch(service.url)).json();
  const ask = (uid) => spawnSync(process.execPath, ['-e', `const socket = require('node:net').connect(${REDISPORT}, '127.0.0.1', () => socket.write('PING\\r\\n')); socket.on('error', () => {}).pipe(process.stdout); setTimeout(() => process.exit(), 1000)`], { uid, encoding: 'utf8', cwd: '/' }).stdout;
  assert.match(ask(0), /^\+PONG/);
  assert.match(ask(65534), /^-NOPERM this Redis is for processes of the user who runs sennit up\r\n$/);
  await until('it is told', () => /a connection to REDISPORT is refused/.test(service.output));
  assert.equal((await service.status_()).redis.port_refused, 1);
});
