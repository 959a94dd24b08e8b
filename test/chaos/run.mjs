// Chaos: a fleet of real processes, clients that are cut off all the time, and everything around them failing at random.
// At the end nothing is lost, doubled or reordered, or the exit status is 1. See docs/guarantees.md.
//
// `sennit load --check` is the clients and the judge; this is the weather. The seed decides which faults come in which
// order and how long they last; what the machine makes of them differs from run to run.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { program, sleep, temporary, top, up } from '../e2e/lib.mjs';
import { bouncer, missing } from '../e2e/postgres.mjs';
import { Pooled, Postgres } from './postgres.mjs';
import { Redis } from './redis.mjs';

const usage = `usage: node test/chaos/run.mjs [OPTION...]

Instances of sennit serve behind sennit up with a request timeout of 5 s, a real Redis with an append-only file or a real
Postgres, clients that are cut off every 3 s each: meanwhile instances are killed, stopped and drained, Redis or Postgres is
killed, restarted, stopped, refuses writes and closes connections, and its cable is pulled. Then counts what was lost,
doubled or reordered.

  --seconds N      so long (default 300)
  --clients N      (default 300)
  --instances N    (default 8)
  --rooms N        each client is in two of them (default 20)
  --rate N         messages a second (default 100)
  --timeout N      request timeout of the ingress in seconds (default 5)
  --broker NAME    redis, postgres, or pgbouncer: Postgres behind a pooler (default redis)
  --seed N         which faults, in which order (default 1)
  --only A,B       of these faults only
  --loopback       no network namespace, even as root
  --write FILE     put the table between the lines <!-- chaos --> and <!-- /chaos --> of this file; with another broker
                   than Redis, between those with its name (<!-- chaos postgres -->)
  --help           this text

As root, and with ip (iproute2), the broker runs in a network namespace behind a cable of its own that can be pulled.`;

function fail(text) {
  console.error(`chaos: ${text}`);
  process.exit(2);
}

const options = { seconds: 300, clients: 300, instances: 8, rooms: 20, rate: 100, timeout: 5, broker: 'redis', seed: 1, only: null, loopback: false, write: null };
for (let args = process.argv.slice(2); args.length > 0;) {
  const name = args.shift().replace(/^--/, '');
  if (name === 'help') {
    console.log(usage);
    process.exit(0);
  }
  if (!(name in options)) fail(`unknown option --${name}\n\n${usage}`);
  else if (options[name] === false) options[name] = true;
  else if (args.length === 0) fail(`--${name} needs a value`);
  else options[name] = typeof options[name] === 'number' ? Number(args.shift()) : args.shift();
  if (typeof options[name] === 'number' && !(options[name] >= 1)) fail(`--${name}: expected a number above 0`);
}

const brokers = { redis: Redis, postgres: Postgres, pgbouncer: Pooled };
if (!(options.broker in brokers)) fail(`--broker: expected ${Object.keys(brokers).join(', ')}`);
if (options.broker !== 'redis' && missing()) fail(missing());
if (options.broker === 'pgbouncer' && !bouncer) fail('PgBouncer is not installed');

// mulberry32: the numbers depend on the seed alone.
let state = options.seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let z = state;
  z = Math.imul(z ^ (z >>> 15), z | 1);
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
  return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
}
const between = (low, high) => low + random() * (high - low);
const pick = (list) => list[Math.floor(random() * list.length)];

const began = Date.now();
const say = (text) => console.error(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);
const run = (...argv) => spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });

// A cable between this machine and a namespace in which the broker lives. Addresses of RFC 2544's test network: nobody has them.
class Cable {
  static make() {
    if (options.loopback || process.getuid() !== 0 || run('ip', '-V').status !== 0) return null;
    const cable = new Cable();
    const name = `sennit${process.pid}`;
    const near = `sn${process.pid}`, far = `sf${process.pid}`;
    const net = 20000 + (process.pid % 10000);
    const prefix = `198.${18 + (net & 1)}.${(net >> 1) % 256}`;
    Object.assign(cable, { name, near, address: `${prefix}.2`, netem: true });
    const steps = [['netns', 'add', name], ['link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', name], ['addr', 'add', `${prefix}.1/24`, 'dev', near],
      ['link', 'set', near, 'up'], ['-n', name, 'addr', 'add', `${prefix}.2/24`, 'dev', far], ['-n', name, 'link', 'set', far, 'up'], ['-n', name, 'link', 'set', 'lo', 'up']];
    for (const step of steps) {
      const { status, stderr } = run('ip', ...step);
      if (status === 0) continue;
      say(`no network namespace, so no cable is pulled: ip ${step.join(' ')}: ${stderr.trim()}`);
      cable.remove();
      return null;
    }
    cable.netem = cable.slow(true);
    cable.slow(false);
    return cable;
  }

