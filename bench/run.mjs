// Sennit beside the servers that npm offers, one after the other on this machine, and their ratios. See README.md.
//
// Every round measures every server once, each time in another order, and the medians over the rounds are printed: a
// machine's mood then hits all of them alike. Nothing is pinned to a core. `sennit load` is the load, from a process of
// its own.
import fs from 'node:fs';
import path from 'node:path';
import { busyNote, fail, findBun, freePort, here, listening, machine, median, optionsRead, output, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/run.mjs [OPTION...]

Measures sennit, socket.io, ws and bun side by side: the server's CPU for each delivery to 1000 clients at 50 and at 500
messages a second, latency, memory of an idle client, and connects. Prints ratios first.

  --quick               one round of 2 s instead of three of 5 s, and fewer idle clients
  --rounds N            so many rounds (default 3)
  --seconds N           so long is published in each (default 5)
  --clients N           clients that are published to (default 1000)
  --idle-clients N      clients that idle (default 5000)
  --only NAME,NAME      of sennit, sennit-logged, socket.io, ws, bun
  --json FILE           every figure of every round, too
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench builds).`;

const options = optionsRead(usage, { rounds: 3, seconds: 5, clients: 1000, 'idle-clients': 5000, only: null, json: null },
  { rounds: 1, seconds: 2, 'idle-clients': 2000 });

const version = (name) => JSON.parse(fs.readFileSync(path.join(here, 'node_modules', name, 'package.json'))).version;

const bun = findBun();
const node = (file) => [process.execPath, path.join(here, 'peers', file)];
const serve = (config) => [sennit, 'serve', '--broker', 'memory', '--config', path.join(here, config), '--log-level', 'warning'];
const all = [
  { name: 'sennit', protocol: 'socketio', argv: serve('relay.yaml'), ours: true },
  { name: 'sennit-logged', protocol: 'socketio', argv: serve('relay-logged.yaml'), ours: true },
  { name: 'socket.io', protocol: 'socketio', argv: node('socketio.mjs') },
  { name: 'ws', protocol: 'websocket', argv: node('ws.mjs') },
  { name: 'bun', protocol: 'websocket', argv: [bun.program, path.join(here, 'peers/bun.mjs')], missing: bun.why },
];
const wanted = options.only?.split(',') ?? all.map(({ name }) => name);
for (const name of wanted) if (!all.some((server) => server.name === name)) fail(`--only: there is no server ${name}`);
const servers = all.filter(({ name, missing }) => wanted.includes(name) && !missing);
const notes = all.filter(({ name, missing }) => wanted.includes(name) && missing).map(({ name, missing }) => `${name} is not measured: ${missing}`);
if (runs([sennit, '--version']).status !== 0) fail(`${sennit} does not run: make bench builds it`);
if (servers.length === 0) fail(['nothing to measure', ...notes].join('\n'));

notes.push(...busyNote());

// One run of `sennit load` on a server that was started for it.
async function load(server, args) {
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), NODE_ENV: 'production', K_SERVICE: '' };
  const child = start(server.argv, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await listening(port, child);
    return JSON.parse(await output([sennit, 'load', `http://127.0.0.1:${port}`, '--protocol', server.protocol, '--pid', child.pid, '--json', ...args]));
  } finally {
    await stop(child);
  }
}

// `ratio`: its name where it is compared; less is better.
const columns = [
  { key: 'cpu50', title: 'CPU/delivery at 50/s', unit: 'µs', digits: 2, ratio: 'CPU at 50/s' },
  { key: 'cpu500', title: 'CPU/delivery at 500/s', unit: 'µs', digits: 2, ratio: 'CPU at 500/s' },
  { key: 'bytes', title: 'idle client', unit: 'B', digits: 0, ratio: 'idle client' },
  { key: 'cpu_connect', title: 'CPU/connect', unit: 'µs', digits: 0, ratio: 'CPU/connect' },
  { key: 'connects', title: 'connects/s', unit: '', digits: 0 },
  { key: 'p50_50', title: 'p50 at 50/s', unit: 'ms', digits: 1 },
  { key: 'p99_50', title: 'p99 at 50/s', unit: 'ms', digits: 1 },
  { key: 'p50_500', title: 'p50 at 500/s', unit: 'ms', digits: 1 },
  { key: 'p99_500', title: 'p99 at 500/s', unit: 'ms', digits: 1 },
];

