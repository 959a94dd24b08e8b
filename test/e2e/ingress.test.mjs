// ingress: HTTP in all the shapes that clients and instances give it, through `sennit up`.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const source = `
  const crypto = require('node:crypto'), seen = [];
  const server = require('node:http').createServer((request, response) => {
    seen.push(request.url);
    if (request.url === '/seen') return response.end(JSON.stringify(seen));
    if (request.url === '/headers') return response.end(JSON.stringify({ ...request.headers, raw: request.rawHeaders }));
    if (request.url === '/hang') return;
    const url = new URL(request.url, 'http://localhost'), size = Number(url.searchParams.get('size'));
    if (url.pathname === '/stream') { // of no announced length
      let left = size;
      const go = () => {
        while (left > 0) {
          const step = Math.min(left, 65536);
          left -= step;
          if (!response.write(Buffer.alloc(step, 97))) return response.once('drain', go);
        }
        response.end();
      };
      return go();
    }
    if (url.pathname === '/refuse') return response.writeHead(413, { connection: 'close' }).end('too much', () => setTimeout(() => request.socket.destroy(), 5));
    if (url.pathname === '/early') return response.writeHead(413).end('no');
    if (url.pathname === '/hints') {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      return response.end('hinted');
    }
    const body = crypto.createHash('sha1');
    let got = 0;
    request.on('data', (data) => { body.update(data); got += data.length; });
    request.on('end', () => response.end(JSON.stringify({ url: request.url, got, hash: body.digest('hex') })));
  });
  server.on('upgrade', (request, socket, head) => {
    const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
    socket.write(head);
    socket.pipe(socket);
    socket.on('error', () => {});
  });
  server.listen(process.env.PORT);`;

let service, directory;

before(async () => {
  directory = temporary();
  fs.writeFileSync(path.join(directory, 'server.cjs'), source);
  service = await up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, timeout: 20,
    annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { ready: 1 });
});

after(async () => {
  await service.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

// Every slot is free again.
const free = () => until('every slot is free', async () => (await service.instances()).every((one) => one.requests === 0));

const post = (body, headers = {}) => new Promise((resolve, reject) => {
  const request = http.request(`${service.url}/post`, { method: 'POST', headers, agent: false }, (response) => {
    let text = '';
    response.on('data', (data) => (text += data));
    response.on('end', () => resolve(JSON.parse(text)));
  });
  request.on('error', reject);
  request.end(body);
});

const handshake = 'GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

test('what is larger than the buffers arrives whole, in both directions', quickly, async () => {
  for (let n = 0; n < 3; n++) {
    const response = await fetch(`${service.url}/stream?size=20000000`);
    assert.equal((await response.arrayBuffer()).byteLength, 20000000);
  }
  const body = crypto.randomBytes(10000000), hash = crypto.createHash('sha1').update(body).digest('hex');
  assert.deepEqual(await post(body), { url: '/post', got: body.length, hash });
  assert.deepEqual(await post(body, { 'transfer-encoding': 'chunked' }), { url: '/post', got: body.length, hash });
  const socket = net.connect(service.port, '127.0.0.1');
  socket.write(handshake);
  const [head] = await once(socket, 'data');
  assert.match(head.toString('latin1'), /^HTTP\/1\.1 101 /);
  let got = 0;
  socket.on('data', (data) => (got += data.length));
  for (let n = 0; n < 20; n++) socket.write(Buffer.alloc(500000));
  await until('all of it came back', () => got === 10000000);
  socket.destroy();
  await free();
});

// Sends bytes and gives back what came until the end, or until `ms` have passed.
async function raw(bytes, { ms = 5000, port = service.port } = {}) {
  const socket = net.connect(port, '127.0.0.1');
  let got = '', ended = false;
  socket.on('data', (data) => (got += data.toString('latin1')));
  socket.on('error', () => (ended = true));
  socket.on('close', () => (ended = true));
  socket.write(bytes);
  await until('the end', () => ended, ms).catch(() => {});
  socket.destroy();
  return { got, ended };
}

test('one that speaks HTTP/1.0 gets one answer, and the end', quickly, async () => {
  const kept = await raw('GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.match(kept.got, /^HTTP\/1\.1 200 [^]*Connection: close\r\n\r\n\{"url":"\/a"/);
  assert.ok(kept.ended);
  const streamed = await raw('GET /stream?size=3 HTTP/1.0\r\n\r\n');
  assert.match(streamed.got, /Connection: close\r\n\r\naaa$/);
  const hinted = await raw('GET /hints HTTP/1.0\r\n\r\n');
  assert.match(hinted.got, /^HTTP\/1\.1 200 [^]*\r\n\r\nhinted$/);
  const newer = await raw('GET /hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(newer.got, /^HTTP\/1\.1 103 [^]*\r\n\r\nHTTP\/1\.1 200 [^]*\r\n\r\nhinted$/);
  await free();
});

test('an answer that comes before the whole request was sent arrives, also from an instance that closes', quickly, async () => {
  const head = (where) => `POST ${where} HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n`;
  for (let n = 0; n < 20; n++) {
    const { got, ended } = await raw(Buffer.concat([Buffer.from(head('/refuse')), Buffer.alloc(20000000)]));
    assert.match(got, /^HTTP\/1\.1 413 [^]*too much/);
    assert.ok(ended);
  }
  const early = await raw(head('/early') + 'some of it');
  assert.match(early.got, /^HTTP\/1\.1 413 [^]*Connection: close\r\n/);
  await free();
});

test('requests in one packet are answered in order, large bodies too', quickly, async () => {
  const one = (n) => Buffer.concat([Buffer.from(`POST /${n} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n`), Buffer.alloc(1000000)]);
  const { got } = await raw(Buffer.concat([one(1), one(2), Buffer.from('GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')]));
  assert.deepEqual([...got.matchAll(/"url":"\/(\d)","got":(\d+)/g)].map((match) => [match[1], match[2]]), [['1', '1000000'], ['2', '1000000'], ['3', '0']]);
  await free();
});

// A service of one test's own.
async function upFor(t, ...rest) {
  const one = await up(...rest);
  t.after(() => one.close());
  return one;
}

test('it ends in order while somebody looks at its status page, and leaves nothing of a script behind', quickly, async (t) => {
  const one = await upFor(t, { run: `sh -c '${process.execPath} ${path.join(directory, 'server.cjs')}; echo over'`, annotations: { 'autoscaling.knative.dev/minScale': 1 } }, { ready: 1 });
  const reader = net.connect(one.statusPort, '127.0.0.1');
  reader.on('error', () => {});
  t.after(() => reader.destroy());
  await once(reader, 'connect');
  const [{ port }] = await one.instances();
  await one.stop();
  assert.equal(one.status, 0, one.output);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'the server is gone');
});

const kept = (n) => ({ 'autoscaling.knative.dev/minScale': n, 'autoscaling.knative.dev/maxScale': n });

test('one that ends as soon as it listens is not started over and over', quickly, async (t) => {
  const script = path.join(directory, 'short.cjs');
  fs.writeFileSync(script, "require('node:net').createServer().listen(process.env.PORT, () => setTimeout(() => process.exit(1), 100));");
  // With CPU all the time: without a request it would be stopped as soon as it is ready, and may not come to its end.
  const one = await upFor(t, { run: `${process.execPath} ${script}`, annotations: { ...kept(1), 'run.googleapis.com/cpu-throttling': 'false' } });
  const starts = () => one.output.match(/"instance starts"/g).length;
  await sleep(5000);
  assert.ok(starts() <= 6, `${starts()} starts in five seconds`);
  await until('it is started again', () => starts() >= 2);
});

test('instances that start together get ports of their own', quickly, async (t) => {
  const one = await upFor(t, { run: 'sleep 1000', annotations: kept(300) });
  const ports = await until('all have begun', async () => {
    const { instances } = await one.status_().catch(() => ({ instances: [] }));
    return instances.length === 300 && instances.map(({ port }) => port);
  });
  assert.equal(new Set(ports).size, 300);
});

test('whatever an instance prints, the log is one JSON object a line', quickly, async (t) => {
  const script = path.join(directory, 'noisy.cjs');
  fs.writeFileSync(script, `
    const lines = ['{foo}', '{"a":1}}', '{}', '{ }', '{"a":1}', '{"a":"\\xff"}', 'bytes \\x00\\x1b\\xff', 'x'.repeat(200000), '', 'without an end'];
    process.stdout.write(Buffer.from(lines.join('\\n'), 'latin1'));
    require('node:net').createServer().listen(process.env.PORT);`.replaceAll('\\\\', '\\'));
  const one = await upFor(t, { run: `${process.execPath} ${script}`, annotations: kept(1) }, { ready: 1 });
  await until('it has printed all', () => one.output.includes('"line":""')); // it listens while Node still has some of it
  await one.stop();
  const events = one.output.trim().split('\n').map((line) => JSON.parse(line));
  const printed = events.filter((event) => event.line !== undefined).map((event) => event.line);
  assert.deepEqual(printed.filter((line) => !line.startsWith('xx')), ['{foo}', '{"a":1}}', '{"a":"\ufffd"}', 'bytes \0\x1b\ufffd', '', 'without an end']);
  assert.equal(printed.filter((line) => line.startsWith('xx')).join('').length, 200000);
  assert.deepEqual(events.filter((event) => event.from).map(({ from, ...rest }) => rest), [{}, {}, { a: 1 }]);
});

test('workingDir is where the command begins', quickly, async (t) => {
  const one = await upFor(t, { command: [process.execPath, 'server.cjs'], workingDir: directory, annotations: kept(1) }, { ready: 1 });
  assert.equal((await fetch(`${one.url}/here`)).status, 200);
  const other = await upFor(t, { command: [process.execPath, 'server.cjs'], workingDir: 'nowhere', annotations: kept(1) });
  assert.equal(await other.ended, 1);
  assert.match(other.output, /service\.yaml: workingDir: there is no directory .*nowhere on this machine/);
});

test('a program that cannot be run is said, and not over and over', quickly, async (t) => {
  const file = path.join(directory, 'no-program');
  fs.writeFileSync(file, 'not executable');
  const one = await upFor(t, { command: [file], annotations: { 'autoscaling.knative.dev/maxScale': 2 } });
  await until('it serves', () => one.status_().then(() => true, () => false));
  const answer = await fetch(one.url);
  assert.deepEqual([answer.status, answer.headers.get('x-sennit-reason')], [500, 'instance-start-failed']);
  const always = await upFor(t, { command: [file], annotations: kept(1) });
  await sleep(4000);
  const tries = always.output.match(/an instance cannot be started.*no-program: cannot be run: Permission denied/g).length;
  assert.ok(tries >= 2 && tries <= 6, `${tries} tries in four seconds`);
});

// What two parsers could read differently: each would hide a request of its own behind it.
const hidden = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const smuggled = {
  'Content-Length beside Transfer-Encoding': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding beside Content-Length': `POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: ${hidden.length}\r\n\r\n0\r\n\r\n`,
  'two lengths': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n',
  'two equal lengths': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n',
  'a list of lengths': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 40\r\n\r\n',
  'a signed length': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n',
  'a length in hex': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n',
  'a length above 2^64': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n',
  'a length that is negative to some': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n',
  'a folded line': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
  'a folded line of another field': 'GET /p HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\tContent-Length: 40\r\n\r\n',
  'a space before the colon': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
  'two codings': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n',
  'chunked twice': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n',
  'a coding that looks like chunked': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'a vertical tab before chunked': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
  'chunked from HTTP/1.0': 'POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'two hosts': 'GET /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'two equal hosts': 'GET /p HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n',
  'a host with a comma': 'GET /p HTTP/1.1\r\nHost: a, b\r\n\r\n',
  'another host in the target': 'GET http://b/p HTTP/1.1\r\nHost: a\r\n\r\n',
  'no host': 'GET /p HTTP/1.1\r\n\r\n',
  'a bare line feed': 'GET /p HTTP/1.1\nHost: a\n\n',
  'a bare line feed within the head': 'GET /p HTTP/1.1\r\nHost: a\nContent-Length: 40\r\n\r\n',
  'a bare carriage return': 'GET /p HTTP/1.1\r\nHost: a\r\nX: 1\rContent-Length: 40\r\n\r\n',
  'a NUL in a field': 'GET /p HTTP/1.1\r\nHost: a\r\nX: 1\0\r\n\r\n',
  'a space in the target': 'GET /p /q HTTP/1.1\r\nHost: a\r\n\r\n',
  'a body of GET in HTTP/1.0': 'GET /p HTTP/1.0\r\nContent-Length: 1\r\n\r\n',
  'a body of HEAD in HTTP/1.0': 'HEAD /p HTTP/1.0\r\nContent-Length: 1\r\n\r\n',
  'a body of DELETE in HTTP/1.0': 'DELETE /p HTTP/1.0\r\nContent-Length: 1\r\n\r\n',
  'a coding behind chunked': 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'a length of no digits': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n',
  'a list of equal lengths': 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0,0\r\n\r\n',
  'a field without a name': 'GET /p HTTP/1.1\r\nHost: a\r\n: x\r\nContent-Length: 40\r\n\r\n',
  'a name above ASCII': 'GET /p HTTP/1.1\r\nHost: a\r\nX-\xe9: 1\r\n\r\n',
  'a user before the host': 'GET /p HTTP/1.1\r\nHost: a@b\r\n\r\n',
  'a user in the target': 'GET http://a@b/p HTTP/1.1\r\nHost: b\r\n\r\n',
  'two ports': 'GET /p HTTP/1.1\r\nHost: a:80:81\r\n\r\n',
  'a port of letters': 'GET /p HTTP/1.1\r\nHost: a:http\r\n\r\n',
  'a fragment in the target': 'GET /p#/q HTTP/1.1\r\nHost: a\r\n\r\n',
  'a NUL in the target': 'GET /p\0q HTTP/1.1\r\nHost: a\r\n\r\n',
};

test('requests that could hide another one are refused, and so is what follows', quickly, async () => {
  for (const [what, bytes] of Object.entries(smuggled)) {
    const { got, ended } = await raw(bytes + hidden);
    assert.match(got, /^HTTP\/1\.1 (400|413|501) [^]*X-Sennit-Reason: (malformed-request|request-too-large)\r\n/, what);
    assert.equal(got.match(/HTTP\/1\.1 \d/g).length, 1, what);
    assert.ok(ended, what);
  }
  const chunks = { 'a chunk size that wraps': '10000000000000000', 'a signed chunk size': '-1', 'a chunk size in 0x': '0x1', 'a bare line feed behind a size': '0\n\r\n',
    'an extension without an end': `1;${'a'.repeat(300)}`, 'a line feed in an extension': '0;a\nb', 'a quoted line break in an extension': '0;a="\r\n\r\n"', 'a bare carriage return in an extension': '0;a\rb',
    'something else than the last CR LF': '0', 'a trailer without a colon': '0\r\nX-Sum', 'a folded trailer': '0\r\nX-Sum: 1\r\n 2\r\n', 'a space before the colon of a trailer': '0\r\nX-Sum : 1\r\n' };
  for (const [what, size] of Object.entries(chunks)) {
    const { got, ended } = await raw(`POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${hidden}`);
    assert.match(got, /^HTTP\/1\.1 400 /, what);
    assert.ok(ended && got.match(/HTTP\/1\.1 \d/g).length === 1, what);
  }
  assert.ok(!(await (await fetch(`${service.url}/seen`)).json()).some((url) => url.includes('smuggled')));
  const { refusals } = await service.status_();
  assert.ok(refusals['malformed-request'] >= Object.keys(smuggled).length);
  assert.ok(service.output.match(/"a request was refused","[^\n]*"reason":"malformed-request"/g).length < 10, 'the log is gathered');
  await free();
});

test('what the platform alone may say is taken from the client, however it spells it', quickly, async () => {
  const lies = ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Host: evil', 'X_Forwarded_For: 6.6.6.6', 'x_forwarded-proto: https', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 1', 'Forwarded: for=6.6.6.6', 'Proxy: http://evil',
    'X-Real-IP: 6.6.6.6', 'X-Sennit-Instance: evil', 'K-Service: evil', 'Connection: close, X-Forwarded-For, Content-Length, Host'];
  const { got } = await raw(`GET /headers HTTP/1.1\r\nHost: a\r\n${lies.join('\r\n')}\r\n\r\n`);
  const headers = JSON.parse(got.slice(got.indexOf('\r\n\r\n{') + 4));
  assert.equal(headers['x-forwarded-for'], '6.6.6.6, 127.0.0.1');
  assert.equal(headers['x-forwarded-proto'], 'http');
  assert.equal(headers.host, 'a');
  assert.ok(!/evil|https|X_|x_/.test(JSON.stringify(headers)), JSON.stringify(headers));
});

// Connections that are open and do nothing of their own accord.
async function connections(t, count, port, host = '127.0.0.1', localAddress) {
  const sockets = Array.from({ length: count }, () => {
    const socket = net.connect({ port, host, localAddress });
    socket.got = '';
    socket.on('error', () => {});
    socket.on('data', (data) => (socket.got += data.toString('latin1')));
    socket.on('close', () => (socket.over = true));
    return socket;
  });
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

test('at the bound of connections, one more is told; the silent make room; nothing is kept of them', quickly, async (t) => {
  const one = await upFor(t, { run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, annotations: kept(1) }, { ready: 1, flags: ['--connections', '20'] });
  const silent = await connections(t, 10, one.port), dripping = await connections(t, 5, one.port), busy = await connections(t, 5, one.port);
  for (const socket of dripping) socket.write('GET / HTTP/1.1\r\nHo');
  for (const socket of busy) socket.write('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('the instance has them', async () => (await one.instances())[0].requests === 5);
  const full = await raw('GET /full HTTP/1.1\r\nHost: a\r\n\r\n', { port: one.port });
  assert.match(full.got, /^HTTP\/1\.1 503 [^]*X-Sennit-Reason: connections-full\r\n[^]*Retry-After: [^]*--connections/);
  await sleep(600);
  const [late] = await connections(t, 1, one.port);
  late.write('GET /late HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it is answered', () => late.got.startsWith('HTTP/1.1 200 '));
  assert.ok(silent.filter((socket) => socket.over).length > 0);
  const rest = await connections(t, 8, one.port); // each makes room for itself
  for (const socket of rest) socket.write('GET /rest HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('all are answered', () => rest.every((socket) => socket.got.startsWith('HTTP/1.1 200 ')), 5000);
  await sleep(3100); // crowded is enough, once they are silent for long
  await connections(t, 1, one.port);
  await until('those that dripped are told', () => dripping.some((socket) => /^HTTP\/1\.1 408 [^]*slow-head/.test(socket.got)));
  assert.ok(busy.every((socket) => !socket.over));
  const { refusals, limits } = await one.status_();
  assert.ok(refusals['connections-full'] >= 1 && refusals['slow-head'] >= 5, JSON.stringify(refusals));
  assert.deepEqual(limits, { connections: 20, connections_per_address: 10 });
  assert.match(one.output, /"a request was refused"[^\n]*"reason":"connections-full"[^\n]*"cure":"[^"]*--connections/);
});

const own = Object.values(os.networkInterfaces()).flat().find((one) => !one.internal && one.family === 'IPv4')?.address;
test('one address holds its share of the connections, and the others the rest', { ...quickly, skip: own === undefined && 'this machine has no address but loopback' }, async (t) => {
  const one = await upFor(t, { run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, annotations: kept(1) }, { ready: 1, flags: ['--bind', '0.0.0.0', '--connections', '100', '--connections-per-address', '10'] });
  await connections(t, 10, one.port, own, own);
  const more = await connections(t, 80, one.port, own, own);
  await until('they are told, or closed', () => more.every((socket) => socket.over || /^HTTP\/1\.1 429 [^]*connections-per-address: this address/.test(socket.got)));
  assert.ok(more.filter((socket) => socket.got !== '').length >= 60);
  assert.equal((await fetch(one.url)).status, 200);
  assert.equal((await one.status_()).refusals['connections-per-address'], 80);
  await connections(t, 20, one.port); // loopback has no such bound
  assert.equal((await one.status_()).refusals['connections-per-address'], 80);
});

test('a flood of connections at the limit of open files: who is in stays, and instances can start', quickly, async (t) => {
  const within = ['sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh'];
  const one = await upFor(t, { run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, annotations: { ...kept(1), 'autoscaling.knative.dev/maxScale': 4 } }, { ready: 1, within });
  const { connections: bound } = (await one.status_()).limits;
  assert.ok(bound > 20 && bound < 128, `${bound}`);
  const [kept_] = await connections(t, 1, one.port);
  kept_.write(handshake);
  await until('it is a WebSocket', () => kept_.got.startsWith('HTTP/1.1 101 '));
  const flood = await connections(t, 400, one.port);
  const before = (await one.instances())[0].pid;
  process.kill(before, 'SIGKILL');
  await until('another one starts', async () => (await one.instances()).some(({ pid }) => pid !== before));
  assert.ok(!one.output.includes('out of descriptors'), one.output.slice(-2000));
  await sleep(600);
  const [late] = await connections(t, 1, one.port);
  late.write('GET /late HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it is answered', () => late.got.startsWith('HTTP/1.1 200 '));
  flood.forEach((socket) => socket.destroy());
});

test('a body that comes too slowly ends, one that comes steadily does not', quickly, async (t) => {
  const one = await upFor(t, { run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, annotations: kept(1) }, { ready: 1 });
  const [none, drip, steady] = await connections(t, 3, one.port);
  for (const socket of [none, drip, steady]) socket.write('POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n');
  const timer = setInterval(() => {
    if (!drip.over) drip.write('a');
    steady.write('a'.repeat(100));
  }, 500);
  t.after(() => clearInterval(timer));
  await until('both are told', () => [none, drip].every((socket) => /^HTTP\/1\.1 408 [^]*slow-body: less than 1 KiB/.test(socket.got)), 40000);
  assert.ok(steady.got === '' && !steady.over);
});

test('the status page is for programs of this machine', quickly, async () => {
  const port = service.statusPort;
  const ask = (host, more = '', method = 'GET') => raw(`${method} /status HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`, { port });
  for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', `127.0.0.1:${port}`, '[::1]:80', 'LOCALHOST']) assert.match((await ask(host)).got, /^HTTP\/1\.1 200 /, host);
  for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil.example', 'xlocalhost', '10.0.0.1']) {
    const { got } = await ask(host);
    assert.match(got, /^HTTP\/1\.1 403 /, host);
    assert.ok(!got.includes('instances') && !got.includes(host), got);
  }
  for (const origin of ['http://evil.example', 'null', 'https://localhost.evil.example', 'http://localhost.evil.example:1']) assert.match((await ask('localhost', `Origin: ${origin}\r\n`)).got, /^HTTP\/1\.1 403 /, origin);
  assert.match((await ask('localhost', `Origin: http://localhost:${port}\r\n`)).got, /^HTTP\/1\.1 200 /);
  const { got } = await ask('localhost');
  for (const field of ['X-Content-Type-Options: nosniff', "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'", 'Cache-Control: no-store']) assert.ok(got.includes(field), field);
  assert.match((await ask('localhost', '', 'POST')).got, /^HTTP\/1\.1 405 /);
  assert.match((await ask('localhost', '', 'HEAD')).got, /^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
  assert.match((await raw('GET /<script> HTTP/1.1\r\nHost: localhost\r\n\r\n', { port })).got, /^HTTP\/1\.1 4\d\d [^]*text\/plain/);
  // Not through the ingress, nor from another machine.
  assert.equal((await (await fetch(`${service.url}/status`)).json()).url, '/status', "the instance's own");
  if (own !== undefined) await assert.rejects(fetch(`http://${own}:${port}/status`));
});
