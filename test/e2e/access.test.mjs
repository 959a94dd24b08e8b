// access: who may connect and do what, with stock clients: tokens of every kind and forged ones, over both transports; rules over two
// instances and a real Redis; tokens that expire; and the address of a client behind proxies.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { freePort, program, pythonWith, redis, serve, sleep, temporary, top, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const secret = crypto.randomBytes(32).toString('hex');
const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

// A token that is signed as `alg` says, with the header given.
function sign(claims, { alg = 'RS256', key = alg[0] === 'H' ? secret : alg[0] === 'E' ? ec.privateKey : rsa.privateKey, header = {} } = {}) {
  const text = `${encode({ alg, typ: 'JWT', ...header })}.${encode(claims)}`, hash = `sha${alg.slice(2)}`;
  const signature = alg[0] === 'H' ? crypto.createHmac(hash, key).update(text).digest()
    : crypto.sign(hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363',
      ...(alg[0] === 'P' ? { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST } : {}) });
  return `${text}.${signature.toString('base64url')}`;
}
const seconds = (more = 0) => Math.floor(Date.now() / 1000) + more;
const base = { iss: 'https://login.example.com', aud: 'board' };
const claims = (more) => ({ ...base, exp: seconds(600), ...more });
const ada = (more) => claims({ sub: 'ada', role: 'user', team: 'red', ...more });
const bob = (more) => claims({ sub: 'bob', role: 'user', team: 'blue', ...more });
const admin = (more) => claims({ sub: 'root', role: 'admin', ...more });

