// lib: what the end-to-end tests share: services started on free ports and stopped by pid, and clients that keep count.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { io } from 'socket.io-client';
import { freePort } from '../../tools/free_port.mjs';
import { redisClient, redisServer } from '../../tools/redis_server.mjs';

export { freePort, redisClient, redisServer };

export const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const sennit = process.env.SENNIT ? path.resolve(process.env.SENNIT) : path.join(top, 'build/sennit');

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The condition's value, once it is true. A condition that itself never ends is given up too.
export async function until(what, condition, ms = 15000) {
  const end = Date.now() + ms;
  const late = () => new Error(`waited ${ms} ms in vain until ${what}`);
  for (;;) {
    let timer;
    const expired = new Promise((resolve, reject) => (timer = setTimeout(() => reject(late()), Math.max(end - Date.now(), 0) + 5000)));
    const value = await Promise.race([condition(), expired]).finally(() => clearTimeout(timer));
    if (value) return value;
    if (Date.now() > end) throw late();
    await sleep(20);
  }
}

export function temporary() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-test-'));
}

// Instances that log, and to which no broker is named, keep their logs below this directory: each test file has its own.
const state = temporary();
process.env.XDG_STATE_HOME = state;
process.on('exit', () => fs.rmSync(state, { recursive: true, force: true }));

export const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

