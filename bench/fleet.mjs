// The fleet as one figure: four instances and Redis, 1000 clients in one room: CPU of all of them together for each delivery, and latency; beside
// Socket.IO with its adapters for Redis. See README.md.
//
// All services run on `sennit up`, whose ingress spreads the clients, and whose own CPU does not count. The CPU is taken from the moment that all
// clients are connected until the first of them leaves.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { busyNote, fail, freePort, here, listening, machine, median, optionsRead, output, redisStart, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/fleet.mjs [OPTION...]

Measures four instances of sennit, and of socket.io with @socket.io/redis-adapter and @socket.io/redis-streams-adapter, each with a Redis of its own.

  --quick               one short round
  --rounds N            so many rounds (default 3)
  --seconds N           so long is published in each (default 5)
  --clients N           clients, all in one room (default 1000)
  --instances N         instances (default 4)
  --rates N,N           messages a second (default 5,50,200)
  --only NAME,NAME      of sennit, sennit-logged, redis-adapter, redis-streams-adapter
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench builds).`;
const options = optionsRead(usage, { rounds: 3, seconds: 5, clients: 1000, instances: 4, rates: '5,50,200', only: null }, { rounds: 1, seconds: 2 });

const node = (adapter) => ({ name: adapter, run: `${process.execPath} ${path.join(here, 'peers/socketio-redis.mjs')}`, env: { ADAPTER: adapter, NODE_ENV: 'production' } });
const ours = (name, config) => ({ name, run: `${path.resolve(sennit)} serve --config ${path.join(here, config)} --log-level warning`, env: {} });
const all = [ours('sennit', 'relay.yaml'), ours('sennit-logged', 'relay-logged.yaml'), node('redis-adapter'), node('redis-streams-adapter')];
const servers = options.only ? all.filter(({ name }) => options.only.split(',').includes(name)) : all;
const rates = options.rates.split(',').map(Number);
if (runs([sennit, '--version']).status !== 0) fail(`${sennit} does not run: make bench builds it`);
if (servers.length === 0) fail('--only: there is no such server');
const notes = busyNote();

// User and system time of these processes, in microseconds; the kernel counts in ticks of 10 ms.
function cpu(pids) {
  return pids.reduce((sum, pid) => {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) * 10000;
  }, 0);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure({ run, env }, rate) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
  const redis = await redisStart();
  const [port, statusPort] = [await freePort(), await freePort()];
  const file = path.join(directory, 'service.yaml');
  const variables = Object.entries({ ...env, REDIS_URL: redis.url }).map(([name, value]) => `            - {name: ${name}, value: ${JSON.stringify(value)}}\n`).join('');
  fs.writeFileSync(file, `apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: fleet}\nspec:\n  template:\n    metadata:\n      annotations:
        autoscaling.knative.dev/minScale: "${options.instances}"\n        autoscaling.knative.dev/maxScale: "${options.instances}"
        run.googleapis.com/cpu-throttling: "false"\n        sennit.dev/run: ${JSON.stringify(run)}\n    spec:\n      containerConcurrency: ${Math.ceil(options.clients / options.instances) + 50}
      containers:\n        - image: none\n          env:\n${variables}`);
  const up = start([sennit, 'up', file, '--port', port, '--status-port', statusPort, '--state', directory, '--request-log', 'none', '--log-level', 'error'],
    { stdio: ['ignore', 'ignore', 'inherit'] });
  const status = async () => (await fetch(`http://127.0.0.1:${statusPort}/status`)).json();
  const held = async () => (await status()).instances.reduce((sum, one) => sum + one.requests, 0);
  try {
    await listening(statusPort, up);
    for (let tries = 0; (await status()).instances.filter((one) => one.state === 'ready').length < options.instances; tries++) {
      if (tries > 200) throw new Error('the instances did not become ready');
      await sleep(100);
    }
    const pids = [redis.pid, ...(await status()).instances.map((one) => one.pid)];
    let over = false, begun = null, ended = null;
    const load = output([sennit, 'load', `http://127.0.0.1:${port}`, '--clients', options.clients, '--connect-rate', 1000, '--rate', rate, '--duration', options.seconds,
      '--no-ack', '--settle', 15, '--json']).finally(() => (over = true));
    load.catch(() => {});
    while (!over && ended === null) {
      const count = await held();
      if (begun === null && count >= options.clients) begun = cpu(pids);
      else if (begun !== null && count < options.clients) ended = cpu(pids);
      await sleep(25);
    }
    const report = JSON.parse(await load);
    ended ??= cpu(pids);
    if (begun === null) throw new Error('not all clients were connected');
    return { cpu: (ended - begun) / report.delivered, p50: report.latency_ms.p50, p99: report.latency_ms.p99, lost: report.expected - report.delivered, own: report.own_cpu };
  } finally {
    await stop(up);
    await redis.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const results = {};
for (let round = 0; round < options.rounds; round++) {
  for (const rate of rates) {
    for (const [at] of servers.entries()) {
      const server = servers[(at + round) % servers.length];
      process.stderr.write(`round ${round + 1} of ${options.rounds}, ${rate} a second: ${server.name}\n`);
      const got = await measure(server, rate).catch((error) => notes.push(`${server.name} at ${rate}/s, round ${round + 1}: ${error.message}`) && null);
      if (got === null) continue;
      ((results[server.name] ??= {})[rate] ??= []).push(got);
      if (got.lost > 0) notes.push(`${server.name} at ${rate}/s: ${got.lost} deliveries had not come 15 s after the last message`);
      if (got.own > 0.9) notes.push(`${server.name} at ${rate}/s: sennit load itself was busy ${Math.round(got.own * 100)} % of the time; the latencies are its own`);
    }
  }
}

const figure = (name, rate, key) => (results[name]?.[rate] ? median(results[name][rate].map((run) => run[key])) : NaN);
const shown = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '');
console.log(`${machine()}; ${options.instances} instances and a Redis, ${options.clients} clients in one room; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''} of ${options.seconds} s\n`);
console.log("CPU of all instances and Redis together for each delivery, divided by redis-adapter's (less is better):\n");
table(['fleet', ...rates.map((rate) => `at ${rate}/s`)], servers.map(({ name }) => [name, ...rates.map((rate) => shown(figure(name, rate, 'cpu') / figure('redis-adapter', rate, 'cpu'), 2))]));
console.log('The figures themselves:\n');
table(['fleet', ...rates.flatMap((rate) => [`CPU/delivery at ${rate}/s, µs`, 'p50, ms', 'p99, ms'])],
  servers.map(({ name }) => [name, ...rates.flatMap((rate) => [shown(figure(name, rate, 'cpu'), 2), shown(figure(name, rate, 'p50'), 1), shown(figure(name, rate, 'p99'), 1)])]));
for (const note of notes) console.log(`- ${note}`);
