// Redis loses keys, holds keys of a wrong type, stands still, dies: every accepted message is in a log, or was never acknowledged.
import * as lib from '../../e2e/lib.mjs';
import { redisAsk, request, sleep } from '../wire.mjs';
import { cpuSeconds } from '../world.mjs';

const all = 'namespaces:\n  /:\n    log: {entries: 1000, bytes: 1MiB, age: 1h}\n    replay: all\n    presence: true\n'
  + '    events: {say: {to: everyone, log: true}, wave: {to: everyone}, who: {who: 0}, past: {history: 0}}';
const key = (name) => `sennit:{0}:${name}`;

// A message acknowledged after the keys were spoiled is in the log for a newcomer.
const halfway = (spoil) => async (world) => {
  let client = await world.open();
  for (let i = 0; i < 5; i++) await client.ask(['say', `before ${i}`]);
  await spoil(world);
  const accepted = [];
  for (let i = 0; i < 8; i++) {
    if (client.closed) client = await world.open({ ms: 1000 }).catch(() => client);
    world.requests++;
    if ((await client.ask(['say', `after ${i}`], { ms: 700, id: 10 + i })) !== null) accepted.push(`after ${i}`);
  }
  const newcomer = await world.open({ ms: 2000 }).catch(() => null);
  if (!newcomer) return world.note(`${accepted.length} accepted, nobody can connect`);
  const shown = new Set((await newcomer.heard(500)).map(([, what]) => what));
  const lost = accepted.filter((what) => !shown.has(what));
  world.expect(lost.length === 0, `accepted, and in no log: ${lost.join(', ')}`);
  world.note(`${accepted.length} of 8 accepted`);
};

const gone = (...names) => halfway(async (world) => {
  for (const name of names) await redisAsk(world.redis.port, 'DEL', key(name));
});
const wrong = (name) => halfway(async (world) => {
  const keys = await redisAsk(world.redis.port, 'KEYS', key(name));
  for (const one of keys.length ? keys : [key(name)]) {
    await redisAsk(world.redis.port, 'DEL', one);
    await redisAsk(world.redis.port, 'SET', one, 'x');
  }
});

async function metaGone(world) {
  const first = await world.open();
  await first.ask(['say', 'old']);
  for (const name of ['room:/', 'log:/']) await redisAsk(world.redis.port, 'PEXPIRE', key(name), 1);
  await sleep(200);
  const newcomer = await world.open(), cpu = cpuSeconds(world.server.pid), count = await commands(world);
  await sleep(1500);
  const rate = ((await commands(world)) - count) / 1.5, share = (100 * (cpuSeconds(world.server.pid) - cpu)) / 1.5;
  world.note(`instance ${share.toFixed(0)} % CPU, Redis ${rate.toFixed(0)} commands/s`);
  world.expect(rate < 3000 && share < 60, 'the instance spins');
  await first.ask(['wave', 'live']);
  await first.ask(['say', 'new']);
  const heard = (await newcomer.heard(400)).map(([, what]) => what);
  world.expect(heard.includes('live') && heard.includes('new'), `a newcomer hears only ${heard}`);
  world.requests += 4;
}

async function commands(world) {
  const info = await redisAsk(world.redis.port, 'INFO', 'stats');
  return Number(info.match(/total_commands_processed:(\d+)/)[1]);
}

// Keys vanish one by one while clients speak.
async function keysVanish(world) {
  const end = Date.now() + (world.quick ? 3000 : 8000), deleted = [];
  let client = await world.open();
  const accepted = [];
  for (let i = 0; Date.now() < end; i++) {
    const keys = (await redisAsk(world.redis.port, 'KEYS', key('*'))).filter((name) => !/log:\/$|room:\/$|\/calm/.test(name));
    const name = world.chance.pick(keys.sort());
    if (name) deleted.push(await redisAsk(world.redis.port, 'DEL', name) && name);
    if (client.closed) client = await world.open({ ms: 1000 }).catch(() => client);
    if ((await client.ask(['say', `m${i}`], { id: 10 + i, ms: 500 })) !== null) accepted.push(`m${i}`);
    world.requests++;
    await sleep(100);
  }
  const newcomer = await world.open();
  const shown = new Set((await newcomer.heard(500)).map(([, what]) => what));
  const lost = accepted.filter((what) => !shown.has(what));
  world.expect(lost.length === 0, `accepted, and in no log: ${lost.slice(0, 5).join(', ')} (${lost.length} of ${accepted.length})`);
  world.note(`${deleted.length} keys deleted, ${accepted.length} messages accepted`);
}

