// Failover: replicas that lag are promoted, again and again, under load. A replica that lags lacks what the primary accepted last, so
// each promotion loses something. No loss may be hidden: the broker's epoch ends, and each client that had a lost message, or is
// owed one, is told that it is not recovered. See docs/guarantees.md.
//
// `sennit load --check` is the clients and the judge. Instances know one address, behind which the primary changes, as with a managed
// Redis.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { freePort, program, redisCli, redisServer, serve, sleep, temporary, until } from '../e2e/lib.mjs';

const usage = `usage: node test/failover/run.mjs [OPTION...]

Two instances of sennit serve, a Redis and its replica, and clients that publish and check. Time and again the replica is held back for a
moment and then promoted: in every other round the primary is killed, in the others it goes on without its instances.
Prints what each promotion lost, and what the clients were told.

  --promotions N   (default 20)
  --clients N      (default 60)
  --rate N         messages a second (default 200)
  --lag MS         the replica is held back for so long before it is promoted (default 300)
  --server PATH    redis-server, or another program that takes its options, like valkey-server (default: redis-server, or valkey-server where only that is)
  --write FILE     put the tables between the lines <!-- failover --> and <!-- /failover --> of this file
  --help           this text`;

const options = { promotions: 20, clients: 60, rate: 200, lag: 300, server: redisServer, write: '' };
for (let args = process.argv.slice(2); args.length > 0;) {
  const name = args.shift().replace(/^--/, '');
  if (name === 'help') {
    console.log(usage);
    process.exit(0);
  }
  if (!(name in options) || args.length === 0) {
    console.error(`failover: unknown option --${name}, or it needs a value\n\n${usage}`);
    process.exit(2);
  }
  options[name] = typeof options[name] === 'number' ? Number(args.shift()) : args.shift();
}

const cleanups = [], EVERY_MS = 4500;

