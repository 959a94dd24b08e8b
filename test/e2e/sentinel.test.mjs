// sentinel: two instances whose Redis is named by three Sentinels: a planned failover, a primary that dies, and Sentinels that are away
// or know another name.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { Client, freePort, ready, redis, redisCli, redisServer, serve, sleep, temporary, until } from './lib.mjs';

const config = 'namespaces: {/: {log: {entries: 1000}, replay: all, events: {drawing: {to: others, log: true, id: 0.id}}}}\n';
const quickly = { timeout: 60000 };

// It notices a dead primary after half a second.
async function sentinel(primaryPort, replicaPort) {
  const directory = temporary(), port = await freePort(), file = path.join(directory, 'sentinel.conf');
  fs.writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${directory}\nsentinel monitor board 127.0.0.1 ${primaryPort} 2\nsentinel known-replica board 127.0.0.1 ${replicaPort}\n` +
    `sentinel down-after-milliseconds board 500\nsentinel failover-timeout board 3000\nrequirepass ${password}\nsentinel sentinel-pass ${password}\n`);
  const child = spawn(redisServer, [file, '--sentinel'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  const ended = once(child, 'close');
  await until('the Sentinel runs', () => {
    if (child.exitCode !== null) throw new Error(output);
    return /\+monitor/.test(output);
  });
  return { port, close: async () => {
    child.kill('SIGKILL');
    await ended;
    fs.rmSync(directory, { recursive: true, force: true });
  } };
}

const command = (port, ...words) => redisCli('-p', port, ...words);

// A primary, its replica, three Sentinels that know both, and two instances; for all tests here, as Sentinels take seconds to meet.
const password = 'open-sesame', ends = [];
let primary, replica, sentinels, instances, redisUrl;

const ask = (one, ...words) => command(one.port, '-a', password, '--no-auth-warning', 'sentinel', ...words);

async function clientsOf(t) {
  const clients = instances.map((instance, n) => new Client(instance.url, { name: `${t.name.slice(0, 9)}${n}` }));
  t.after(() => clients.forEach((client) => client.close()));
  for (const client of clients) await client.connected();
  return clients;
}

const named = (port) => new RegExp(`"the Sentinels name the primary"[^\\n]*${port}\\b`);

before(async () => {
  primary = await redis();
  ends.push(primary);
  replica = await redis(['--replicaof', '127.0.0.1', primary.port, '--repl-diskless-sync-delay', '0']);
  ends.push(replica);
  await until('the replica has everything', async () => /master_link_status:up/.test(await command(replica.port, 'info', 'replication')));
  sentinels = await Promise.all([1, 2, 3].map(() => sentinel(primary.port, replica.port)));
  ends.push(...sentinels);
  for (const one of sentinels)
    await until('it knows the others', async () => {
      const about = await ask(one, 'master', 'board');
      return /num-slaves\s+1\b/.test(about) && /num-other-sentinels\s+2\b/.test(about);
    }, 30000);
  redisUrl = `redis+sentinel://${sentinels.map((one) => `127.0.0.1:${one.port}`).join(',')}/board?sentinel_password=${password}`;
  instances = await Promise.all([1, 2].map(() => serve(config, { redisUrl })));
  ends.push(...instances);
  for (const instance of instances) await ready(instance);
}, { timeout: 60000 });
after(() => Promise.all(ends.map((one) => one.close())));

test('Sentinels that are away, that ask for a password, or know another name: each is said, with the cure', quickly, async (t) => {
  const says = async (url, pattern) => {
    const instance = await serve(config, { redisUrl: url });
    t.after(() => instance.close('SIGKILL'));
    await until(`it says ${pattern}`, () => pattern.test(instance.output), 10000);
    assert.equal((await fetch(`${instance.url}/ready`)).status, 503);
  };
  await says(redisUrl.replace('/board', '/bored'), /knows no primary of the name bored: correct the name in REDIS_URL/);
  await says(redisUrl.replace(/\?.*/, ''), /asks for a password: give it with \?sentinel_password=/);
  await says(redisUrl.replace(password, 'wrong'), /refuses the login: correct sentinel_user and sentinel_password/);
  const nobody = `127.0.0.1:${await freePort()}`;
  await says(`redis+sentinel://${nobody}/board`, /the Sentinel 127\.0\.0\.1 cannot be asked/);
  await says(`redis+sentinel://127.0.0.1:${primary.port}/board`, /is it a Sentinel, whose port is 26379 by default\?/);
  // One that is away is no hindrance.
  const fine = await serve(config, { redisUrl: redisUrl.replace('//', `//${nobody},`) });
  t.after(() => fine.close());
  await ready(fine);
});

test('a planned failover under load: the fleet moves along', quickly, async (t) => {
  const clients = await clientsOf(t);
  const timer = setInterval(() => clients[0].draw(), 20);
  t.after(() => clearInterval(timer));
  await sleep(500);
  assert.equal(await ask(sentinels[0], 'failover', 'board'), 'OK');
  await until('both found the other Redis', () => instances.every((one) => named(replica.port).test(one.output)), 20000);
  for (const instance of instances) await ready(instance);
  await sleep(500);
  clearInterval(timer);
  await clients[0].settled(20000);
  // The strokes that the old primary accepted and did not pass on are lost. A client that had one of them is told: it is connected anew.
  const last = `${clients[0].name}-${clients[0].sent - 1}`;
  await until('the last one came', () => clients[1].got.includes(last), 20000);
  assert.deepEqual(clients[1].doubled(), []);
});

test('the primary dies: nothing is lost that its replica had', quickly, async (t) => {
  [primary, replica] = [replica, primary];
  await until('the old primary follows', async () => /role:slave[^]*master_link_status:up/.test(await command(replica.port, 'info', 'replication')), 20000);
  const clients = await clientsOf(t), told = instances[0].output.length;
  for (let n = 0; n < 50; n++) clients[0].draw();
  await clients[0].settled(5000);
  const own = (client) => client.got.filter((id) => id.startsWith(clients[0].name));
  await until('the other has it', () => own(clients[1]).length === 50);
  await until('the replica has it', async () => {
    const about = await command(primary.port, 'info', 'replication');
    return /slave0:.*offset=(\d+)/.exec(about)?.[1] === /master_repl_offset:(\d+)/.exec(about)[1];
  });
  process.kill(primary.pid, 'SIGKILL');
  for (let n = 0; n < 20; n++) clients[0].draw();
  await until('it found the other Redis', () => named(replica.port).test(instances[0].output.slice(told)), 20000);
  for (const instance of instances) await ready(instance);
  await clients[0].settled(20000);
  await until('the other has all of them', () => own(clients[1]).length >= 70, 20000);
  assert.deepEqual(own(clients[1]).filter((id, at, all) => all.indexOf(id) !== at), []);
});
