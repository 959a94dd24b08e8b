// postgres: instances that share a Postgres and nothing else: clients of all kinds, an instance that is killed, and a server that crashes.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { board, Client, differences, flawless, load, program, ready, redis, serve, sleep, up, until } from './lib.mjs';
import { bouncer, missing, pgbouncer, postgres } from './postgres.mjs';

const config = `
namespaces:
  /:
    auth: none
    log: {entries: 10000}
    replay: all
    presence: true
    events: {drawing: {to: others, log: true, id: 0.id}}
`;
const skip = missing() ?? false;
let database;
before(async () => {
  if (!skip) database = await postgres({ role: 'instances' });
});
after(() => database?.close());

const two = (url) => {
  const service = { ...board({ min: 2 }), annotations: { 'autoscaling.knative.dev/minScale': 2 } };
  service.env = { ...service.env, SENNIT_BROKER: url };
  return up(service, { ready: 2 });
};
// Loads of both kinds, with cuts, and an instance that is killed.
const weather = async (fleet) => {
  for (const transport of ['upgrade', 'polling']) {
    const going = load(fleet.url, '-c', 20, '-r', 100, '--publishers', 3, '-d', 3, '--check', '--settle', 20, '--cut-every', 1,
      '--reconnect-delay', 100, '--transport', transport);
    await sleep(1500);
    if (transport === 'upgrade') process.kill((await fleet.instances())[0].pid, 'SIGKILL');
    flawless(await going);
  }
};

const start = () => serve(config, { args: ['--broker', database.url], env: { SENNIT_BROKER: '' } });

test('on WebSocket and by polling through two instances, with cuts and one of them killed: nothing lost, nothing doubled', { skip, timeout: 60000 }, async () => {
  const fleet = await two(database.url);
  try {
    await weather(fleet);
  } finally {
    await fleet.close();
  }
});

test('the server crashes and comes back: what was accepted is there, and clients resume', { skip, timeout: 60000 }, async () => {
  const servers = [await start(), await start()];
  const clients = servers.map((server) => new Client(server.url));
  try {
    await Promise.all(clients.map((client) => client.connected()));
    const sent = [];
    for (let i = 0; i < 30; i++) sent.push(clients[0].draw());
    await clients[0].settled();
    await database.crash();
    for (let i = 0; i < 10; i++) sent.push(clients[0].draw());
    await until('an instance is not ready', async () => (await fetch(`${servers[0].url}/ready`)).status === 503);
    await database.start();
    await Promise.all(servers.map(ready));
    await clients[0].settled();
    await until('the other client has all of it', () => sent.every((id) => clients[1].got.includes(id))); // and what the test before has drawn
    assert.equal(differences(clients[1], sent), '');
    assert.deepEqual(clients[1].connects, [false]); // it did not even notice
    assert.equal(database.sql('SELECT count(*) FROM sennit.epoch_end'), '1');
  } finally {
    for (const client of clients) client.close();
    for (const server of servers) await server.close();
  }
});

test('through PgBouncer by transaction: instances poll, say so, and nothing is lost or doubled', { skip: skip || (!bouncer && 'PgBouncer is not installed'), timeout: 90000 }, async () => {
  const pool = await pgbouncer(database, 'instances');
  let fleet, client;
  try {
    fleet = await two(pool.url);
    await weather(fleet);
    // Under load stray notifications, which come with what an instance asks, may wake it all the time; then it has nothing to say.
    client = new Client(fleet.url);
    await until('it says that it polls', async () => {
      client.draw();
      await sleep(300);
      return /Postgres sends no notifications, so this instance polls[^\n]*"poll_ms":200/.test(fleet.output);
    });
  } finally {
    client?.close();
    await fleet?.close();
    await pool.close();
  }
});

// The bridge's Redis carries what an instance says to Node servers past the others of its fleet, which have it from Postgres already.
test('with a bridge, instances on one Postgres are one fleet: each event comes once', { skip, timeout: 60000 }, async () => {
  const bridge = await redis();
  const bridged = `bridge: {socketio-redis: "${bridge.url}", key: shared}\nprefix: bridged${config}`;
  const schema = program(['schema', 'postgres', '--prefix', 'bridged', '--role', 'instances']);
  await schema.ended;
  database.sql(schema.output);
  const servers = [], clients = [];
  try {
    for (let i = 0; i < 2; i++) servers.push(await serve(bridged, { args: ['--broker', database.url], env: { SENNIT_BROKER: '' } }));
    await until('both bridges are up', async () => (await Promise.all(servers.map((server) => server.metric('bridge_up')))).every((up) => up === 1));
    clients.push(...servers.map((server) => new Client(server.url)));
    await Promise.all(clients.map((client) => client.connected()));
    const sent = Array.from({ length: 20 }, () => clients[0].draw());
    await clients[0].settled();
    await until('the other client has all', () => sent.every((id) => clients[1].got.includes(id)));
    await sleep(500); // what is too much would come by another way
    assert.deepEqual(clients[1].doubled(), []);
    assert.equal(differences(clients[1], sent), '');
  } finally {
    for (const client of clients) client.close();
    for (const server of servers) await server.close();
    await bridge.close();
  }
});

test('what only the operator can mend ends the instance, with the cure', { skip, timeout: 20000 }, async () => {
  for (const [url, cure] of [
    [database.url.replace('/postgres', '/nowhere'), /database does not exist: correct its name/],
    [database.url.replace('instances@', 'stranger@'), /role may not connect/],
  ]) {
    const run = program(['serve', '--port', '0', '--broker', url]);
    await run.ended;
    assert.notEqual(run.status, 0);
    assert.match(run.output, cure);
  }
  database.sql('CREATE ROLE another LOGIN');
  const run = program(['serve', '--port', '0', '--broker', database.url.replace('instances@', 'another@')]);
  await run.ended;
  assert.match(run.output, /may not use the schema: run `sennit schema postgres --role/);
});
