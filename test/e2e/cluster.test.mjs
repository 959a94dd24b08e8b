// cluster: two instances on a Redis Cluster of three primaries, each with a replica. Our slot's primary hands over, dies, and the slot is
// moved to another node, all while messages flow. They publish to sharded channels where the server has them and all instances listen there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Client, flawless, freePort, load, ready, redis, redisCli, serve, sleep, top, until } from './lib.mjs';

const config = 'namespaces: {/: {log: {entries: 2000}, replay: all, events: {drawing: {to: others, log: true, id: 0.id}}}}\n';
const quickly = { timeout: 60000 };
const nodes = [], ends = [];
let instances, slot, hasSharded;

const ask = (port, ...words) => redisCli('-p', port, ...words);

// The cluster's nodes as one of them sees them: id, port, flags, the primary's id, and slots.
async function view() {
  const alive = nodes.find((one) => !one.dead);
  return (await ask(alive.port, 'cluster', 'nodes')).split('\n').map((line) => {
    const [id, address, flags, primary, , , , ...slots] = line.split(' ');
    return { id, port: Number(/:(\d+)@/.exec(address)[1]), flags, primary, slots: slots.filter((text) => !text.startsWith('[')).map((text) => text.split('-').map(Number)) };
  });
}
const owner = async () => (await view()).find((one) => !/fail/.test(one.flags) && one.slots.some(([first, last = first]) => first <= slot && slot <= last));

before(async () => {
  const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--repl-diskless-sync-delay', '0'];
  for (let n = 0; n < 6; n++) nodes.push(await redis([...options, '--cluster-port', await freePort()]));
  ends.push(...nodes);
  const made = await redisCli('--cluster', 'create', ...nodes.map((one) => `127.0.0.1:${one.port}`), '--cluster-replicas', '1', '--cluster-yes');
  assert.match(made, /All 16384 slots covered/);
  slot = Number(await ask(nodes[0].port, 'cluster', 'keyslot', 'sennit:{0}:state'));
  await until('each knows all', async () => (await Promise.all(nodes.map((one) => ask(one.port, 'cluster', 'info')))).every((text) => /cluster_state:ok/.test(text)));
  const own = (await owner()).port, others = nodes.filter((one) => one.port !== own);
  // One is given two nodes by name; the other a single node, as a provider's "configuration endpoint" is given.
  instances = [await serve(config, { redisUrl: `redis+cluster://127.0.0.1:${others[0].port},127.0.0.1:${others[1].port}` }), await serve(config, { redisUrl: `redis://127.0.0.1:${others[2].port}` })];
  ends.unshift(...instances);
  for (const instance of instances) await ready(instance);
  hasSharded = /sunsubscribe/.test(await ask(nodes[0].port, 'command', 'list').then((text) => text.toLowerCase()));
}, { timeout: 60000 });
after(async () => {
  for (const one of ends) await one.close();
});

// Strokes flow through both instances while `what` happens; those that were acknowledged after it must all arrive, once.
async function meanwhile(t, name, what) {
  const clients = instances.map((instance, n) => new Client(instance.url, { name: `${name}${n}` }));
  t.after(() => clients.forEach((client) => client.close()));
  for (const client of clients) await client.connected();
  const timer = setInterval(() => clients[0].draw(), 20);
  t.after(() => clearInterval(timer));
  await until('strokes flow', () => clients[1].got.length > 20);
  await what();
  const from = clients[0].sent;
  await until('strokes flow again', () => clients[1].got.includes(`${clients[0].name}-${from}`), 20000);
  for (const instance of instances) await ready(instance);
  clearInterval(timer);
  await clients[0].settled();
  const last = `${clients[0].name}-${clients[0].sent - 1}`;
  await until('the last came', () => clients[1].got.includes(last), 20000);
  const own = clients[1].got.filter((id) => id.startsWith(clients[0].name));
  assert.deepEqual(own.filter((id, at) => own.indexOf(id) !== at), [], 'nothing came twice');
  return { sent: clients[0].sent, got: own.length };
}

// How often a message of Pub/Sub came to these nodes from others.
const forwarded = async (ports) => (await Promise.all(ports.map((port) => ask(port, 'cluster', 'info'))))
  .reduce((sum, text) => sum + Number(/^cluster_stats_messages_publish_received:(\d+)/m.exec(text)?.[1] ?? 0), 0);
// Whether strokes of these clients go to the primaries of other slots, too. They come to all in any case, and at once.
async function goesEverywhere(clients) {
  const own = await owner(), ports = (await view()).filter((one) => /master/.test(one.flags) && one.id !== own.id).map((one) => one.port);
  const before = await forwarded(ports);
  for (const from of clients) {
    for (let n = 0; n < 10; n++) { // one by one, since those that come together are published together
      const id = `${from.name}-${from.sent}`;
      from.draw();
      await until('it came', () => clients.every((client) => client === from || client.got.includes(id)), 900);
    }
  }
  // Instances whose links are silent probe them, on a channel of all nodes.
  return await forwarded(ports) - before >= 20;
}
async function clientsOf(t, ...some) {
  const clients = some.map((instance) => new Client(instance.url));
  t.after(() => clients.forEach((client) => client.close()));
  for (const client of clients) await client.connected();
  return clients;
}