// A port of the loopback that passes bytes on to another one, which may change; or holds back what comes from there.
async function passage(target) {
  const pairs = new Set();
  const self = { target, held: false, hold: (held) => {
    self.held = held;
    for (const { upstream } of pairs) held ? upstream.pause() : upstream.resume();
  }, cut: () => {
    for (const { client, upstream } of pairs) [client, upstream].forEach((one) => one.destroy());
  } };
  const server = net.createServer((client) => {
    const upstream = net.connect(self.target, '127.0.0.1'), pair = { client, upstream };
    pairs.add(pair);
    client.on('data', (data) => upstream.write(data));
    upstream.on('data', (data) => client.write(data));
    if (self.held) upstream.pause();
    for (const one of [client, upstream]) {
      one.on('error', () => {});
      one.on('close', () => {
        pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  self.port = server.address().port;
  cleanups.push(() => {
    self.cut();
    server.close();
  });
  return self;
}

class Redis {
  static async start(primaryPort) {
    const one = new Redis();
    Object.assign(one, { directory: temporary(), port: await freePort(), output: '' });
    const args = ['--port', one.port, '--bind', '127.0.0.1', '--dir', one.directory, '--save', '', '--repl-diskless-sync-delay', 0,
      ...(primaryPort ? ['--replicaof', `127.0.0.1 ${primaryPort}`] : [])];
    one.child = spawn(options.server, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
    one.child.stdout.on('data', (data) => (one.output += data));
    one.ended = once(one.child, 'close');
    cleanups.push(() => one.kill());
    await until(`${options.server} answers`, () => {
      if (one.child.exitCode !== null) throw new Error(`${options.server} ended: ${one.output.slice(-2000)}`);
      return one.output.includes('Ready to accept connections');
    });
    if (primaryPort) await until('the replica follows', async () => /master_link_status:up/.test(await one.command('info', 'replication')));
    return one;
  }

  command(...words) {
    return redisCli('-p', this.port, ...words);
  }

  async state() {
    const [epoch, seq] = (await this.command('hmget', 'sennit:{0}:state', 'epoch', 'seq')).split('\n');
    return { epoch, seq: Number(seq) };
  }

  async kill() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.ended;
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

const config = `
namespaces:
  /:
    auth: none
    log: {entries: 100000, bytes: 64MiB, age: 1h}
    events: {join: {join: 0}, say: {to: room, room: 0, log: true, id: 1.id}}
`;

// Gives each connection to one of the instances, at random.
async function balancer(instances) {
  const server = net.createServer((client) => {
    const upstream = net.connect(instances[Math.floor(Math.random() * instances.length)].port, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    for (const [one, other] of [[client, upstream], [upstream, client]]) one.on('error', () => other.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

// What the primary has accepted and the replica has not. The old primary answers no instance any more when it is asked.
async function promote(number, primary, replica, address, instances) {
  address.behind.hold(true);
  await sleep(options.lag);
  const isKilled = number % 2 === 0;
  address.front.target = replica.port;
  address.front.cut();
  await sleep(20); // what was under way there has been accepted
  const had = await primary.state();
  if (isKilled) await primary.kill();
  const kept = await replica.state();
  await replica.command('replicaof', 'no', 'one');
  address.behind.cut();
  address.behind.hold(false);
  const epoch = await until('a new epoch begins', async () => {
    const now = await replica.state();
    return now.epoch !== had.epoch && now.epoch;
  }, 30000);
  for (const instance of instances) await until('it is ready', async () => (await fetch(`${instance.url}/ready`)).status === 200, 30000);
  if (!isKilled) await primary.kill();
  address.behind.target = replica.port;
  return { number, how: isKilled ? 'killed' : 'cut off', had, kept, epoch, lost: had.seq - kept.seq };
}

async function main() {
  const seconds = Math.ceil(options.promotions * EVERY_MS / 1000) + 15; // the last promotion is followed by some peace
  let primary = await Redis.start();
  const address = { front: await passage(primary.port), behind: await passage(primary.port) };
  let replica = await Redis.start(address.behind.port);
  const instances = await Promise.all([1, 2].map(() => serve(config, { redisUrl: `redis://127.0.0.1:${address.front.port}` })));
  cleanups.push(...instances.map((one) => () => one.close('SIGKILL')));
  const load = program(['load', await balancer(instances), '--json', '--check', '--clients', options.clients, '--rooms', 10, '--rooms-per-client', 2, '--room-event', 'say', '--echo',
    '--publishers', Math.min(20, options.clients), '--rate', options.rate, '--duration', seconds, '--reconnect-delay', 100, '--settle', 60].map(String));
  cleanups.push(() => load.stop('SIGKILL'));
  await until('messages are logged', async () => (await primary.state()).seq > options.rate / 2);
  const rows = [], began = Date.now();
  for (let number = 1; number <= options.promotions; number++) {
    if (Date.now() - began > (seconds - 10) * 1000) throw new Error(`this machine is too slow: only ${number - 1} promotions in ${seconds} s`);
    if (load.status !== null) throw new Error(`sennit load ended: ${load.output.slice(-2000)}`);
    const row = await promote(number, primary, replica, address, instances);
    primary = replica;
    replica = await Redis.start(address.behind.port);
    await sleep(Math.max(1000, began + number * EVERY_MS - Date.now()));
    rows.push(row);
    console.error(`${String(number).padStart(3)}  ${row.how}: epoch ${row.had.epoch} ended at ${row.kept.seq}, ${row.lost} entries lost; epoch ${row.epoch}`);
  }
  await load.ended;
  const report = JSON.parse(load.output.slice(load.output.indexOf('{'), load.output.lastIndexOf('}') + 1)), check = report.check;
  const total = rows.reduce((sum, row) => sum + row.lost, 0);
  const silent = rows.filter((row) => instances.some((one) => !one.output.includes(row.epoch)));
  const text = ['| promotion | the primary | its epoch | accepted up to | survived up to | entries lost |', '|---|---|---|---|---|---|',
    ...rows.map(({ number, how, had, kept, lost }) => `| ${number} | ${how} | ${had.epoch} | ${had.seq} | ${kept.seq} | ${lost} |`), '', '| checked | |', '|---|---|',
    ...[['entries lost by promotions', total], ['messages accepted', check.accepted], ['deliveries owed', check.expected], ['**lost** in silence', check.lost],
      ['**doubled**', check.doubled], ['**out of order**', check.reordered], ['deliveries forgiven: the client was told', check.forgiven],
      ['reconnects not recovered', check.not_recovered], ['reconnects recovered', check.recovered], ['of these, wrongly', check.wrongly_recovered],
      ['new epochs that an instance does not log', silent.length]].map(([what, value]) => `| ${what} | ${value} |`)].join('\n');
  console.log(text);
  const good = report.outcome === 'good' && check.lost + check.doubled + check.reordered + check.wrongly_recovered + silent.length === 0;
  const proves = total > 0 && check.not_recovered > 0;
  console.log(`\n${good && proves ? 'good' : good ? 'proves nothing: no promotion lost anything that a client knew' : `bad: ${report.why}`}`);
  if (!good) {
    const log = `${temporary()}/failover.log`;
    fs.writeFileSync(log, `${load.output}\n${instances.map((one) => one.output).join('\n')}`);
    console.log(`what everybody said: ${log}`);
  }
  if (good && proves && options.write) {
    const old = fs.readFileSync(options.write, 'utf8');
    if (!old.includes('<!-- failover -->')) throw new Error(`${options.write} has no <!-- failover --> line`);
    fs.writeFileSync(options.write, old.replace(/(<!-- failover -->\n)[^]*?(<!-- \/failover -->)/, (all, begin, end) => `${begin}\n${text}\n\n${end}`));
  }
  return good && proves ? 0 : 1;
}

let status = 2;
try {
  status = await main();
} catch (error) {
  console.error(`failover: ${error.stack}`);
}
for (const clean of cleanups.reverse()) await clean();
process.exit(status);
