// ingress_memory: measures the memory of one connection at the ingress of `sennit up`, in each state: `node bench/ingress_memory.mjs [N]`.
// Prints the table of docs/up.md. Anonymous memory of the process, after N connections came into that state, for each.
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { sleep, temporary, up } from '../test/e2e/lib.mjs';

const count = Number(process.argv[2] ?? 200);
const source = `
  const crypto = require('node:crypto');
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/hang') return;
    if (request.url === '/deaf') return request.pause();
    response.end(Buffer.alloc(30 << 20));
  });
  server.on('upgrade', (request, socket) => {
    const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
    socket.on('error', () => {});
    if (request.url === '/flood') for (let n = 0; n < 8; n++) socket.write(Buffer.alloc(1 << 20));
    else socket.pause();
  });
  server.listen(process.env.PORT);`;

const directory = temporary();
fs.writeFileSync(path.join(directory, 'server.cjs'), source);
const head = (target, more = '', method = 'GET') => `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const body = Buffer.alloc(8 << 20);
const states = [
  ['nothing sent yet, or between two requests', '', {}],
  ['60 KB of a head sent', `GET / HTTP/1.1\r\nHost: a\r\n${'X-A: ' + 'a'.repeat(5000) + '\r\n'}`.repeat(1) + `X-B: ${'b'.repeat(5000)}\r\n`.repeat(11), {}],
  ['a request without a body, no answer yet', head('/hang'), {}],
  ['a WebSocket at rest', head('/socket', upgrade), {}],
  ['a large body that the instance does not read', [head('/deaf', `Content-Length: ${body.length}\r\n`, 'POST'), body], {}],
  ['a large response that the client does not read', head('/large'), { deaf: true }],
  ['a WebSocket that the client does not read', head('/flood', upgrade), { deaf: true }],
  ['a request with a large body that waits for an instance', [head('/hang', `Content-Length: ${body.length}\r\n`, 'POST'), body], { taken: true }],
];

const anonymous = (pid) => Number(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Anonymous: +(\d+) kB/m)[1]) * 1024;

async function measure(bytes, { deaf, taken }) {
  const service = await up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, concurrency: taken ? 1 : 1000,
    annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { ready: 1 });
  const sockets = [];
  const open = async (what, listening) => {
    const socket = net.connect(service.port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    if (listening) socket.resume();
    for (const part of [what].flat()) if (part.length > 0) socket.write(part);
    sockets.push(socket);
  };
  if (taken) await open(head('/hang'), true);
  await sleep(500);
  const before = anonymous(service.pid);
  for (let n = 0; n < count; n++) await open(bytes, !deaf);
  await sleep(2500);
  const each = (anonymous(service.pid) - before) / count;
  for (const socket of sockets) socket.destroy();
  await service.close();
  return each;
}

console.log('| state of a connection | memory |\n|---|--:|');
for (const [name, bytes, options] of states) {
  const each = await measure(bytes, options);
  console.log(`| ${name} | ${each < 10240 ? (each / 1024).toFixed(1) : Math.round(each / 1024)} KB |`);
}
fs.rmSync(directory, { recursive: true, force: true });
