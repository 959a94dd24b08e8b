// permessage-deflate without context takeover: the server's CPU for each delivery of 1 KB of JSON, compressed and not, of sennit, ws and bun. See README.md.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { busyNote, fail, findBun, freePort, here, listening, machine, median, optionsRead, output, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/deflate.mjs [OPTION...]

Measures sennit, ws and bun side by side, each with and without compression, in one run.

  --quick               one round of 2 s instead of three of 5 s
  --rounds N            so many rounds (default 3)
  --seconds N           so long is published in each (default 5)
  --clients N           clients that are published to (default 200)
  --rate N              messages a second (default 50)
  --size N              bytes of a message's object (default 1100)
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench-deflate builds).`;

const options = optionsRead(usage, { rounds: 3, seconds: 5, clients: 200, rate: 50, size: 1100 }, { rounds: 1, seconds: 2 });
if (runs([sennit, '--version']).status !== 0) fail(`${sennit} does not run: make bench-deflate builds it`);

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
const relay = path.join(directory, 'relay.yaml');
fs.writeFileSync(relay, 'compression: {websocket: on}\nnamespaces: {/: {events: {drawing: {to: others}}}}\n');

const bun = findBun();
const all = [
  { name: 'sennit', protocol: 'socketio', argv: [sennit, 'serve', '--broker', 'memory', '--config', relay, '--log-level', 'warning'], ours: true },
  { name: 'ws', protocol: 'websocket', argv: [process.execPath, path.join(here, 'peers/ws.mjs')] },
  { name: 'bun', protocol: 'websocket', argv: [bun.program, path.join(here, 'peers/bun.mjs')], missing: bun.why },
];
const servers = all.filter(({ missing }) => !missing);
const notes = [...all.filter(({ missing }) => missing).map(({ name, missing }) => `${name} is not measured: ${missing}`), ...busyNote()];

async function measure(server, deflate) {
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), NODE_ENV: 'production', K_SERVICE: '', DEFLATE: deflate ? '1' : '0' };
  const child = start(server.argv, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await listening(port, child);
    const run = JSON.parse(await output([sennit, 'load', `http://127.0.0.1:${port}`, '--protocol', server.protocol, '--pid', child.pid, '--json', '--no-ack', '--settle', 30,
      '--clients', options.clients, '--connect-rate', 0, '--rate', options.rate, '--duration', options.seconds, '--size', options.size, ...(deflate ? ['--deflate'] : [])]));
    if (run.delivered < run.expected) notes.push(`${server.name} delivered ${run.delivered} of ${run.expected}`);
    if (deflate && run.deflate.messages_in < run.delivered) notes.push(`${server.name} compressed ${run.deflate.messages_in} of ${run.delivered} deliveries`);
    return { cpu: run.server_cpu_us_per_delivery, p99: run.latency_ms.p99, bytes: deflate ? run.deflate.bytes_in / run.deflate.messages_in : NaN };
  } finally {
    await stop(child);
  }
}

const cases = servers.flatMap((server) => [false, true].map((deflate) => ({ server, deflate, runs: [] })));
for (let round = 0; round < options.rounds; round++)
  for (let at = 0; at < cases.length; at++) {
    const one = cases[(at + round) % cases.length];
    process.stderr.write(`round ${round + 1} of ${options.rounds}: ${one.server.name}${one.deflate ? ', deflate' : ''}\n`);
    one.runs.push(await measure(one.server, one.deflate));
  }

const figure = (name, deflate, key) => median(cases.find((one) => one.server.name === name && one.deflate === deflate).runs.map((run) => run[key]));
console.log(machine());
console.log(`${options.clients} clients, one publisher, ${options.rate} messages a second of ${options.size} B; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''} of ${options.seconds} s\n`);
table(['server', 'CPU/delivery, µs', 'with deflate, µs', 'deflate ÷ plain', 'deflate ÷ sennit\'s', 'p99, ms', 'with deflate, ms', 'bytes a message'],
  servers.map(({ name }) => [name, figure(name, false, 'cpu').toFixed(2), figure(name, true, 'cpu').toFixed(2), (figure(name, true, 'cpu') / figure(name, false, 'cpu')).toFixed(2),
    (figure(name, true, 'cpu') / figure('sennit', true, 'cpu')).toFixed(2), figure(name, false, 'p99').toFixed(1), figure(name, true, 'p99').toFixed(1), figure(name, true, 'bytes').toFixed(0)]));
for (const note of new Set(notes)) console.log(`- ${note}`);
