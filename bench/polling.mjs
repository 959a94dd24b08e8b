// What a client of Socket.IO costs over long-polling, and what its upgrade costs: for each session and each message, with the broker in memory, on Redis,
// and in a fleet; beside socket.io on Node with its own polling. See README.md.
//
// A cost is a difference. A session is a client that connects, stays idle and leaves. A message is what a run with messages costs more than the same
// run without, divided by deliveries.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { busyNote, fail, freePort, here, listening, machine, median, optionsRead, output, redisStart, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/polling.mjs [OPTION...]

Measures sessions and messages over long-polling, over WebSocket, and over a WebSocket behind an upgrade: CPU of the instances and of Redis, and calls
of Redis.

  --quick               one short round
  --rounds N            so many rounds (default 3)
  --seconds N           so long the clients stay, and one of them publishes (default 6)
  --clients N           clients (default 100)
  --instances N         instances of the fleet (default 4)
  --rates N,N           messages a second (default 5,50)
  --only NAME,NAME      of memory, redis, fleet, socket.io
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench-polling builds).`;
const options = optionsRead(usage, { rounds: 3, seconds: 6, clients: 100, instances: 4, rates: '5,50', only: null }, { rounds: 1, seconds: 2 });
const rates = options.rates.split(',').map(Number);
const transports = ['websocket', 'polling', 'upgrade'];
if (runs([sennit, '--version']).status !== 0) fail(`${sennit} does not run: make bench-polling builds it`);
const notes = busyNote();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// CPU time of a process with all its threads, in microseconds.
const cpu = (pid) => fs.readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000, 0);
const calls = (redis) => Number(redis.command('INFO', 'commandstats').match(/cmdstat_evalsha:calls=(\d+)/)?.[1] ?? 0);

async function one(argv, env) {
  const port = await freePort();
  const child = start(argv, { env: { ...process.env, NODE_ENV: 'production', K_SERVICE: '', ...env, PORT: String(port) }, stdio: ['ignore', 'ignore', 'inherit'] });
  await listening(port, child);
  return { port, pids: [child.pid], close: () => stop(child) };
}

const serve = [sennit, 'serve', '--config', path.join(here, 'relay.yaml'), '--log-level', 'warning'];

async function onRedis(begin) {
  const redis = await redisStart();
  const service = await begin(redis.url);
  return { ...service, redis, close: async () => { await service.close(); await redis.close(); } };
}

// Behind the ingress of `sennit up`, whose own CPU does not count, each request reaches any instance.
async function fleet(url) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
  const [port, statusPort, file] = [await freePort(), await freePort(), path.join(directory, 'service.yaml')];
  fs.writeFileSync(file, `apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: polling}\nspec:\n  template:\n    metadata:\n      annotations:
        autoscaling.knative.dev/minScale: "${options.instances}"\n        autoscaling.knative.dev/maxScale: "${options.instances}"
        run.googleapis.com/cpu-throttling: "false"\n        sennit.dev/run: ${JSON.stringify([path.resolve(sennit), ...serve.slice(1)].join(' '))}\n    spec:\n      containerConcurrency: ${options.clients * 3}
      containers: [{image: none, env: [{name: REDIS_URL, value: "${url}"}]}]\n`);
  const up = start([sennit, 'up', file, '--port', port, '--status-port', statusPort, '--state', directory, '--request-log', 'none', '--log-level', 'error'],
    { stdio: ['ignore', 'ignore', 'inherit'] });
  await listening(statusPort, up);
  const ready = async () => (await (await fetch(`http://127.0.0.1:${statusPort}/status`)).json()).instances.filter(({ state }) => state === 'ready');
  for (let tries = 0; (await ready()).length < options.instances; tries++) {
    if (tries > 200) throw new Error('the instances did not become ready');
    await sleep(100);
  }
  return { port, pids: (await ready()).map(({ pid }) => pid), close: async () => { await stop(up); fs.rmSync(directory, { recursive: true, force: true }); } };
}

const all = [
  { name: 'memory', title: 'sennit, in memory', begin: () => one([...serve, '--broker', 'memory']) },
  { name: 'redis', title: 'sennit, on Redis', begin: () => onRedis((url) => one(serve, { REDIS_URL: url })) },
  { name: 'fleet', title: `sennit, ${options.instances} instances on Redis`, begin: () => onRedis(fleet) },
  { name: 'socket.io', title: 'socket.io, one server', begin: () => one([process.execPath, path.join(here, 'peers/socketio.mjs')], { TRANSPORTS: 'polling,websocket' }) },
];
const servers = options.only ? all.filter(({ name }) => options.only.split(',').includes(name)) : all;
if (servers.length === 0) fail('--only: there is no such server');

