// rooms: what `sennit serve` does by its YAML alone, over two instances and a real Redis: rooms, one socket, several rooms, exceptions,
// who is there, what was said, and all of it across cuts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { pair, serve, sleep, until } from './lib.mjs';

const config = `
namespaces:
  /:
    log: {entries: 1000, bytes: 1MiB, age: 1h}
    presence: {data: user}
    rooms:
      "quiet-*": {presence: false, replay: 2}
      "short-*": {log: {entries: 10}}
    events:
      all: {to: everyone, log: true, id: 0.id}
      others: {to: others, log: true, except: 1}
      cursor: {to: others}
      join: {join: 0}
      leave: {leave: 0}
      say: {to: room, room: 0, log: true}
      tell: {to: room-others, room: 0, log: true, except: 2}
      dm: {to: socket, socket: 0, log: true}
      who: {who: 0}
      past: {history: 0}
`;

let broker, servers, close;
before(async () => ({ broker, servers, close } = await pair(config)));
after(() => close());

const open = [];
class Person {
  constructor(name, server) {
    this.name = name;
    this.got = [];
    this.presence = [];
    this.connects = [];
    this.socket = io(servers[server].url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, auth: { user: name } });
    this.socket.on('connect', () => {
      this.connects.push(this.socket.recovered);
      this.id = this.socket.id;
    });
    this.socket.onAny((event, ...args) => {
      args.pop(); // the position
      if (event === 'presence') this.presence.push(args[0]);
      else this.got.push([event, ...args].map((arg) => (typeof arg === 'object' ? JSON.stringify(arg) : arg)).join(' '));
    });
    open.push(this.socket);
  }

  ask(...args) {
    return this.socket.timeout(5000).emitWithAck(...args);
  }

  // The members of the room, according to the events.
  roster(room) {
    const there = new Map();
    for (const event of this.presence.filter((one) => one.room === room)) {
      if (event.members) there.clear();
      for (const one of [...(event.members ?? []), ...(event.entered ?? [])]) there.set(one.id, one.data);
      for (const one of event.left ?? []) there.delete(one.id);
      assert.equal(event.count >= there.size, true);
    }
    return [...there.values()].sort();
  }

  cut() {
    this.socket.io.engine.close();
  }
}

async function people(...names) {
  const all = names.map((name, n) => new Person(name, n % 2));
  await until('they are connected', () => all.every((one) => one.socket.connected));
  return all;
}

function leaveAll() {
  for (const socket of open.splice(0)) socket.disconnect();
}

const has = (one, ...expected) => until(`${one.name} has ${expected}, not ${one.got}`, () => one.got.length >= expected.length).then(async () => {
  await sleep(50);
  assert.deepEqual(one.got, expected);
});

test('rooms, several rooms, exceptions, one socket', async () => {
  const [ann, bob, cat] = await people('ann', 'bob', 'cat');
  await ann.ask('join', 'red');
  await bob.ask('join', 'red');
  await bob.ask('join', 'blue');
  await cat.ask('join', 'blue');
  await ann.ask('say', 'red', 1);
  await bob.ask('say', ['red', 'blue'], 2); // bob is in both and gets it once
  await bob.ask('tell', ['red', 'blue'], 3, 'blue'); // neither those in blue
  await ann.ask('others', 4, ['blue', ann.id]);
  await cat.ask('others', 5, bob.id); // a sid is a room
  await ann.ask('dm', cat.id, 6);
  await ann.ask('dm', 'AAAAAAAAAAAAAAAAAAAA', 'to nobody');
  await cat.ask('leave', 'blue');
  await bob.ask('say', 'blue', 7);
  await bob.ask('say', ['red', 'blue'], 8);
  assert.equal((await cat.ask('say', 'red', 'not in it')).reason, 'room_not_joined');
  await has(ann, 'say red 1', 'say ["red","blue"] 2', 'tell ["red","blue"] 3 blue', `others 5 ${bob.id}`, 'say ["red","blue"] 8');
  await has(bob, 'say red 1', 'say ["red","blue"] 2', 'say blue 7', 'say ["red","blue"] 8');
  await has(cat, 'say ["red","blue"] 2', `dm ${cat.id} 6`);
  leaveAll();
});

test('all of it across a cut, also what was left behind it', async () => {
  const [ann, bob] = await people('ann', 'bob');
  for (const room of ['one', 'two', 'three']) {
    await ann.ask('join', room);
    await bob.ask('join', room);
  }
  bob.cut();
  const { id } = bob;
  await ann.ask('say', 'one', 1);
  await ann.ask('say', ['two', 'three'], 2);
  await ann.ask('dm', id, 3);
  await ann.ask('all', { id: 4 });
  await ann.ask('all', { id: 4 }); // once
  await until('bob is back', () => bob.connects.length === 2);
  await ann.ask('say', 'two', 5);
  await has(bob, 'say one 1', 'say ["two","three"] 2', `dm ${id} 3`, 'all {"id":4}', 'say two 5');
  assert.deepEqual(bob.connects, [false, true]);
  assert.equal(bob.id, id);
  // Left, and cut before anything newer came: what came before counts, what comes after does not.
  bob.got.length = 0;
  await Promise.all([ann.ask('say', 'one', 6), bob.ask('leave', 'one')]);
  bob.cut();
  await ann.ask('say', 'one', 7);
  await ann.ask('say', ['one', 'two'], 8);
  await until('bob is back', () => bob.connects.length === 3);
  await until('bob has 8', () => bob.got.includes('say ["one","two"] 8'));
  assert.deepEqual(bob.got.filter((line) => line !== 'say one 6'), ['say ["one","two"] 8']);
  assert.equal(bob.connects[2], true);
  leaveAll();
});

