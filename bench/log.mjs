// Measures the cost of the log, and how soon a lost push is recovered: our broker on a real Redis, beside Redis alone. See README.md.
//
// Each part starts a redis-server of its own. Where ways are compared every round measures each of them once, each round in another
// order, and the medians are printed.
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { io } from 'socket.io-client';
import { redisClient, redisServer } from '../tools/redis_server.mjs';
import { busyNote, fail, freePort, here, listening, machine, median, optionsRead, output, redisStart, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/log.mjs [OPTION...]

Measures the log on a real redis-server that it starts itself:

  publish   messages for each second of Redis' CPU: our broker, scripts called for each message, plain commands
  resume    clients of one instance that come back 1000 messages behind: commands and CPU of Redis, CPU of the instance
  tail      how soon the last message is there although its push was lost
  memory    of Redis for each entry, for 100,000 rooms of one entry; of an instance for rooms that nobody is in
  latency   of the ordered feed beside plain PUBLISH
  cluster   publish on three primaries with a replica each: with sharded Pub/Sub and without

  --part NAME,NAME      of these (default all)
  --quick               one round where there are three, and less of everything else
  --rounds N            so many rounds (default 3)
  --repeats N           so many lost pushes (default 50)
  --seconds N           for so long latency is measured in each round (default 5)
  --rooms N             so many rooms of one entry (default 100000)
  --json FILE           every figure, too
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench-log builds, with bench/ beside it).`;

const options = optionsRead(usage, { part: null, rounds: 3, repeats: 50, seconds: 5, rooms: 100000, json: null },
  { rounds: 1, repeats: 10, seconds: 2, rooms: 10000 });
const programs = path.join(path.dirname(fs.existsSync(sennit) ? fs.realpathSync(sennit) : sennit), '../../bench');
const program = (name) => path.join(programs, `bench_${name}`);
const notes = busyNote();
const results = {};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const progress = (text) => process.stderr.write(`${text}\n`);
const measured = async (name, ...args) => JSON.parse(await output([program(name), ...args]));
const fixed = (value, digits = 0) => (value === undefined ? '' : value.toFixed(digits));

async function serveStart(config, redisUrl) {
  const port = await freePort();
  const child = start([sennit, 'serve', '--config', config, '--port', port, '--redis-url', redisUrl, '--log-level', 'error'],
    { env: { ...process.env, K_SERVICE: '', SENNIT_BROKER: '' }, stdio: ['ignore', 'ignore', 'inherit'] });
  await listening(port, child);
  return { port, pid: child.pid, url: `http://127.0.0.1:${port}`, close: () => stop(child) };
}

// `run(item, round)` for each of these, each round in another order; answers their results by name.
async function rounds(items, run) {
  const got = Object.fromEntries(items.map(({ name }) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const item of items.map((_, at) => items[(at + round) % items.length])) {
      progress(`round ${round + 1} of ${options.rounds}: ${item.name}`);
      got[item.name].push(await run(item));
    }
  }
  return got;
}
const medians = (runsOf) => Object.fromEntries(Object.keys(runsOf[0]).map((key) => [key, median(runsOf.map((run) => run[key]))]));

// --- publish

const ways = [
  { way: 'broker', title: 'sennit' },
  { way: 'entry', title: 'sennit\'s script, called for each message' },
  { way: 'script', title: 'a script with history, called for each message' },
  { way: 'short', title: 'the shortest script, called for each message' },
  { way: 'commands', title: 'XADD and PUBLISH' },
  { way: 'plain', title: 'PUBLISH, no history' },
];
// In 100 rooms the logs are full before it is measured, as they are with one after a thousandth.
const shapes = [
  { shape: 'one room', args: ['--messages', 110000, '--warm', 10000] },
  { shape: '100 rooms', args: ['--rooms', 100, '--messages', 210000, '--warm', 110000] },
  { shape: 'one at a time', args: ['--publishers', 1, '--messages', 22000, '--warm', 2000] },
];

