// plain-clients: sennit.v1 as others use it: npm's reconnecting-websocket under cuts, Python's websockets, Chromium's own WebSocket; and clients
// that move to another connection before theirs is closed. Two instances and a real Redis.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import ReconnectingWebSocket from 'reconnecting-websocket';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { pair, pythonWith, serve, sleep, temporary, until } from './lib.mjs';
import { Plain, wsUrl } from './plain.mjs';

const config = `
namespaces:
  /:
    log: {entries: 10000, bytes: 16MiB, age: 1h}
    events:
      msg: {to: everyone, log: true, id: 0.id}
      enter: {join: 0}
      say: {to: room, room: 0, log: true}
`;
const slowly = { timeout: 120000 };

let broker, servers, close;
before(async () => ({ broker, servers, close } = await pair(config)));
after(() => close());

// Publishes numbers until it is told to stop, each until it is accepted. Returns how many.
function publisher(n, perSecond) {
  const client = new Plain(servers[n].url);
  const name = Math.random().toString(36).slice(2);
  let next = 0, stopped = false, accepted = 0;
  const done = (async () => {
    await client.connected();
    while (!stopped) {
      const id = `${n}-${next}`;
      client.ask({ type: 'publish', event: 'msg', args: [{ id, n: next++ }], id: `${name}-${id}` }).then((answer) => {
        assert.equal(answer.type, 'answer');
        accepted++;
      });
      await sleep(1000 / perSecond);
    }
    await until('all are accepted', () => accepted === next);
    client.close();
    return next;
  })();
  return { stop: () => ((stopped = true), done), sent: () => next };
}

// As a page would use the library: the URL is a function, so each new connection says where the last one ended.
class Reconnecting {
  constructor(first) {
    this.at = this.resume = '';
    this.got = [];
    this.connects = [];
    let turn = first;
    const url = () => `${wsUrl(servers[turn++ % 2].url)}/ws?${new URLSearchParams({ ns: '/', resume: this.resume, at: this.at })}`;
    this.socket = new ReconnectingWebSocket(url, 'sennit.v1', { WebSocket, minReconnectionDelay: 10, maxReconnectionDelay: 100, minUptime: 10 });
    this.socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.at !== undefined) this.at = message.at ?? '';
      if (message.type === 'connected') {
        this.resume = message.resume ?? '';
        this.connects.push(message.recovered);
      }
      if (message.type === 'event') this.got.push(message.args[0].id);
    };
  }
}

test('reconnecting-websocket, cut every second: nothing lost, doubled or reordered', slowly, async () => {
  const clients = [0, 1, 0, 1].map((n) => new Reconnecting(n));
  await until('they are connected', () => clients.every((one) => one.connects.length > 0));
  const publishers = [publisher(0, 50), publisher(1, 50)];
  for (let second = 0; second < 8; second++) {
    await sleep(1000);
    for (const one of clients) one.socket._ws?.terminate();
  }
  const counts = await Promise.all(publishers.map((one) => one.stop()));
  const all = counts[0] + counts[1];
  await until('everything came', () => clients.every((one) => one.got.length >= all)).catch(() => {});
  await sleep(200);
  for (const one of clients) {
    assert.ok(one.connects.length > 6, `it was cut: ${one.connects}`);
    assert.ok(one.connects.slice(1).every(Boolean), `it recovered each time: ${one.connects}`);
    assert.equal(one.got.length, all);
    assert.equal(new Set(one.got).size, all);
    assert.deepEqual(one.got, clients[0].got);
    one.socket.close();
  }
  for (const n of [0, 1]) {
    const own = clients[0].got.filter((id) => id.startsWith(`${n}-`));
    assert.deepEqual(own, own.map((_, at) => `${n}-${at}`));
  }
});

// Moves to a new connection while the old one is open: from the moment that it says its position, the old one's events do not count.
test('a client that comes back before it has gone misses nothing and gets nothing twice', slowly, async () => {
  const mover = new Plain(servers[0].url), publishing = publisher(0, 200);
  const first = await mover.connected();
  const codes = [];
  for (let move = 1; move <= 10; move++) {
    await sleep(150);
    const { socket, closed } = mover;
    mover.reach(servers[move % 4 < 2 ? 0 : 1].url); // to the same instance, and to the other one
    const again = await mover.connected();
    assert.equal(again.recovered, true);
    assert.equal(again.id, first.id);
    codes.push((await closed).code);
    socket.terminate();
  }
  const all = await publishing.stop();
  await until('everything came', () => mover.events.length >= all).catch(() => {});
  await sleep(100);
  assert.deepEqual(mover.events.map((one) => one.args[0].n), Array.from({ length: all }, (_, n) => n));
  assert.deepEqual(codes, codes.map(() => 4001));
  mover.close();
});

