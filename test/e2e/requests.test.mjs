// requests: trailers, ends of one half, clients that leave, bounds of a response, through `sennit up`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 30000 };
const accepted = 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
// A server that speaks raw TCP. /echo answers with the request's bytes, /slow half a second later, /trailers with trailers, /big with a length; /gone
// answers never, and says in /told how many of its connections have ended; /half ends its half of a WebSocket and counts what still comes.
const source = `
  let told = 0, open = 0, half = -1, seen = '';
  const whole = (text) => /Transfer-Encoding: chunked/.test(text) ? /\\r\\n0\\r\\n([^]*\\r\\n)?\\r\\n$/.test(text)
    : text.length >= text.indexOf('\\r\\n\\r\\n') + 4 + Number(/content-length: (\\d+)/i.exec(text)?.[1] ?? 0);
  require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
    let text = '', answered = false;
    socket.on('error', () => {});
    const answer = (body, more = '') => socket.end('HTTP/1.1 200 OK\\r\\n' + more + 'Content-Length: ' + body.length + '\\r\\n\\r\\n' + body, 'latin1');
    socket.on('data', (data) => {
      text += data.toString('latin1');
      seen += text;
      if (/^POST \\/echo[^]*Expect: 100-continue\\r\\n[^]*\\r\\n\\r\\n$/.test(text)) socket.write('HTTP/1.1 100 Continue\\r\\n\\r\\n');
      if (/^POST \\/417/.test(text)) answered = socket.end('HTTP/1.1 417 No\\r\\nContent-Length: 0\\r\\n\\r\\n');
      if (answered || !text.includes('\\r\\n\\r\\n') || !whole(text)) return;
      answered = true;
      const path = text.split(' ')[1];
      if (path.includes('echo')) answer(text);
      if (path === '/slow') setTimeout(() => answer(text), 500);
      if (path === '/trailers') socket.end('HTTP/1.1 200 OK\\r\\nTrailer: X-Sum\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n0\\r\\nX-Sum:  abc\\r\\nSet-Cookie: a=b\\r\\nContent-Length: 3\\r\\n\\r\\n');
      if (path === '/101') socket.write(${JSON.stringify(accepted)});
      if (path === '/told') answer(JSON.stringify({ told, open, half, smuggled: seen.includes('smuggled') }));
      if (path.startsWith('/length/')) socket.write('HTTP/1.1 200 OK\\r\\nContent-Length: ' + path.slice(8) + '\\r\\n\\r\\n');
      if (path === '/gone' || path === '/late') {
        open++;
        const over = () => { told++; open--; };
        socket.on('end', () => { over(); socket.destroy(); });
        if (path === '/late') setTimeout(() => answer('x'.repeat(300000)), 1500);
      }
      if (path === '/half') {
        socket.end(${JSON.stringify(accepted)} + 'bye');
        half = 0;
        socket.on('data', (more) => (half += more.length));
      }
    });
  }).listen(process.env.PORT);`;