let broker, servers, directory, config;
before(async () => {
  directory = temporary();
  fs.writeFileSync(path.join(directory, 'rsa.pem'), pem);
  fs.writeFileSync(path.join(directory, 'secret'), secret);
  fs.writeFileSync(path.join(directory, 'jwks.json'), JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'ec', alg: 'ES256' },
    { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'pss', alg: 'PS256' }] }));
  config = `
jwt:
  keys:
    - {file: ${directory}/rsa.pem, alg: RS256, kid: rsa}
    - {file: ${directory}/jwks.json}
    - {file: ${directory}/secret, alg: HS256, kid: shared}
  issuer: https://login.example.com
  audience: board
  cookie: session
  leeway: 0
  notice: 1s
trusted_hops: 1
namespaces:
  /:
    log: {entries: 1000}
    presence: {claims: [sub, team]}
    events:
      join: {join: 0}
      say: {to: room, room: 0, log: true}
      shout: {to: everyone}
      past: {history: 0}
    access:
      connect: {role: [user, admin]}
      rooms:
        "team-{team}": {join: [own, {role: admin}]}
        "news": {join: anyone, send: {role: admin}, history: {role: admin}}
      events: {shout: {role: admin}}
  /open:
    auth: none
    events: {echo: {to: everyone}}
`;
  broker = await redis();
  servers = [await serve(config, { redisUrl: broker.url }), await serve(config, { redisUrl: broker.url })];
});
const open = [];
after(async () => {
  open.forEach((socket) => socket.close());
  for (const server of servers) await server.close();
  await broker.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

function client(options = {}, { server = 0, namespace = '' } = {}) {
  const socket = io(servers[server].url + namespace, { forceNew: true, transports: ['websocket'], reconnectionDelay: 50, reconnectionDelayMax: 100, ...options });
  open.push(socket);
  socket.got = [];
  socket.onAny((...event) => socket.got.push(event));
  return socket;
}

// `connected`, or the reason of the refusal.
async function outcome(socket) {
  return new Promise((resolve) => {
    socket.on('connect', () => resolve('connected'));
    socket.on('connect_error', (error) => resolve(error.data?.reason ?? error.message));
  });
}

async function tried(options, where) {
  const socket = client(options, where), result = await outcome(socket);
  socket.close();
  return result;
}

async function entered(token, options = {}, where = {}) {
  const socket = client({ auth: typeof token === 'string' ? { token } : token, ...options }, where);
  assert.equal(await outcome(socket), 'connected');
  return socket;
}

const ask = (socket, ...args) => socket.timeout(5000).emitWithAck(...args);
const reason = async (socket, ...args) => (await ask(socket, ...args))?.reason;

test('tokens of every kind, in each place, over each transport', quickly, async () => {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    for (const [alg, header] of [['RS256', { kid: 'rsa' }], ['RS256', {}], ['PS256', { kid: 'pss' }], ['ES256', { kid: 'ec' }], ['HS256', { kid: 'shared' }]])
      assert.equal(await tried({ transports, auth: { token: sign(ada(), { alg, header }) } }), 'connected', `${transports} ${alg}`);
    const token = sign(ada());
    assert.equal(await tried({ transports, extraHeaders: { authorization: `Bearer ${token}` } }), 'connected', `${transports}: header`);
    assert.equal(await tried({ transports, extraHeaders: { cookie: `a=b; session=${token}` } }), 'connected', `${transports}: cookie`);
    assert.equal(await tried({ transports, auth: (give) => give({ token }) }), 'connected', `${transports}: a function`);
  }
});

test('tokens that are not good enough', quickly, async () => {
  const token = sign(ada()), [header, payload, signature] = token.split('.');
  const hmac = (key) => sign(ada(), { alg: 'HS256', key, header: { kid: 'rsa' } });
  const bad = {
    token_missing: [undefined, null],
    token_malformed: ['', 'x', 7, [token], { token }, `${header}.${payload}`, `${token}.`, sign(ada(), { header: { crit: ['exp'] } }),
      sign(ada({ filler: 'x'.repeat(9000) })), sign(ada({ exp: 'soon' })), sign('[]'), ` ${token}`],
    token_algorithm: [`${encode({ alg: 'none' })}.${payload}.`, `${encode({ alg: 'None', kid: 'rsa' })}.${payload}.`, `${encode({ alg: 'none', kid: 'rsa' })}.${payload}.${signature}`,
      hmac(pem), hmac(pem.trim()), hmac(''), hmac(secret), sign(ada(), { alg: 'PS256', header: { kid: 'rsa' } }), sign(ada(), { alg: 'RS512', header: { kid: 'rsa' } })],
    token_key: [sign(ada(), { header: { kid: 'other' } }), sign(ada(), { header: { kid: '../rsa.pem' } }), sign(ada(), { header: { kid: `${directory}/secret` } }),
      sign(ada(), { header: { kid: '' } })],
    token_signature: [sign(ada(), { key: stranger.privateKey }), `${header}.${encode(admin())}.${signature}`, `${header}.${payload}.${'A'.repeat(342)}`,
      sign(ada(), { key: stranger.privateKey, header: { jwk: stranger.publicKey.export({ format: 'jwk' }) } }),
      sign(ada(), { key: stranger.privateKey, header: { jku: `${servers[0].url}/jwks.json`, x5u: servers[0].url } })],
    token_expired: [sign(ada({ exp: seconds(-1) })), sign(ada({ exp: 0 }))],
    token_early: [sign(ada({ nbf: seconds(60) })), sign(ada({ iat: seconds(3600) }))],
    token_issuer: [sign(ada({ iss: 'https://evil.example.com' })), sign(ada({ iss: undefined }))],
    token_audience: [sign(ada({ aud: 'other' })), sign(ada({ aud: undefined })), sign(ada({ aud: ['a', 'b'] }))],
    connect_forbidden: [sign(ada({ role: 'guest' })), sign(ada({ role: undefined }))],
  };
  for (const [expected, tokens] of Object.entries(bad))
    for (const one of tokens) {
      const socket = client({ auth: { token: one } });
      const error = await new Promise((resolve, reject) => {
        socket.on('connect_error', resolve);
        socket.on('connect', () => reject(new Error(`${expected}: ${one} was let in`)));
      });
      assert.equal(error.message, 'Not authorized', String(one));
      assert.equal(error.data.reason, expected, String(one));
      assert.ok(error.data.error.length > 20);
      socket.close();
    }
  const metrics = await (await fetch(`${servers[0].url}/metrics`)).text();
  for (const name of Object.keys(bad)) assert.match(metrics, new RegExp(`sennit_refusals_total\\{reason="${name}"\\} [1-9]`));
});

test('a token in the URL is not taken, and none stands in the log', quickly, async () => {
  const token = sign(ada());
  for (const transports of [['websocket'], ['polling']])
    assert.equal(await tried({ transports, query: { token, access_token: token, session: token } }), 'token_missing');
  await fetch(`${servers[0].url}/socket.io/?token=${token}&EIO=2&transport=polling`);
  await until('it is logged', () => servers[0].output.includes('/socket.io/?EIO=2&transport=polling'));
  const payload = sign(ada()).split('.')[1].slice(0, 40);
  for (const server of servers) assert.ok(!server.output.includes(payload) && !server.output.includes(secret), 'no token in the log');
});

test('a namespace without tokens beside one with them', quickly, async () => {
  assert.equal(await tried({}, { namespace: '/open' }), 'connected');
  const socket = client({}, { namespace: '/open' }), guarded = socket.io.socket('/');
  assert.deepEqual(await Promise.all([outcome(socket), outcome(guarded)]), ['connected', 'token_missing']);
  assert.ok(socket.connected, 'a refused namespace cuts off no other');
});

test('who may join, send and read, over two instances', quickly, async () => {
  const one = await entered(sign(ada())), two = await entered(sign(bob()), { transports: ['polling'] }, { server: 1 }), root = await entered(sign(admin()), {}, { server: 1 });
  assert.deepEqual(await ask(root, 'join', ['team-red', 'team-blue', 'news']), undefined);
  assert.equal(await reason(one, 'join', 'team-red'), undefined);
  assert.equal(await reason(one, 'join', 'team-blue'), 'room_forbidden');
  assert.equal(await reason(two, 'join', 'team-red'), 'room_forbidden');
  assert.equal(await reason(one, 'join', 'elsewhere'), 'room_forbidden');
  assert.equal(await reason(one, 'say', 'team-red', 'hello'), undefined);
  await until('the admin hears it', () => root.got.some(([event, room, text]) => event === 'say' && room === 'team-red' && text === 'hello'));
  assert.equal(await reason(one, 'shout', 1), 'send_forbidden');
  assert.equal(await reason(root, 'shout', 1), undefined);
  assert.equal(await reason(one, 'join', 'news'), undefined);
  assert.equal(await reason(one, 'say', 'news', 'fake'), 'send_forbidden');
  assert.equal(await reason(root, 'say', 'news', 'true'), undefined);
  await until('the news comes', () => one.got.some(([event, room]) => event === 'say' && room === 'news'));
  assert.equal(await reason(one, 'past', 'news'), 'history_forbidden');
  assert.equal((await ask(root, 'past', 'news')).entries.length, 1);
  assert.ok(!two.got.some(([event]) => event === 'say'), 'nothing reaches another team');
  // Presence shows claims.
  const shown = one.got.findLast(([event, about]) => event === 'presence' && about.members);
  assert.ok(JSON.stringify(one.got).includes('"data":{"sub":"ada","team":"red"}'), JSON.stringify(shown));
});

// Cut off, and back on the other instance with what the client was given there and another token.
async function returned(before, after) {
  const root = await entered(sign(admin())), socket = client({ auth: { token: sign(before) }, reconnection: false });
  await outcome(socket);
  await ask(root, 'join', 'team-red');
  assert.equal(await reason(socket, 'join', 'team-red'), undefined);
  await ask(root, 'say', 'team-red', 'seen');
  await until('it is seen', () => socket.got.some(([event]) => event === 'say'));
  const { id } = socket;
  socket.io.engine.close();
  await sleep(50);
  await ask(root, 'say', 'team-red', 'missed');
  socket.io.uri = servers[1].url;
  socket.auth = { token: sign(after) };
  socket.got = [];
  const back = new Promise((resolve) => socket.once('connect', resolve));
  socket.connect();
  await back;
  await sleep(200);
  const { recovered } = socket, missed = socket.got.some(([event, , text]) => event === 'say' && text === 'missed');
  assert.equal(socket.id === id, recovered);
  root.close();
  socket.close();
  return { recovered, missed };
}

test('rules are asked again when a client resumes on another instance', quickly, async () => {
  const same = await returned(ada(), ada({ jti: 'a new one' }));
  assert.deepEqual([same.recovered, same.missed], [true, true]);
  const moved = await returned(ada(), ada({ team: 'blue' }));
  assert.deepEqual([moved.recovered, moved.missed], [false, false]);
  const other = await returned(ada(), bob({ team: 'red' }));
  assert.deepEqual([other.recovered, other.missed], [false, false]);
  assert.match(await (await fetch(`${servers[1].url}/metrics`)).text(), /reason="lease_of_another"\} 1/);
});

