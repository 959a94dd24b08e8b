// Shared by the benches: options, processes that they start and end by pid, and the form in which they print.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../tools/free_port.mjs';
import { redisClient, redisServer } from '../tools/redis_server.mjs';

export { freePort };

export const here = path.dirname(fileURLToPath(import.meta.url));
export const sennit = process.env.SENNIT ?? path.join(here, '../build-release/sennit');
const name = `bench/${path.basename(process.argv[1])}`;

export function fail(text) {
  console.error(`${name}: ${text}`);
  process.exit(2);
}

// `--name value` into a copy of `defaults`, whose numbers stay numbers; --quick stands for `quick`, --help prints `usage`.
export function optionsRead(usage, defaults, quick) {
  const options = { ...defaults };
  for (let args = process.argv.slice(2); args.length > 0;) {
    const option = args.shift().replace(/^--/, '');
    if (option === 'help') {
      console.log(usage);
      process.exit(0);
    }
    if (option === 'quick') Object.assign(options, quick);
    else if (!(option in options)) fail(`unknown option --${option}\n\n${usage}`);
    else if (args.length === 0) fail(`--${option} needs a value`);
    else options[option] = typeof options[option] === 'number' ? Number(args.shift()) : args.shift();
    if (Number.isNaN(options[option]) || options[option] < 1) fail(`--${option}: expected a number above 0`);
  }
  return options;
}

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(3));

export const runs = (argv) => spawnSync(argv[0], argv.slice(1), { encoding: 'utf8', timeout: 20000 });

export function start(argv, settings) {
  const child = spawn(argv[0], argv.slice(1).map(String), settings);
  children.add(child);
  child.on('close', () => children.delete(child));
  return child;
}

const ended = (child) => child.exitCode !== null || child.signalCode !== null;

export async function stop(child, signal = 'SIGTERM') {
  child.kill(signal);
  if (!ended(child)) await once(child, 'close');
}

// Returns the output of a program; throws unless it ends with status 0.
export async function output(argv) {
  const run = start(argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '';
  run.stdout.on('data', (data) => (out += data));
  run.stderr.on('data', (data) => (err += data));
  const [code] = await once(run, 'close');
  if (code !== 0) throw new Error(`${argv.slice(0, 2).join(' ')} ended with ${code}:\n${err.slice(-1000)}`);
  return out;
}

export async function listening(port, child) {
  for (const end = Date.now() + 10000; Date.now() < end;) {
    if (ended(child)) throw new Error(`${child.spawnargs.join(' ')} ended`);
    const socket = net.connect(port, '127.0.0.1');
    const up = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${child.spawnargs.join(' ')} does not listen`);
}

// An empty redis-server that keeps nothing on disk.
export async function redisStart(...settings) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
  const port = await freePort();
  const child = start([redisServer, '--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no', ...settings], { stdio: 'ignore' });
  await listening(port, child);
  return {
    port, pid: child.pid, url: `redis://127.0.0.1:${port}`,
    command: (...words) => {
      const ran = runs([redisClient, '-p', String(port), ...words]);
      if (ran.status !== 0) throw new Error(`redis-cli ${words.join(' ')}: ${ran.stderr}`);
      return ran.stdout.trim();
    },
    close: async () => {
      await stop(child, 'SIGKILL');
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

// `at`: 0.5 is the median.
export function quantile(values, at) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))];
}
export const median = (values) => quantile(values, 0.5);

export const machine = () => `${new Date().toISOString().slice(0, 10)}: ${os.cpus()[0].model.trim()}, ${os.cpus().length} cores, Linux ${os.release()}, Node ${process.version}`;

export function busyNote() {
  const busy = os.loadavg()[0];
  return busy > 0.5 ? [`other programs kept this machine busy when it began (load average ${busy.toFixed(1)}): trust the ratios more than the figures, and a calm machine more than both`] : [];
}

export function table(head, body) {
  const lines = [head, ...body];
  const widths = head.map((_, at) => Math.max(...lines.map((line) => line[at].length)));
  const text = (line) => `| ${line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join(' | ')} |`;
  console.log([text(head), `|${widths.map((width, at) => (at === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`, ...body.map(text)].join('\n'));
  console.log('');
}

// The program itself lies in a package for this platform: whether npm ran the install script that links to it does not
// matter then.
export function findBun() {
  const scope = path.join(here, 'node_modules/@oven');
  const places = [path.join(here, 'node_modules/.bin/bun'), ...(fs.existsSync(scope) ? fs.readdirSync(scope).map((name) => path.join(scope, name, 'bin/bun')) : [])];
  let why = 'npm installed no program for this platform';
  for (const place of places.filter((one) => fs.existsSync(one))) {
    const tried = runs([place, '--version']);
    if (tried.status === 0) return { program: place, version: tried.stdout.trim() };
    why = `${path.relative(here, place)} does not run: ${(tried.error?.message ?? tried.signal ?? tried.stderr).trim().split('\n')[0]}`;
  }
  return { why };
}