test('who is there: coming, going, a cut that is no leaving, and an instance that is gone', async () => {
  const [ann, bob, cat] = await people('ann', 'bob', 'cat');
  await ann.ask('join', 'hall');
  await bob.ask('join', 'hall');
  await cat.ask('join', 'quiet-corner');
  await until('ann sees bob', () => ann.roster('hall').join() === 'ann,bob');
  await until('bob sees ann', () => bob.roster('hall').join() === 'ann,bob');
  assert.deepEqual(ann.roster(null), ['ann', 'bob', 'cat']);
  assert.deepEqual(cat.roster('quiet-corner'), []);
  const { members, count, cursor } = await ann.ask('who', 'hall');
  assert.deepEqual([members.map((one) => one.data).sort(), count, cursor], [['ann', 'bob'], 2, null]);
  bob.cut();
  await until('bob is back', () => bob.connects.length === 2);
  await sleep(5000);
  assert.equal(ann.presence.filter((event) => event.left).length, 0, 'a cut is not a leave');
  await bob.ask('leave', 'hall');
  await until('bob has left', () => ann.roster('hall').join() === 'ann');
  cat.socket.disconnect();
  await until('cat has gone', () => ann.roster(null).join() === 'ann,bob');
  // A third instance comes, and is killed.
  const third = await serve(config, { redisUrl: broker.url });
  servers.push(third);
  const [dan, eve] = [new Person('dan', 2), new Person('eve', 2)];
  await until('they are there', () => ann.roster(null).join() === 'ann,bob,dan,eve');
  third.child.kill('SIGKILL');
  const killed = Date.now();
  dan.socket.io.reconnection(false);
  eve.socket.io.uri = servers[0].url; // eve comes back elsewhere
  await until('dan is missed', () => ann.roster(null).join() === 'ann,bob,eve', 8000);
  assert.ok(Date.now() - killed < 5500, `right again after ${Date.now() - killed} ms`);
  assert.deepEqual(eve.connects, [false, true]);
  assert.deepEqual(ann.presence.filter((event) => event.left).map((event) => event.left[0].data), ['bob', 'cat', 'dan']);
  servers.pop();
  await third.close();
  leaveAll();
});

test('what was said: pages both ways, and positions that are not there', async () => {
  const [ann] = await people('ann');
  await ann.ask('join', 'log');
  for (let n = 0; n < 25; n++) await ann.ask('say', 'log', n);
  const numbers = ({ entries }) => entries.map((entry) => entry.args[2]);
  const newest = await ann.ask('past', 'log', { limit: 10 });
  assert.deepEqual([numbers(newest), newest.more, newest.gap], [[15, 16, 17, 18, 19, 20, 21, 22, 23, 24], true, false]);
  assert.ok(Math.abs(newest.entries[9].time - Date.now()) < 10000);
  const older = await ann.ask('past', 'log', { before: newest.entries[0].at, limit: 100 });
  assert.deepEqual([numbers(older), older.more], [[...Array(15).keys()], false]);
  const forward = await ann.ask('past', 'log', { after: older.entries[12].at, limit: 5 });
  assert.deepEqual([numbers(forward), forward.more, forward.gap], [[13, 14, 15, 16, 17], true, false]);
  const end = await ann.ask('past', 'log', { after: newest.entries[9].at });
  assert.deepEqual([numbers(end), end.more, end.gap], [[], false, false]);
  const begin = await ann.ask('past', 'log', { before: older.entries[0].at });
  assert.deepEqual([numbers(begin), begin.more], [[], false]);
  const [, epoch] = newest.entries[0].at.match(/^1(.+)\./);
  assert.deepEqual(numbers(await ann.ask('past', 'log', { after: `1${epoch}.zzzzzz` })), [], 'a position ahead of the log');
  assert.deepEqual(numbers(await ann.ask('past', 'log', { before: `1${epoch}.zzzzzz`, limit: 1 })), [24]);
  assert.equal((await ann.ask('past', 'log', { after: '1nosuch.5', limit: 1 })).gap, true, 'an epoch that nobody knows');
  assert.match((await ann.ask('past', 'log', { after: 'nonsense' })).error, /take the `at`/);
  // A room that keeps ten: what is gone shows.
  await ann.ask('join', 'short-1');
  const first = await ann.ask('say', 'short-1', 'first').then(() => ann.ask('past', 'short-1', { limit: 1 }));
  for (let n = 0; n < 60; n++) await ann.ask('say', 'short-1', n);
  const kept = await ann.ask('past', 'short-1', { after: first.entries[0].at, limit: 1000 });
  assert.equal(kept.gap, true);
  assert.ok(kept.entries.length >= 10 && kept.entries.length <= 27, `${kept.entries.length} kept`);
  assert.equal(numbers(kept).at(-1), 59);
  // A new member of a quiet room is sent the newest two.
  await ann.ask('join', 'quiet-2');
  for (let n = 0; n < 5; n++) await ann.ask('say', 'quiet-2', n);
  const [bob] = await people('bob');
  await bob.ask('join', 'quiet-2');
  await has(bob, 'say quiet-2 3', 'say quiet-2 4');
  leaveAll();
});
