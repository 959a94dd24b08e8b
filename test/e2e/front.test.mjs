// front: what stands before the requests of `sennit up`: TLS, and load balancers that are believed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
// Answers with the fields that it got; a WebSocket gets its bytes back; /large sends a megabyte.
const source = `
  const crypto = require('node:crypto');
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/large') return response.end(Buffer.alloc(1 << 20, 'x'));
    response.end(JSON.stringify(request.headers));
  });
  server.on('upgrade', (request, socket) => {
    const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    socket.write('HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(process.env.PORT);`;
const directory = temporary();
fs.writeFileSync(path.join(directory, 'server.cjs'), source);
const start = (...flags) => up({ run: `${process.execPath} ${path.join(directory, 'server.cjs')}`, annotations: { 'autoscaling.knative.dev/minScale': 1 } }, { ready: 1, flags });
const handshake = 'GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const get = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n';

async function all(socket) {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (data) => (text += data));
  await once(socket, 'close');
  return text;
}
const fieldsIn = (text) => JSON.parse(text.slice(text.indexOf('\r\n\r\n{') + 4).match(/\{.*\}/s)[0]);
const refusals = async (service, reason) => (await service.status_()).refusals[reason];

let secure, behind;
before(async () => {
  [secure, behind] = await Promise.all([start('--tls'), start('--proxy-protocol', '192.0.2.0/24,127.0.0.1', '--trusted-hops', '2')]);
});
after(async () => {
  await Promise.all([secure.close(), behind.close()]);
  fs.rmSync(directory, { recursive: true, force: true });
});

const certificate = () => fs.readFileSync(path.join(secure.directory, 'control/tls-cert.pem'));

test('--tls serves https with a certificate that a client can trust, for localhost and below it', quickly, async () => {
  const ask = (host, options) => new Promise((resolve, reject) => https.get({ host: '127.0.0.1', port: secure.port, servername: host, agent: false, ...options }, (response) => {
    let text = '';
    response.on('data', (data) => (text += data));
    response.on('end', () => resolve(text));
  }).on('error', reject));
  for (const host of ['localhost', 'board.localhost', 'canary---board.localhost', 'a.b.localhost'])
    assert.equal(JSON.parse(await ask(host, { ca: certificate() }))['x-forwarded-proto'], 'https');
  assert.equal((await ask('localhost', { ca: certificate(), path: '/large' })).length, 1 << 20);
  await assert.rejects(ask('localhost', {}), /self-signed|unable to verify|unable to get/i);
  await assert.rejects(ask('example.com', { ca: certificate() }), /altnames/i);
  for (const host of ['a.localhost.example.com', 'a_b.localhost', 'a..localhost', 'xlocalhost']) await assert.rejects(ask(host, { ca: certificate() }), /altnames/i, host);
  assert.match((await secure.status_()).services[0].url, /^https:/);
  assert.equal(fs.statSync(path.join(secure.directory, 'control/tls-key.pem')).mode & 0o777, 0o600);
});

