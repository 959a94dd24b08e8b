// One client asks without end: history, presence, joins, leaves, publishes, connects. Work under way has a bound, in requests and bytes.
import { repeat, sleep, text } from '../wire.mjs';

const log = 'namespaces:\n  /:\n    log: {entries: 10000, bytes: 16MiB, age: 1h}\n    presence: true\n'
  + '    events: {say: {to: others, log: true}, wave: {to: others}, join: {join: 0}, leave: {leave: 0}, talk: {to: room, room: 0, log: true}, past: {history: 0}, who: {who: 0}}';

async function fill(world) {
  const writer = await world.open(), body = 'x'.repeat(4000);
  for (let i = 0; i < 1000; i++) writer.send(writer.packet(['say', body], i));
  if (!(await writer.wait(() => writer.acks >= 1000, 20000))) world.note(`${writer.acks} of 1000 messages were accepted beforehand`);
  await sleep(200);
  await world.figures();
  world.measureBegin();
}

// `bytes` sent `count` times on each of `connections`, in writes of `chunk`, for so long as it takes and at most `ms`.
async function flood(world, bytes, { count, connections = 1, ms = 8000, options = {} }) {
  const chunk = repeat(bytes, Math.min(count, 500)), chunks = Math.ceil(count / 500), end = Date.now() + ms;
  const clients = [];
  for (let i = 0; i < connections; i++) clients.push(await world.open(options));
  await Promise.all(clients.map(async (client) => {
    for (let i = 0; i < chunks && Date.now() < end && !client.closed; i++) {
      if (!(await client.send(chunk, Math.max(1, end - Date.now())))) break;
      world.requests += Math.min(count, 500);
    }
  }));
  return clients;
}

const past = async (world) => {
  await fill(world);
  const clients = await flood(world, text('427["past",null,{"limit":1000}]'), { count: world.quick ? 300 : 2000, connections: 3 });
  await sleep(500);
  world.note(`${clients.reduce((sum, one) => sum + one.acks, 0)} answered, ${clients.filter((one) => one.closed).length} closed`);
};

// The questioner that does not read its answers.
const pastUnread = async (world) => {
  await fill(world);
  await flood(world, text('427["past",null,{"limit":1000}]'), { count: 300, connections: 3, options: { read: false }, ms: 4000 });
  await sleep(1000);
};

const who = async (world) => {
  for (let i = 0; i < (world.quick ? 100 : 400); i++) await world.open();
  await sleep(300);
  await world.figures();
  world.measureBegin();
  const clients = await flood(world, text('427["who",null,{"limit":1000}]'), { count: world.quick ? 500 : 3000, connections: 2 });
  await sleep(500);
  world.note(`${clients.reduce((sum, one) => sum + one.acks, 0)} answered`);
};

// Endless requests are answered, or the connection is not read, or it is closed with a reason: never silence.
const endless = (packet, { answered = true, frozen = false } = {}) => async (world) => {
  const client = await world.open(), chunk = repeat(text(packet), 1000), end = Date.now() + (world.quick ? 1500 : 6000);
  if (frozen) process.kill(world.redis.pid, 'SIGSTOP');
  while (Date.now() < end && !client.closed && (await client.send(chunk, Math.max(1, end - Date.now())))) world.requests += 1000;
  const meanwhile = client.acks;
  if (frozen) process.kill(world.redis.pid, 'SIGCONT');
  await sleep(frozen ? 2500 : 500);
  world.note(`${meanwhile} answered meanwhile, ${client.acks} in the end${client.closed ? `, closed ${client.code}` : ''}`);
  if (answered && !frozen) world.expect(meanwhile > 0, 'nothing is answered while it goes on');
  if (answered) world.expect(client.acks > 0 || client.closed, 'nothing is ever answered');
};

const toggles = async (world) => {
  const chunk = repeat(Buffer.concat([text('421["join","a"]'), text('422["leave","a"]')]), 500), end = Date.now() + (world.quick ? 1500 : 6000);
  const client = await world.open();
  while (Date.now() < end && !client.closed && (await client.send(chunk, Math.max(1, end - Date.now())))) world.requests += 1000;
  await sleep(500);
  world.note(`${client.acks} answered`);
  world.expect(client.acks > 0 || client.closed, 'nothing is ever answered');
};

const publishes = (args, count) => async (world) => {
  const clients = await flood(world, text(`421${JSON.stringify(args)}`), { count: world.quick ? count / 5 : count, connections: 3 });
  await sleep(1000);
  world.note(`${clients.reduce((sum, one) => sum + one.acks, 0)} accepted`);
};

