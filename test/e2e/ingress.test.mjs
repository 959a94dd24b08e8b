// ingress: HTTP in all the shapes that clients and instances give it, through `sennit up`.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const source = `
  const crypto = require('node:crypto');
  const server = require('node:http').createServer((request, response) => {
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
  const one = await upFor(t, { run: `${process.execPath} ${script}`, annotations: kept(1) });
  await sleep(5000);
  const starts = one.output.match(/"instance starts"/g).length;
  assert.ok(starts >= 2 && starts <= 6, `${starts} starts in five seconds`);
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