test('messages stay with the nodes of our slot, unless an instance listens to all', quickly, async (t) => {
  if (!hasSharded) return t.skip('this server has no sharded Pub/Sub');
  const clients = await clientsOf(t, ...instances);
  await until('they stay', async () => !(await goesEverywhere(clients)));
  // As an instance of an earlier version: it listens to the channels of all nodes only.
  const old = await serve(config, { redisUrl: `redis+cluster://127.0.0.1:${nodes[0].port}?sharded=no` });
  t.after(() => old.close());
  await ready(old);
  const all = [...clients, ...(await clientsOf(t, old))];
  assert.ok(await goesEverywhere(all));
  await old.close();
  await until('they stay again', async () => !(await goesEverywhere(clients)));
  for (const client of clients) assert.deepEqual(client.doubled(), [], 'nothing came twice');
});

test('a user without the permissions for sharded channels does without, and is told what is missing', quickly, async (t) => {
  if (!hasSharded) return t.skip('this server has no sharded Pub/Sub');
  const page = fs.readFileSync(path.join(top, 'docs/serve.md'), 'utf8');
  const [, rights] = /^ {4}user sennit on >PASSWORD (.*)$/m.exec(page), [, more] = /sharded Pub\/Sub of a cluster needs `([^`]*)`/.exec(page);
  const user = async (...words) => { for (const { port } of nodes) assert.equal(await ask(port, 'acl', 'setuser', 'sennit', ...words), 'OK'); };
  await user('on', '>secret', ...rights.split(' '));
  const start = async () => {
    const instance = await serve(config, { redisUrl: `redis+cluster://sennit:secret@127.0.0.1:${nodes[0].port}` });
    t.after(() => instance.close());
    await ready(instance);
    return instance;
  };
  const poor = await start();
  await until('it says so', () => /without sharded Pub\/Sub.*\+ssubscribe/.test(poor.output));
  assert.ok(await goesEverywhere(await clientsOf(t, poor, ...instances)));
  await poor.close();
  await user(...more.split(' '));
  const rich = await start();
  const clients = await clientsOf(t, rich, ...instances);
  await until('they stay', async () => !(await goesEverywhere(clients)));
  assert.doesNotMatch(rich.output, /without sharded/);
  await rich.close();
});

// Moves our slot to another primary.
async function slotMove() {
  const from = await owner(), to = (await view()).find((one) => /master/.test(one.flags) && one.id !== from.id);
  await ask(to.port, 'cluster', 'setslot', slot, 'importing', from.id);
  await ask(from.port, 'cluster', 'setslot', slot, 'migrating', to.id);
  for (let keys; (keys = await ask(from.port, 'cluster', 'getkeysinslot', slot, 100)) !== '';)
    await ask(from.port, 'migrate', '127.0.0.1', to.port, '', 0, 5000, 'keys', ...keys.split('\n'));
  for (const { port } of (await view()).filter((one) => /master/.test(one.flags))) await ask(port, 'cluster', 'setslot', slot, 'node', to.id);
  await until('it is there', async () => (await owner()).id === to.id);
}

test('the slot is moved to another primary while messages flow: nothing is lost', quickly, async (t) => {
  const { sent, got } = await meanwhile(t, 'moved', slotMove);
  assert.equal(got, sent);
});

test('the slot is moved again and again under load: nothing is lost, doubled or out of order', quickly, async () => {
  const going = load(instances[0].url, '-c', 20, '-r', 150, '--publishers', 3, '-d', 6, '--check', '--settle', 20, '--cut-every', 1, '--reconnect-delay', 100);
  for (let n = 0; n < 3; n++) {
    await sleep(1500);
    await slotMove();
  }
  flawless(await going);
});

test('the primary hands over to its replica: nothing is lost', quickly, async (t) => {
  const { sent, got } = await meanwhile(t, 'handed', async () => {
    const from = await owner(), to = (await view()).find((one) => one.primary === from.id);
    assert.equal(await ask(to.port, 'cluster', 'failover'), 'OK');
    await until('it is the primary', async () => (await owner())?.id === to.id);
  });
  assert.equal(got, sent);
});

test('the primary dies: the fleet goes on with its replica', quickly, async (t) => {
  await meanwhile(t, 'died', async () => {
    const from = await owner(), node = nodes.find((one) => one.port === from.port);
    node.dead = true;
    process.kill(node.pid, 'SIGKILL');
    await until('another has the slot', async () => ![undefined, from.id].includes((await owner())?.id), 20000);
  });
});
