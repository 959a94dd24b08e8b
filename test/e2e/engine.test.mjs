// engine: Engine.IO over HTTP: the stock clients of several ages, with every choice of transports; what a raw client gets; what a
// browser is told.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Socket as Engine } from 'engine.io-client';
import { io as io48 } from 'socket.io-client';
import { io as io40 } from 'socket.io-client-4.0';
import { io as io31 } from 'socket.io-client-3';
import { board, pythonWith, serve, sleep, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const relay = 'namespaces: {/: {events: {say: {to: others}, echo: {to: everyone}}}}\n';
let instance;

before(async () => {
  instance = await serve(`ping_interval: 500ms\nping_timeout: 400ms\nmax_payload: 100KB\n${relay}`, { args: ['--broker', 'memory'] });
});

after(() => instance.close());

// Bytes in, and what comes until `enough` or the end.
async function raw(bytes, enough = '\r\n\r\n', port = instance.port) {
  const socket = net.connect(port, '127.0.0.1');
  let got = '', ended = false;
  socket.on('data', (data) => (got += data.toString('latin1')));
  socket.on('error', () => (ended = true));
  socket.on('close', () => (ended = true));
  socket.write(bytes);
  await until(`${enough} in the answer to ${bytes}`, () => ended || got.includes(enough));
  await sleep(20);
  socket.destroy();
  return got;
}

const request = (method, target, fields = '', body = '') => `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${fields}` +
  (body ? `Content-Length: ${body.length}\r\n` : '') + `\r\n${body}`;
const poll = '/socket.io/?EIO=4&transport=polling';

async function handshake(where = instance.url) {
  const text = await (await fetch(where + poll)).text();
  assert.equal(text[0], '0');
  return JSON.parse(text.slice(1));
}

for (const [name, io] of [['4.8', io48], ['4.0', io40], ['3.1', io31]]) {
  for (const transports of [undefined, ['polling'], ['websocket']]) {
    test(`socket.io-client ${name}, ${transports ?? 'default options'}`, quickly, async () => {
      const options = { forceNew: true, ...(transports && { transports }) };
      const [one, two] = [io(instance.url, options), io(instance.url, options)], got = [];
      two.on('say', (...args) => got.push(args));
      try {
        await until('both are connected', () => one.connected && two.connected);
        for (let n = 0; n < 200; n++) {
          one.emit('say', n, 'a'.repeat(n * 10));
          if (n % 50 === 0) await sleep(30);
        }
        await until('all has come', () => got.length >= 200);
        assert.deepEqual(got.map(([n]) => n), Array.from({ length: 200 }, (_, n) => n));
        assert.ok(got.every(([n, text]) => text.length === n * 10));
        assert.ok(await new Promise((resolve) => one.emit('echo', 'x', () => resolve(true))), 'an acknowledgement');
        const expected = transports?.[0] ?? 'websocket';
        await until('the transport', () => [one, two].every((socket) => socket.io.engine.transport.name === expected));
        await sleep(1500); // three heartbeats
        assert.ok(one.connected && two.connected);
      } finally {
        one.close();
        two.close();
      }
      await until('their sessions end', async () => (await instance.metric('sessions')) === 0);
    });
  }
}

test('engine.io-client: text upgrades, base64, and the end of a session', quickly, async () => {
  for (const options of [{}, { forceBase64: true }, { transports: ['polling'] }, { transports: ['websocket'] }]) {
    const engine = new Engine(instance.url, { path: '/socket.io/', ...options }), packets = [];
    engine.on('message', (data) => packets.push(data));
    await once(engine, 'open');
    engine.send('0{}');
    await until('the CONNECT reply', () => packets.some((data) => data.startsWith('0{"sid":')));
    if (!options.transports) await until('it upgrades', () => engine.transport.name === 'websocket');
    assert.ok(engine.id.length === 20);
    engine.close();
    await until('its session ends', async () => (await instance.metric('sessions')) === 0);
  }
});

test("Python's client, with its default options", quickly, async (t) => {
  const python = pythonWith('socketio, requests, websocket');
  if (!python) return t.skip('needs python3-socketio, python3-requests and python3-websocket');
  const script = `
import socketio, sys, time
client, got = socketio.Client(), []
client.on("say", lambda *args: got.append(args[0]))
client.connect(sys.argv[1])
print("connected", flush=True)
sys.stdin.readline()
for n in range(50):
    client.emit("say", n)
deadline = time.time() + 10
while len(got) < 50 and time.time() < deadline:
    time.sleep(0.05)
print("transport", client.transport(), "in order", got == list(range(50)), flush=True)
client.disconnect()
`;
  const directory = temporary(), file = path.join(directory, 'client.py');
  fs.writeFileSync(file, script);
  const child = spawn(python, [file, instance.url]), other = io48(instance.url, { forceNew: true }), got = [];
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  other.on('say', (n) => {
    got.push(n);
    other.emit('say', n);
  });
  try {
    await until('both are connected', () => other.connected && output.includes('connected'));
    child.stdin.write('go\n');
    await once(child, 'close');
    assert.match(output, /transport websocket in order True/);
    assert.deepEqual(got, Array.from({ length: 50 }, (_, n) => n));
  } finally {
    child.kill();
    other.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test('a heartbeat over polling: without its pong, the session is gone when it is due', quickly, async () => {
  const { sid, ...rest } = await handshake();
  assert.deepEqual(rest, { upgrades: ['websocket'], pingInterval: 500, pingTimeout: 400, maxPayload: 100000 });
  const ping = await (await fetch(`${instance.url}${poll}&sid=${sid}`)).text();
  assert.equal(ping, '2');
  await sleep(800);
  const late = await fetch(`${instance.url}${poll}&sid=${sid}`);
  assert.deepEqual([late.status, await late.json()], [400, { code: 1, message: 'Session ID unknown' }]);
});

test('the client says goodbye', quickly, async () => {
  const { sid } = await handshake();
  const waits = fetch(`${instance.url}${poll}&sid=${sid}`);
  await sleep(50);
  const answer = await fetch(`${instance.url}${poll}&sid=${sid}`, { method: 'POST', body: '1' });
  assert.equal(await answer.text(), 'ok');
  assert.match(await (await waits).text(), /^[16]$/);
  assert.equal((await fetch(`${instance.url}${poll}&sid=${sid}`)).status, 400);
});

test('what a client may do wrong ends its session alone', quickly, async () => {
  const other = io48(instance.url, { transports: ['polling'], forceNew: true });
  await until('another is connected', () => other.connected);
  for (const body of ['', 'abc', '4\x1e\x1e', '9', '\x1e', 'b!', '\xff\xfe']) {
    const { sid } = await handshake();
    const answer = await raw(request('POST', `${poll}&sid=${sid}`, '', body));
    assert.match(answer, /^HTTP\/1\.1 (200|400) /, body);
    const next = await fetch(`${instance.url}${poll}&sid=${sid}`);
    assert.ok(next.status === 400 || (await next.text()) === '6\x1e1', body);
    assert.equal((await fetch(`${instance.url}${poll}&sid=${sid}`)).status, 400, body);
  }
  assert.ok(other.connected);
  other.close();
});

test('the client library: version, 304, and no parser that is not configured', quickly, async () => {
  const { version } = JSON.parse(fs.readFileSync('node_modules/socket.io-client/package.json', 'utf8'));
  for (const name of ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js']) {
    const answer = await fetch(`${instance.url}/socket.io/${name}`);
    const { headers } = answer;
    assert.deepEqual([answer.status, headers.get('etag'), headers.get('cache-control'), headers.get('content-type')],
      [200, `"${version}"`, 'public, max-age=0', 'application/javascript; charset=utf-8']);
    assert.equal(await answer.text(), fs.readFileSync(`node_modules/socket.io-client/dist/${name}`, 'utf8'));
    const map = await fetch(`${instance.url}/socket.io/${name}.map`);
    assert.deepEqual([map.status, map.headers.get('content-type')], [200, 'application/json; charset=utf-8']);
    for (const tag of [`"${version}"`, `W/"${version}"`]) {
      const same = await fetch(`${instance.url}/socket.io/${name}`, { headers: { 'if-none-match': tag } });
      assert.equal(same.status, 304);
    }
    assert.equal((await fetch(`${instance.url}/socket.io/${name}`, { headers: { 'if-none-match': '"4.0.0"' } })).status, 200);
  }
  assert.equal((await fetch(`${instance.url}/socket.io/socket.io.msgpack.min.js`)).status, 404);
});

test('a page of another origin: allowed, and its first error says what to change', quickly, async () => {
  const open = await serve(`cors: {origin: ["https://*.example.com"], credentials: true}\n${relay}`, { args: ['--broker', 'memory'] });
  const headers = { origin: 'https://app.example.com' };
  try {
    for (const [where, status] of [[poll, 200], ['/socket.io/?transport=tobi', 400], ['/socket.io/socket.io.js', 200]]) {
      const answer = await fetch(open.url + where, { headers });
      assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('access-control-allow-credentials')],
        [status, headers.origin, 'true'], where);
      assert.match(answer.headers.get('vary'), /Origin/);
    }
    const before = await fetch(open.url + poll, { method: 'OPTIONS', headers: { ...headers, 'access-control-request-headers': 'x-a' } });
    assert.deepEqual([before.status, before.headers.get('access-control-allow-headers'), before.headers.get('content-length')], [204, 'x-a', '0']);
    const foreign = await fetch(open.url + poll, { headers: { origin: 'https://example.org' } });
    assert.equal(foreign.headers.get('access-control-allow-origin'), null);
    await until('the log says so', () => /"refused".*"cors".*example\.org.*cors: \{origin: /.test(open.output));
    assert.ok((await (await fetch(`${open.url}/metrics`)).text()).includes('sennit_refusals_total{reason="cors"} 1\n'));
  } finally {
    await open.close();
  }
});

test('the log holds no sid', quickly, async () => {
  const { sid } = await handshake();
  for (const more of ['&j=1', '&transport=websocket', '']) await fetch(`${instance.url}/socket.io/?EIO=3&transport=polling&sid=${sid}${more}`);
  await fetch(`${instance.url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`);
  await until('they are logged', () => /transport_other/.test(instance.output) && /jsonp/.test(instance.output));
  assert.ok(!instance.output.includes(sid));
});

test('behind `sennit up`, by random balancing: default options, and a preflight', quickly, async () => {
  const service = await up(board({ min: 3 }), { ready: 3 });
  const clients = Array.from({ length: 6 }, () => io48(service.url, { forceNew: true })), got = [];
  try {
    for (const client of clients) client.on('drawing', (stroke) => got.push(stroke.id));
    await until('all are on a WebSocket', () => clients.every((client) => client.connected && client.io.engine.transport.name === 'websocket'), 20000);
    clients[0].emit('drawing', { id: 'a-very-long-random-name', x0: 0, y0: 0, x1: 1, y1: 1, color: 'black' });
    await until('the others have it', () => got.length === 5);
    assert.equal((await fetch(service.url + poll, { method: 'OPTIONS' })).status, 400);
  } finally {
    clients.forEach((client) => client.close());
    await service.close();
  }
});