test('the server says that it is going to close, and serves until then: rotation and shutdown', slowly, async () => {
  const service = await serve(config, { redisUrl: broker.url, args: ['--request-timeout', 4, '--rotate', '2s'] });
  const started = Date.now();
  const ann = new Plain(service.url), bob = io(service.url, { transports: ['websocket'], forceNew: true });
  const welcome = await ann.find('welcome');
  assert.equal(welcome.deadline_ms, 4000);
  const closing = await ann.find('closing');
  assert.ok(closing.in_ms >= 400 && closing.in_ms <= 1500, `${closing.in_ms}`);
  assert.ok(closing.reconnect.min_ms <= closing.reconnect.max_ms);
  assert.equal((await ann.ask({ type: 'publish', event: 'msg', args: [{ id: 'late' }] })).result, null);
  const { code } = await ann.closed;
  assert.equal(code, 1012);
  assert.ok(Date.now() - started < 4000, 'before the platform cuts it');
  assert.ok(Date.now() - started > 3300);
  bob.close();
  const cat = new Plain(service.url), dan = new Plain(service.url);
  await Promise.all([cat.connected(), dan.connected()]);
  const ended = service.close();
  assert.equal((await cat.find('closing')).in_ms, 1000);
  cat.send({ type: 'publish', event: 'msg', args: [{ id: 'last' }] });
  await until('the other one has it', () => dan.events.some((one) => one.args[0].id === 'last'));
  dan.reach(servers[1].url); // it moves, and the other waits
  assert.equal((await dan.connected()).recovered, true);
  const end = await cat.closed;
  assert.equal(end.code, 1012);
  assert.match(end.reason, /shutting down/);
  await ended;
  assert.equal(service.status, 0);
  dan.close();
});

test("Python's websockets", slowly, async (t) => {
  const python = pythonWith('websockets');
  if (!python) return t.skip('needs python3-websockets');
  const script = `
import asyncio, json, sys, websockets
async def messages(socket, kind):
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == kind:
            return message
async def main():
    first, second = sys.argv[1:]
    async with websockets.connect(first + "/ws?ns=/", subprotocols=["sennit.v1"]) as socket:
        connected = await messages(socket, "connected")
        await socket.send(json.dumps({"type": "join", "room": "snakes", "ref": 1}))
        assert (await messages(socket, "answer"))["ref"] == 1
        print("joined", flush=True)
        event = await messages(socket, "event")
    print(json.dumps(event["args"]), flush=True)
    sys.stdin.readline()
    async with websockets.connect(second + "/ws") as socket:
        await socket.send(json.dumps({"type": "connect", "resume": connected["resume"], "at": event["at"]}))
        again = await messages(socket, "connected")
        assert again["recovered"] and again["id"] == connected["id"], again
        print(json.dumps((await messages(socket, "event"))["args"]), flush=True)
asyncio.run(main())
`;
  const directory = temporary(), file = path.join(directory, 'client.py');
  fs.writeFileSync(file, script);
  const ann = new Plain(servers[1].url);
  await ann.connected();
  await ann.ask({ type: 'join', room: 'snakes' });
  const child = spawn(python, [file, ...servers.map((one) => wsUrl(one.url))], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  const ended = new Promise((resolve) => child.on('close', resolve));
  await until('it joined', () => output.includes('joined'));
  await ann.ask({ type: 'publish', event: 'say', room: 'snakes', args: ['hiss'] });
  await until('it has the event', () => output.includes('hiss'));
  await ann.ask({ type: 'publish', event: 'say', room: 'snakes', args: ['missed'] });
  child.stdin.write('\n');
  assert.equal(await ended, 0);
  assert.equal(output, 'joined\n["snakes", "hiss"]\n["snakes", "missed"]\n');
  ann.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => fs.existsSync(file));
test("Chromium: one tab with its own WebSocket, one with Socket.IO's default options, in one room", {
  ...slowly, skip: chromium ? false : 'no Chromium on this machine (Debian: apt-get install chromium)' }, async () => {
  const { chromium: launcher } = await import('playwright-core');
  const browser = await launcher.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] });
  try {
    const [plain, other] = [await browser.newPage(), await browser.newPage()];
    await plain.goto(`${servers[0].url}/`);
    await plain.evaluate(() => new Promise((resolve) => {
      window.got = [];
      window.socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws?ns=/`, 'sennit.v1');
      window.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === 'event') window.got.push(message.args);
        if (message.type === 'answer') resolve();
      };
      window.socket.onopen = () => window.socket.send(JSON.stringify({ type: 'join', room: 'tabs', ref: 1 }));
    }));
    assert.equal(await plain.evaluate(() => window.socket.extensions), 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
    await other.goto(`${servers[1].url}/`);
    await other.addScriptTag({ url: `${servers[1].url}/socket.io/socket.io.js` });
    await other.evaluate(() => new Promise((resolve) => {
      window.got = [];
      window.socket = window.io();
      window.socket.on('say', (...args) => window.got.push(args.slice(0, -1)));
      window.socket.on('connect', () => window.socket.emit('enter', 'tabs', resolve));
    }));
    const text = 'ü'.repeat(2000);
    await plain.evaluate((said) => window.socket.send(JSON.stringify({ type: 'publish', event: 'say', room: 'tabs', args: ['from plain', said] })), text);
    await until('Socket.IO has it', () => other.evaluate(() => window.got.length === 1));
    await other.evaluate(() => window.socket.emit('say', 'tabs', 'from Socket.IO', { a: [1] }));
    const all = [['tabs', 'from plain', text], ['tabs', 'from Socket.IO', { a: [1] }]];
    await until('both have both', async () => (await plain.evaluate(() => window.got.length)) === 2 && (await other.evaluate(() => window.got.length)) === 2);
    assert.deepEqual(await plain.evaluate(() => window.got), all);
    assert.deepEqual(await other.evaluate(() => window.got), all);
  } finally {
    await browser.close();
  }
});