test('a name below localhost is in a certificate of its own, from an authority that can sign nothing else', quickly, async () => {
  const socket = tls.connect({ port: secure.port, host: '127.0.0.1', servername: 'canary---board.localhost', ca: certificate() });
  await once(socket, 'secureConnect');
  assert.equal(socket.getPeerCertificate().subjectaltname, 'DNS:canary---board.localhost');
  socket.destroy();
  const sign = (host) => {
    const [key, request, cert, names] = ['leaf.key', 'leaf.csr', 'leaf.pem', 'leaf.ext'].map((name) => path.join(directory, name));
    fs.writeFileSync(names, `subjectAltName=DNS:${host}`);
    const control = path.join(secure.directory, 'control');
    spawnSync('openssl', ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=x', '-keyout', key, '-out', request]);
    spawnSync('openssl', ['x509', '-req', '-in', request, '-CA', path.join(control, 'tls-cert.pem'), '-CAkey', path.join(control, 'tls-key.pem'), '-set_serial', '7', '-days', '9', '-extfile', names, '-out', cert]);
    return spawnSync('openssl', ['verify', '-CAfile', path.join(control, 'tls-cert.pem'), cert], { encoding: 'utf8' });
  };
  assert.equal(sign('b.localhost').status, 0);
  const foreign = sign('example.com');
  assert.notEqual(foreign.status, 0);
  assert.match(foreign.stdout + foreign.stderr, /permitted subtree violation/);
});

test('a WebSocket over TLS carries bytes both ways, and the client offers what it likes by ALPN', quickly, async () => {
  const socket = tls.connect({ port: secure.port, host: '127.0.0.1', servername: 'localhost', ca: certificate(), ALPNProtocols: ['h2', 'http/1.1'] });
  await once(socket, 'secureConnect');
  assert.equal(socket.alpnProtocol, 'http/1.1');
  socket.write(handshake);
  await once(socket, 'data');
  const bytes = Buffer.alloc(3 << 20, 'abcdefg');
  let got = Buffer.alloc(0);
  socket.on('data', (data) => (got = Buffer.concat([got, data])));
  socket.write(bytes);
  await until('all came back', () => got.length === bytes.length);
  assert.ok(got.equals(bytes));
  socket.destroy();
  const h2 = tls.connect({ port: secure.port, host: '127.0.0.1', servername: 'localhost', ca: certificate(), ALPNProtocols: ['h2'] });
  await assert.rejects(once(h2, 'secureConnect'), /no application protocol/i);
  await assert.rejects(once(tls.connect({ port: secure.port, host: '127.0.0.1', ca: certificate(), maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }), 'secureConnect'));
});

test('plain HTTP on the port for TLS, and a client that trusts nothing, are counted and logged with the cure', quickly, async () => {
  const failed = await refusals(secure, 'tls-failed');
  const socket = net.connect(secure.port, '127.0.0.1');
  socket.write(`${get}\r\n`);
  await all(socket);
  await until('it is counted', async () => (await refusals(secure, 'tls-failed')) > failed);
  assert.match(secure.output, /use https:\/\/ and TLS 1.2/);
});

test('--tls-cert and --tls-key: the operator\'s own, and what is wrong with them', quickly, async () => {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(directory, name));
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=a.test', '-addext', 'subjectAltName=DNS:a.test',
    '-keyout', key, '-out', cert]);
  assert.equal(made.status, 0, String(made.stderr));
  const service = await start('--tls-cert', cert, '--tls-key', key);
  const socket = tls.connect({ port: service.port, host: '127.0.0.1', servername: 'a.test', ca: fs.readFileSync(cert) });
  await once(socket, 'secureConnect');
  socket.destroy();
  await service.close();
  await assert.rejects(start('--tls-cert', cert, '--tls-key', path.join(secure.directory, 'control/tls-key.pem')), /--tls-key: .* is not the key of the certificate/);
  await assert.rejects(start('--tls-cert', cert), /belong together/);
});

async function through(header, more = '') {
  const socket = net.connect(behind.port, '127.0.0.1');
  socket.write(header);
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write(`${get}${more}\r\n`);
  return all(socket);
}

