// What one instance costs before it has clients: from exec to its first answer, memory at rest, size on the disk; and what a handler in C costs beside
// the rules of a YAML file. See README.md.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { busyNote, fail, freePort, here, listening, machine, median, optionsRead, output, runs, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/small.mjs [OPTION...]

  --quick               fewer starts, one short round
  --starts N            so many starts of each program (default 20)
  --rounds N            so many rounds of the relays (default 5)
  --seconds N           so long is published in each (default 4)
  --clients N           clients that are published to (default 1000)
  --rate N              messages a second (default 50)
  --help                this text

SENNIT names the program (default build-release/sennit, which make bench-small builds).`;
const options = optionsRead(usage, { starts: 20, rounds: 5, seconds: 4, clients: 1000, rate: 50 }, { starts: 5, rounds: 1, seconds: 2 });
if (runs([sennit, '--version']).status !== 0) fail(`${sennit} does not run: make bench-small builds it`);
const build = path.dirname(path.resolve(sennit));
const relay = path.join(build, 'bench/bench_relay');
const serve = { name: 'sennit serve, relay.yaml', argv: [sennit, 'serve', '--broker', 'memory', '--config', path.join(here, 'relay.yaml'), '--log-level', 'warning'], file: fs.realpathSync(sennit) };
const handler = { name: 'relay.c with sennit.h', argv: [relay, '--broker', 'memory', '--log-level', 'warning'], file: relay };
const socketio = { name: 'socket.io on Node', argv: [process.execPath, path.join(here, 'peers/socketio.mjs')] };
const notes = busyNote();
const environment = (port) => ({ env: { ...process.env, PORT: String(port), NODE_ENV: 'production', K_SERVICE: '', REDIS_URL: '' }, stdio: ['ignore', 'ignore', 'inherit'] });

// One try to ask for the handshake of Engine.IO; true once it is answered.
const asks = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'));
  socket.once('data', (data) => resolve(String(data).startsWith('HTTP/1.1 101')) || socket.destroy());
  socket.once('error', () => resolve(false));
});

async function starts(server) {
  const got = { ms: [], kb: [] };
  for (let n = 0; n < options.starts; n++) {
    const port = await freePort();
    const begun = process.hrtime.bigint();
    const child = start(server.argv, environment(port));
    while (!(await asks(port))) {
      if (child.exitCode !== null) throw new Error(`${server.name} ended`);
    }
    got.ms.push(Number(process.hrtime.bigint() - begun) / 1e6);
    if (n < 3) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const rollup = fs.readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8');
      got.kb.push(Number(rollup.match(/^Pss_Anon: +(\d+)/m)[1]));
    }
    await stop(child);
  }
  return { ms: median(got.ms), kb: median(got.kb) };
}

// Of the program without its symbols.
function size(file) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
  const to = path.join(directory, 'stripped');
  const stripped = runs(['strip', '-o', to, file]).status === 0 ? fs.statSync(to).size : NaN;
  fs.rmSync(directory, { recursive: true });
  return stripped;
}

async function cost(server) {
  const port = await freePort();
  const child = start(server.argv, environment(port));
  try {
    await listening(port, child);
    const run = JSON.parse(await output([sennit, 'load', `http://127.0.0.1:${port}`, '--pid', child.pid, '--json', '--clients', options.clients, '--connect-rate', 2000, '--rate', options.rate,
      '--duration', options.seconds, '--no-ack', '--settle', 20]));
    if (run.delivered < run.expected) notes.push(`${server.name} delivered ${run.delivered} of ${run.expected}`);
    return run.server_cpu_us_per_delivery;
  } finally {
    await stop(child);
  }
}

const first = [];
for (const server of [serve, handler, socketio]) first.push([server, await starts(server)]);
const costs = { [serve.name]: [], [handler.name]: [] };
const ratios = [];
for (let round = 0; round < options.rounds; round++) {
  for (const server of round % 2 ? [handler, serve] : [serve, handler]) costs[server.name].push(await cost(server));
  ratios.push(costs[handler.name].at(-1) / costs[serve.name].at(-1));
}

console.log(`${machine()}; medians of ${options.starts} starts, and of ${options.rounds} round${options.rounds > 1 ? 's' : ''} of ${options.seconds} s\n`);
table(['one instance', 'exec to first answer, ms', 'memory at rest, MB', 'stripped, KB'], first.map(([{ name, file }, { ms, kb }]) =>
  [name, ms.toFixed(1), (kb / 1024).toFixed(1), file ? (size(file) / 1024).toFixed(0) : '']));
const library = path.join(build, 'src/embed/libsennit.so.0.1.0');
if (fs.existsSync(library)) console.log(`libsennit.so, which relay.c loads: ${(size(library) / 1024).toFixed(0)} KB stripped\n`);
table([`${options.clients} clients, ${options.rate} messages a second`, 'CPU/delivery, µs'], Object.entries(costs).map(([name, list]) => [name, median(list).toFixed(2)]));
console.log(`relay.c ÷ relay.yaml, round by round: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}; median ${median(ratios).toFixed(2)}\n`);
for (const note of notes) console.log(`- ${note}`);
