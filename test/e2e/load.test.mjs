// load: `sennit load` says that a sound service is sound, and of each fault which one it is.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { board, freePort, program, serve, temporary, top, until, up } from './lib.mjs';

const quickly = (ms) => ({ timeout: ms });

// A small Socket.IO server on the raw wire, which numbers, logs and replays, and does so wrongly where it is told to:
//   drop: every 20th message misses one client     double: it reaches one client twice
//   swap: it reaches one client behind its successor     forget: a resume leaves out the first of what was missed
//   again: a resume brings the last one once more
// It speaks Socket.IO, sennit.v1 to clients that offer it, and with `bare` WebSocket without either.
class Server {
  constructor(faults = {}) {
    this.faults = faults;
    this.log = [];
    this.ids = new Set();
    this.sessions = new Map();
    this.sockets = new Set();
    this.server = http.createServer((request, response) => response.writeHead(404).end());
    this.server.on('upgrade', (request, socket) => this.upgrade(request, socket));
  }

  async listen() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  close() {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  upgrade(request, socket) {
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    const offered = request.headers['sec-websocket-protocol'];
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${offered ? `Sec-WebSocket-Protocol: ${offered}\r\n` : ''}\r\n`);
    socket.setNoDelay(true);
    this.sockets.add(socket);
    const client = { socket, held: null, session: this.faults.bare ? {} : null, plain: offered === 'sennit.v1' };
    if (client.plain) this.send(client, '{"type":"welcome","protocol":"sennit.v1","max_payload":1000000,"ping_interval_ms":25000,"ping_timeout_ms":20000}');
    else if (!this.faults.bare) this.send(client, '0{"sid":"AAAAAAAAAAAAAAAAAAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    else this.sessions.set(client.session, Object.assign(client.session, { client }));
    let rest = Buffer.alloc(0);
    socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 6) {
        const short = rest[1] & 127;
        const [at, length] = short === 126 ? [4, rest.readUInt16BE(2)] : [2, short];
        if (rest.length < at + 4 + length) return;
        const mask = rest.subarray(at, at + 4);
        const payload = Buffer.from(rest.subarray(at + 4, at + 4 + length).map((byte, index) => byte ^ mask[index & 3]));
        const opcode = rest[0] & 15;
        rest = rest.subarray(at + 4 + length);
        if (opcode === 8) socket.end(Buffer.from([0x88, 0]));
        else if (opcode === 1) this.received(client, payload.toString());
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
  }

  send(client, text) {
    if (client.socket.destroyed) return;
    const payload = Buffer.from(text);
    const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255]);
    client.socket.write(Buffer.concat([head, payload]));
  }

  received(client, text) {
    if (this.faults.bare) this.publish(client, JSON.parse(text));
    else if (client.plain) this.receivedPlain(client, JSON.parse(text));
    else if (text.startsWith('40')) this.connect(client, text.length > 2 ? JSON.parse(text.slice(2)) : {});
    else if (text.startsWith('42')) {
      const [, id, json] = /^42(\d*)(.*)$/.exec(text);
      const [, message] = JSON.parse(json);
      if (!this.ids.has(message.id)) this.publish(client, message);
      this.ids.add(message.id);
      if (id) this.send(client, `43${id}[]`);
    }
  }

  receivedPlain(client, { type, ref, id, args, resume, at }) {
    if (type === 'connect') this.connect(client, { pid: resume, offset: at });
    if (type !== 'publish') return;
    if (!this.ids.has(id)) this.publish(client, args[0]);
    this.ids.add(id);
    this.send(client, JSON.stringify({ type: 'answer', ref, result: null }));
  }

  connect(client, { pid, offset }) {
    const before = this.sessions.get(pid);
    const session = before ?? { pid: `pid-${this.sessions.size}`, sid: `sid-${this.sessions.size}`, from: this.log.length };
    if (before?.client) before.client.socket.destroy();
    this.sessions.set(session.pid, session);
    client.session = session;
    session.client = client;
    if (client.plain) this.send(client, JSON.stringify({ type: 'connected', ns: '/', id: session.sid, resume: session.pid, recovered: before !== undefined, at: null }));
    else this.send(client, `40${JSON.stringify({ sid: session.sid, pid: session.pid })}`);
    if (!before) return;
    const at = offset === undefined ? session.from : Number(offset) + 1;
    const missed = this.log.map((entry, seq) => ({ ...entry, seq })).slice(at).filter((entry) => entry.by !== session);
    const last = this.log.map((entry, seq) => ({ ...entry, seq })).slice(0, at).filter((entry) => entry.by !== session).at(-1);
    if (this.faults.forget) missed.shift();
    if (this.faults.again && last) missed.unshift(last);
    for (const { message, seq } of missed) this.send(client, this.event(client, message, seq));
  }

  event(client, message, seq) {
    if (client.plain) return JSON.stringify({ type: 'event', event: 'drawing', args: [message], at: String(seq) });
    return this.faults.bare ? JSON.stringify(message) : `42${JSON.stringify(['drawing', message, String(seq)])}`;
  }

  publish(from, message) {
    const seq = this.log.length;
    this.log.push({ by: from.session, message });
    const text = this.event(from, message, seq);
    const others = [...this.sessions.values()].filter((session) => session !== from.session);
    const victim = seq % 20 === 10 ? others[Math.floor(others.length / 2)] : null;
    for (const session of others) {
      const { client } = session;
      if (session === victim && this.faults.drop) continue;
      if (session === victim && this.faults.swap) {
        client.held = text;
        continue;
      }
      this.send(client, text);
      if (session === victim && this.faults.double) this.send(client, text);
      if (client.held !== null) this.send(client, client.held);
      client.held = null;
    }
  }
}

// Runs `sennit load --json` to its end.
async function load(url, ...args) {
  const run = program(['load', url, '--json', ...args.map(String)]);
  await run.ended;
  await run.stop();
  const line = run.output.split('\n').find((text) => text.startsWith('{'));
  return { status: run.status, output: run.output, ...(line ? JSON.parse(line) : {}) };
}

// The whiteboard, with more lines in front.
const boardConfig = (more = '') => more + fs.readFileSync(path.join(top, 'examples/whiteboard/board.yaml'), 'utf8').replace('../../web', path.join(top, 'web'));

const short = ['-c', 20, '-r', 100, '--publishers', 3, '-d', 2, '--check', '--settle', 2];
const sound = [...short, '--settle', 20]; // ends when everything has come
const cuts = ['--cut-every', 1, '--reconnect-delay', 100];

function assertGood(run, clients) {
  assert.equal(run.status, 0, run.output);
  assert.equal(run.outcome, 'good');
  const { lost, doubled, reordered, unexpected, wrongly_recovered: wrongly } = run.check;
  assert.deepEqual({ lost, doubled, reordered, unexpected, wrongly }, { lost: 0, doubled: 0, reordered: 0, unexpected: 0, wrongly: 0 });
  assert.equal(run.connected, clients);
  assert.equal(run.check.accepted, run.sent);
  assert.ok(run.check.expected > 0 && run.latency_ms.p50 > 0 && run.latency_ms.p50 <= run.latency_ms.max);
}

test('three instances and cuts of every kind: nothing lost, nothing doubled, one order', quickly(60000), async () => {
  const service = await up(board({ min: 3 }), { ready: 3 });
  try {
    const run = await load(service.url, '-c', 60, '-r', 200, '--publishers', 6, '-d', 8, '--check', '--cut-every', 2,
      '--reconnect-delay', 200, '--settle', 20, '--pid', (await service.instances())[0].pid);
    assertGood(run, 60);
    assert.equal(run.check.expected, run.sent * 59);
    assert.ok(run.check.recovered > 50, `${run.check.recovered} recovered`);
    assert.equal(run.check.not_recovered, 0);
    for (const kind of ['fin', 'rst', 'halfopen', 'close']) assert.ok(run.cuts[kind] > 0, `${kind} cuts`);
    assert.ok(run.server_cpu_us_per_delivery > 0);
  } finally {
    await service.close();
  }
});

test('attachments arrive byte by byte, also across cuts', quickly(60000), async () => {
  const service = await up(board({ min: 2 }), { ready: 2 });
  try {
    const run = await load(service.url, ...sound, ...cuts, '--binary', 3000);
    assertGood(run, 20);
    assert.ok(run.check.recovered > 5, `${run.check.recovered} recovered`);
  } finally {
    await service.close();
  }
});

test('rooms that are joined and written to, publishers included', quickly(60000), async () => {
  const directory = temporary();
  const config = path.join(directory, 'rooms.yaml');
  const port = await freePort();
  fs.writeFileSync(config, `namespaces:
  /game:
    log: {entries: 10000, age: 1h}
    events:
      enter: {join: 0}
      say: {to: room, room: 0, log: true, id: 1.id}
`);
  const server = program(['serve', '--config', config, '--port', port, '--broker', 'memory', '--log-format', 'json']);
  try {
    await until('it listens', () => server.output.includes('listening'));
    const run = await load(`http://localhost:${port}`, '--namespace', '/game', '-c', 40, '--rooms', 8, '--rooms-per-client', 2,
      '--join-event', 'enter', '--room-event', 'say', '--echo', '-r', 200, '--publishers', 20, '-d', 4, '--check', ...cuts);
    assertGood(run, 40);
    assert.equal(run.check.rooms.length, 8);
    for (const room of run.check.rooms) assert.ok(room.accepted > 0 && room.expected === room.accepted * 10, JSON.stringify(room));
    assert.ok(run.check.recovered > 20);
  } finally {
    await server.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test('a server on the raw wire is sound, cut or not, and over bare WebSocket', quickly(60000), async () => {
  const server = await new Server().listen();
  const bare = await new Server({ bare: true }).listen();
  try {
    for (const protocol of ['socketio', 'plain']) {
      assertGood(await load(server.url, ...sound, '--protocol', protocol), 20);
      const run = await load(server.url, ...sound, ...cuts, '--protocol', protocol);
      assertGood(run, 20);
      assert.ok(run.check.recovered > 10);
      assert.equal(run.protocol, protocol);
    }
    assertGood(await load(`${bare.url}/any`, ...sound, '--protocol', 'websocket', '--size', 200), 20);
  } finally {
    server.close();
    bare.close();
  }
});

test('long-polling, and the upgrade to WebSocket, over three instances and cuts of every kind', quickly(90000), async () => {
  const service = await up(board({ min: 3 }), { ready: 3 });
  try {
    for (const transport of ['polling', 'upgrade']) {
      const run = await load(service.url, '-c', 20, '-r', 100, '--publishers', 3, '-d', 4, '--check', '--settle', 20, ...cuts, '--transport', transport);
      assertGood(run, 20);
      assert.ok(run.check.recovered > 20, `${run.check.recovered} recovered`);
      assert.equal(run.check.not_recovered, 0);
      for (const kind of ['fin', 'rst', 'halfopen', 'close']) assert.ok(run.cuts[kind] > 0, `${kind} cuts`);
      const { gets, posts, upgraded, upgrades_failed: failed } = run.polling;
      assert.equal(failed, 0);
      assert.ok(posts >= 20 + run.recovered, `${posts} POSTs`);
      if (transport === 'polling') assert.ok(upgraded === 0 && gets > run.sent, `${gets} GETs, ${upgraded} upgraded`);
      else assert.ok(upgraded >= 20 + run.recovered / 2, `${upgraded} of ${20 + run.recovered} sessions upgraded`);
    }
  } finally {
    await service.close();
  }
});

test('clients of sennit.v1 over three instances and cuts of every kind', quickly(60000), async () => {
  const service = await up(board({ min: 3 }), { ready: 3 });
  try {
    const run = await load(service.url, '-c', 30, '-r', 100, '--publishers', 3, '-d', 4, '--check', '--settle', 20, ...cuts, '--protocol', 'plain');
    assertGood(run, 30);
    assert.equal(run.check.expected, run.sent * 29);
    assert.ok(run.check.recovered > 30, `${run.check.recovered} recovered`);
    assert.equal(run.check.not_recovered, 0);
    assert.equal(run.acknowledged, run.sent);
    for (const kind of ['fin', 'rst', 'halfopen', 'close']) assert.ok(run.cuts[kind] > 0, `${kind} cuts`);
  } finally {
    await service.close();
  }
});

test('a server that refuses some says why the last one failed', quickly(30000), async () => {
  const server = await serve('limits: {connections_per_address: 5}\nnamespaces: {"/": {auth: none, events: {drawing: {to: others}}}}\n', { args: ['--broker', 'memory'] });
  try {
    const run = await load(server.url, '-c', 10, '-d', 1, '--connect-timeout', 1);
    assert.equal(run.status, 3);
    assert.match(run.output, /: 5 of 10 clients connected, and then none for 1 s; the last one that failed: .*429/);
    assert.equal(run.why.match(/clients connected, and then/g).length, 1);
  } finally {
    await server.close();
  }
});

test('sennit.v1: rooms, attachments, deflate, and what is refused', quickly(60000), async () => {
  const server = await serve(`compression: {websocket: on}
namespaces:
  /game:
    log: {entries: 10000, age: 1h}
    events:
      enter: {join: 0}
      say: {to: room, room: 0, log: true}
`, { args: ['--broker', 'memory'] });
  const game = ['--protocol', 'plain', '--namespace', '/game', '-c', 20, '--rooms', 4, '--rooms-per-client', 2, '--echo', '-r', 100, '--publishers', 5, '-d', 2, '--check', ...cuts];
  try {
    for (const more of [['--binary', 3000], ['--deflate', '--size', 2000], ['--no-ack', '--cut-every', 1000]]) {
      const run = await load(server.url, ...game, '--room-event', 'say', ...more);
      assertGood(run, 20);
      for (const room of run.check.rooms) assert.ok(room.accepted > 0 && room.expected === room.accepted * 10, JSON.stringify(room));
      if (more[0] === '--deflate') assert.ok(run.deflate.messages_in > 1000 && run.deflate.messages_out > 100, JSON.stringify(run.deflate));
    }
    const refused = await load(server.url, ...game, '--room-event', 'shout', '--settle', 1);
    assert.equal(refused.status, 1);
    assert.equal(refused.refused, refused.sent);
    const nowhere = await load(server.url, '--protocol', 'plain', '--namespace', '/none', '-d', 1);
    assert.equal(nowhere.status, 3);
    assert.match(nowhere.output, /refuses the client: .*namespace_unknown/);
    const elsewhere = await load(server.url, '--protocol', 'plain', '--path', '/socket.io/', '-d', 1);
    assert.equal(elsewhere.status, 3);
  } finally {
    await server.close();
  }
});

test('attachments and deflate over long-polling and the upgrade', quickly(60000), async () => {
  const server = await serve(boardConfig('compression: {websocket: on}\n'), { args: ['--broker', 'memory'] });
  try {
    for (const transport of ['polling', 'upgrade']) assertGood(await load(server.url, ...sound, ...cuts, '--transport', transport, '--binary', 3000), 20);
    const run = await load(server.url, ...sound, '--transport', 'upgrade', '--deflate', '--size', 2000);
    assertGood(run, 20);
    assert.ok(run.deflate.messages_in > 1000 && run.deflate.bytes_in < run.deflate.bytes_in_made / 2, JSON.stringify(run.deflate));
    assert.equal((await load(server.url, ...short, '--transport', 'polling', '--deflate')).status, 2);
  } finally {
    await server.close();
  }
});

// Stands before a server, with a connection and chunks for each answer, and changes the packets of polls.
async function proxy(url, change) {
  const server = http.createServer(async (request, response) => {
    const body = [];
    for await (const part of request) body.push(part);
    const answer = await fetch(url + request.url, { method: request.method, headers: { 'content-type': 'text/plain' }, body: body.length ? Buffer.concat(body) : undefined })
      .catch(() => ({ status: 502, text: () => '' }));
    response.writeHead(answer.status, { Connection: 'close' });
    const packets = (await answer.text()).split('\x1e');
    for (const piece of packets.flatMap(change).join('\x1e').match(/[^]{1,1000}/g) ?? []) response.write(piece);
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.closeAllConnections() ?? server.close() };
}

test('what a server does wrong over long-polling is found out', quickly(60000), async () => {
  const server = await serve(boardConfig(), { args: ['--broker', 'memory'] });
  let seen = 0;
  const twentieth = (packet, instead) => (packet.startsWith('42["drawing"') && ++seen % 20 === 0 ? instead : [packet]);
  const changes = { good: (packet) => [packet], lost: (packet) => twentieth(packet, ['6']), doubled: (packet) => twentieth(packet, [packet, packet]) };
  try {
    for (const [fault, change] of Object.entries(changes)) {
      const between = await proxy(server.url, change);
      const run = await load(between.url, '-c', 10, '-r', 50, '-d', 2, '--check', '--settle', 2, '--transport', 'polling');
      between.close();
      if (fault === 'good') {
        assertGood(run, 10);
        continue;
      }
      assert.equal(run.status, 1, run.output);
      for (const found of ['lost', 'doubled', 'reordered']) assert.equal(run.check[found] > 0, found === fault, `${found}: ${JSON.stringify(run.check)}`);
    }
  } finally {
    await server.close();
  }
});

test('a session that cannot go on over long-polling says why', quickly(30000), async () => {
  const server = await serve(boardConfig('transports: [websocket]\n'), { args: ['--broker', 'memory'] });
  try {
    const run = await load(server.url, '--transport', 'polling', '-d', 1);
    assert.equal(run.status, 3);
    assert.match(run.output, /answered a GET with 400 .*Transport unknown/);
  } finally {
    await server.close();
  }
});

// What the server does, the fault, what is to be found, what is not.
const faults = [
  ['drops messages', 'drop', 'lost', ['doubled', 'reordered']],
  ['doubles messages', 'double', 'doubled', ['lost', 'reordered']],
  ['swaps messages', 'swap', 'reordered', ['lost', 'doubled']],
  ['leaves something out when it resumes', 'forget', 'wrongly_recovered', ['doubled'], cuts],
  ['brings something twice when it resumes', 'again', 'wrongly_recovered', ['lost'], cuts],
];
for (const [what, fault, found, notFound, more = [], protocol = 'socketio'] of [...faults, ...faults.map((one) => [...one.slice(0, 4), one[4] ?? [], 'plain'])]) {
  test(`a server that ${what} is found out (${protocol})`, quickly(30000), async () => {
    const server = await new Server({ [fault]: true }).listen();
    try {
      const run = await load(server.url, ...short, ...more, '--protocol', protocol);
      assert.equal(run.status, 1, run.output);
      assert.equal(run.outcome, 'check_failed');
      assert.ok(run.check[found] > 0, JSON.stringify(run.check));
      for (const other of notFound) assert.equal(run.check[other], 0, `${other}: ${JSON.stringify(run.check)}`);
      if (fault === 'swap') assert.notEqual(run.check.disagreement.client, run.check.disagreement.other);
    } finally {
      server.close();
    }
  });
}

test('what cannot be done is said, with the status of its kind', quickly(30000), async () => {
  const port = await freePort();
  const refused = await load(`http://127.0.0.1:${port}`);
  assert.equal(refused.status, 3);
  assert.match(refused.output, /cannot connect: Connection refused/);
  assert.equal(refused.outcome, 'aborted');
  assert.equal((await load('ftp://localhost')).status, 2);
  assert.equal((await load(`http://127.0.0.1:${port}`, '--clients', 0)).status, 2);
  assert.equal((await load(`http://127.0.0.1:${port}`, '--publishers', 200)).status, 2);

  const server = await new Server().listen();
  try {
    const run = program(['load', server.url, '--json', '-d', '60', '--check', '-r', '100']);
    await until('messages flow', () => server.log.length > 50);
    run.child.kill('SIGINT');
    await run.ended;
    const report = JSON.parse(run.output.split('\n').find((text) => text.startsWith('{')));
    assert.equal(run.status, 3);
    assert.equal(report.outcome, 'aborted');
    assert.ok(report.delivered > 0 && report.latency_ms.p50 > 0);
  } finally {
    server.close();
  }
});

test('a request timeout of a second: somebody is always on the way, and nothing is lost', quickly(60000), async () => {
  const service = await up(board({ timeout: 1, min: 2 }), { ready: 2 });
  try {
    const run = await load(service.url, '-c', 60, '-r', 50, '--publishers', 5, '-d', 3, '--check', '--settle', 15, '--reconnect-delay', 300);
    assert.equal(run.status, 0, run.output);
    assert.equal(run.away, 0);
    assert.ok(run.recovered >= 60, `${run.recovered} recovered`);
  } finally {
    await service.close();
  }
});