// Namespaces left and joined again on one connection, while Redis stands still and publishes wait.
async function reconnects(world) {
  const client = await world.open();
  for (let round = 0; round < 3; round++) {
    process.kill(world.redis.pid, 'SIGSTOP');
    await client.send(Buffer.concat([repeat(text('42["say",1]'), 2000), text('41')]), 1000);
    await sleep(300);
    process.kill(world.redis.pid, 'SIGCONT');
    await sleep(700);
    world.requests += 2001;
    if (client.closed || !world.expect(await client.join('/'), `round ${round}: CONNECT is not answered any more`)) return;
    if (!world.expect(await client.ask(['say', 2], { ms: 4000 }), `round ${round}: the connection is not read any more`)) return;
  }
}

// The same for joins, leaves and questions: every count of calls under way goes back down.
async function leftUnderWay(world) {
  const client = await world.open();
  const kinds = ['421["join","a"]', '421["leave","a"]', '421["past",null,{}]', '421["who",null,{}]', '421["talk","a",1]'];
  for (const packet of kinds) {
    process.kill(world.redis.pid, 'SIGSTOP');
    await client.send(Buffer.concat([repeat(text(packet), 300), text('41')]), 1000);
    await sleep(200);
    process.kill(world.redis.pid, 'SIGCONT');
    await sleep(500);
    world.requests += 301;
    if (client.closed || !world.expect(await client.join('/'), `${packet}: CONNECT is not answered any more`)) return;
    if (!world.expect(await client.ask(['say', 2], { ms: 4000 }), `${packet}: the connection is not read any more`)) return;
  }
}

async function connects(world) {
  const client = await world.open(), end = Date.now() + (world.quick ? 1500 : 5000);
  const chunk = repeat(Buffer.concat([text('41'), text('40{"token":"x"}')]), 200);
  while (Date.now() < end && !client.closed && (await client.send(chunk, Math.max(1, end - Date.now())))) world.requests += 400;
  world.note(client.closed ? `closed ${client.code}` : `${client.messages.filter((one) => one.startsWith('40')).length} answered`);
}

const both = (one) => [{ ...one, name: `${one.name}, memory` }, { ...one, name: `${one.name}, redis`, redis: true }];
const asks = { kind: 'asking', config: log, expects: 'work under way of one client is bounded, everybody else is served' };

export default [
  ...both({ ...asks, name: 'past-flood', run: past }),
  ...both({ ...asks, name: 'past-unread', run: pastUnread }),
  ...both({ ...asks, name: 'who-flood', run: who }),
  ...both({ ...asks, name: 'leave-flood', expects: 'leaves without end are answered and bounded', run: endless('421["leave","a"]') }),
  ...both({ ...asks, name: 'join-flood', expects: 'joins without end are answered and bounded', run: endless('421["join","a"]') }),
  ...both({ ...asks, name: 'join-leave-flood', expects: 'joins and leaves without end are answered and bounded', run: toggles }),
  { ...asks, name: 'leave-flood, redis stands still', redis: true, acks: false, run: endless('421["leave","a"]', { frozen: true }) },
  { ...asks, name: 'join-flood, redis stands still', redis: true, acks: false, run: endless('421["join","a"]', { frozen: true }) },
  { ...asks, name: 'past-flood, redis stands still', redis: true, acks: false, run: endless('421["past",null,{}]', { frozen: true }) },
  { ...asks, name: 'publish-flood, redis stands still', redis: true, acks: false, redisMb: 96, run: endless(`421["say","${'x'.repeat(1000)}"]`, { frozen: true, answered: false }) },
  ...both({ ...asks, name: 'publish-flood, small', redisMb: 96, run: publishes(['say', 1], 30000) }),
  ...both({ ...asks, name: 'publish-flood, large', redisMb: 128, run: publishes(['say', 'x'.repeat(900000)], 50) }),
  ...both({ ...asks, name: 'publish-flood, unlogged', run: publishes(['wave', 1], 30000) }),
  { ...asks, name: 'reconnect-under-way', expects: 'a count of what is under way goes down, whatever became of the socket', redis: true, acks: false, run: reconnects },
  { ...asks, name: 'left-under-way', expects: 'likewise for joins, leaves and questions', redis: true, acks: false, run: leftUnderWay },
  ...both({ ...asks, name: 'connect-flood', expects: 'namespaces joined and left without end cost only their client', run: connects }),
];
