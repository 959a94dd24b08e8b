// http: what one instance answers to plain HTTP.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { redis, redisClient, sennit, serve, sleep, temporary, until } from './lib.mjs';

const quickly = { timeout: 60000 };
const large = crypto.randomBytes(3000000);
const larger = crypto.randomBytes(40000000);
let directory, instance;

before(async () => {
  directory = temporary();
  fs.writeFileSync(path.join(directory, 'index.html'), '<h1>hi</h1>\n');
  fs.writeFileSync(path.join(directory, 'large.png'), large);
  fs.writeFileSync(path.join(directory, 'larger.png'), larger);
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

const get = (where, more = '', method = 'GET') => `${method} ${where} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
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

test('a file of any size arrives whole, and others are served meanwhile', quickly, async () => {
  const [answer, health] = await Promise.all([fetch(`${instance.url}/larger.png`), fetch(`${instance.url}/health`)]);
  assert.equal(await health.text(), 'alive\n');
  assert.equal(Buffer.compare(Buffer.from(await answer.arrayBuffer()), larger), 0);
});

test('one who has said all he says gets all of the answer', quickly, async () => {
  const socket = net.connect({ port: instance.port, host: '127.0.0.1', allowHalfOpen: true }), got = [];
  socket.on('data', (data) => got.push(data));
  socket.end(get('/large.png'));
  await new Promise((resolve) => socket.on('close', resolve));
  assert.ok(Buffer.concat(got).includes(large));
});

test('entity tags, dates and ranges', quickly, async () => {
  const file = (name) => `${instance.url}/${name}`;
  for (const name of ['index.html', 'larger.png', 'socket.io/socket.io.js']) {
    const unpacked = { 'accept-encoding': 'identity' }; // deflate.test.mjs asks for gzip
    const head = await fetch(file(name), { method: 'HEAD', headers: unpacked });
    const etag = head.headers.get('etag'), modified = head.headers.get('last-modified'), size = Number(head.headers.get('content-length'));
    assert.match(etag, /^"[^"]+"$/);
    assert.equal(head.headers.get('accept-ranges'), 'bytes');
    assert.match(head.headers.get('cache-control'), /no-cache|max-age=0/);
    const plain = async (headers) => {
      const answer = await fetch(file(name), { headers: { ...unpacked, ...headers } });
      return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
    };
    const same = await plain({ 'if-none-match': `"other", ${etag}` });
    assert.deepEqual([same.status, same.body.length, same.headers.get('etag')], [304, 0, etag]);
    assert.equal((await plain({ 'if-modified-since': modified })).status, 304);
    assert.equal((await plain({ 'if-none-match': '"other"', 'if-modified-since': modified })).status, 200);
    const whole = (await plain({})).body;
    assert.equal(whole.length, size);
    const part = await plain({ range: 'bytes=3-9' });
    assert.deepEqual([part.status, part.headers.get('content-range')], [206, `bytes 3-9/${size}`]);
    assert.deepEqual(part.body, whole.subarray(3, 10));
    assert.deepEqual((await plain({ range: 'bytes=-5', 'if-range': etag })).body, whole.subarray(-5));
    assert.equal((await plain({ range: 'bytes=-5', 'if-range': '"other"' })).status, 200);
    const beyond = await plain({ range: `bytes=${size}-` });
    assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, `bytes */${size}`]);
  }
});

test('a file that changes on the disk is served as it is now', quickly, async () => {
  const file = path.join(directory, 'changing.txt'), url = `${instance.url}/changing.txt`;
  const tags = new Set();
  for (let n = 0; n < 20; n++) {
    fs.writeFileSync(file, `version ${n % 10}`); // of one length, within the same moment
    const answer = await fetch(url);
    assert.equal(await answer.text(), `version ${n % 10}`);
    tags.add(answer.headers.get('etag'));
  }
  assert.equal(tags.size, 10);
  fs.unlinkSync(file);
  assert.equal((await fetch(url)).status, 404);
});

test('a file that is cut while it is sent ends its connection', quickly, async () => {
  const file = path.join(directory, 'cut.bin');
  fs.writeFileSync(file, larger);
  const socket = net.connect(instance.port, '127.0.0.1');
  let got = 0, ended = false;
  socket.on('error', () => {});
  socket.on('close', () => (ended = true));
  socket.write(get('/cut.bin'));
  await new Promise((resolve) => socket.once('readable', resolve));
  await sleep(100);
  fs.truncateSync(file, 1000);
  socket.on('data', (data) => (got += data.length));
  await until('it ends', () => ended);
  assert.ok(got < larger.length);
  assert.match(await (await fetch(`${instance.url}/metrics`)).text(), /sennit_closes_total{reason="body_cut"} 1\n/);
});

const resident = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);

test('two hundred who ask for large files and read nothing, or ask on and on, cost next to nothing', quickly, async () => {
  const before = resident(instance.pid), sockets = [];
  const asks = [get('/larger.png').repeat(2), get('/large.png').repeat(1000), get('/larger.png', 'Range: bytes=5-\r\n'),
    get('/large.png').repeat(900) + 'GET / HTTP/1.1\r\nX: ' + 'y'.repeat(20000), 'GET / HTTP/1.1\r\nX: ' + 'y'.repeat(60000)];
  try {
    for (let n = 0; n < 200; n++) {
      const socket = net.connect(instance.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.pause();
      socket.write(asks[n % asks.length]);
      sockets.push(socket);
    }
    await until('they are connected', async () => (await instance.metric('connections')) >= 150);
    await sleep(1000);
    const after = resident(instance.pid);
    // A sanitizer's allocator keeps what was freed.
    if (!sennit.includes('asan')) assert.ok(after < 2 * before + 4096, `${before} KiB before, ${after} KiB after`);
    const metrics = await (await fetch(`${instance.url}/metrics`)).text();
    assert.match(metrics, /sennit_refusals_total{reason="requests_full"} [1-9]/);
    assert.equal(await (await fetch(`${instance.url}/health`)).text(), 'alive\n');
  } finally {
    sockets.forEach((socket) => socket.destroy());
  }
});

test('every answer says what a browser may do with it, and repeats nothing that it was sent', quickly, async () => {
  const asked = '<script>alert(1)</script>';
  for (const [bytes, status] of [[get('/', last), 200], [get('/socket.io/socket.io.js', last), 200], [get('/health', last), 200], [get('/none', last), 404],
    [get(`/${asked}`, last), 404], [get(`/socket.io/${asked}?EIO=4&transport=${asked}`, last), 400], [get(`/socket.io/?EIO=${asked}&transport=websocket`, last), 400],
    [get('/', `X: ${asked}\r\nX\r\n`), 400], [get('/', last, 'DELETE'), 405], [get('/metrics', `X-Forwarded-For: ${asked}\r\n`), 403]]) {
    const { got } = await raw(bytes);
    assert.match(got, new RegExp(`^HTTP/1\\.1 ${status} `), bytes);
    assert.match(got, /\r\nX-Content-Type-Options: nosniff\r\n/, bytes);
    assert.match(got, /\r\nContent-Security-Policy: [^\r]*frame-ancestors 'self'\r\n/, bytes);
    assert.match(got, /\r\nReferrer-Policy: /, bytes);
    assert.ok(!got.includes(asked), bytes);
  }
});

const handshake = (more) => get('/socket.io/?EIO=4&transport=websocket',
  `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}`);

test('a page of another site opens no WebSocket', quickly, async () => {
  for (const more of ['', 'Origin: http://localhost\r\n', 'Origin: https://LOCALHOST\r\n'])
    assert.match((await raw(handshake(more), { ms: 1000 })).got, /^HTTP\/1\.1 101 /, more);
  for (const more of ['Origin: https://evil.example\r\n', 'Origin: null\r\n', 'Origin: http://localhost:1234\r\n']) {
    const { got, ended } = await raw(handshake(more));
    assert.match(got, /^HTTP\/1\.1 403 [^]*`origins:`/, more);
    assert.ok(ended);
  }
  assert.match(instance.output, /"reason":"origin"[^\n]*evil\.example/);
});

test('the operator reads the metrics, and nobody else', quickly, async () => {
  assert.match((await raw(get('/metrics', last))).got, /^HTTP\/1\.1 200 /);
  for (const more of ['X-Forwarded-For: 127.0.0.1\r\n', 'Forwarded: for=127.0.0.1\r\n'])
    assert.match((await raw(get('/metrics', more))).got, /^HTTP\/1\.1 403 [^]*SENNIT_ADMIN_TOKEN/, more);
  const guarded = await serve('namespaces: {/: {events: {}}}\n', { args: ['--broker', 'memory'], env: { SENNIT_ADMIN_TOKEN: 'a secret that is long'.replaceAll(' ', '-') } });
  try {
    const ask = async (headers) => (await fetch(`${guarded.url}/metrics`, { headers })).status;
    assert.equal(await ask({ 'x-forwarded-for': '8.8.8.8', authorization: 'Bearer a-secret-that-is-long' }), 200);
    assert.equal(await ask({ 'x-forwarded-for': '8.8.8.8', authorization: 'Bearer a-secret-that-is-lonG' }), 401);
    assert.equal(await ask({ 'x-forwarded-for': '8.8.8.8' }), 401);
  } finally {
    await guarded.close();
  }
});

test('whoever asks often whether it is ready does not ask the broker often', quickly, async () => {
  const server = await redis(), ready = await serve('namespaces: {/: {events: {}}}\n', { redisUrl: server.url });
  const published = () => Number(execFileSync(redisClient, ['-p', String(server.port), 'info', 'commandstats']).toString().match(/cmdstat_publish:calls=(\d+)/)?.[1] ?? 0);
  try {
    await until('it is ready', async () => (await fetch(`${ready.url}/ready`)).status === 200);
    const before = published(), began = Date.now();
    for (let n = 0; n < 500; n++) assert.equal(await (await fetch(`${ready.url}/ready`)).text(), 'ready\n');
    const ms = Date.now() - began, asked = published() - before;
    assert.ok(asked >= 1 && asked <= ms / 100 + ms / 400 + 3, `${asked} in ${ms} ms`); // the fleet's own pulse publishes, too
  } finally {
    await ready.close();
    await server.close();
  }
});

test('nothing outside the directory is served', quickly, async () => {
  const name = path.basename(directory);
  for (const where of [`/../${name}/index.html`, '/%2e%2e/etc/passwd', '//etc/passwd', '/./index.html', '/index.html/', '/index.html%00', '/..'])
    assert.match((await raw(get(where, last))).got, /^HTTP\/1\.1 404 /, where);
});

test('without static files, a person is told what runs here, and a path that is not there names the cure', quickly, async (t) => {
  const bare = await serve('namespaces:\n  /: {events: {msg: {to: everyone}}}\n', { args: ['--broker', 'memory'] });
  t.after(() => bare.close());
  const text = await fetch(`${bare.url}/`), html = await fetch(`${bare.url}/`, { headers: { Accept: 'text/html,application/xml;q=0.9' } });
  assert.match(text.headers.get('content-type'), /^text\/plain/);
  assert.match(html.headers.get('content-type'), /^text\/html/);
  for (const body of [await text.text(), await html.text()])
    for (const part of [/Sennit \d+\.\d+/, /\/socket\.io\//, /io\(/, /\/health/, /\/ready/, /\/metrics/, /docs/]) assert.match(body, part);
  const absent = await fetch(`${bare.url}/none`);
  assert.equal(absent.status, 404);
  assert.match(await absent.text(), /`static:`/);
  assert.match(await (await fetch(`${bare.url}/metrics`)).text(), /sennit_refusals_total{reason="not_found"} 1\n/);
});
