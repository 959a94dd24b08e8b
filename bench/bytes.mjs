// Measures what each byte from a client costs the instance: its CPU for each kind of input, at N bytes and at 2N, most expensive first. See README.md.
//
// Linear means that the last column is near 1. A short question with a long answer is expensive without being worse than linear.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client, frame, repeat, sleep, text, Wire } from '../test/attack/wire.mjs';
import { busyNote, fail, freePort, listening, machine, optionsRead, redisStart, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/bytes.mjs [OPTION...]

For each kind of input: CPU of the instance for each byte it receives, of N bytes and of 2N, sorted by that.

  --only WORD           kinds whose name has this word in it
  --quick               a quarter of the bytes
  --bytes N             N for what is cheap (default 2000000)
  --redis 1             with a Redis of its own instead of the memory broker
  --json FILE           every figure, too
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench-bytes builds).`;

const options = optionsRead(usage, { only: null, bytes: 2000000, redis: 0, json: null }, { bytes: 500000 });

const patterns = Array.from({ length: 40 }, (_, at) => `"*a*b*c*${at}": {replay: 1}`).join(', ');
const config = `namespaces:
  /: &all
    log: {entries: 2000, bytes: 8MiB, age: 1h}
    presence: true
    events: {say: {to: others, log: true, id: 0.id}, wave: {to: others}, join: {join: 0}, leave: {leave: 0}, talk: {to: room-others, room: 0, log: true, except: 2}, except: {to: others, except: 0}, dm: {to: socket, socket: 0, log: true}, past: {history: 0}, who: {who: 0}}
  /x: *all
  /patterns:
    log: {entries: 10}
    rooms: {${patterns}}
    events: {join: {join: 0}, leave: {leave: 0}, say: {to: others, log: true}}
`;

// A kind is what is sent: `unit` is repeated until there are so many bytes, `grow(bytes)` makes one thing of about that size. `few`: it
// is answered at length, so less of it is enough. `before` prepares a client; `http` sends outside of a session.
const message = (body) => text(`42${body}`);
const event = (...args) => message(JSON.stringify(args));
const asked = (...args) => text(`427${JSON.stringify(args)}`);
const names = (count, size = 1) => Array.from({ length: count }, (_, at) => 'r'.repeat(size) + at);
const max = 990000; // what one message may have
const grown = (make) => (bytes) => repeat(make(Math.min(bytes, max)), Math.max(1, Math.floor(bytes / max)));
const inRooms = async (client) => {
  for (const room of names(32)) await client.ask(['join', room]);
};
const fill = async (client) => {
  for (let i = 0; i < 1000; i++) client.send(client.packet(['say', { id: `x${i}` }, 'x'.repeat(1000)], i));
  await client.wait(() => client.acks >= 1000, 20000);
};
const head = (fields) => Buffer.from(`GET /health HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);

