// Measures every broker in one run: how many logged messages a second one instance gets accepted, what they cost in CPU, how late they are delivered, and
// how much a message in the log takes. See README.md.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { machine, optionsRead, table } from './parts.mjs';
import { program, redis, redisCli, serve, temporary } from '../test/e2e/lib.mjs';
import { firestore, missing as firestoreMissing } from '../test/e2e/firestore.mjs';
import { missing, postgres } from '../test/e2e/postgres.mjs';

const usage = `usage: node bench/brokers.mjs [OPTION...]

One instance for each broker, and eight clients in one namespace that logs. First a few messages a second, for the latency; then as many as it takes.

  --only NAME           this broker alone: memory, file, redis, postgres, firestore
  --seconds N           of each measurement (default 5)
  --rate N              messages a second for the latency (default 100)
  --size BYTES          of a message (default 100)
  --help                this text

SENNIT names the program (default build/sennit). Postgres and Redis are servers of its own; Postgres syncs here, so its disk counts.
Firestore is Google's emulator, in memory, and gets 2,000 messages a second at most, and 20 for the latency: Google's own costs money for each.`;

const options = optionsRead(usage, { only: null, seconds: 5, rate: 100, size: 100 }, { seconds: 2 });
const config = `
namespaces:
  /:
    auth: none
    log: {entries: 1000000}
    events: {drawing: {to: others, log: true}}
`;

// Seconds of CPU of a process and its children, those that ended included.
function cpu(pid) {
  const read = (id) => {
    const fields = fs.readFileSync(`/proc/${id}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    return { parent: Number(fields[1]), own: Number(fields[11]) + Number(fields[12]), waited: Number(fields[13]) + Number(fields[14]) };
  };
  let ticks = 0;
  for (const id of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const one = read(id);
      if (Number(id) === pid) ticks += one.own + one.waited;
      else if (one.parent === pid) ticks += one.own;
    } catch {
      // it has ended meanwhile
    }
  }
  return ticks / Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);
}

async function load(url, rate) {
  const began = Date.now();
  const run = program(['load', '--json', url, '-c', 8, '--publishers', 4, '-r', rate, '-d', options.seconds, '--size', options.size, '--settle', 60].map(String));
  await run.ended;
  const line = run.output.split('\n').find((text) => text.startsWith('{'));
  if (!line) throw new Error(run.output);
  // Until the last message has come: those that wait for the broker are accepted after the time of publishing.
  return { ...JSON.parse(line), seconds: (Date.now() - began) / 1000 };
}

// Each starts its server, and says where it is, its process, and how many bytes it keeps.
const brokers = {
  memory: async () => ({ args: ['--broker', 'memory'], bytes: (instance) => instance.metric('broker_memory_bytes'), close: () => {} }),
  file: async () => {
    const directory = temporary();
    return { args: ['--broker', `file:${directory}`], close: () => fs.rmSync(directory, { recursive: true, force: true }),
      bytes: async () => fs.readdirSync(directory).reduce((sum, name) => sum + fs.statSync(path.join(directory, name)).size, 0) };
  },
  redis: async () => {
    const server = await redis();
    return { args: ['--redis-url', server.url], pid: server.pid, close: server.close,
      bytes: async () => Number((await redisCli('-p', server.port, 'INFO', 'memory')).match(/used_memory_dataset:(\d+)/)[1]) };
  },
  postgres: async () => {
    const server = await postgres({ settings: ['fsync=on'] });
    return { args: ['--broker', server.url], pid: server.child.pid, close: server.close,
      bytes: async () => Number(server.sql("SELECT pg_total_relation_size('sennit.log')")) };
  },
  firestore: async () => {
    const server = await firestore();
    return { args: [], env: server.env, pid: server.pid, close: server.close, calm: 20, flood: 2000 };
  },
};

const rows = [];
for (const [name, begin] of Object.entries(brokers)) {
  if (options.only && options.only !== name) continue;
  const why = name === 'postgres' ? missing() : name === 'firestore' ? firestoreMissing() : undefined;
  if (why) {
    console.log(`${name}: left out, ${why}`);
    continue;
  }
  const broker = await begin();
  const instance = await serve(config, { args: broker.args, env: { SENNIT_BROKER: '', ...broker.env } });
  try {
    const calm = await load(instance.url, Math.min(options.rate, broker.calm ?? Infinity));
    const bytes = async () => (broker.bytes ? broker.bytes(instance) : NaN);
    const before = await bytes();
    const spent = () => cpu(instance.pid) + (broker.pid ? cpu(broker.pid) : 0);
    const began = spent();
    const flood = await load(instance.url, broker.flood ?? 100000);
    const accepted = flood.acknowledged;
    rows.push([name, String(Math.round(accepted / flood.seconds)), String(Math.round(((spent() - began) * 1e6) / accepted)), calm.latency_ms.p50.toFixed(2),
      calm.latency_ms.p99.toFixed(2), broker.bytes ? String(Math.round(((await bytes()) - before) / accepted)) : '-']);
  } finally {
    await instance.close();
    await broker.close();
  }
}
console.log(`${machine()}\n`);
table(['broker', 'accepted/s', 'CPU µs a message', 'p50 ms', 'p99 ms', 'bytes a logged message'], rows);
