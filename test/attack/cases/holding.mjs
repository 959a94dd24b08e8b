// One client makes the instance, or Redis, hold something: for slow readers, halves of messages, files, rooms, names.
import fs from 'node:fs';
import { frame, redisAsk, repeat, request, sleep, text, Wire } from '../wire.mjs';

const log = 'namespaces:\n  /:\n    log: {entries: 10000, bytes: 8MiB, age: 1h}\n    events: {say: {to: everyone, log: true}, wave: {to: everyone}, join: {join: 0}, leave: {leave: 0}, '
  + 'talk: {to: room, room: 0, log: true}, named: {to: others, log: true, id: 0}}';
const present = 'max_payload: 1000000\nnamespaces:\n  /:\n    log: {entries: 100}\n    presence: {data: about}\n    events: {say: {to: others, log: true}}';

// Clients that read nothing, and one that publishes large messages.
const slowReaders = (event, readers) => async (world) => {
  const writer = await world.open();
  for (let i = 0; i < readers; i++) await world.open({ read: false });
  await world.figures();
  world.measureBegin();
  const packet = text(`42${JSON.stringify([event, 'x'.repeat(900000)])}`), count = world.quick ? 60 : 300, end = Date.now() + 15000;
  for (let i = 0; i < count && Date.now() < end && !writer.closed; i++) {
    if (!(await writer.send(packet, 5000))) break;
    world.requests++;
  }
  await sleep(1500);
};

// Messages of which the last byte never comes.
const halves = (bytes) => async (world) => {
  for (let i = 0; i < (world.quick ? 60 : 200); i++) {
    const client = await world.open({ nsp: null });
    if (!(await client.send(bytes, 2000))) break;
    world.requests++;
  }
  await sleep(500);
};

const half = frame(1, Buffer.alloc(990000, 120), { length: 999000 });
const fragments = Buffer.concat([frame(1, '42["say","', { fin: false }), repeat(frame(0, 'x'.repeat(100), { fin: false }), 9000)]);

async function staticFiles(world) {
  const count = world.quick ? 80 : 250, asks = repeat(Buffer.from('GET /big.js HTTP/1.1\r\nHost: a\r\n\r\n'), 2);
  for (let i = 0; i < count; i++) {
    const wire = new Wire(world.port);
    world.clients.push(wire);
    if (!(await wire.connected.catch(() => null))) break;
    wire.socket.pause();
    await wire.send(asks);
    world.requests += 2;
  }
  await sleep(1500);
  const answer = await request(world.port, '/small.txt');
  world.expect(answer?.status === 200, `a small file is answered ${answer?.status} beside it`);
}

const big = (directory) => {
  fs.writeFileSync(`${directory}/big.js`, Buffer.alloc(2900000, 120));
  fs.writeFileSync(`${directory}/small.txt`, 'small');
  return `static: ${directory}\n`;
};

// Rooms without end: joined, written to, left.
async function roomsWithoutEnd(world) {
  const end = Date.now() + (world.quick ? 2500 : 8000), client = await world.open();
  let number = 0;
  while (Date.now() < end && !client.closed) {
    const parts = [];
    for (let i = 0; i < 50; i++, number++)
      parts.push(text(`421["join","r${number}"]`), text(`42["talk","r${number}","${'x'.repeat(200)}"]`), text(`422["leave","r${number}"]`));
    if (!(await client.send(Buffer.concat(parts), Math.max(1, end - Date.now())))) break;
    world.requests += 150;
  }
  await sleep(500);
  world.note(`${world.redis ? await redisAsk(world.redis.port, 'DBSIZE') : ''} keys, ${client.acks} answered${client.closed ? `, closed ${client.code}` : ''}`);
}

async function namesWithoutEnd(world) {
  const end = Date.now() + (world.quick ? 2500 : 8000), client = await world.open();
  let number = 0;
  while (Date.now() < end && !client.closed) {
    const parts = [];
    for (let i = 0; i < 200; i++) parts.push(text(`42["named","${'n'.repeat(100)}${number++}"]`));
    if (!(await client.send(Buffer.concat(parts), Math.max(1, end - Date.now())))) break;
    world.requests += 200;
  }
  await sleep(500);
  world.note(`${await redisAsk(world.redis.port, 'DBSIZE')} keys`);
}

// The presence data of sockets is kept and shown to all.
async function largePresence(world) {
  for (let i = 0; i < (world.quick ? 10 : 40); i++) {
    const client = await world.open({ nsp: null });
    client.send(text(`40${JSON.stringify({ about: 'x'.repeat(900000) })}`));
    world.requests++;
  }
  await sleep(2000);
  world.expect((await world.health()).ms < 1000, '/health takes more than a second');
}

// Leases of clients that come, join as many rooms as they may, and go without a goodbye.
async function leasesWithoutEnd(world) {
  const end = Date.now() + (world.quick ? 2500 : 8000);
  const rooms = Buffer.concat(Array.from({ length: 60 }, (_, at) => text(`421["join","${'r'.repeat(900)}${at}"]`)));
  while (Date.now() < end) {
    const client = await world.open();
    await client.send(rooms);
    await client.wait(() => client.acks >= 60, 500);
    client.close();
    world.requests += 61;
  }
}

// Pings whose pongs nobody reads.
async function unreadPongs(world) {
  const client = await world.open({ read: false }), chunk = repeat(frame(9, 'p'.repeat(125)), 1000), end = Date.now() + (world.quick ? 1500 : 4000);
  while (Date.now() < end && !client.closed && (await client.send(chunk, Math.max(1, end - Date.now())))) world.requests += 1000;
}

const both = (one) => [{ ...one, name: `${one.name}, memory` }, { ...one, name: `${one.name}, redis`, redis: true }];
const holds = { kind: 'holding', config: log, expects: 'what is held for one client is weighed in bytes and bounded as a whole' };

export default [
  ...both({ ...holds, name: 'held-bytes, one slow reader', redisMb: 96, run: slowReaders('say', 1) }),
  { ...holds, name: 'held-bytes, twenty slow readers', run: slowReaders('say', 20) },
  { ...holds, name: 'slow readers of what is not logged', run: slowReaders('wave', 20) },
  { ...holds, name: 'halves of messages', run: halves(half) },
  { ...holds, name: 'halves of fragmented messages', run: halves(fragments) },
  { ...holds, name: 'static-slow-readers', top: big, expects: 'a static file exists once in memory, however many ask for it', run: staticFiles },
  ...both({ ...holds, name: 'rooms-without-end', expects: 'rooms that the public creates are bounded, in the instance and in Redis', run: roomsWithoutEnd }),
  { ...holds, name: 'names-without-end', redis: true, expects: 'names of messages are bounded as a whole', run: namesWithoutEnd },
  ...both({ ...holds, name: 'large-presence', config: present, run: largePresence }),
  { ...holds, name: 'leases-without-end', redis: true, expects: 'leases that nobody claims are bounded', run: leasesWithoutEnd },
  { ...holds, name: 'unread-pongs', run: unreadPongs },
];