// All instances are killed; the next one finds the sockets that are gone.
const ghosts = (spoil) => async (world) => {
  const start = (name) => lib.serve(world.text, { redisUrl: world.redis.url, env: { SENNIT_INSTANCE: name } });
  world.text = `${all}\n`;
  const one = await start('one');
  world.port = one.port;
  const clients = [await world.open(), await world.open(), await world.open()];
  await sleep(300);
  await one.close('SIGKILL');
  await spoil(world, clients);
  const two = await start('two');
  world.port = two.port;
  try {
    const end = Date.now() + 12000;
    while (Date.now() < end && (await redisAsk(world.redis.port, 'HLEN', key('here:/'))) !== 0) await sleep(200);
    const client = await world.open();
    const count = (await client.ask(['who', null, {}]))?.[0]?.count;
    world.expect(count === 1, `${count} are listed where one is, 12 s later`);
    world.requests += 4;
  } finally {
    world.port = null;
    await two.close('SIGKILL');
  }
};
const expired = async (world) => {
  for (const name of await redisAsk(world.redis.port, 'KEYS', key('of:*'))) await redisAsk(world.redis.port, 'DEL', name);
};
const wrongLease = async (world, clients) => {
  await redisAsk(world.redis.port, 'DEL', key(`lease:${clients[0].pid}`));
  await redisAsk(world.redis.port, 'SET', key(`lease:${clients[0].pid}`), 'x');
};

// Redis stands still for a while: nothing is lost, and memory stays.
async function standsStill(world) {
  const client = await world.open();
  process.kill(world.redis.pid, 'SIGSTOP');
  for (let i = 0; i < 1000; i++) await client.send(client.packet(['say', 'x'.repeat(1000)], 10 + i));
  world.requests += 1000;
  await sleep(world.quick ? 1500 : 4000);
  world.expect((await world.health()).ms < 1000, '/health waits for Redis');
  process.kill(world.redis.pid, 'SIGCONT');
  await client.wait(() => client.acks >= 1000 || client.closed, 5000);
  world.expect(client.acks >= 1000 || client.closed, `${client.acks} of 1000 accepted afterwards`);
}

async function dies(world) {
  const client = await world.open();
  process.kill(world.redis.pid, 'SIGKILL');
  for (let i = 0; i < 1000 && !client.closed; i++) await client.send(client.packet(['say', 'x'.repeat(1000)], 10 + i), 200);
  world.requests += 1000;
  await sleep(1500);
  const [health, ready] = [await request(world.port, '/health'), await request(world.port, '/ready', { ms: 5000 })];
  world.expect(health?.status === 200, '/health is not answered');
  world.expect(ready !== null && ready.status !== 200, `/ready says ${ready?.status}`);
  world.redis.gone = true;
}

const breaks = { kind: 'redis', redis: true, config: all, acks: false, expects: 'what is acknowledged is in a log; otherwise nobody is told that it is' };

export default [
  { ...breaks, name: 'halfway, state gone', run: gone('state') },
  { ...breaks, name: 'halfway, recent of a wrong type', run: wrong('recent') },
  { ...breaks, name: 'halfway, publisher of a wrong type', run: wrong('publisher:*') },
  { ...breaks, name: 'halfway, room of a wrong type', run: wrong('room:/') },
  { ...breaks, name: 'halfway, state of a wrong type', run: wrong('state') },
  { ...breaks, name: 'halfway, lives of a wrong type', run: wrong('lives') },
  { ...breaks, name: 'meta-gone', expects: 'absence is not emptiness: an idle instance, live events', run: metaGone },
  { ...breaks, name: 'keys-vanish', run: keysVanish },
  { ...breaks, name: 'presence-ghosts', start: false, expects: 'whoever has no living instance goes', run: ghosts(async () => {}) },
  { ...breaks, name: 'presence-ghosts, after a day', start: false, expects: 'likewise after a day without any instance', run: ghosts(expired) },
  { ...breaks, name: 'presence-ghosts, a lease of a wrong type', start: false, expects: 'likewise when a key is none', run: ghosts(wrongLease) },
  { ...breaks, name: 'redis-stands-still', expects: 'publishes wait, everything else goes on', run: standsStill },
  { ...breaks, name: 'redis-dies', expects: 'alive, and not ready', run: dies },
];