async function publish() {
  const redis = await redisStart();
  const items = shapes.flatMap(({ shape, args }) => ways.map(({ way }) => ({ name: `${shape}: ${way}`, way, args })));
  const got = await rounds(items, async ({ way, args }) => {
    redis.command('FLUSHALL');
    const run = await measured('publish', '--port', redis.port, '--pid', redis.pid, '--subscribed', 1, '--way', way, ...args);
    return { us: run.redis_us / run.messages };
  });
  await redis.close();
  const us = (shape, way) => medians(got[`${shape}: ${way}`]).us;
  console.log('Publishing, 64 B: messages for each second of Redis\' CPU, one subscriber, logs of 1000 entries; 1000 messages under way at any time, and in');
  console.log('the last columns one. The ratio is to the script with history (more is better).\n');
  table(['way', ...shapes.flatMap(({ shape }) => [`${shape}, k/s`, 'ratio'])],
    ways.map(({ way, title }) => [title, ...shapes.flatMap(({ shape }) => [fixed(1000 / us(shape, way), 1), fixed(us(shape, 'script') / us(shape, way), 2)])]));
  results.publish = got;
}

// --- resume

const herds = [
  { name: '1000 missed, 3000/s', args: ['--clients', 6000, '--missed', 1000, '--rate', 3000] },
  { name: '10 missed, 3000/s', args: ['--clients', 6000, '--missed', 10, '--rate', 3000] },
  { name: '5000 missed, 500/s', args: ['--clients', 1000, '--missed', 5000, '--rate', 500] },
  { name: '1000 missed, all at once', args: ['--clients', 3000, '--missed', 1000, '--rate', 1000000] },
];

