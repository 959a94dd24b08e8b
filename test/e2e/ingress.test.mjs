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

test('it ends in order while somebody looks at its status page, and leaves nothing of a script behind', quickly, async () => {
  const one = await up({ run: `sh -c '${process.execPath} ${path.join(directory, 'server.cjs')}; echo over'`, annotations: { 'autoscaling.knative.dev/minScale': 1 } }, { ready: 1 });
  const reader = net.connect(one.statusPort, '127.0.0.1');
  reader.on('error', () => {});
  await once(reader, 'connect');
  const [{ port }] = await one.instances();
  await one.stop();
  assert.equal(one.status, 0, one.output);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'the server is gone');
  await one.close();
});
