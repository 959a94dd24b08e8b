// cluster: two instances on a Redis Cluster of three primaries, each with a replica. Our slot's primary hands over, dies, and the slot is
// moved to another node, all while messages flow.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, freePort, ready, redis, redisCli, serve, until } from './lib.mjs';

const config = 'namespaces: {/: {log: {entries: 2000}, replay: all, events: {drawing: {to: others, log: true, id: 0.id}}}}\n';
const quickly = { timeout: 60000 };
const nodes = [], ends = [];
let instances, slot;

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

test('the slot is moved to another primary while messages flow: nothing is lost', quickly, async (t) => {
  const { sent, got } = await meanwhile(t, 'moved', async () => {
    const from = await owner(), to = (await view()).find((one) => /master/.test(one.flags) && one.id !== from.id);
    await ask(to.port, 'cluster', 'setslot', slot, 'importing', from.id);
    await ask(from.port, 'cluster', 'setslot', slot, 'migrating', to.id);
    for (let keys; (keys = await ask(from.port, 'cluster', 'getkeysinslot', slot, 100)) !== '';)
      await ask(from.port, 'migrate', '127.0.0.1', to.port, '', 0, 5000, 'keys', ...keys.split('\n'));
    for (const { port } of (await view()).filter((one) => /master/.test(one.flags))) await ask(port, 'cluster', 'setslot', slot, 'node', to.id);
    await until('it is there', async () => (await owner()).id === to.id);
  });
  assert.equal(got, sent);
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
