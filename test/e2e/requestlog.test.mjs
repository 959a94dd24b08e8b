// requestlog: every request through `sennit up` leaves one line, which says who ended it and why.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const accepted = 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
const source = `
  require('node:net').createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      const path = String(data).split(' ')[1];
      if (path === '/ok') return socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok');
      if (path.startsWith('/bad')) return socket.end('HTTP/1.1 500 Oh\\r\\nContent-Length: 2\\r\\n\\r\\nno');
      if (path === '/short') return socket.write('HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nsome', () => socket.resetAndDestroy());
      if (path === '/odd') return socket.end(Buffer.from('HTTP/1.1 200 OK\\r\\nX-Name: caf\\xe9\\r\\nContent-Length: 2\\r\\n\\r\\nok', 'latin1'));
      if (path === '/twice') return socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Length: 3\\r\\n\\r\\nok');
      if (path === '/wrong') return socket.write(${JSON.stringify(accepted)}.replace('s3pP', 'AAAA'));
      if (path.startsWith('/ws')) socket.write(${JSON.stringify(accepted)});
      if (path === '/ws-bye') setTimeout(() => socket.end('bye'), 50);
    });
  }).listen(process.env.PORT);`;

async function start(t, flags, timeout = 3) {
  const directory = temporary();
  fs.writeFileSync(path.join(directory, 'server.cjs'), source);
  const service = await up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, concurrency: 1, timeout,
    annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { ready: 1, flags });
  t.after(async () => {
    await service.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  service.lines = () => service.output.split('\n').filter((line) => line.includes('"message":"request"')).map((line) => JSON.parse(line));
  return service;
}

const get = (target, more = '') => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const handshake = (target) => get(target, 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n');

// Sends bytes, waits for the next line, and gives it back.
async function line(service, bytes, act = () => {}) {
  const before = service.lines().length;
  const socket = net.connect(service.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.write(bytes);
  await act(socket);
  await until('a line', () => service.lines().length > before);
  socket.destroy();
  assert.equal(service.lines().length, before + 1, 'one request, one line');
  return service.lines().at(-1);
}

test('a line says what was asked and answered, by which instance, and who ended it', quickly, async (t) => {
  const service = await start(t, ['--propagate-disconnect']);
  const [{ id }] = await service.instances();
  const has = (one, expected) => assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, one[key]])), expected);
  const ok = await line(service, get('/ok', 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n'));
  has(ok, { severity: 'INFO', method: 'GET', path: '/ok', status: 200, instance: id, in: 0, out: 2, peer: '127.0.0.1', ended_by: 'instance',
    why: 'answered', 'logging.googleapis.com/trace': '0af7651916cd43dd8448eb211c80319c' });
  has(await line(service, get('/bad?x=1')), { severity: 'ERROR', path: '/bad?x=1', status: 500, ended_by: 'instance' });
  has(await line(service, get('/short')), { severity: 'WARNING', path: '/short', status: 200, out: 4, ended_by: 'instance' });
  const odd = await line(service, get('/odd'));
  has(odd, { severity: 'WARNING', status: 200, ended_by: 'instance' });
  assert.match(odd.detail, /Cloud Run.*X-Name: caf/);
  const twice = await line(service, get('/twice'));
  has(twice, { severity: 'ERROR', status: 503, reason: 'malformed-response', ended_by: 'ingress', instance: id });
  assert.match(twice.detail, /Content-Length is one number, once: 3/);
  assert.match((await line(service, handshake('/wrong'))).detail, /Sec-WebSocket-Accept: AAAAL/);
  const client = await line(service, handshake('/ws'), async (socket) => {
    await once(socket, 'data');
    socket.write('hello');
    await sleep(100);
    socket.destroy();
  });
  has(client, { severity: 'INFO', status: 101, in: 5, ended_by: 'client' });
  has(await line(service, handshake('/ws-bye')), { severity: 'INFO', status: 101, out: 3, ended_by: 'instance' });
  const left = await line(service, get('/never'), async (socket) => {
    await sleep(200);
    socket.destroy();
  });
  has(left, { severity: 'INFO', path: '/never', status: 0, ended_by: 'client' });
  const malformed = await line(service, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  has(malformed, { severity: 'WARNING', method: 'GET', path: '/', status: 400, reason: 'malformed-request', detail: 'Host stands once: b' });
  has(await line(service, 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n'), { method: '', path: '', status: 400 }); // what cannot be a target is in the detail alone
  has(await line(service, 'GE\x01T / HTTP/1.1\r\nHost: a\r\n\r\n'), { method: '', path: '', status: 400 });
  has(await line(service, 'POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n'), { method: 'POST', path: '/large', status: 413, reason: 'request-too-large' });
});

test('a WebSocket that is cut at the timeout has a line, and so has a request that got no answer', quickly, async (t) => {
  const service = await start(t, [], 2);
  const socket = net.connect(service.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(handshake('/ws'));
  await once(socket, 'data');
  socket.resume();
  const other = net.connect(service.port, '127.0.0.1');
  other.on('error', () => {});
  other.resume();
  other.write(get('/x'));
  await until('both', () => service.lines().length === 2);
  const refused = service.lines().find((one) => one.path === '/x');
  assert.deepEqual([refused.status, refused.reason, refused.ended_by], [504, 'request-timeout', 'ingress']);
  const cut = service.lines().find((one) => one.path === '/ws');
  assert.deepEqual([cut.status, cut.ended_by, cut.severity], [101, 'ingress', 'WARNING']);
  assert.match(cut.why, /maximum request timeout: raise timeoutSeconds/);
  assert.ok(cut.ms >= 2000 && cut.ms < 4000, `${cut.ms}`);
});

test('it can be quiet', quickly, async (t) => {
  const failed = await start(t, ['--request-log', 'failed']), none = await start(t, ['--request-log', 'none']);
  for (const service of [failed, none]) for (const target of ['/ok', '/bad']) await (await fetch(service.url + target)).text();
  await until('the failed one', () => failed.lines().length > 0);
  assert.deepEqual(failed.lines().map((one) => one.path), ['/bad']);
  assert.deepEqual(none.lines(), []);
});
