// badinput: wrong files, wrong commands, wrong bytes: a clear error or a clean close, and nobody else notices.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { board, Client, freePort, program, serviceYaml, sleep, temporary, top, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const good = serviceYaml({ run: 'node -e 0' });

async function complaint(yaml, flags = [], env = {}) {
  const directory = temporary();
  const file = path.join(directory, 'service.yaml');
  fs.writeFileSync(file, yaml);
  const run = program(['up', file, '--port', '0', '--state', directory, '--log-format', 'json', ...flags], { env: { ...process.env, ...env } });
  const status = await Promise.race([run.ended, sleep(10000).then(() => 'still running')]);
  await run.stop();
  fs.rmSync(directory, { recursive: true, force: true });
  return { status, text: run.output.replaceAll(file, 'service.yaml') };
}

const wrongFiles = [
  ['an unknown field', good.replace('timeoutSeconds', 'timeoutSecond'), /service\.yaml:\d+: spec\.template\.spec: unknown field "timeoutSecond".*did you mean "timeoutSeconds"/],
  ['a wrong type', good.replace('containers:\n', 'containers: 5\n').replace(/ +- image.*\n/, ''), /service\.yaml:\d+: spec\.template\.spec\.containers: expected a list, found 5/],
  ['a concurrency of 0.5', good.replace('containerConcurrency: 80', 'containerConcurrency: 0.5'), /service\.yaml:\d+: spec\.template\.spec\.containerConcurrency: expected a whole number from 0 to 1000, found 0\.5/],
  ['a timeout of a day', good.replace('timeoutSeconds: 300', 'timeoutSeconds: 86400'), /service\.yaml:\d+: .*timeoutSeconds: expected a whole number from 1 to 3600, found 86400/],
  ['a number in quotes', good.replace('timeoutSeconds: 300', 'timeoutSeconds: "300"'), /timeoutSeconds: expected a whole number from 1 to 3600, found the text "300"; take the quotes away/],
  ['a reserved variable', serviceYaml({ run: 'node -e 0', env: { PORT: '1' } }), /service\.yaml:\d+: .*PORT is set by the platform/],
  ['tabs', 'apiVersion: serving.knative.dev/v1\n\tkind: Service\n', /service\.yaml:2.*[Tt]ab/],
  ['an empty file', '', /service\.yaml: nothing in it/],
  ['an image that is nowhere here', serviceYaml({ annotations: { 'autoscaling.knative.dev/maxScale': 2 } }), /is in a registry, and nothing is fetched from there[^]*sennit\.dev\/run: [^]*image: oci-archive:/],
  ['a program that is not there', serviceYaml({ run: 'no-such-program --x' }), /no-such-program/],
];

for (const [what, yaml, expected] of wrongFiles) {
  test(`service.yaml with ${what}`, quickly, async () => {
    const { status, text } = await complaint(yaml);
    assert.equal(status, 1, text);
    assert.match(text, expected);
  });
}