  pull(down) {
    return run('ip', 'link', 'set', this.near, down ? 'down' : 'up').status === 0;
  }

  // Late, out of order, and a twentieth of it not at all.
  slow(on) {
    const rule = on ? ['add', 'dev', this.near, 'root', 'netem', 'delay', '20ms', '15ms', 'loss', '5%'] : ['del', 'dev', this.near, 'root'];
    return run('tc', 'qdisc', ...rule).status === 0;
  }

  remove() {
    run('ip', 'link', 'del', this.near);
    run('ip', 'netns', 'del', this.name);
  }
}

const config = `
namespaces:
  /:
    auth: none
    log: {entries: 100000, bytes: 64MiB, age: 1h}
    events:
      join: {join: 0}
      say: {to: room, room: 0, log: true, id: 1.id}
`;

// Faults of instances, and faults of the broker and the way to it: one of each kind is under way at a time, and the
// two do not wait for each other.
function faults(fleet, broker, cable) {
  const victim = async () => {
    const instances = await fleet.instances().catch(() => []);
    return instances.length > 0 ? pick(instances) : null;
  };
  const signal = (one, name) => {
    try {
      process.kill(one.pid, name);
      return true;
    } catch {
      return false; // it was gone already
    }
  };
  const for_ms = async (on, off, low, high) => {
    const ms = Math.round(between(low, high));
    on();
    await sleep(ms);
    off();
    return `${ms} ms`;
  };
  const instance = {
    'instance-kill': ['an instance killed (`SIGKILL`)', async () => {
      const one = await victim();
      return one && signal(one, 'SIGKILL') && `pid ${one.pid}`;
    }],
    'instance-term': ['an instance told to end (`SIGTERM`)', async () => {
      const one = await victim();
      return one && signal(one, 'SIGTERM') && `pid ${one.pid}`;
    }],
    'instance-stop': ['an instance stopped for up to 8 s (`SIGSTOP`)', async () => {
      const one = await victim();
      return one && (await for_ms(() => signal(one, 'SIGSTOP'), () => signal(one, 'SIGCONT'), 200, 8000)) + `, pid ${one.pid}`;
    }],
  };
  const others = broker.faults({ during: for_ms, away: () => sleep(between(0, 2000)), pick });
  const name = broker.title.split(' ')[0];
  if (cable) others['link-down'] = [`the cable to ${name} pulled for up to 5 s`, () => for_ms(() => cable.pull(true), () => cable.pull(false), 100, 5000)];
  if (cable?.netem) others['link-bad'] = [`the cable to ${name} bad for up to 5 s (5 % lost, 20 ms ± 15 ms late)`, () => for_ms(() => cable.slow(true), () => cable.slow(false), 1000, 5000)];
  return { instance, broker: others };
}

// One fault after the other, with pauses, as long as going() is true.
async function weather(kinds, done, going, pause) {
  const only = options.only?.split(',');
  const names = Object.keys(kinds).filter((name) => !only || only.includes(name));
  let bag = [];
  while (names.length > 0 && going()) {
    await sleep(between(...pause));
    if (!going()) break;
    if (bag.length === 0) bag = [...names]; // every kind comes before one comes again
    const [name] = bag.splice(Math.floor(random() * bag.length), 1);
    const what = await kinds[name][1]();
    if (what === false || what === null) continue;
    done[name] = (done[name] ?? 0) + 1;
    say(name + (typeof what === 'string' ? `: ${what}` : ''));
  }
}

const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