test('a token expires: a notice, the end, and back with a new one', quickly, async () => {
  for (const transports of [['websocket'], ['polling']]) {
    let given = 0;
    const auth = (give) => give({ token: sign(ada({ exp: seconds(given++ === 0 ? 3 : 600) })) });
    const socket = client({ transports, auth }), ended = new Promise((resolve) => socket.once('disconnect', resolve));
    assert.equal(await outcome(socket), 'connected');
    assert.equal(await reason(socket, 'join', 'team-red'), undefined);
    assert.equal(await ended, 'io server disconnect');
    const notices = socket.got.filter(([event]) => event === 'sennit').map(([, about]) => about);
    assert.ok(notices[0].expires_in_ms > 0 && notices[0].expires_in_ms <= 1000, JSON.stringify(notices));
    assert.equal(notices[1].reason, 'token_expired');
    const back = new Promise((resolve) => socket.once('connect', resolve));
    socket.connect();
    await back;
    assert.equal(socket.recovered, true, `${transports}`);
    assert.equal(await reason(socket, 'say', 'team-red', 'again'), undefined);
    socket.close();
  }
});

test('a client renews its token without a gap', quickly, async () => {
  const socket = await entered(sign(ada({ exp: seconds(3) })));
  assert.equal(await reason(socket, 'join', 'team-red'), undefined);
  assert.equal(await reason(socket, 'sennit', { token: sign(bob()) }), 'token_of_another');
  const { expires_in_ms: left } = await ask(socket, 'sennit', { token: sign(ada({ exp: seconds(60) })) });
  assert.ok(left > 55000 && left <= 60000, String(left));
  await sleep(3200);
  assert.ok(socket.connected);
  assert.equal(await reason(socket, 'say', 'team-red', 'still here'), undefined);
});