const kinds = {
  'events, small': { unit: event('say', 1) },
  'events, 1 KB': { unit: event('say', 'x'.repeat(1000)) },
  'events, 1 MB': { grow: grown((bytes) => event('say', 'x'.repeat(bytes))) },
  'events, unlogged': { unit: event('wave', 1) },
  'events, acknowledged': { unit: text('42999["say",1]') },
  'events, named': { grow: (bytes) => Buffer.concat(Array.from({ length: Math.ceil(bytes / 30) }, (_, at) => event('say', { id: `n${at}` }))) },
  'events, named alike': { unit: event('say', { id: 'x' }) },
  'events, named behind many members': { grow: grown((bytes) => event('say', { ...Object.fromEntries(names(Math.ceil(bytes / 14)).map((name) => [name, 0])), id: 'x' })) },
  'events without a rule': { unit: event('nothing', 1) },
  'event names of escapes': { unit: message(`["${'\\u0061'.repeat(60)}",1]`) },
  'event names of 100 KB': { unit: event('n'.repeat(100000), 1) },
  'escapes in arguments': { grow: grown((bytes) => message(`["say","${'\\u0041'.repeat(bytes / 6)}"]`)) },
  'deep JSON': { grow: grown((bytes) => message(`["say",${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}]`)) },
  'deep JSON, objects': { grow: grown((bytes) => message(`["say",${'{"":'.repeat(bytes / 6)}0${'}'.repeat(bytes / 6)}]`)) },
  'deep JSON, cut off': { unit: message(`["say",${'['.repeat(1000)}`), closes: true },
  'many arguments': { grow: grown((bytes) => message(`["say"${',0'.repeat(bytes / 2)}]`)) },
  'white space': { grow: grown((bytes) => message(`["say",${' '.repeat(bytes)}0]`)) },
  'long numbers': { grow: grown((bytes) => message(`["say",${'9'.repeat(bytes)}]`)) },
  'text of four-byte characters': { grow: grown((bytes) => event('say', '\u{1f600}'.repeat(bytes / 4))) },
  'rooms, 32 in a list, not in them': { unit: event('talk', names(32), 1) },
  'rooms, 32 in a list, in them': { unit: event('talk', names(32), 1), before: inRooms },
  'rooms, a list of 10,000': { grow: grown((bytes) => event('talk', names(Math.ceil(bytes / 11)), 1)) },
  'exceptions, 32': { unit: event('except', names(32)) },
  'exceptions, a list of 10,000': { grow: grown((bytes) => event('except', names(Math.ceil(bytes / 11)))) },
  'joins of one room': { unit: event('join', 'a') },
  'leaves of no room': { unit: event('leave', 'a') },
  'join and leave, one room': { unit: Buffer.concat([event('join', 'a'), event('leave', 'a')]) },
  'join and leave, other rooms': { grow: (bytes) => Buffer.concat(names(Math.ceil(bytes / 55)).flatMap((room) => [event('join', room), event('leave', room)])) },
  'join and leave, 40 patterns': { nsp: '/patterns', unit: Buffer.concat(['join', 'leave'].map((name) => text(`42/patterns,["${name}","${'ab'.repeat(450)}"]`))) },
  'joins, 40 patterns, in it already': { nsp: '/patterns', unit: text(`42/patterns,["join","${'ab'.repeat(450)}"]`) },
  'messages to one socket': { unit: event('dm', 'S'.repeat(20), 1) },
  'history, one entry': { unit: asked('past', null, { limit: 1 }), before: fill, few: true },
  'history, 1000 entries': { unit: asked('past', null, { limit: 1000 }), before: fill, few: true },
  'history behind a position': { unit: asked('past', null, { after: '1abcdefgh.1', limit: 1 }), before: fill, few: true },
  'presence, whole': { unit: asked('who', null), few: true },
  'connect and leave': { unit: Buffer.concat([text('40/x,'), text('41/x,')]) },
  'connect, no such namespace': { unit: text('40/none,') },
  'connect with a pid of nobody': { unit: Buffer.concat([text(`40/x,{"pid":"${'P'.repeat(20)}","offset":"1abcdefgh.1"}`), text('41/x,')]), paced: true },
  'offsets of 2 KB': { unit: Buffer.concat([text(`40/x,{"pid":"${'P'.repeat(20)}","offset":"1abcdefgh.zzz${'.abc.1'.repeat(300)}"}`), text('41/x,')]), paced: true },
  'acknowledgements of nothing': { unit: text('431[]') },
  'pongs of Engine.IO': { unit: text('3') },
  'WebSocket pings, empty': { unit: frame(9, '') },
  'WebSocket pings, 125 bytes': { unit: frame(9, 'p'.repeat(125)) },
  'WebSocket pongs': { unit: frame(10, '') },
  'fragments, empty': { grow: (bytes) => Buffer.concat([frame(1, '42["say",', { fin: false }), repeat(frame(0, '', { fin: false }), bytes / 6), frame(0, '1]')]) },
  'fragments, one byte': { grow: (bytes) => Buffer.concat([frame(1, '42["say","', { fin: false }), repeat(frame(0, 'x', { fin: false, mask: 7 }), Math.min(bytes / 7, max)), frame(0, '"]')]) },
  'messages of one byte, masked': { unit: frame(1, '3', { mask: 0x12345678 }) },
  'heads, small, pipelined': { unit: head(''), http: true },
  'heads of 100 fields': { unit: head(names(100).map((name) => `X-${name}: 1\r\n`).join('')), http: true },
  'heads of 60 KB': { unit: head(names(8).map((name) => `X-${name}: ${'y'.repeat(7500)}\r\n`).join('')), http: true },
  'heads in pieces of 100 bytes': { unit: head(names(8).map((name) => `X-${name}: ${'y'.repeat(7500)}\r\n`).join('')), http: true, piece: 100 },
  'messages in pieces of 100 bytes': { unit: event('say', 'x'.repeat(60000)), piece: 100 },
  'no such path': { unit: Buffer.from('GET /none HTTP/1.1\r\nHost: a\r\n\r\n'), http: true },
  'metrics': { unit: Buffer.from('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'), http: true, few: true },
  'upgrades': { connections: true },
};