const directory = temporary();
const start = (flags = [], concurrency = 20) => {
  fs.writeFileSync(path.join(directory, 'server.cjs'), source);
  return up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, concurrency, timeout: 10,
    annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { ready: 1, flags });
};
let service;
before(async () => (service = await start()));
after(async () => {
  await service.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

// A connection that keeps its own half open when the other one ends.
function connect(port = service.port) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.got = '';
  socket.on('data', (data) => (socket.got += data.toString('latin1')));
  socket.on('error', () => {});
  socket.on('end', () => (socket.over = true));
  socket.on('close', () => (socket.over = true));
  return socket;
}
async function say(bytes, { port, end = false } = {}) {
  const socket = connect(port);
  socket.write(bytes, 'latin1');
  if (end) socket.end();
  await until('the answer', () => socket.over);
  socket.destroy();
  return socket.got;
}
const told = async (one = service) => (await fetch(`${one.url}/told`)).json();
const counters = async (one = service) => (await one.status_()).counters;
const taken = async (one = service) => (await one.instances())[0].requests;

test('trailers pass both ways, but for those that would change the message', quickly, async () => {
  const before = (await counters()).trailers_dropped;
  const chunked = (version, trailers) => `POST /echo HTTP/${version}\r\nHost: a\r\nConnection: close, TE\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n` +
    `3\r\nabc\r\n0\r\n${trailers}\r\n`;
  const allowed = 'X-Sum: abc\r\nServer-Timing: db;dur=53\r\nContent-Digest: sha-256=:abc:\r\n';
  const forbidden = ['Host: evil', 'Content-Length: 1', 'transfer-encoding: chunked', 'Authorization: x', 'Cookie: a', 'X-Forwarded-For: 1.2.3.4', 'x_forwarded_for: 1', 'K-Service: x',
    'If-Match: x', 'Content-Type: x', 'Trailer: x', 'Connection: x'];
  const got = await say(chunked('1.1', `${allowed}${forbidden.join('\r\n')}\r\n`));
  const request = got.slice(got.indexOf('\r\n\r\n') + 4);
  assert.match(request, /^POST \/echo HTTP\/1\.1\r\n/);
  assert.match(request, /\r\nTE: trailers\r\n/);
  assert.match(request, /\r\nTrailer: X-Sum\r\n/);
  assert.equal(request.slice(request.indexOf('\r\n\r\n') + 4), `3\r\nabc\r\n0\r\n${allowed}\r\n`);
  assert.equal((await counters()).trailers_dropped - before, forbidden.length);
  await until('the log says so', () => /a trailer that frames[^"]*6\.5\.1\): send it as a field of the head: Host"/.test(service.output));
  const response = await say('GET /trailers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(response, /\r\nTrailer: X-Sum\r\n/);
  assert.match(response, /\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n$/);
  assert.equal((await counters()).trailers_dropped - before, forbidden.length + 2);
  const older = await say('GET /trailers HTTP/1.0\r\n\r\n');
  assert.match(older, /\r\n\r\nhello$/);
  assert.ok(!older.includes('Trailer'));
});

test('a client that ends its half behind its request gets the response', quickly, async () => {
  assert.match(await say('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n', { end: true }), /^HTTP\/1\.1 200 [^]*GET \/slow/);
  assert.match(await say('GET /slow HTTP/1.0\r\n\r\n', { end: true }), /^HTTP\/1\.1 200 [^]*GET \/slow/);
  const body = 'b'.repeat(200000);
  assert.ok((await say(`POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`, { end: true })).endsWith(body));
  assert.match(await say('POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', { end: true }), /^HTTP\/1\.1 200 [^]*abc/);
  const two = await say('GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n', { end: true });
  assert.equal(two.match(/HTTP\/1\.1 200 /g).length, 2);
});

test('in the queue too, unless its request will never be whole', quickly, async (t) => {
  const one = await start([], 1);
  t.after(() => one.close());
  const hold = connect(one.port);
  hold.write('GET /late HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('the slot is taken', async () => (await taken(one)) === 1);
  const queued = async () => (await one.status_()).queued;
  const whole = [connect(one.port), connect(one.port)];
  whole[0].end(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`);
  whole[1].end(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n${'a'.repeat(60000)}`);
  const parts = [connect(one.port), connect(one.port), connect(one.port)];
  parts[0].end('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc');
  parts[1].end(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60001\r\n\r\n${'a'.repeat(60000)}`);
  parts[2].end('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n');
  await until('those that are not whole have left', () => parts.every((socket) => socket.over));
  assert.equal(await queued(), 2);
  assert.ok(whole.every((socket) => !socket.over));
  hold.destroy(); // its request holds the slot until the answer
  await until('both have their answers', () => whole.every((socket) => socket.over && /^HTTP\/1\.1 200 [^]*(aaa|abc)$/.test(socket.got)), 5000);
});

test('the instance is not told that a client has left, as on Cloud Run; the slot is taken until it answers', quickly, async () => {
  const { clients_left: before } = await counters(), was = await told();
  const sockets = [connect(), connect()];
  for (const socket of sockets) socket.write('GET /late HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('the instance has them', async () => (await told()).open === was.open + 2);
  sockets[0].resetAndDestroy();
  sockets[1].destroy();
  await sleep(200);
  const now = await told();
  assert.deepEqual([now.told, now.open], [was.told, was.open + 2]);
  assert.ok((await taken()) >= 2);
  await until('the slots are free', async () => (await taken()) === 0, 3000);
  await until('both are told of', () => service.output.split('\n').filter((line) => /"path":"\/late"/.test(line) && /"ended_by":"client"/.test(line)).length === 2);
  assert.ok((await counters()).clients_left >= before + 1);
});

test('--propagate-disconnect: it is told at once', quickly, async (t) => {
  const one = await start(['--propagate-disconnect']);
  t.after(() => one.close());
  for (const leave of [(socket) => socket.resetAndDestroy(), (socket) => socket.end()]) {
    const was = await told(one), socket = connect(one.port);
    socket.write('GET /gone HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the instance has it', async () => (await told(one)).open === was.open + 1);
    leave(socket);
    await until('it is told', async () => (await told(one)).told === was.told + 1, 3000);
    await until('the slot is free', async () => (await taken(one)) === 0, 3000);
  }
});

test('a response that announces more than 32 MiB is refused; a stream has no bound', quickly, async () => {
  const most = 32 * 1024 * 1024;
  const got = await say(`GET /length/${most + 1} HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.match(got, /^HTTP\/1\.1 500 [^]*X-Sennit-Reason: response-too-large\r\n[^]*Response size was too large[^]*chunked/);
  const socket = connect();
  socket.write(`GET /length/${most} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until('the head', () => /^HTTP\/1\.1 200 [^]*\r\n\r\n$/.test(socket.got));
  socket.destroy();
  const head = connect();
  head.write(`HEAD /length/${most + 1} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until('the head', () => /^HTTP\/1\.1 200 /.test(head.got));
  head.destroy();
});

test('an instance that ends its half of a WebSocket still gets what its client sends before it ends', quickly, async () => {
  const socket = connect();
  socket.write('GET /half HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await until('its last words', () => socket.over && socket.got.endsWith('\r\n\r\nbye'));
  socket.write(Buffer.alloc(100000));
  await sleep(50);
  socket.end(Buffer.alloc(50000));
  await until('the instance has all of it', async () => (await told()).half === 150000);
});

test('Expect: 100-continue is the instance\'s to answer', quickly, async () => {
  const ask = (where) => {
    const socket = connect();
    socket.write(`POST ${where} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n`);
    return socket;
  };
  const goes = ask('/echo');
  await until('it may go on', () => goes.got === 'HTTP/1.1 100 Continue\r\n\r\n');
  goes.write('abc');
  await until('the response', () => goes.over);
  assert.match(goes.got, /\r\n\r\nHTTP\/1\.1 200 [^]*abc$/);
  const stops = ask('/417');
  await until('the response', () => stops.over);
  assert.match(stops.got, /^HTTP\/1\.1 417 /);
});

const websocket = (more = '', version = 13) => `Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
const hidden = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

test('an upgrade opens no tunnel past the ingress', quickly, async () => {
  const refused = {
    'another version': [`GET /101 HTTP/1.1\r\n${websocket('', 12)}`, /^HTTP\/1\.1 400 [^]*malformed-handshake/],
    'a 101 that nobody asked for': ['GET /101 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 503 [^]*malformed-response/],
    'a POST': [`POST /101 HTTP/1.1\r\n${websocket('Content-Length: 0\r\n')}`, /^HTTP\/1\.1 503 [^]*malformed-response/],
    'a handshake with a body': [`GET /101 HTTP/1.1\r\n${websocket('Content-Length: 1\r\n')}x`, /^HTTP\/1\.1 503 [^]*malformed-response/],
    'one that the instance answers with something else': [`GET /echo HTTP/1.1\r\n${websocket()}`, /^HTTP\/1\.1 200 /],
  };
  for (const [what, [bytes, expected]] of Object.entries(refused)) {
    const got = await say(bytes + hidden);
    assert.match(got, expected, what);
    assert.equal(got.match(/^HTTP\/1\.1 \d/gm).length, 1, what);
  }
  const h2c = await say('GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n');
  assert.match(h2c, /^HTTP\/1\.1 200 /);
  assert.ok(!/h2c|HTTP2-Settings/i.test(h2c), h2c);
  assert.equal((await told()).smuggled, false);
});

test('what a client sends behind its handshake waits for the 101', quickly, async () => {
  const socket = connect();
  socket.write(`GET /half HTTP/1.1\r\n${websocket()}early`);
  await until('its last words', () => socket.over);
  socket.end();
  await until('the instance has it', async () => (await told()).half === 5);
});

test('odd but valid requests pass as they came', quickly, async () => {
  const long = `Content-Length${'0'.repeat(256)}`; // its name's length is 0x10e: not 0x0e to anybody
  for (const target of ['//echo//x', '/a%2fecho%2F..%2f', '/echo;b=c?d=/../e', '/echo%00']) {
    const got = await say(`GET ${target} HTTP/1.1\r\nHost: a\r\n${long}: 7\r\nConnection: close\r\n\r\n`);
    assert.ok(got.includes(`\r\n\r\nGET ${target} HTTP/1.1\r\n`) && got.includes(`${long}: 7\r\n`), got);
  }
});