function table(report, done, kinds, title) {
  const { check, cuts } = report;
  const rows = [['**Done**', '']];
  rows.push([`clients cut off: ${Object.keys(cuts).join(', ')}`, Object.values(cuts).reduce((a, b) => a + b, 0)]);
  for (const [name, [text]] of Object.entries({ ...kinds.instance, ...kinds.broker })) if (done[name]) rows.push([text, done[name]]);
  rows.push(['**Seen**', ''], ['connections closed by the server: request timeout, instances that ended', report.closed_by_server], ['reconnects that recovered', report.recovered],
    ['reconnects that were told that recovery failed', report.not_recovered], ['messages accepted', check.accepted], ['sent again, whether accepted before or not', report.resent], ['deliveries owed', check.expected],
    ['**lost**', check.lost], ['**doubled**', check.doubled], ['**reordered**', check.reordered], ['**wrongly recovered**', check.wrongly_recovered], ['unexpected', check.unexpected]);
  const setting = `${options.seconds} s, ${options.clients} clients in two of ${options.rooms} rooms each, ${options.rate} messages a second, ${options.instances} instances, request timeout ${options.timeout} s, ` +
    `${title}, seed ${options.seed}:`;
  return [setting, '', '| | |', '|---|--:|', ...rows.map(([what, count]) => `| ${what} | ${typeof count === 'number' ? thousands(count) : count} |`)].join('\n');
}

const cleanups = [];
let interrupted = false;
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => (interrupted = true));

async function main() {
  const cable = brokers[options.broker].loopback ? null : Cable.make();
  if (cable) cleanups.push(() => cable.remove());
  const broker = new brokers[options.broker](cable);
  cleanups.push(() => broker.close());
  await broker.start();
  const directory = temporary();
  cleanups.push(() => fs.rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'chaos.yaml');
  fs.writeFileSync(file, config);
  say(`${broker.title} on ${broker.url}${cable ? `, behind a cable${cable.netem ? '' : ' (without netem)'}` : ''}`);
  const fleet = await up({ name: 'chaos', concurrency: 250, timeout: options.timeout, env: { ...broker.env, SENNIT_ROTATE: 'off' }, run: `sennit serve --config ${file}`,
    annotations: { 'autoscaling.knative.dev/minScale': options.instances, 'autoscaling.knative.dev/maxScale': options.instances } }, { ready: options.instances });
  cleanups.push(() => fleet.close());
  say(`${options.instances} instances behind ${fleet.url}`);

  const load = program(['load', fleet.url, '--json', '--check', '--clients', options.clients, '--rooms', options.rooms, '--rooms-per-client', 2, '--room-event', 'say', '--echo',
    '--publishers', Math.min(50, options.clients), '--rate', options.rate, '--duration', options.seconds, '--cut-every', 3, '--reconnect-delay', 200, '--settle', 60].map(String));
  cleanups.push(() => load.stop('SIGKILL'));
  const done = {};
  const kinds = faults(fleet, broker, cable);
  const end = Date.now() + options.seconds * 1000;
  const going = () => Date.now() < end && load.status === null && !interrupted;
  await Promise.all([weather(kinds.instance, done, going, [500, 3000]), weather(kinds.broker, done, going, [1000, 4000])]);
  say('the faults have ended; the rest is awaited');
  if (interrupted) load.child.kill('SIGINT');
  const status = await load.ended;
  const start = load.output.indexOf('{');
  if (start < 0) throw new Error(`sennit load: ${load.output.slice(-2000)}`);
  const report = JSON.parse(load.output.slice(start, load.output.lastIndexOf('}') + 1));
  const text = table(report, done, kinds, broker.title);
  console.log(`\n${text}\n\n${report.outcome}${report.why ? `: ${report.why}` : ''}`);
  if (status !== 0) {
    const log = path.join(process.env.TMPDIR ?? '/tmp', `sennit-chaos-${process.pid}.log`);
    fs.writeFileSync(log, `${load.output}\n${fleet.output}\n${broker.output}`);
    console.log(`what everybody said: ${log}`);
  } else if (options.write) {
    const name = path.resolve(top, options.write);
    const old = fs.readFileSync(name, 'utf8');
    const mark = options.broker === 'redis' ? 'chaos' : `chaos ${options.broker}`;
    const fresh = old.replace(new RegExp(`(<!-- ${mark} -->\\n)[^]*?(<!-- /${mark} -->)`), (all, begin, close) => `${begin}\n${text}\n\n${close}`);
    if (fresh === old && !old.includes(`<!-- ${mark} -->`)) throw new Error(`${options.write} has no <!-- ${mark} --> line`);
    fs.writeFileSync(name, fresh);
  }
  return status === 0 ? 0 : 1;
}

let status = 1;
try {
  status = await main();
} catch (error) {
  console.error(error);
}
for (const cleanup of cleanups.reverse()) {
  try {
    await cleanup();
  } catch (error) {
    console.error(error.message);
    status = 1;
  }
}
process.exit(status);