const cpuNs = (pid) => Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]);

// Until the instance has nothing to do.
async function settled(pid) {
  for (let last = -1, same = 0, end = Date.now() + 30000; same < 3 && Date.now() < end;) {
    const now = cpuNs(pid);
    same = now - last < 300000 ? same + 1 : 0;
    last = now;
    await sleep(40);
  }
  return cpuNs(pid);
}

function bytesOf(kind, size) {
  return kind.grow ? kind.grow(Math.floor(size)) : repeat(kind.unit, Math.max(1, Math.round(size / kind.unit.length)));
}

async function sendAll(wire, bytes, piece) {
  for (let at = 0; at < bytes.length && !wire.closed; at += piece)
    if (!(await wire.send(bytes.subarray(at, at + piece), 60000))) return at;
  return bytes.length;
}

// A whole handshake and CONNECT each.
async function connections(port, size) {
  const each = 260, count = Math.max(10, Math.round(size / 10 / each));
  for (let i = 0; i < count; i += 10) await Promise.all(Array.from({ length: 10 }, () => Client.open(port).then((client) => client.close())));
  return count * each;
}

// CPU for each byte of so many, on an instance of its own.
async function measured(kind, size, redis) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bytes-')), file = path.join(directory, 'config.yaml'), port = await freePort();
  fs.writeFileSync(file, config);
  const broker = redis ? ['--redis-url', redis.url] : ['--broker', 'memory'];
  const child = start([sennit, 'serve', '--config', file, '--port', port, '--log-level', 'error', ...broker], { env: { ...process.env, K_SERVICE: '', REDIS_URL: '' }, stdio: 'ignore' });
  try {
    await listening(port, child);
    const wire = kind.http ? await new Wire(port).connected : kind.connections ? null : await Client.open(port, { nsp: kind.nsp ?? '/' });
    await kind.before?.(wire);
    if (wire) wire.came = kind.paced ? wire.came : () => {};
    const before = await settled(child.pid), bytes = kind.connections ? null : bytesOf(kind, size);
    const sent = kind.connections ? await connections(port, size) : kind.paced ? await paced(wire, kind.unit, size) : await sendAll(wire, bytes, kind.piece ?? 65536);
    const cpu = (await settled(child.pid)) - before, closed = wire?.closed ?? false;
    wire?.close();
    return { bytes: sent, cpu, each: cpu / sent, closed: closed && !kind.closes };
  } finally {
    await stop(child, 'SIGKILL');
    fs.rmSync(directory, { recursive: true });
  }
}

// A namespace may be left only once it is joined: the next goes out when the last is answered.
async function paced(client, unit, size) {
  const [connect, leave] = [unit.subarray(0, unit.length - text('41/x,').length), text('41/x,')], count = Math.max(20, Math.round(size / 10 / unit.length));
  for (let i = 0; i < count; i++) {
    const from = client.messages.length;
    client.send(connect);
    await client.wait(() => client.messages.slice(from).some((one) => one.startsWith('40/x,') || one.startsWith('44/x,')), 2000);
    client.send(leave);
  }
  return count * unit.length;
}

const redis = options.redis ? await redisStart() : null;
const chosen = Object.entries(kinds).filter(([name]) => !options.only || name.includes(options.only));
if (chosen.length === 0) fail(`no kind's name has "${options.only}" in it`);
const rows = [];
for (const [name, kind] of chosen) {
  const size = kind.few ? options.bytes / 100 : options.bytes;
  const one = await measured(kind, size, redis), two = await measured(kind, 2 * size, redis);
  rows.push({ name, one, two, ratio: two.each / one.each });
  process.stderr.write(`${name}: ${one.each.toFixed(1)}, ${two.each.toFixed(1)} ns a byte\n`);
}
await redis?.close();
rows.sort((a, b) => b.two.each - a.two.each);
for (const note of busyNote()) console.log(`Note: ${note}.`);
console.log(`${machine()}; ${options.redis ? 'Redis' : 'memory broker'}\n`);
const cheapest = Math.min(...rows.map((row) => row.two.each));
table(['kind', 'bytes', 'ns a byte', 'of 2N', 'times the cheapest', '2N : N'], rows.map(({ name, one, two, ratio }) =>
  [`${name}${one.closed || two.closed ? ' (closed)' : ''}`, one.bytes.toLocaleString('en'), one.each.toFixed(1), two.each.toFixed(1), (two.each / cheapest).toFixed(0), ratio.toFixed(2)]));
if (options.json) fs.writeFileSync(options.json, JSON.stringify(rows, null, 1));