test('sennit serve: wrong configurations', quickly, async () => {
  const one = (line, rule) => `namespaces:\n  /:\n    ${line}\n    events: {drawing: ${rule}}\n`;
  const cases = [
    ['namespaces:\n  /:\n    events:\n      drawing: {too: others}\n', /board\.yaml:4: .*drawing: unknown field "too".*did you mean "to"/],
    ['namespaces:\n  /:\n    events:\n      drawing: {to: nobody}\n', /board\.yaml:4: .*expected one of others, everyone, room, room-others, socket, found "nobody"/],
    ['namespaces:\n  /:\n    replay: all\n    events:\n      drawing: {to: others}\n', /board\.yaml:3: .*nothing to replay/],
    [one('replay: 5', '{to: others}'), /board\.yaml:3: .*nothing to replay/],
    [one('rooms: {"a*": {replay: all}}', '{to: others}'), /board\.yaml:3: .*rooms\.a\*\.replay: there is nothing to replay/],
    [one('recovery: 5m', '{history: 0}'), /board\.yaml:4: .*drawing: there is no history: no event of this namespace has `log: true`/],
    [one('recovery: 5m', '{who: 0}'), /board\.yaml:4: .*drawing: nobody is listed: .*presence: true/],
    [one('log: {entries: 0}', '{to: others, log: true}'), /board\.yaml:3: .*log\.entries: expected a whole number from 1 to/],
    [one('log: {bytes: 5}', '{to: others, log: true}'), /board\.yaml:3: .*log\.bytes: expected a size from 1KiB/],
    [one('recovery: 13h', '{to: others, log: true}'), /board\.yaml:3: .*recovery: expected a duration from 1s to 12h/],
    [one('presence: {dat: user}', '{to: others}'), /board\.yaml:3: .*presence: unknown field "dat"; did you mean "data"/],
    [one('rooms: {"a*": {replai: 5}}', '{to: others}'), /board\.yaml:3: .*rooms\.a\*: unknown field "replai"/],
    [one('recovery: 5m', '{to: room}'), /board\.yaml:4: .*needs `room: N`/],
    [one('recovery: 5m', '{to: others, except: all}'), /board\.yaml:4: .*except: expected a whole number from 0 to 15/],
    [one('recovery: 5m', '{to: others, id: 0.id}'), /board\.yaml:4: .*an id is remembered with the log/],
    [one('recovery: 5m', '{join: 0, leave: 0}'), /board\.yaml:4: .*exactly one of to, join, leave, who and history/],
    ['prefix: "a{b}"\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: prefix: .*without braces or white space, found "a\{b\}"/],
    ['prefix: ""\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: prefix: expected 1 to 64/],
    ['static: nowhere\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: static: no directory .*nowhere/],
    ['limits: {conections: 5}\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: limits: unknown field "conections".*did you mean "connections"/],
    ['limits: {request_bytes: 5}\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: limits\.request_bytes: expected a size from 64KiB/],
    ['limits: {connections: 1000000}\nnamespaces: {/: {events: {}}}\n', /limits: connections: 1000000 is more than the \d+ for which this process has descriptors.*ulimit -n/],
    ['origins: [board.example.com]\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: origins\[0\]: expected an origin like https:/],
    ['admin: {token_file: nowhere}\nnamespaces: {/: {events: {}}}\n', /nowhere: No such file/],
    ['headers: {csp: "a\\r\\nb"}\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: headers\.csp: expected up to 4096 visible ASCII/],
    ['ping_interval: soon\nnamespaces: {/: {events: {}}}\n', /board\.yaml:1: ping_interval: expected a duration/],
  ];
  const directory = temporary();
  const file = path.join(directory, 'board.yaml');
  for (const [yaml, expected] of cases) {
    fs.writeFileSync(file, yaml);
    const run = program(['serve', '--config', file, '--port', '0', '--broker', 'memory']);
    const status = await Promise.race([run.ended, sleep(10000).then(() => 'still running')]);
    await run.stop();
    assert.equal(status, 1, `${yaml}\n${run.output}`);
    assert.match(run.output, expected);
  }
  fs.rmSync(directory, { recursive: true });
  const split = program(['serve', '--port', '0'], { env: { PATH: process.env.PATH, K_SERVICE: 'board' } });
  assert.equal(await split.ended, 1);
  assert.match(split.output, /K_SERVICE is set.*REDIS_URL.*--broker memory/s);
});

test('a port in use', quickly, async () => {
  const holder = net.createServer().listen(0);
  await once(holder, 'listening');
  const { port } = holder.address();
  const run = program(['serve', '--port', String(port), '--broker', 'memory']);
  assert.equal(await run.ended, 1);
  assert.match(run.output, new RegExp(`port ${port} is in use`));
  const { status, text } = await complaint(good, ['--port', String(port)]);
  assert.equal(status, 1);
  assert.match(text, new RegExp(`port ${port} is in use`));
  holder.close();
});

test('no redis-server', quickly, async () => {
  const { status, text } = await complaint(serviceYaml({ run: `${process.execPath} -e 0`, annotations: { 'sennit.dev/redis': 'managed' } }), [], { PATH: '/nonexistent' });
  assert.equal(status, 1, text);
  assert.match(text, /redis-server.*apt-get install redis-server/);
});

test('a command that exits at once', quickly, async () => {
  const service = await up({ run: 'sh -c "echo cannot find my config; exit 3"', annotations: { 'autoscaling.knative.dev/maxScale': 2 } });
  try {
    await until('it serves', () => fetch(service.url).then(() => true, () => false));
    const answer = await fetch(service.url);
    assert.equal(answer.status, 500);
    assert.equal(answer.headers.get('x-sennit-reason'), 'instance-start-failed');
    assert.match(await answer.text(), /instance could not start successfully/);
    assert.match(service.output, /ended before it listened on \$PORT/);
    assert.match(service.output, /exit status 3/);
    assert.match(service.output, /cannot find my config/);
  } finally {
    await service.close();
  }
});

test('a command that never listens', quickly, async () => {
  const service = await up({ run: 'sleep 1000', annotations: { 'autoscaling.knative.dev/minScale': 1, 'autoscaling.knative.dev/maxScale': 1 } }, { flags: ['--startup-timeout', '1'] });
  try {
    await until('it is told', () => /does not listen; it must listen on 0\.0\.0\.0:\$PORT/.test(service.output));
  } finally {
    await service.close();
  }
});

const handshake = (where = '/socket.io/?EIO=4&transport=websocket') => `GET ${where} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

// Sends bytes and waits for the end of the connection; what came is returned.
async function exchange(port, pieces, { ms = 8000, pause = 0 } = {}) {
  const socket = net.connect(port, '127.0.0.1');
  let got = Buffer.alloc(0), ended = false;
  socket.on('data', (data) => (got = Buffer.concat([got, data])));
  socket.on('error', () => (ended = true));
  socket.on('close', () => (ended = true));
  await once(socket, 'connect').catch(() => {});
  for (const piece of pieces) {
    if (ended) break;
    socket.write(piece);
    await sleep(pause);
  }
  await until('the connection ends', () => ended, ms).catch(() => {});
  socket.destroy();
  return { got: got.toString('latin1'), ended };
}

const masked = (opcode, payload) => {
  const bytes = Buffer.from(payload);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);
};

const garbage = [
  ['bytes that are no HTTP', ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', '\r\n\r\n'], /^HTTP\/1\.1 400/],
  ['both lengths', ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'], /^HTTP\/1\.1 400/],
  ['a folded line', ['GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n'], /^HTTP\/1\.1 400/],
  ['a head without end', [`GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(20000)}`], /^HTTP\/1\.1 431/],
  ['a line without end', [`GET /${'a'.repeat(9000)}`, ' HTTP/1.1\r\n\r\n'], /^HTTP\/1\.1 414/],
  ['a handshake with a bad key', [handshake().replace('dGhlIHNhbXBsZSBub25jZQ==', 'short')], /^HTTP\/1\.1 400/],
  ['garbage instead of a frame', [handshake(), 'GET / HTTP/1.1\r\n\r\n'], /101 Switching Protocols/],
  ['an unmasked frame', [handshake(), Buffer.from([0x81, 0x01, 0x34])], /101 Switching Protocols/],
  ['a frame of 2^60 bytes', [handshake(), Buffer.from([0x82, 0xff, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])], /101 Switching Protocols/],
  ['text that is not UTF-8', [handshake(), masked(1, Buffer.from([0x34, 0xff, 0xfe]))], /101 Switching Protocols/],
  ['a packet of no known type', [handshake(), masked(1, '9nonsense')], /101 Switching Protocols/],
  ['an event before CONNECT', [handshake(), masked(1, '42["drawing",{}]')], /101 Switching Protocols/],
  ['broken JSON', [handshake(), masked(1, '40'), masked(1, '42["drawing",{]')], /101 Switching Protocols/],
];

test('clients that send garbage are closed, through the ingress and directly, and the others draw on', { timeout: 120000 }, async () => {
  const service = await up(board({ direct: true, min: 2 }), { ready: 2 });
  const [a, b] = [new Client(service.url, { name: 'a' }), new Client(service.url, { name: 'b' })];
  try {
    await a.connected();
    await b.connected();
    const pids = (await service.instances()).map((one) => one.pid);
    const [{ port: direct }] = await service.instances();
    const timer = setInterval(() => a.draw(), 20);
    for (const port of [service.port, direct])
      for (const [what, pieces, expected] of garbage) {
        const { got, ended } = await exchange(port, pieces, { pause: 30 });
        assert.ok(ended, `${what}: the connection ended`);
        assert.match(got, expected, what);
      }
    // One byte a second is waited for; it holds nobody up.
    const slow = net.connect(service.port, '127.0.0.1');
    slow.on('error', () => {});
    const drip = setInterval(() => slow.write('G'), 1000);
    // One that never reads what it is sent.
    const deaf = net.connect(service.port, '127.0.0.1');
    deaf.on('error', () => {});
    await once(deaf, 'connect');
    deaf.write(handshake());
    await sleep(200);
    deaf.write(masked(1, '40'));
    deaf.pause();
    const padding = 'x'.repeat(60000);
    for (let n = 0; n < 300; n++) {
      a.draw({ padding });
      if (n % 20 === 0) await sleep(50);
    }
    await a.settled();
    await sleep(500);
    clearInterval(timer);
    clearInterval(drip);
    slow.destroy();
    deaf.destroy();
    await a.settled();
    await until('b has everything', () => b.got.length === a.sent);
    assert.deepEqual(b.doubled(), []);
    assert.deepEqual(a.connects, [false]);
    assert.deepEqual(b.connects, [false]);
    assert.deepEqual((await service.instances()).map((one) => one.pid), pids, 'nothing crashed');
  } finally {
    a.close();
    b.close();
    await service.close();
  }
});

test('any program on $PORT: a plain Node server, scaled from zero, queued, cut and refused', { timeout: 60000 }, async () => {
  const directory = temporary();
  const script = path.join(directory, 'server.js');
  fs.writeFileSync(script, `
    const http = require('node:http');
    http.createServer((request, response) => {
      if (request.url === '/slow') return setTimeout(() => response.end('late'), 800);
      if (request.url === '/never') return;
      if (request.url === '/die') process.exit(7);
      let body = '';
      request.on('data', (data) => (body += data));
      request.on('end', () => response.end(JSON.stringify({ pid: process.pid, url: request.url, method: request.method, headers: request.headers, body,
        env: [process.env.K_SERVICE, process.env.K_REVISION, process.env.K_CONFIGURATION] })));
    }).listen(process.env.PORT, '0.0.0.0');`);
  const service = await up({ name: 'plain', run: `${process.execPath} ${script}`, concurrency: 2, timeout: 3, annotations: { 'autoscaling.knative.dev/maxScale': 2 } });
  try {
    await until('it serves', () => service.status_().then(() => true, () => false));
    assert.equal((await service.instances()).length, 0, 'nothing runs yet');
    const first = await fetch(`${service.url}/a?b=1`, { method: 'POST', body: 'hello', headers: { 'x-forwarded-for': '1.2.3.4', 'k-secret': 'x', connection: 'close' } });
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('x-sennit-instance'), 'plain-00001-1');
    const seen = await first.json();
    assert.deepEqual([seen.url, seen.method, seen.body], ['/a?b=1', 'POST', 'hello']);
    assert.equal(seen.headers['x-forwarded-for'], '1.2.3.4, 127.0.0.1');
    assert.equal(seen.headers['x-forwarded-proto'], 'http');
    assert.match(seen.headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    assert.equal(seen.headers['k-secret'], undefined);
    assert.deepEqual(seen.env, ['plain', 'plain-00001', 'plain']);
    // Four slots: two instances of two; the fifth waits for one of them.
    const agent = new http.Agent({ keepAlive: false });
    const started = Date.now();
    const answers = await Promise.all(Array.from({ length: 5 }, () => new Promise((resolve, reject) => http.get(`${service.url}/slow`, { agent }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode, instance: response.headers['x-sennit-instance'], ms: Date.now() - started }));
    }).on('error', reject))));
    assert.deepEqual(answers.map((one) => one.status), [200, 200, 200, 200, 200]);
    assert.equal(new Set(answers.map((one) => one.instance)).size, 2);
    assert.ok(Math.max(...answers.map((one) => one.ms)) >= 1500, 'one waited');
    const late = await fetch(`${service.url}/never`);
    assert.equal(late.status, 504);
    assert.match(await late.text(), /^upstream request timeout\nrequest-timeout: .*timeoutSeconds/);
    assert.equal(late.headers.get('x-sennit-reason'), 'request-timeout');
    const died = await fetch(`${service.url}/die`);
    assert.equal(died.status, 503);
    assert.equal(died.headers.get('x-sennit-reason'), 'instance-failed');
    assert.equal((await fetch(`${service.url}/again`)).status, 200);
  } finally {
    await service.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test('examples/node-hello as it stands', { timeout: 30000 }, async () => {
  const [port, statusPort, state] = [await freePort(), await freePort(), temporary()];
  const run = program(['up', path.join(top, 'examples/node-hello/service.yaml'), '--port', port, '--status-port', statusPort, '--state', state]);
  try {
    const status = async () => (await fetch(`http://127.0.0.1:${statusPort}/status`)).json();
    await until('it serves', () => status().then(() => true, () => false));
    const answers = await Promise.all(Array.from({ length: 20 }, () => new Promise((resolve, reject) => http.get(`http://127.0.0.1:${port}/slow`, { agent: false }, (response) => {
      let body = '';
      response.on('data', (data) => (body += data));
      response.on('end', () => resolve(body));
    }).on('error', reject))));
    assert.ok(answers.every((body) => /^hello-00001, process \d+, GET \/slow\n$/.test(body)), answers[0]);
    assert.equal(new Set(answers).size, 5, 'twenty requests, four at a time, on five instances');
    assert.equal((await status()).instances.length, 5);
  } finally {
    await run.stop();
    fs.rmSync(state, { recursive: true, force: true });
  }
});