async function resume() {
  const got = await rounds(herds, async ({ args }) => {
    const redis = await redisStart();
    const serve = await serveStart(path.join(here, 'relay-logged.yaml'), redis.url);
    const run = await measured('resume', '--port', serve.port, '--pid', serve.pid, '--redis-port', redis.port, '--redis-pid', redis.pid, ...args);
    await serve.close();
    await redis.close();
    const calls = (command) => Number(run.commandstats.match(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm'))?.[1] ?? 0);
    return { clients: run.clients, rate: run.clients / run.us * 1e6, reads: calls('xrange'), calls: calls('evalsha') / run.clients, redis: run.redis_us / run.clients,
      serve: run.server_us / run.clients, load: run.own_us / run.us, p50: run.p50_us / 1000, p99: run.p99_us / 1000 };
  });
  console.log('Clients in one room of one instance come back, all of them behind: what Redis did and what it cost. `reads`: XRANGE calls in all; a page');
  console.log('has 1000 entries at most. Times: from a client\'s connect to the last message that it had missed.\n');
  table(['missed by each, rate', 'clients', 'resumed/s', 'reads', 'script calls/resume', 'Redis CPU/resume, µs', 'sennit CPU/resume, µs', 'p50, ms', 'p99, ms'],
    herds.map(({ name }) => {
      const one = medians(got[name]);
      if (one.load > 0.9) notes.push(`${name}: the load itself was busy ${Math.round(one.load * 100)} % of the time`);
      return [name, fixed(one.clients), fixed(one.rate), fixed(one.reads), fixed(one.calls, 2), fixed(one.redis), fixed(one.serve), fixed(one.p50, 1), fixed(one.p99, 1)];
    }));
  results.resume = got;
}

// --- tail

// Between an instance and Redis: drops one whole message, which the caller names, from Redis' pushes.
async function thiefStart(redisPort) {
  const sockets = new Set();
  const thief = { wanted: null, stolen: 0 };
  const head = '*3\r\n$7\r\nmessage\r\n';
  const line = (bytes, at) => {
    const end = bytes.indexOf('\r\n', at);
    return { length: Number(bytes.toString('latin1', at + 1, end)), next: end + 2 };
  };
  const steal = (bytes) => {
    const marked = thief.wanted === null ? -1 : bytes.indexOf(thief.wanted);
    if (marked < 0) return bytes;
    const from = bytes.lastIndexOf(head, marked);
    const channel = line(bytes, from + head.length);
    const payload = line(bytes, channel.next + channel.length + 2);
    const to = payload.next + payload.length + 2;
    if (from < 0 || to > bytes.length) throw new Error('a push came in pieces');
    thief.wanted = null;
    thief.stolen++;
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  };
  const server = net.createServer((near) => {
    const far = net.connect(redisPort, '127.0.0.1');
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(steal(bytes)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(thief, { url: `redis://127.0.0.1:${server.address().port}`, close: () => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  } });
}

async function clientStart(url, query) {
  const client = io(url, { transports: ['websocket'], forceNew: true, reconnection: false, query });
  await once(client, 'connect');
  return client;
}
const accepted = (client, ...args) => new Promise((resolve) => client.emit(...args, resolve));

async function tail() {
  const redis = await redisStart();
  const thief = await thiefStart(redis.port);
  const config = path.join(here, 'relay-logged.yaml');
  const serves = [await serveStart(config, redis.url), await serveStart(config, thief.url)];
  const clients = [await clientStart(serves[0].url), await clientStart(serves[1].url)];
  const [publisher, receiver] = clients;
  const came = new Map();
  receiver.on('drawing', ({ id }) => came.get(id)?.(performance.now()));
  const lost = (id) => {
    thief.wanted = `"${id}"`;
    return new Promise((resolve) => came.set(id, resolve));
  };
  const times = { last: [], followed: [] };
  for (let n = 0; n < options.repeats; n++) {
    progress(`lost push ${n + 1} of ${options.repeats}`);
    for (const kind of ['last', 'followed']) {
      await sleep(Math.random() * 1000); // at any moment of the digest's second
      const came_ = lost(`${kind}-${n}`);
      await accepted(publisher, 'drawing', { id: `${kind}-${n}` });
      const began = performance.now();
      if (kind === 'followed') await accepted(publisher, 'drawing', { id: `after-${n}` });
      const at = await Promise.race([came_, sleep(10000)]);
      if (at === undefined) throw new Error('a lost message was not there after 10 s');
      times[kind].push(at - began);
    }
  }
  if (thief.stolen !== 2 * options.repeats) throw new Error(`${thief.stolen} pushes were taken away instead of ${2 * options.repeats}`);
  clients.forEach((client) => client.close());
  for (const serve of serves) await serve.close();
  thief.close();
  await redis.close();
  console.log(`A push is lost on its way from Redis to an instance, ${options.repeats} times: from its acceptance until a client of that instance has the message, ms.\n`);
  table(['the lost message', 'min', 'p50', 'max'], [['is the room\'s last', times.last], ['is followed by another at once', times.followed]]
    .map(([title, values]) => [title, fixed(Math.min(...values), 1), fixed(median(values), 1), fixed(Math.max(...values), 1)]));
  results.tail = times;
}

// --- memory

const usedMemory = (redis) => Number(redis.command('INFO', 'memory').match(/^used_memory:(\d+)/m)[1]);
const published = (redis, ...args) => measured('publish', '--port', redis.port, '--pid', redis.pid, '--way', 'broker', '--keep', 1000000, ...args);

// Anonymous memory of an instance, in bytes.
const instanceMemory = (pid) => Number(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Anonymous: +(\d+) kB/m)[1]) * 1024;

// A stream's node is allocated whole: the default size wastes memory on a room of one entry; a smaller one costs memory in long logs.
const nodeSizes = [4096, 1024];

async function memoryOfEntries() {
  const rows = [];
  for (const node of nodeSizes) {
    for (const [bytes, entries] of [[64, 1000], [64, 100000], [256, 1000], [256, 100000]]) {
      const redis = await redisStart('--stream-node-max-bytes', node);
      await published(redis, '--messages', 10, '--bytes', bytes);
      const before = usedMemory(redis);
      await published(redis, '--messages', entries, '--bytes', bytes);
      rows.push({ node, bytes, entries, each: (usedMemory(redis) - before) / entries });
      await redis.close();
    }
  }
  console.log('Redis\' used_memory for each entry of a room, by its stream-node-max-bytes (4096 unless set), in bytes.\n');
  table(['payload, entries', 'B/entry at 4096', 'without the payload', 'B/entry at 1024', 'without the payload'],
    rows.filter(({ node }) => node === nodeSizes[0]).map(({ bytes, entries, each }) => {
      const small = rows.find((row) => row.node === nodeSizes[1] && row.bytes === bytes && row.entries === entries).each;
      return [`${bytes} B, ${entries}`, ...[each, small].flatMap((value) => [fixed(value, 1), fixed(value - bytes, 1)])];
    }));
  return rows;
}

async function memoryOfRooms() {
  const rows = [];
  for (const node of nodeSizes) {
    const redis = await redisStart('--stream-node-max-bytes', node);
    await published(redis, '--messages', 10);
    const before = usedMemory(redis);
    const began = performance.now();
    await published(redis, '--messages', options.rooms, '--rooms', options.rooms, '--in-turn', 1);
    rows.push({ node, seconds: (performance.now() - began) / 1000, total: usedMemory(redis) - before });
    await redis.close();
  }
  console.log(`${options.rooms} rooms of one entry of 64 B.\n`);
  table(['stream-node-max-bytes', 'MiB in Redis', 'B/room', 'published in, s'],
    rows.map(({ node, seconds, total }) => [String(node), fixed(total / 2 ** 20, 1), fixed(total / options.rooms), fixed(seconds, 2)]));
  return rows;
}

const roomsConfig = `namespaces:
  /:
    log: {entries: 1000, age: 1h}
    events:
      join: {join: 0}
      leave: {leave: 0}
      say: {to: room, room: 0, log: true}
`;

// Each room is joined, gets an entry and is left again; memory that the first pass leaves behind is what the allocator keeps.
async function memoryOfInstance() {
  const CLIENTS = 50, PASSES = 6, LINGER_MS = 7000;
  const redis = await redisStart();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
  const config = path.join(directory, 'rooms.yaml');
  fs.writeFileSync(config, roomsConfig);
  const serve = await serveStart(config, redis.url);
  const each = Math.ceil(options.rooms / CLIENTS / PASSES);
  const sizes = [instanceMemory(serve.pid)];
  for (let pass = 0; pass < PASSES; pass++) {
    progress(`rooms of an instance: pass ${pass + 1} of ${PASSES}`);
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => clientStart(serve.url)));
    await Promise.all(clients.map(async (client, at) => {
      for (let n = 0; n < each; n++) {
        const room = `room-${pass}-${at}-${n}`;
        await accepted(client, 'join', room);
        await accepted(client, 'say', room, { pad: 'x'.repeat(48) });
        await accepted(client, 'leave', room);
      }
    }));
    clients.forEach((client) => client.close());
    await sleep(LINGER_MS);
    sizes.push(instanceMemory(serve.pid));
  }
  const rooms = each * CLIENTS * PASSES;
  if (Number(redis.command('DBSIZE')) < 2 * rooms) throw new Error('not every room has a log and its meta');
  await serve.close();
  await redis.close();
  fs.rmSync(directory, { recursive: true, force: true });
  const kib = (bytes) => Math.round(bytes / 1024);
  const half = PASSES / 2;
  const grown = (sizes.at(-1) - sizes.at(half)) / (each * CLIENTS * half);
  console.log(`An instance whose clients entered, spoke in and left ${rooms} rooms in ${PASSES} passes: anonymous memory ${kib(sizes[0])} KiB before, then ${sizes.slice(1).map(kib).join(', ')} KiB: ${grown.toFixed(1)} B a room in the last ${half} passes.\n`);
  return { rooms, sizes, grown };
}

async function memory() {
  results.memory = { entries: await memoryOfEntries(), rooms: await memoryOfRooms(), instance: await memoryOfInstance() };
}

// --- latency

async function latency() {
  const rates = [{ name: 'idle: 200/s', rate: 200 }, { name: '10000/s', rate: 10000 }];
  const redis = await redisStart();
  const got = await rounds(rates, async ({ rate }) => {
    const { ours, plain } = await measured('latency', '--port', redis.port, '--rate', rate, '--seconds', options.seconds);
    return { ours50: ours.p50, plain50: plain.p50, ours99: ours.p99, plain99: plain.p99 };
  });
  await redis.close();
  console.log('One publisher, one subscriber, 64 B: from publishing to receipt, µs, by the ordered and logged feed and by plain PUBLISH, in turns.\n');
  table(['rate', 'sennit p50', 'PUBLISH p50', 'ratio', 'sennit p99', 'PUBLISH p99', 'ratio'], rates.map(({ name }) => {
    const one = medians(got[name]);
    return [name, fixed(one.ours50), fixed(one.plain50), fixed(one.ours50 / one.plain50, 2), fixed(one.ours99), fixed(one.plain99), fixed(one.ours99 / one.plain99, 2)];
  }));
  results.latency = got;
}

// --- cluster

// CPU of a process so far, in ms.
const cpuMs = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').slice(11, 13).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);

async function cluster() {
  const nodes = [];
  for (let n = 0; n < 6; n++) nodes.push(await redisStart('--cluster-enabled', 'yes', '--cluster-port', await freePort()));
  const made = runs([redisClient, '--cluster', 'create', ...nodes.map(({ port }) => `127.0.0.1:${port}`), '--cluster-replicas', '1', '--cluster-yes']);
  if (made.status !== 0) throw new Error(made.stdout + made.stderr);
  for (const node of nodes) while (!/cluster_state:ok/.test(node.command('CLUSTER', 'INFO'))) await sleep(50);
  const slot = nodes[0].command('CLUSTER', 'KEYSLOT', 'bench:{0}:state');
  const home = nodes.find((node) => node.command('CLUSTER', 'NODES').split('\n').some((line) => /myself,master/.test(line) &&
    line.split(' ').slice(8).some((range) => Number(range.split('-')[0]) <= slot && slot <= Number(range.split('-').at(-1)))));
  const got = await rounds([{ name: 'broker' }, { name: 'everywhere' }], async ({ name }) => {
    const before = nodes.map(({ pid }) => cpuMs(pid));
    const run = await measured('publish', '--port', home.port, '--pid', home.pid, '--subscribed', 1, '--way', name, '--publishers', 8, '--bytes', 1000, '--messages', 110000, '--warm', 10000);
    const others = nodes.reduce((sum, node, at) => sum + (node === home ? 0 : cpuMs(node.pid) - before[at]), 0);
    return { home: run.redis_us / run.messages, others: others * 1000 / 110000, rate: run.messages / run.us * 1e6 };
  });
  for (const node of nodes) await node.close();
  console.log('Publishing on a cluster of three primaries with a replica each, 1000 B, 8 under way at any time: CPU of the slot\'s primary, and of the five other nodes.\n');
  table(['', 'accepted/s', 'primary, µs a message', 'other nodes, µs a message'], [['broker', 'sharded Pub/Sub'], ['everywhere', 'Pub/Sub of all nodes']].map(([name, title]) => {
    const one = medians(got[name]);
    return [title, fixed(one.rate), fixed(one.home, 1), fixed(one.others, 1)];
  }));
  results.cluster = got;
}

const parts = { publish, resume, tail, memory, latency, cluster };
const wanted = options.part?.split(',') ?? Object.keys(parts);
for (const name of wanted) if (!(name in parts)) fail(`--part: there is no part ${name}`);
for (const file of [sennit, program('publish')]) if (!fs.existsSync(file)) fail(`${file} is not there: make bench-log builds it`);
const redisVersion = runs([redisServer, '--version']).stdout?.match(/v=(\S+)/)?.[1] ?? fail('redis-server does not run');

console.log(`${machine()}, Redis ${redisVersion}; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''}\n`);
for (const name of wanted) {
  progress(`part ${name}`);
  await parts[name]();
}
for (const note of notes) console.log(`- ${note}`);
if (options.json) fs.writeFileSync(options.json, JSON.stringify({ machine: machine(), redis: redisVersion, options, results }, null, 1) + '\n');
