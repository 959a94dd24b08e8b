// leavers: clients and instances that end their connections while the other side does not read, through `sennit up`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const accepted = 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
// A server that speaks raw TCP. /deaf reads nothing behind the handshake, /flood
// neither, and says much; /late reads nothing for a while and then all;
// /bye ends its half once /end is asked for, and then reads.
const source = `
  const got = [];
  let ends;
  require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
    let count = 0;
    const counted = () => { socket.on('data', (data) => (count += data.length)); socket.on('close', () => got.push(count)); };
    socket.on('error', () => {});
    socket.once('data', (data) => {
      const path = String(data).split(' ')[1];
      if (path === '/got') return socket.end('HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n' + JSON.stringify(got));
      if (path === '/end') ends();
      if (path === '/ok' || path === '/end') return socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok');
      socket.write(${JSON.stringify(accepted)});
      socket.pause();
      if (path === '/deaf') return;
      if (path === '/flood') return socket.write(Buffer.alloc(8 << 20));
      counted();
      socket.on('end', () => socket.end());
      if (path === '/bye') return (ends = () => { socket.end(); setTimeout(() => socket.resume(), 200); });
      setTimeout(() => socket.resume(), 600);
    });
  }).listen(process.env.PORT);`;

let service, directory;

before(async () => {
  directory = temporary();
  fs.writeFileSync(path.join(directory, 'server.cjs'), source);
  service = await up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, concurrency: 2,
    annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { ready: 1 });
});

after(async () => {
  await service.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

const handshake = (path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const taken = async () => (await service.instances())[0].requests;
const free = (ms) => until('every slot is free', async () => (await taken()) === 0, ms);
const received = async () => (await fetch(`${service.url}/got`)).json();

async function tunnel(path) {
  const socket = net.connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write(handshake(path));
  await once(socket, 'data');
  return socket;
}

test('clients that reset, while an instance does not read what they sent, free their slots at once', quickly, async () => {
  const sockets = [await tunnel('/deaf'), await tunnel('/deaf')];
  for (const socket of sockets) socket.write(Buffer.alloc(20e6));
  await sleep(500);
  assert.equal(await taken(), 2);
  for (const socket of sockets) socket.resetAndDestroy();
  const next = await fetch(`${service.url}/ok`);
  assert.equal(next.status, 200);
  await free(3000);
});

test('a queued client that resets leaves the queue, however much of its request waits', quickly, async () => {
  const sockets = [await tunnel('/deaf'), await tunnel('/deaf')];
  const queued = async () => (await service.status_()).queued;
  for (const leave of [(socket) => socket.resetAndDestroy(), (socket) => socket.end()]) {
    const socket = net.connect(service.port, '127.0.0.1');
    socket.on('error', () => {});
    // With an end it sends no more than the buffers between them take: one behind unsent bytes is not seen.
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n${'a'.repeat(60000)}`);
    await until('it is queued', async () => (await queued()) === 1);
    await sleep(200);
    leave(socket);
    await until('it left', async () => (await queued()) === 0, 3000);
    socket.destroy();
  }
  for (const socket of sockets) socket.destroy();
  await free();
});

test('what a client sent before it ended reaches an instance that is behind', quickly, async () => {
  const sizes = [100000, 2500000, 2700000, 2900000, 4000000, 6000000];
  const before = (await received()).length;
  for (const size of sizes) {
    const socket = await tunnel('/late');
    socket.write(Buffer.alloc(size));
    socket.end();
    await once(socket, 'close');
    await free();
  }
  assert.deepEqual((await received()).slice(before), sizes);
});

// Whether the ingress has read all that this socket sent: nothing waits in the kernel on either side.
function isConsumed(socket) {
  const port = socket.localPort.toString(16).toUpperCase().padStart(4, '0');
  const lines = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : []));
  const ends = lines.map((line) => line.trim().split(/\s+/)).filter(([, local, remote]) => local?.endsWith(`:${port}`) || remote?.endsWith(`:${port}`));
  return ends.length === 2 && ends.every(([, , , , queues]) => queues === '00000000:00000000');
}

test('what waits in the ingress for an instance that ends its half reaches it', quickly, async () => {
  const before = (await received()).length, socket = await tunnel('/bye');
  let sent = 0, read = 0;
  do {
    read = sent;
    socket.write(Buffer.alloc(20000));
    sent += 20000;
    await sleep(sent < 2e6 ? 0 : 30);
  } while (isConsumed(socket) || sent < 2e6 || (await sleep(300), isConsumed(socket)));
  assert.equal((await fetch(`${service.url}/end`)).status, 200);
  await until('the instance has its end', async () => (await received()).length > before);
  const [got] = (await received()).slice(before);
  assert.ok(got >= read, `the ingress had read ${read} bytes, the instance got ${got}`);
  socket.destroy();
  await free();
});

test('sennit up ends while clients that do not read are leaving', quickly, async () => {
  const own = await up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, concurrency: 100,
    annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { ready: 1 });
  const sockets = [];
  for (let n = 0; n < 40; n++) {
    const socket = net.connect({ port: own.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    socket.write(handshake('/flood'));
    await once(socket, 'connect');
    sockets.push(socket);
  }
  await until('every client has its WebSocket', async () => (await own.instances())[0].requests === 40, 10000);
  await sleep(500);
  for (const [n, socket] of sockets.entries()) n % 2 ? socket.end() : socket.destroy();
  await sleep(20);
  await own.close();
});