// What one run of the load costs the instances and Redis.
async function spend(service, ...args) {
  const now = () => ({ own: service.pids.reduce((sum, pid) => sum + cpu(pid), 0), redis: service.redis ? cpu(service.redis.pid) : NaN, calls: service.redis ? calls(service.redis) : NaN });
  await sleep(300);
  const before = now();
  const report = JSON.parse(await output([sennit, 'load', `http://127.0.0.1:${service.port}`, '--clients', options.clients, '--connect-rate', 200, '--duration', options.seconds,
    '--no-ack', '--settle', 20, '--json', ...args]));
  await sleep(300); // those that have left are forgotten
  const after = now();
  return { report, own: after.own - before.own, redis: after.redis - before.redis, calls: after.calls - before.calls };
}

async function measure(server) {
  const service = await server.begin();
  const got = {};
  try {
    for (const transport of transports) await spend(service, '--transport', transport, '--idle'); // the first of everything is dearer
    for (const transport of transports) {
      const idle = await spend(service, '--transport', transport, '--idle');
      const upgraded = idle.report.polling?.upgraded;
      if (transport === 'upgrade' && upgraded < options.clients) notes.push(`${server.title}: ${upgraded} of ${options.clients} sessions were upgraded`);
      for (const key of ['own', 'redis', 'calls']) got[`session ${transport} ${key}`] = idle[key] / options.clients;
      for (const rate of transport === 'upgrade' ? [] : rates) {
        const run = await spend(service, '--transport', transport, '--rate', rate);
        const { delivered, expected, own_cpu, latency_ms } = run.report;
        for (const key of ['own', 'redis', 'calls']) got[`${rate}/s ${transport} ${key}`] = (run[key] - idle[key]) / delivered;
        got[`${rate}/s ${transport} p50`] = latency_ms.p50;
        if (delivered < expected) notes.push(`${server.title}, ${transport}, ${rate}/s: ${expected - delivered} deliveries had not come 20 s after the last message`);
        if (own_cpu > 0.9) notes.push(`${server.title}, ${transport}, ${rate}/s: sennit load itself was busy; the latencies are its own`);
      }
    }
  } finally {
    await service.close();
  }
  return got;
}

const results = Object.fromEntries(servers.map(({ name }) => [name, []]));
for (let round = 0; round < options.rounds; round++)
  for (let at = 0; at < servers.length; at++) {
    const server = servers[(at + round) % servers.length];
    process.stderr.write(`round ${round + 1} of ${options.rounds}: ${server.title}\n`);
    try {
      results[server.name].push(await measure(server));
    } catch (error) {
      notes.push(`${server.title}, round ${round + 1}: ${error.message}`);
    }
  }

const figure = (name, key) => (results[name]?.length ? median(results[name].map((run) => run[key])) : NaN);
const shown = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '');
const ratio = (value, base) => (base > 0 ? shown(value / base, 2) : '');
const rows = (columns) => servers.filter(({ name }) => results[name].length > 0).map(({ name, title }) => [title, ...columns.map((column) => column(name))]);
console.log(`${machine()}; ${options.clients} clients; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''} of ${options.seconds} s\n`);
console.log("CPU of the instances, divided by that of socket.io's server for the same (less is better):\n");
const base = (key) => (name) => ratio(figure(name, key), figure('socket.io', key));
table(['', ...transports.map((transport) => `a session, ${transport}`), ...rates.map((rate) => `a delivery by polling at ${rate}/s`)],
  rows([...transports.map((transport) => base(`session ${transport} own`)), ...rates.map((rate) => base(`${rate}/s polling own`))]));
console.log('A session (connects, stays idle and leaves):\n');
table(['', ...transports.flatMap((transport) => [`${transport}: CPU, µs`, 'Redis CPU, µs', 'Redis calls']), 'an upgrade: CPU, µs', 'Redis calls'],
  rows([...transports.flatMap((transport) => [['own', 0], ['redis', 0], ['calls', 1]].map(([key, digits]) => (name) => shown(figure(name, `session ${transport} ${key}`), digits))),
    (name) => shown(figure(name, 'session upgrade own') - figure(name, 'session websocket own'), 0),
    (name) => shown(figure(name, 'session upgrade calls') - figure(name, 'session websocket calls'), 1)]));
for (const rate of rates) {
  console.log(`A delivery, at ${rate} messages a second:\n`);
  table(['', ...['polling', 'websocket'].flatMap((transport) => [`${transport}: CPU, µs`, 'Redis CPU, µs', 'Redis calls', 'p50, ms'])],
    rows(['polling', 'websocket'].flatMap((transport) => [['own', 1], ['redis', 1], ['calls', 2], ['p50', 1]].map(([key, digits]) => (name) => shown(figure(name, `${rate}/s ${transport} ${key}`), digits)))));
}
for (const note of new Set(notes)) console.log(`- ${note}`);