test('the PROXY protocol of a listed peer names the client, in both versions and in pieces', quickly, async () => {
  const of = async (header) => fieldsIn(await through(header))['x-forwarded-for'];
  assert.equal(await of('PROXY TCP4 203.0.113.9 127.0.0.1 5000 80\r\n'), '203.0.113.9');
  assert.equal(await of('PROXY TCP6 2001:db8::9 ::1 5000 80\r\n'), '2001:db8::9');
  assert.equal(await of('PROXY UNKNOWN\r\n'), '127.0.0.1');
  assert.equal(await of(Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xcb\0\x71\x07\x7f\0\0\x01\x13\x88\0\x50\x04\0\0', 'latin1')), '203.0.113.7');
  const socket = net.connect(behind.port, '127.0.0.1');
  socket.setNoDelay(true);
  for (const byte of `PROXY TCP4 203.0.113.8 127.0.0.1 5000 80\r\n${get}\r\n`) {
    socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(fieldsIn(await all(socket))['x-forwarded-for'], '203.0.113.8');
  await until('the log has the client', () => /"peer":"203.0.113.8"/.test(behind.output));
});

test('a malformed header is refused with the rule, the counter and the cure; none without a header is served', quickly, async () => {
  for (const header of ['PROXY TCP4 203.0.113.9 127.0.0.1 5000\r\n', '', '\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c000000000000']) {
    const counted = await refusals(behind, 'malformed-proxy-header');
    assert.match(await through(Buffer.from(header, 'latin1')), /^HTTP\/1.1 400 .*X-Sennit-Reason: malformed-proxy-header/s);
    assert.equal(await refusals(behind, 'malformed-proxy-header'), counted + 1);
  }
  assert.match(behind.output, /version 1 is `PROXY TCP4\|TCP6/);
});

test('a peer that is not listed sends no header, and its address is its own', quickly, async () => {
  const socket = net.connect(behind.port, '::1');
  socket.write(`${get}\r\n`);
  assert.equal(fieldsIn(await all(socket))['x-forwarded-for'], '::1');
});

test('--trusted-hops: the balancers in front are believed, and no client\'s words before theirs', quickly, async () => {
  const header = 'PROXY TCP4 192.0.2.200 127.0.0.1 5000 80\r\n';
  const fields = async (more) => fieldsIn(await through(header, more));
  let got = await fields('X-Forwarded-For: 6.6.6.6, 203.0.113.4\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n');
  assert.equal(got.forwarded, 'for="203.0.113.4";proto=https');
  assert.equal(got['x-forwarded-for'], '6.6.6.6, 203.0.113.4, 198.51.100.1, 192.0.2.200');
  assert.equal(got['x-forwarded-proto'], 'https');
  await until('the log has the client', () => /"peer":"203.0.113.4"/.test(behind.output));
  got = await fields('X-Forwarded-For: 203.0.113.4\r\nX-Forwarded-Proto: gopher\r\n');
  assert.equal(got.forwarded, 'for="192.0.2.200";proto=http');
});

// The close codes are what a client sees: 1001 when there is a frame, and none in the middle of another.
test('--close-frame: the timeout says so between two frames of the instance, and only there', quickly, async () => {
  const half = path.join(directory, 'half.cjs');
  fs.writeFileSync(half, source.replace('socket.pipe(socket);', "if (request.url === '/half') socket.write(Buffer.from([0x82, 5, 1, 2])); else socket.pipe(socket);"));
  const cut = async (flags, url, say = '') => {
    const service = await up({ run: `${process.execPath} ${half}`, timeout: 1, annotations: { 'autoscaling.knative.dev/minScale': 1 } }, { ready: 1, flags });
    const socket = net.connect(service.port, '127.0.0.1');
    socket.write(handshake.replace('/echo', url));
    await once(socket, 'data');
    let got = Buffer.alloc(0);
    socket.on('error', () => {}).on('data', (data) => (got = Buffer.concat([got, data])));
    socket.write(say);
    await once(socket, 'close');
    await service.close();
    return got;
  };
  const message = Buffer.from([0x81, 2, 0x68, 0x69]);
  const [said, plain, broken] = await Promise.all([cut(['--close-frame'], '/echo', message), cut([], '/echo', message), cut(['--close-frame'], '/half')]);
  assert.deepEqual(said.subarray(0, 4), message);
  assert.equal(said[4], 0x88);
  assert.equal(said.readUInt16BE(6), 1001);
  assert.equal(said.length, 6 + said[5]);
  assert.deepEqual(plain, message);
  assert.ok(!broken.includes(0x88));
});