// A program of ours (`file`: another than sennit), its output, and its end. `within` is a command that ends by running it.
export function program(args, { within = [], file = sennit, ...options } = {}) {
  const [command, ...rest] = [...within, file, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const run = { child, pid: child.pid, output: '', status: null };
  child.stdout.on('data', (data) => (run.output += data));
  child.stderr.on('data', (data) => (run.output += data));
  run.ended = once(child, 'close').then(([code, signal]) => {
    run.status = signal ?? code;
    // What a sanitizer build says, of this program or of the instances whose output it passes on.
    if (/(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|Assertion .* failed/.test(run.output)) throw new Error(run.output.slice(-8000));
    return run.status;
  });
  run.ended.catch(() => {}); // told to whoever waits for it, and to stop()
  run.stop = async (signal = 'SIGTERM') => {
    if (run.status === null) child.kill(signal);
    await run.ended;
  };
  return run;
}

export function serviceYaml({ name = 'board', annotations = {}, concurrency = 80, timeout = 300, run, command, args, workingDir, env = {} }) {
  const notes = { ...annotations, ...(run ? { 'sennit.dev/run': run } : {}) };
  const lines = ['apiVersion: serving.knative.dev/v1', 'kind: Service', `metadata: {name: ${name}}`, 'spec:', '  template:',
    '    metadata:', '      annotations:', ...Object.entries(notes).map(([key, value]) => `        ${key}: ${JSON.stringify(String(value))}`),
    '    spec:', `      containerConcurrency: ${concurrency}`, `      timeoutSeconds: ${timeout}`, '      containers:',
    '        - image: example.com/none', ...(command ? [`          command: ${JSON.stringify(command)}`] : []),
    ...(workingDir ? [`          workingDir: ${JSON.stringify(workingDir)}`] : []),
    ...(args ? [`          args: ${JSON.stringify(args)}`] : []),
    ...(Object.keys(env).length ? ['          env:', ...Object.entries(env).map(([key, value]) => `            - {name: ${key}, value: ${JSON.stringify(value)}}`)] : [])];
  return lines.filter((line) => line !== '      annotations:' || Object.keys(notes).length).join('\n') + '\n';
}

// `sennit up` on a service.yaml in a directory of its own.
export async function up(service, { ready, flags = [], env = {}, within } = {}) {
  const directory = temporary();
  fs.chmodSync(directory, 0o711); // root's managed Postgres runs as another user
  const file = path.join(directory, 'service.yaml');
  const [port, statusPort] = [await freePort(), await freePort()];
  fs.writeFileSync(file, typeof service === 'string' ? service : serviceYaml(service));
  const run = program(['up', file, '--port', port, '--status-port', statusPort, '--state', directory, '--log-format', 'json', ...flags,
    ...Object.keys(env).flatMap((name) => ['--env', name])],
    { within, env: { ...process.env, ...env } });
  run.port = port;
  run.statusPort = statusPort;
  run.url = `http://127.0.0.1:${port}`;
  run.directory = directory;
  run.status_ = async () => (await fetch(`http://127.0.0.1:${statusPort}/status`)).json();
  run.instances = async () => (await run.status_()).instances.filter((one) => one.state === 'ready');
  run.close = async () => {
    let pids = [];
    if (run.status === null) {
      const status = await run.status_().catch(() => null);
      pids = status ? [...status.instances, status.redis, status.postgres].map((one) => one?.pid).filter(Boolean) : [];
    }
    await run.stop();
    await sleep(50);
    const left = pids.filter(alive);
    fs.rmSync(directory, { recursive: true, force: true });
    if (left.length) throw new Error(`left behind: ${left}\n${run.output.slice(-2000)}`);
  };
  if (ready !== undefined) {
    try {
      await until(`${ready} instances are ready`, async () => {
        if (run.status !== null) throw new Error(`sennit up ended: ${run.output}`);
        return (await run.status_().catch(() => ({ instances: [] }))).instances.filter((one) => one.state === 'ready').length >= ready;
      });
    } catch (error) {
      await run.close();
      throw new Error(`${error.message}\n${run.output.slice(-3000)}`);
    }
  }
  return run;
}

// A Python 3 that has these modules, or undefined: the one in front may not be Debian's.
export const pythonWith = (modules) => ['python3', '/usr/bin/python3'].find((command) => spawnSync(command, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0);

// A Redis of the test's own, with no data to begin with.
export async function redis(args = []) {
  const directory = temporary();
  const port = await freePort();
  const child = spawn(redisServer, ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no', ...args].map(String),
    { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const ended = once(child, 'close');
  await until('Redis accepts connections', () => {
    if (child.exitCode !== null) throw new Error(`${redisServer} ended: ${output}`);
    return output.includes('Ready to accept connections');
  });
  return { port, pid: child.pid, url: `redis://127.0.0.1:${port}`, close: async () => {
    child.kill('SIGKILL');
    await ended;
    fs.rmSync(directory, { recursive: true, force: true });
  } };
}

// What redis-cli, or Valkey's, answers.
export async function redisCli(...args) {
  const child = spawn(redisClient, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  await once(child, 'close');
  return output.trim();
}

// The instance's /ready says yes.
export const ready = (instance) => until('it is ready', async () => (await fetch(`${instance.url}/ready`)).status === 200, 20000);

// One instance, without a platform around it.
export async function serve(config, { redisUrl, args = [], env = {}, within } = {}) {
  const directory = temporary();
  const file = path.join(directory, 'config.yaml');
  const port = await freePort();
  fs.writeFileSync(file, config);
  const run = program(['serve', '--config', file, '--port', port, '--log-format', 'json', ...(redisUrl ? ['--redis-url', redisUrl] : []), ...args].map(String),
    { within, env: { ...process.env, K_SERVICE: '', REDIS_URL: '', ...env } });
  run.port = port;
  run.url = `http://127.0.0.1:${port}`;
  run.metric = async (name) => Number((await (await fetch(`${run.url}/metrics`)).text()).match(new RegExp(`^sennit_${name} (\\d+)`, 'm'))?.[1]);
  run.close = async (signal) => {
    await run.stop(signal);
    fs.rmSync(directory, { recursive: true, force: true });
  };
  await until('it listens', async () => {
    if (run.status !== null) throw new Error(`sennit serve ended: ${run.output}`);
    return run.output.includes('"listening"');
  });
  return run;
}

// Two instances that share a Redis.
export async function pair(config) {
  const broker = await redis();
  const servers = [await serve(config, { redisUrl: broker.url }), await serve(config, { redisUrl: broker.url })];
  const close = async () => {
    for (const server of servers) await server.close();
    await broker.close();
  };
  return { broker, servers, close };
}

// The whiteboard's service, with what a test wants different. Streams are left to be cut, unless a test wants them rotated.
// `direct`: the test asks instances themselves, which therefore need CPU without a request through the ingress.
export function board({ direct = false, min = 3, timeout = 300, concurrency = 250, rotate = 'off', annotations = {} } = {}) {
  return { name: 'board', concurrency, timeout, env: { SENNIT_ROTATE: rotate }, run: `sennit serve --config ${path.join(top, 'examples/whiteboard/board.yaml')}`,
    annotations: { 'sennit.dev/redis': 'managed', ...(direct && { 'run.googleapis.com/cpu-throttling': 'false' }), 'autoscaling.knative.dev/minScale': min, ...annotations } };
}

// A client of the board that counts what it gets and re-sends what was not acknowledged.
export class Client {
  constructor(url, { name = Math.random().toString(36).slice(2), ...options } = {}) {
    this.name = name;
    this.got = [];
    this.connects = [];
    this.instances = [];
    this.outbox = new Map();
    this.sent = 0;
    this.socket = io(url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 300, timeout: 5000, ...options });
    this.socket.on('drawing', (stroke, token) => {
      this.got.push(stroke.id);
      this.token = token;
    });
    this.socket.on('sennit', (about) => this.instances.push(about.instance));
    this.socket.on('connect', () => {
      if (!this.socket.recovered) this.got = []; // everything comes again
      this.connects.push(this.socket.recovered);
      for (const stroke of this.outbox.values()) this.emit(stroke);
    });
  }

  emit(stroke) {
    this.socket.emit('drawing', stroke, () => this.outbox.delete(stroke.id));
  }

  draw(more = {}) {
    const stroke = { id: `${this.name}-${this.sent++}`, x0: 0, y0: 0, x1: 1, y1: 1, color: 'black', ...more };
    this.outbox.set(stroke.id, stroke);
    if (this.socket.connected) this.emit(stroke);
    return stroke.id;
  }

  connected() {
    return until(`${this.name} is connected`, () => this.socket.connected);
  }

  settled(ms = 20000) {
    return until(`${this.name}'s outbox is empty`, () => this.outbox.size === 0, ms);
  }

  // Ids that came more than once.
  doubled() {
    return this.got.filter((id, at) => this.got.indexOf(id) !== at);
  }

  cut() {
    this.socket.io.engine?.close();
  }

  close() {
    this.socket.disconnect();
  }
}

// Lost or doubled, in words; empty when the client got exactly these, in an order that all share.
export function differences(client, expected) {
  const got = new Set(client.got);
  const lost = expected.filter((id) => !got.has(id)).length;
  const extra = client.got.length - got.size;
  return lost || extra ? `${client.name}: ${lost} lost, ${extra} doubled of ${expected.length}` : '';
}

// Runs `sennit load --json` to its end, and returns what it says.
export async function load(url, ...args) {
  const run = program(['load', url, '--json', ...args.map(String)]);
  await run.ended;
  assert.equal(run.status, 0, run.output);
  return JSON.parse(run.output.split('\n').find((text) => text.startsWith('{')));
}

// Clients were cut, and nothing of what they were owed is missing, or there twice.
export function flawless({ check, sent }) {
  const { lost, doubled, reordered, unexpected, wrongly_recovered: wrongly } = check;
  assert.deepEqual({ lost, doubled, reordered, unexpected, wrongly }, { lost: 0, doubled: 0, reordered: 0, unexpected: 0, wrongly: 0 });
  assert.equal(check.accepted, sent);
  assert.ok(check.recovered > 10, `${check.recovered} recovered`);
}
