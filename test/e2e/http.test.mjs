// http: what one instance answers to plain HTTP.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { serve, sleep, temporary, until } from './lib.mjs';

const quickly = { timeout: 60000 };
const large = crypto.randomBytes(3000000);
let directory, instance;

before(async () => {
  directory = temporary();
  fs.writeFileSync(path.join(directory, 'index.html'), '<h1>hi</h1>\n');
  fs.writeFileSync(path.join(directory, 'large.png'), large);
  fs.writeFileSync(path.join(directory, 'larger.png'), crypto.randomBytes(4000000));
  instance = await serve(`static: ${directory}\nnamespaces: {/: {events: {}}}\n`, { args: ['--broker', 'memory'] });
});

after(async () => {
  await instance.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

// Sends bytes, reads from `pause` ms later on, and gives back what came until the end.
async function raw(bytes, { ms = 5000, pause = 0 } = {}) {
  const socket = net.connect(instance.port, '127.0.0.1'), got = [];
  let ended = false;
  socket.on('error', () => (ended = true));
  socket.on('close', () => (ended = true));
  socket.write(bytes);
  await sleep(pause);
  socket.on('data', (data) => got.push(data));
  await until('the end', () => ended, ms).catch(() => {});
  socket.destroy();
  return { got: Buffer.concat(got).toString('latin1'), ended };
}

const get = (where, more = '', method = 'GET') => `${method} ${where} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const last = 'Connection: close\r\n';

test('HEAD has no body, wherever the answer comes from', quickly, async () => {
  for (const where of ['/', '/health', '/ready', '/metrics', '/nothing', '/socket.io/socket.io.js', '/socket.io/?EIO=4&transport=polling']) {
    const { got } = await raw(get(where, '', 'HEAD') + get('/health', last));
    const [first, second, body] = got.split('\r\n\r\n');
    assert.match(first, /^HTTP\/1\.1 \d+ [^]*Content-Length: [1-9]/, where);
    assert.match(second, /^HTTP\/1\.1 200 OK\r\n/, where);
    assert.equal(body, 'alive\n', where);
  }
});

test('one that speaks HTTP/1.0 gets one answer, and the end', quickly, async () => {
  const { got, ended } = await raw('GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.match(got, /Connection: close\r\n\r\nalive\n$/);
  assert.ok(ended);
});

test('many large files in one go, read late: all of them arrive', quickly, async () => {
  const { got, ended } = await raw(get('/large.png').repeat(9) + get('/ready') + get('/large.png') + get('/health', last), { pause: 1500 });
  assert.ok(ended);
  assert.equal(got.split('HTTP/1.1 200 OK\r\n').length - 1, 12);
  assert.equal(got.split(large.toString('latin1')).length - 1, 10);
  assert.match(got.slice(-200), /alive\n$/);
});

test('a file that is too large is not there, and the log says why', quickly, async () => {
  assert.match((await raw(get('/larger.png', last))).got, /^HTTP\/1\.1 404 /);
  assert.match(instance.output, /a file cannot be served.*larger\.png: larger than 3145728 bytes/);
});

test('nothing outside the directory is served', quickly, async () => {
  const name = path.basename(directory);
  for (const where of [`/../${name}/index.html`, '/%2e%2e/etc/passwd', '//etc/passwd', '/./index.html', '/index.html/', '/index.html%00', '/..'])
    assert.match((await raw(get(where, last))).got, /^HTTP\/1\.1 404 /, where);
});
