// The memory of a client that is connected and says nothing: Sennit's kinds of clients beside the servers that npm offers. See README.md.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { busyNote, fail, findBun, freePort, here, listening, machine, median, optionsRead, output, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/idle.mjs [OPTION...]

Connects clients that stay idle, and measures the growth of the server's anonymous memory for each of them, in one run for all servers.

  --quick               one round instead of three
  --rounds N            so many rounds (default 3)
  --clients N           clients (default 5000)
  --only NAME,NAME      of the names that the table shows
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench builds).`;

const options = optionsRead(usage, { rounds: 3, clients: 5000, only: null }, { rounds: 1 });
if (runs([sennit, '--version']).status !== 0) fail(`${sennit} does not run: make bench builds it`);

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
const config = (name, text) => {
  const file = path.join(directory, `${name}.yaml`);
  fs.writeFileSync(file, `${text}\n`);
  return [sennit, 'serve', '--broker', 'memory', '--config', file, '--log-level', 'warning'];
};
const relay = config('relay', 'raw: on\nnamespaces: {/: {events: {drawing: {to: others}}}}');
const logged = config('logged', 'namespaces: {/: {events: {drawing: {to: others, log: true}}}}');
const node = (file) => [process.execPath, path.join(here, 'peers', file)];
const bun = findBun();
const all = [
  { name: 'sennit, Socket.IO', argv: relay, load: ['--protocol', 'socketio'] },
  { name: 'sennit, Socket.IO, upgraded', argv: relay, load: ['--protocol', 'socketio', '--transport', 'upgrade'] },
  { name: 'sennit, Socket.IO, polling', argv: relay, load: ['--protocol', 'socketio', '--transport', 'polling'] },
  { name: 'sennit, Socket.IO, logged', argv: logged, load: ['--protocol', 'socketio'] },
  { name: 'sennit, sennit.v1', argv: relay, load: ['--protocol', 'plain'] },
  { name: 'sennit, raw', argv: relay, load: ['--protocol', 'websocket'], path: '/raw/all' },
  { name: 'socket.io', argv: node('socketio.mjs'), load: ['--protocol', 'socketio'] },
  { name: 'ws', argv: node('ws.mjs'), load: ['--protocol', 'websocket'] },
  { name: 'bun', argv: [bun.program, path.join(here, 'peers/bun.mjs')], load: ['--protocol', 'websocket'], missing: bun.why },
];
const wanted = options.only?.split(',').map((name) => name.trim());
const servers = all.filter(({ name, missing }) => !missing && (!wanted || wanted.some((word) => name.includes(word))));
const notes = [...all.filter(({ missing }) => missing).map(({ name, missing }) => `${name} is not measured: ${missing}`), ...busyNote()];
if (servers.length === 0) fail(['nothing to measure', ...notes].join('\n'));

async function measure(server) {
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), NODE_ENV: 'production', K_SERVICE: '' };
  const child = start(server.argv, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await listening(port, child);
    const run = JSON.parse(await output([sennit, 'load', `http://127.0.0.1:${port}${server.path ?? ''}`, ...server.load, '--pid', child.pid, '--json', '--clients', options.clients,
      '--idle', '--duration', 2, '--connect-rate', 0]));
    return { bytes: run.server_bytes_per_client, cpu: run.server_cpu_us_per_connect };
  } finally {
    await stop(child);
  }
}

const results = servers.map((server) => ({ server, runs: [] }));
for (let round = 0; round < options.rounds; round++)
  for (let at = 0; at < results.length; at++) {
    const one = results[(at + round) % results.length];
    process.stderr.write(`round ${round + 1} of ${options.rounds}: ${one.server.name}\n`);
    one.runs.push(await measure(one.server));
  }

const figure = (name, key) => {
  const found = results.find((one) => one.server.name === name);
  return found ? median(found.runs.map((run) => run[key])) : NaN;
};
const ratio = (value, base) => (base > 0 ? (value / base).toFixed(2) : '');
console.log(machine());
console.log(`${options.clients} idle clients; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''}\n`);
table(['clients of', 'B each', '÷ bun', '÷ ws', 'CPU/connect, µs'], results.map(({ server: { name } }) => [name, figure(name, 'bytes').toFixed(0),
  ratio(figure(name, 'bytes'), figure('bun', 'bytes')), ratio(figure(name, 'bytes'), figure('ws', 'bytes')), figure(name, 'cpu').toFixed(0)]));
for (const note of new Set(notes)) console.log(`- ${note}`);
