// world: the surroundings of one attack: an instance or a whole `sennit up`, a Redis, a calm pair of clients, and the figures.
import { once } from 'node:events';
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import * as lib from '../e2e/lib.mjs';
import { FakeRedis } from './fake_redis.mjs';
import { Client, redisAsk, request, sleep } from './wire.mjs';

const calm = '\n  /calm:\n    auth: none\n    log: {entries: 20000, bytes: 8MiB, age: 1h}\n    events: {say: {to: others, log: true}}\n';
export const sanitized = /asan/.test(lib.sennit);
const MB = 1 << 20;

const status = (pid, field) => {
  try {
    return Number(fs.readFileSync(`/proc/${pid}/status`, 'latin1').match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
};

export function cpuSeconds(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// How long a program ran and how long it waited for a processor, in nanoseconds.
function schedule(pid) {
  const [ran, waited] = fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ').map(Number);
  return { ran, waited };
}

// mulberry32: a seed always draws the same numbers.
export class Chance {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  }

  below(count) {
    return Math.floor(this.next() * count);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  bytes(count) {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }
}

// An instance that takes all the memory there is harms nobody else here. (A sanitizer's shadow takes terabytes of addresses.)
const limits = (descriptors) => ['prlimit', ...(sanitized ? [] : [`--as=${4096 * MB}`]), ...(descriptors ? [`--nofile=${descriptors}`] : []), '--'];

class Pair {
  constructor(port, failed) {
    this.worker = new Worker(new URL('./pair.mjs', import.meta.url), { workerData: { port } });
    this.worker.on('error', failed);
  }

  hear() {
    return once(this.worker, 'message').then(([answer]) => answer);
  }

  ask(question) {
    const answer = this.hear();
    this.worker.postMessage(question);
    return answer;
  }

  end() {
    return this.worker.terminate();
  }
}

// An instance that nobody attacks, with a calm pair of its own: its delays are this machine's fault.
export class Control {
  static async open() {
    const control = new Control();
    control.server = await lib.serve(`namespaces:${calm}`);
    control.pair = new Pair(control.server.port, () => {});
    await control.pair.hear();
    return control;
  }

  async close() {
    await this.pair.end();
    await this.server.close('SIGKILL');
  }
}

export class World {
  constructor(one, { quick, seconds, seed, control, slack = 50 }) {
    Object.assign(this, { one, quick, seconds, control, slack, chance: new Chance(seed), requests: 0, faults: [], notes: [], clients: [] });
  }

  // The faults that the case found.
  fault(text) {
    if (this.faults.length < 6) this.faults.push(text);
  }

  expect(good, text) {
    if (!good) this.fault(text);
    return good;
  }

  note(text) {
    this.notes.push(text);
  }

  async begin() {
    const { redis, fake, config = 'namespaces:', top = '', args = [], env = {}, start = true, descriptors } = this.one;
    if (fake) this.fake = await FakeRedis.open(fake);
    else if (redis) this.redis = await lib.redis();
    this.redisUrl = this.fake?.url ?? this.redis?.url;
    if (this.one.up) await this.beginUp();
    else if (start) {
      const directory = this.directory = lib.temporary();
      this.config = `${typeof top === 'function' ? top(directory) : top}${config.trimEnd()}${calm}`;
      this.server = await lib.serve(this.config, { redisUrl: this.redisUrl, args, env, within: limits(descriptors) });
      this.pids = [this.server.pid];
      this.port = this.server.port;
    }
    if (this.port && this.one.calm !== false) await this.beginCalm();
    this.measureBegin();
  }

  async beginUp() {
    const directory = this.directory = lib.temporary();
    const file = `${directory}/attack.yaml`;
    fs.mkdirSync(`${directory}/above`, { mode: 0o755 });
    fs.writeFileSync(file, `${this.one.config.trimEnd()}${calm}`);
    this.server = await lib.up({ name: 'attack', concurrency: 250, timeout: 300, run: `sennit serve --config ${file}`, env: { SENNIT_ROTATE: 'off' },
      annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 2, 'autoscaling.knative.dev/maxScale': 2 } }, { ready: 2,
      flags: ['--state', `${directory}/above/state`] });
    this.port = this.server.port;
    const { instances } = await this.server.status_();
    this.pids = [this.server.pid, ...instances.map((one) => one.pid)];
  }

  async beginCalm() {
    this.pair = new Pair(this.port, (error) => this.fault(`the calm pair: ${error.message}`));
    await this.pair.hear();
    await sleep(300);
    await this.figures();
    await sleep(this.quick ? 500 : 1000);
    this.baseline = await this.figures();
    await this.control?.pair.ask({ what: 'figures' });
  }

  figures() {
    return this.pair.ask({ what: 'figures' });
  }

  // Memory is counted from here: the kernel keeps the peak, and Redis its own.
  measureBegin() {
    this.before = this.memory();
    for (const pid of this.pids ?? []) {
      try {
        fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
      } catch {
        this.noPeak = true; // not on every kernel: then the peak is since the start
      }
    }
    this.cpu = this.pids?.length === 1 ? schedule(this.pids[0]) : null;
    this.began = Date.now();
  }

  memory(field = 'VmRSS') {
    return Math.max(0, ...(this.pids ?? []).map((pid) => status(pid, field)));
  }

  redisCommand(...command) {
    return redisAsk(this.redis.port, ...command);
  }

  async redisMemory(field = 'used_memory') {
    const info = this.redis ? await this.redisCommand('INFO', 'memory') : null;
    return typeof info === 'string' ? Number(info.match(new RegExp(`^${field}:(\\d+)`, 'm'))?.[1] ?? 0) : null;
  }

  async open(options = {}) {
    const client = await Client.open(this.port, options);
    this.clients.push(client);
    return client;
  }

  async health() {
    const since = Date.now();
    const answer = await request(this.port, '/health', { ms: 5000 });
    return { ok: answer?.status === 200, ms: Date.now() - since };
  }

  get seconds_() {
    return (Date.now() - this.began) / 1000;
  }

  // The figures after an attack, and the judgement that every case shares.
  async end() {
    const { one } = this, alive = !this.server || this.server.status === null;
    const row = { name: one.name, requests: this.requests, seconds: this.seconds_, before: this.before, peak: this.memory('VmHWM') };
    row.crowd = 1;
    if (this.cpu !== null && alive && this.pids) {
      const { ran, waited } = schedule(this.pids[0]);
      row.cpu = (ran - this.cpu.ran) / 1e9;
      row.crowd = (ran - this.cpu.ran + waited - this.cpu.waited) / (ran - this.cpu.ran || 1);
    }
    this.expect(alive, `the process ended: ${this.server?.output.slice(-600)}`);
    if (this.pair && alive) Object.assign(row, { baseline: this.baseline, beside: await this.figures(), control: await this.control?.pair.ask({ what: 'figures' }) });
    if (this.port && alive && one.health !== false) this.expect((await this.health()).ok, '/health is not answered afterwards');
    for (const client of this.clients) client.close();
    if (this.pair && alive) await this.endCalm(row);
    row.redis = await this.redisMemory('used_memory_peak');
    const bound = Math.max(2 * this.before, this.before + 64 * MB);
    if (alive && this.port && !sanitized && one.memory !== false)
      this.expect(row.peak <= bound, `memory ${mb(row.peak)} MB, the bound is ${mb(bound)} MB`);
    if (row.redis !== null) this.expect(row.redis <= (one.redisMb ?? 64) * MB, `Redis ${mb(row.redis)} MB, the bound is ${one.redisMb ?? 64} MB`);
    return Object.assign(row, { faults: this.faults, notes: this.notes });
  }

  async endCalm(row) {
    const { acks = true } = this.one;
    const { lost, doubled, unanswered, accepted } = await this.pair.ask({ what: 'finish', ms: 6000 });
    row.accepted = accepted;
    this.expect(lost === 0, `${lost} of ${accepted} accepted messages of the calm pair were lost`);
    this.expect(doubled === 0, `${doubled} messages of the calm pair came twice`);
    if (!acks) return;
    const usual = Math.max(row.baseline.p99, row.control?.p99 ?? 0);
    // Time that the machine's other programs take from the instance is no client's fault.
    this.expect(row.beside.p99 <= usual + this.slack * row.crowd, `others' acknowledgements p99 ${row.beside.p99.toFixed(0)} ms; ${row.baseline.p99.toFixed(0)} ms before, ${row.control?.p99.toFixed(0)} ms at an instance that nobody attacks; `
      + `the instance got a processor ${(100 / row.crowd).toFixed(0)} % of the time that it wanted one`);
    this.expect(row.beside.drops === 0, `the calm pair was cut off ${row.beside.drops} times`);
    this.expect(unanswered === 0, `${unanswered} messages of the calm pair stay unanswered`);
  }

  async finish() {
    for (const client of this.clients) client.close();
    await this.pair?.end();
    const { server } = this;
    if (server && this.redis) await redisAsk(this.redis.port, 'PING').catch(() => {});
    try {
      if (server) await (this.one.up ? server.close() : server.close('SIGKILL'));
    } catch (error) {
      this.fault(`at its end: ${String(error.message).slice(-400)}`);
    }
    await this.fake?.close();
    await this.redis?.close();
    if (this.directory) fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

export const mb = (bytes) => (bytes / MB).toFixed(0);