test('keys that change are read again', quickly, async () => {
  const file = path.join(directory, 'moving.pem'), write = (pair) => fs.writeFileSync(file, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  write(rsa);
  const server = await serve(`jwt: {keys: [{file: ${file}, alg: RS256}]}\nnamespaces: {/: {events: {}}}\n`, { args: ['--broker', 'memory'] });
  const connects = (key) => new Promise((resolve) => {
    const socket = io(server.url, { forceNew: true, transports: ['websocket'], auth: { token: sign({ sub: 'a' }, { key }) } });
    open.push(socket);
    socket.on('connect', () => resolve(true));
    socket.on('connect_error', () => resolve(false));
  });
  try {
    assert.equal(await connects(rsa.privateKey), true);
    assert.equal(await connects(stranger.privateKey), false);
    write(stranger);
    await sleep(1100);
    assert.equal(await connects(stranger.privateKey), true);
    assert.equal(await connects(rsa.privateKey), false);
  } finally {
    await server.close();
  }
});

test("Python's client", quickly, async (t) => {
  const python = pythonWith('socketio, requests, websocket');
  if (!python) return t.skip('needs python3-socketio, python3-requests and python3-websocket');
  const file = path.join(directory, 'client.py');
  fs.writeFileSync(file, `
import socketio, sys
url, good, bad = sys.argv[1:]
try:
    refused = socketio.Client(reconnection=False)
    refused.on("connect_error", lambda data: print("refused", data["data"]["reason"], flush=True))
    refused.connect(url, auth={"token": bad})
except socketio.exceptions.ConnectionError:
    print("not connected", flush=True)
for how in ({"auth": {"token": good}}, {"headers": {"Authorization": "Bearer " + good}}):
    client = socketio.Client(reconnection=False)
    client.connect(url, **how)
    print("joined", client.call("join", "team-red"), flush=True)
    print("forbidden", client.call("join", "team-blue")["reason"], flush=True)
    client.disconnect()
`);
  const child = spawn(python, [file, servers[0].url, sign(ada()), sign(ada({ exp: seconds(-5) }))]);
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  await once(child, 'close');
  assert.match(output, /refused token_expired\nnot connected\n(joined (None|\(\)|\[\])\nforbidden room_forbidden\n){2}/);
});

test('through sennit up: polling and random balancing, and the address of the client', quickly, async () => {
  const file = path.join(directory, 'board.yaml');
  fs.writeFileSync(file, config.replaceAll('leeway: 0', 'leeway: 1s'));
  const service = await up({ name: 'board', concurrency: 50, run: `sennit serve --config ${file}`,
    annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 3, 'autoscaling.knative.dev/maxScale': 3 } }, { ready: 3 });
  const sockets = [['polling'], ['polling', 'websocket'], ['websocket']].map((transports) => io(service.url, { forceNew: true, transports, auth: { token: sign(ada()) } }));
  try {
    for (const socket of sockets) {
      socket.got = [];
      socket.onAny((...event) => socket.got.push(event));
    }
    await until('all are connected', () => sockets.every((socket) => socket.connected));
    for (const socket of sockets) {
      assert.equal(await reason(socket, 'join', 'team-red'), undefined);
      assert.equal(await reason(socket, 'join', 'team-blue'), 'room_forbidden');
    }
    for (let n = 0; n < 10; n++) assert.equal(await reason(sockets[n % 3], 'say', 'team-red', n), undefined);
    await until('each has all', () => sockets.every((socket) => socket.got.filter(([event]) => event === 'say').length === 10));
    for (const socket of sockets) assert.deepEqual(socket.got.filter(([event]) => event === 'say').map(([, , n]) => n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // What the client itself wrote into the list is not believed.
    await fetch(`${service.url}/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA`, { headers: { 'x-forwarded-for': '198.51.100.7' } });
    await fetch(`${service.url}/nowhere`, { headers: { 'x-forwarded-for': '198.51.100.7' } });
    assert.ok(!service.output.includes('198.51.100.7'));
  } finally {
    sockets.forEach((socket) => socket.close());
    await service.close();
  }
});

test('the address that a proxy names is the one in the log', quickly, async () => {
  await fetch(`${servers[0].url}/socket.io/?EIO=3&transport=polling`, { headers: { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' } });
  await until('it is logged', () => servers[0].output.split('\n').some((line) => line.includes('"eio_old"') && line.includes('"203.0.113.9"')));
  assert.ok(!servers[0].output.includes('"peer":"198.51.100.7"'));
});

test('the configuration of docs/access.md, and the example', quickly, async () => {
  const text = fs.readFileSync(path.join(top, 'docs/access.md'), 'utf8').match(/\n\n((?: {4}.*\n)+)/)[1].replaceAll(/^ {4}/gm, '');
  assert.match(text, /^jwt:/);
  const documented = await serve(text.replace('public.pem', `${directory}/rsa.pem`), { args: ['--broker', 'memory'] });
  await documented.close();
  const keys = temporary(), example = path.join(top, 'examples/teams');
  const token = (...words) => execFileSync(process.execPath, [path.join(example, 'token.mjs'), ...words], { env: { ...process.env, KEYS: keys } }).toString().trim();
  const [one, other] = [token('ada', 'red'), token('bob', 'blue')];
  const server = await serve(fs.readFileSync(path.join(example, 'teams.yaml'), 'utf8').replace('public.pem', `${keys}/public.pem`), { args: ['--broker', 'memory'] });
  const sockets = [one, other].map((given) => io(server.url, { forceNew: true, auth: { token: given } }));
  try {
    await until('both are connected', () => sockets.every((socket) => socket.connected));
    assert.deepEqual(await Promise.all(sockets.map((socket) => reason(socket, 'join', 'team-red'))), [undefined, 'room_forbidden']);
  } finally {
    sockets.forEach((socket) => socket.close());
    await server.close();
    fs.rmSync(keys, { recursive: true, force: true });
  }
});

test('on a platform a namespace says who may connect', quickly, async () => {
  const directory2 = temporary(), file = path.join(directory2, 'board.yaml');
  const starts = async (text) => {
    fs.writeFileSync(file, text);
    const run = program(['serve', '--config', file, '--port', await freePort(), '--broker', 'memory', '--log-format', 'json'], { env: { ...process.env, K_SERVICE: 'board', REDIS_URL: '' } });
    await until('it has decided', () => run.status !== null || run.output.includes('"listening"'));
    await run.stop();
    return run;
  };
  try {
    const refused = await starts('namespaces:\n  /: {auth: none, events: {}}\n  /chat:\n    events: {}\n');
    assert.equal(refused.status, 1);
    assert.match(refused.output, /board\.yaml:\d+: namespaces\.\/chat: K_SERVICE is set.*"\/chat": add `auth: none`.*`jwt:`/);
    for (const text of ['namespaces: {/: {auth: none, events: {}}}\n', `jwt: {keys: [{file: ${directory}/rsa.pem, alg: RS256}]}\nnamespaces: {/: {events: {}}}\n`])
      assert.match((await starts(text)).output, /"listening"/);
  } finally {
    fs.rmSync(directory2, { recursive: true, force: true });
  }
});