async function measure(server) {
  const got = {};
  const idle = await load(server, ['--clients', options['idle-clients'], '--idle', '--duration', 2, '--connect-rate', 0]);
  Object.assign(got, { bytes: idle.server_bytes_per_client, connects: idle.connects_per_second, cpu_connect: idle.server_cpu_us_per_connect });
  for (const rate of [50, 500]) {
    const run = await load(server, ['--clients', options.clients, '--connect-rate', 2000, '--rate', rate, '--duration', options.seconds,
      '--no-ack', '--settle', 30]);
    got[`cpu${rate}`] = run.server_cpu_us_per_delivery;
    got[`p50_${rate}`] = run.latency_ms.p50;
    got[`p99_${rate}`] = run.latency_ms.p99;
    got[`own_cpu_${rate}`] = run.own_cpu;
    if (run.delivered < run.expected) notes.push(`${server.name} at ${rate}/s delivered ${run.delivered} of ${run.expected} within 30 s of the last`);
    if (run.own_cpu > 0.9) notes.push(`${server.name} at ${rate}/s: sennit load itself was busy ${Math.round(run.own_cpu * 100)} % of the time; the latencies are its own`);
  }
  return got;
}

const results = Object.fromEntries(servers.map(({ name }) => [name, []]));
for (let round = 0; round < options.rounds; round++) {
  const order = servers.map((_, index) => servers[(index + round) % servers.length]);
  for (const server of order) {
    process.stderr.write(`round ${round + 1} of ${options.rounds}: ${server.name}\n`);
    try {
      results[server.name].push(await measure(server));
    } catch (error) {
      if (server.ours) throw error;
      notes.push(`${server.name}, round ${round + 1}: ${error.message}`);
    }
  }
}

const rows = servers.filter(({ name }) => results[name].length > 0).map((server) => ({ ...server,
  median: Object.fromEntries(columns.map(({ key }) => [key, median(results[server.name].map((run) => run[key]).filter((value) => value !== null))])) }));
const peers = rows.filter(({ ours }) => !ours);
const socketio = rows.find(({ name }) => name === 'socket.io');

const today = new Date().toISOString().slice(0, 10);
console.log(`${machine()}; socket.io ${version('socket.io')}, ws ${version('ws')}${bun.version ? `, bun ${bun.version}` : ''}`);
console.log(`${options.clients} clients, 64 B messages of one publisher, ${options['idle-clients']} idle clients; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''} of ${options.seconds} s\n`);

const ratio = (value, base) => (value === undefined || !(base > 0) ? '' : (value / base).toFixed(2));
if (peers.length > 0) {
  const compared = columns.filter((column) => column.ratio);
  const best = (key) => Math.min(...peers.map((peer) => peer.median[key]).filter((value) => value > 0));
  console.log('Divided by the best peer\'s, and by socket.io\'s (less is better):\n');
  table(['server', ...compared.flatMap((column) => [`${column.ratio} ÷ best`, '÷ socket.io'])],
    rows.map((row) => [row.name, ...compared.flatMap(({ key }) => [ratio(row.median[key], best(key)), socketio ? ratio(row.median[key], socketio.median[key]) : ''])]));
}
console.log('The figures themselves:\n');
table(['server', ...columns.map(({ title, unit }) => title + (unit ? `, ${unit}` : ''))],
  rows.map((row) => [row.name, ...columns.map(({ key, digits }) => row.median[key]?.toFixed(digits) ?? '')]));
for (const note of notes) console.log(`- ${note}`);
if (options.json) fs.writeFileSync(options.json, JSON.stringify({ date: today, options, results }, null, 1) + '\n');
