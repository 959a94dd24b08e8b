// lists: what the HTTP API says of clients that poll. Between two of their requests no instance has them, and they count all the same,
// once: on Redis, on Postgres, and on one instance with a broker of its own. Directives reach them there, too.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { redis, serve, temporary, until } from './lib.mjs';
import { missing, postgres } from './postgres.mjs';

const config = 'namespaces:\n  /:\n    log: {entries: 1000, age: 1h}\n    presence: {data: me}\n    events:\n      msg: {to: everyone, log: true}\n      join: {join: 0}\n  /bare:\n    events:\n      wave: {to: everyone}\n      join: {join: 0}\n';
const kept = `handshake: {headers: [User-Agent, x-kind], query: true, auth: true}\n${config}`;
const quickly = { timeout: 30000 };
const skip = missing();

async function ask(instance, target, body) {
  const answer = await fetch(`${instance.url}/api/v1/${target}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, ...(await answer.json()) };
}

// A client that polls, request by request: between them it is nowhere.
class Poller {
  static async open(instance, connect = '40', headers = {}) {
    const poller = new Poller();
    const opened = await fetch(`${instance.url}/socket.io/?EIO=4&transport=polling&kind=slow+one`, { headers });
    poller.query = `EIO=4&transport=polling&sid=${JSON.parse((await opened.text()).slice(1)).sid}`;
    await poller.post(instance, connect);
    poller.first = await poller.get(instance);
    poller.id = poller.first.match(/"sid":"([^"]+)"/)[1];
    return poller;
  }

  async post(instance, body) {
    assert.equal(await (await fetch(`${instance.url}/socket.io/?${this.query}`, { method: 'POST', body })).text(), 'ok');
  }

  async get(instance) {
    return await (await fetch(`${instance.url}/socket.io/?${this.query}`)).text();
  }
}

// Each starts instances, and puts what ends them into `ends`.
const start = async (ends, count, options) => {
  const instances = [];
  for (let i = 0; i < count; i++) {
    instances.push(await serve(kept, options));
    ends.unshift(() => instances[i].close());
  }
  return instances;
};
const brokers = {
  Redis: async (ends) => {
    const server = await redis();
    ends.unshift(() => server.close());
    return start(ends, 2, { redisUrl: server.url });
  },
  Postgres: async (ends) => {
    const database = await postgres({ role: 'instances' });
    ends.unshift(() => database.close());
    return start(ends, 2, { args: ['--broker', database.url], env: { SENNIT_BROKER: '' } });
  },
  disk: async (ends) => {
    const directory = temporary();
    ends.unshift(() => fs.rmSync(directory, { recursive: true, force: true }));
    const [instance] = await start(ends, 1, { args: ['--broker', `file:${directory}`], env: { SENNIT_BROKER: '' } });
    return [instance, instance];
  },
};
const end = async (ends) => {
  for (const one of ends) await one();
};

for (const [name, begin] of Object.entries(brokers)) {
  test(`lists and counts have each client once, between two requests, too: ${name}`, { ...quickly, skip: name === 'Postgres' && skip }, async (t) => {
    const ends = [];
    t.after(() => end(ends));
    const instances = await begin(ends);
    const [one, two] = instances;
    const poller = await Poller.open(one, '40{"me":"Ann"}', { 'x-kind': 'poller', 'x-secret': 'not kept' });
    const holder = await Poller.open(two);
    const socket = io(one.url, { transports: ['websocket'], auth: { me: 'Bob' }, query: { from: 'here' }, extraHeaders: { 'x-kind': 'stock' } });
    ends.unshift(() => socket.disconnect());
    await until('it is connected', () => socket.connected);
    await poller.post(two, '420["join","r"]');
    await holder.post(one, '420["join","r"]');
    socket.emit('join', 'r');
    await until('it has joined', async () => (await ask(two, 'count?room=r&local=false')).sockets === 3);
    assert.match(await poller.get(one), /430\[/);
    assert.match(await holder.get(one), /430\[/);
    const held = holder.get(two);
    for (let i = 0; i < 5; i++) {
      for (const instance of instances) {
        const all = await ask(instance, 'sockets');
        assert.equal(all.incomplete, false);
        assert.deepEqual(all.sockets.map((item) => item.socket), [poller.id, holder.id, socket.id].sort());
        assert.deepEqual(all.sockets.map((item) => item.rooms), [['r'], ['r'], ['r']]);
        assert.deepEqual((await ask(instance, 'rooms')).rooms, [{ room: 'r', sockets: 3 }]);
        assert.equal((await ask(instance, 'count')).sockets, 3);
        assert.equal((await ask(instance, 'count?except=r')).sockets, 0);
      }
      await poller.post(instances[i % 2], '42["msg",1]'); // it moves, and is counted all the same
      await poller.get(instances[(i + 1) % 2]);
    }
    const ids = [];
    for (let next = ''; next !== null;) {
      const page = await ask(one, `sockets?limit=1${next && `&after=${next}`}`);
      ids.push(...page.sockets.map((item) => item.socket));
      next = page.next;
    }
    assert.deepEqual(ids, [poller.id, holder.id, socket.id].sort());
    await held;

    const its = await ask(two, `sockets/${poller.id}`);
    assert.deepEqual([its.transport, its.address, its.data, its.rooms], ['polling', '127.0.0.1', 'Ann', ['r']]);
    if (name !== 'disk') assert.equal(its.instance, null);
    assert.ok(its.session_ms > 0 && its.session_ms < 30000, `${its.session_ms}`);
    const shaken = its.handshake;
    assert.deepEqual([shaken.headers['x-kind'], shaken.headers['x-secret']], ['poller', undefined]);
    assert.match(shaken.headers['user-agent'], /^(node|undici)$/); // fetch's, of Node 20 and 18
    assert.deepEqual(shaken.query, { EIO: '4', transport: 'polling', kind: 'slow one' });
    assert.deepEqual(shaken.auth, { me: 'Ann' });
    assert.deepEqual([shaken.address, shaken.secure, shaken.xdomain], ['127.0.0.1', false, false]);
    assert.equal(shaken.url, '/socket.io/?EIO=4&transport=polling&kind=slow+one');
    assert.ok(Math.abs(Date.now() - shaken.issued) < 30000);
    assert.ok(Math.abs(Date.parse(shaken.time) - shaken.issued) < 1000);
    const other = (await ask(two, `sockets/${socket.id}`)).handshake;
    assert.deepEqual([other.headers['x-kind'], other.auth, other.query.from], ['stock', { me: 'Bob' }, 'here']);
  });
}

// An instance without a request may have no CPU. One that holds no socket need not answer; the socket that it passed on last is in the broker's list.
for (const name of ['Redis', 'Postgres']) {
  test(`an instance that stands still without a socket lets nobody wait: ${name}`, { ...quickly, skip: name === 'Postgres' && skip }, async (t) => {
    const ends = [];
    t.after(() => end(ends));
    const [one, two] = await brokers[name](ends);
    const still = async (body) => {
      process.kill(two.pid, 'SIGSTOP');
      try {
        return await body();
      } finally {
        process.kill(two.pid, 'SIGCONT');
      }
    };
    const timed = async (...what) => {
      const begun = performance.now();
      return { ...(await ask(one, ...what)), ms: performance.now() - begun };
    };
    const socket = io(one.url, { transports: ['websocket'] });
    ends.unshift(() => socket.disconnect());
    await until('it is connected', () => socket.connected);
    socket.on('q', (answer) => answer('yes'));
    const [counted, asked] = await still(async () => [await timed('count'), await timed('ask', { event: 'q', timeout_ms: 20000 })]);
    assert.deepEqual([counted.sockets, counted.incomplete, counted.instances], [1, false, { living: 2, answered: 1 }]);
    assert.deepEqual([asked.answers, asked.missing, asked.incomplete], [[{ socket: socket.id, answer: ['yes'] }], [], false]);
    assert.ok(counted.ms < 1000 && asked.ms < 1000, `${counted.ms} ${asked.ms}`);

    const poller = await Poller.open(one);
    await poller.post(two, '420["join","r"]');
    assert.match(await poller.get(two), /430\[/);
    const listed = await still(() => timed('sockets'));
    assert.deepEqual([listed.sockets.map((item) => item.socket), listed.incomplete], [[poller.id, socket.id].sort(), false]);
    assert.ok(listed.ms < 1000, `${listed.ms}`);

    const other = io(two.url, { transports: ['websocket'] });
    ends.unshift(() => other.disconnect());
    await until('the other is connected', () => other.connected);
    assert.equal((await timed('count')).sockets, 3);
    const lacking = await still(() => timed('count')); // it has a socket, so it is awaited
    assert.deepEqual([lacking.sockets, lacking.incomplete], [2, true]);
    assert.ok(lacking.ms > 1900, `${lacking.ms}`);
  });
}

for (const name of ['Redis', 'Postgres']) {
  test(`an event that asks reaches clients between two polls, and their answers come back with their bytes: ${name}`, { ...quickly, skip: name === 'Postgres' && skip }, async (t) => {
    const ends = [];
    t.after(() => end(ends));
    const [one, two] = await brokers[name](ends);
    const between = await Poller.open(one), holder = await Poller.open(two), away = await Poller.open(two), other = await Poller.open(two);
    const socket = io(one.url, { transports: ['websocket'] });
    ends.unshift(() => socket.disconnect());
    await until('it is connected', () => socket.connected);
    for (const poller of [between, holder, away]) {
      await poller.post(one, '420["join","r"]');
      assert.match(await poller.get(two), /430\[/);
    }
    await socket.emitWithAck('join', 'r');
    let times = 0;
    socket.on('q', (n, answer) => {
      times++;
      answer({ list: [Buffer.from([255, 0]), n] }, Buffer.alloc(0));
    });
    const question = async (poller, instance) => {
      let got = '';
      while (!got.includes('["q"')) got += await poller.get(instance); // who came stands in front
      assert.equal(got.match(/\["q",7\]/g).length, 1, got);
      return got.match(/42(\d+)\["q",7\]/)[1];
    };
    const held = question(holder, one);
    await new Promise((done) => setTimeout(done, 200)); // its request is there, and waits
    const began = performance.now();
    const asked = ask(one, 'ask', { event: 'q', args: [7], rooms: 'r', timeout_ms: 4000 });
    await holder.post(two, `43${await held}["held"]`);
    const number = await question(between, two);
    await between.post(one, `461-${number}[{"bytes":{"_placeholder":true,"num":0}}]\x1ebAQID`);
    const { answers, missing, incomplete } = await asked;
    assert.deepEqual([missing, incomplete], [[away.id], false]);
    assert.ok(performance.now() - began > 3900, 'one may still ask for its next poll');
    assert.deepEqual(answers, [
      { socket: between.id, answer: [{ bytes: { _placeholder: true, num: 0 } }], attachments: ['AQID'] },
      { socket: holder.id, answer: ['held'] },
      { socket: socket.id, answer: [{ list: [{ _placeholder: true, num: 0 }, 7] }, { _placeholder: true, num: 1 }], attachments: ['/wA=', ''] },
    ].sort((a, b) => (a.socket < b.socket ? -1 : 1)));
    assert.equal(times, 1);

    // The last answer ends it; one that has gone is not waited for.
    const again = ask(two, 'ask', { event: 'q', args: [7], rooms: 'r', except: holder.id, timeout_ms: 20000 });
    const second = await question(between, one);
    await between.post(two, `43${second}[]`);
    await away.post(two, '41');
    const short = await again;
    assert.deepEqual([short.answers.map((item) => item.socket), short.missing], [[between.id, socket.id].sort(), [away.id]]);
    assert.ok(performance.now() - began < 20000);
    await other.post(one, '420["join","s"]'); // it was in another room
    assert.doesNotMatch(await other.get(two), /"q"/);
  });
}

test('directives reach clients between two polls, also where nothing is logged', quickly, async (t) => {
  const ends = [];
  t.after(() => end(ends));
  let one, two;
  const count = async (nsp, room) => (await ask(two, `count?namespace=${nsp}${room ? `&room=${room}` : ''}`)).sockets;
  [one, two] = await brokers.Redis(ends);
  for (const nsp of ['/', '/bare']) {
    const poller = await Poller.open(one, nsp === '/' ? '40' : '40/bare,');
    assert.equal(await count(nsp), 1);
    await ask(two, 'sockets/join', { namespace: nsp, join: 'late' });
    await ask(two, 'publish', { namespace: nsp, event: 'msg', args: ['after'] });
    assert.match(await poller.get(two), /\["msg","after"/);
    assert.equal(await count(nsp, 'late'), 1);
    await ask(one, 'publish', { namespace: nsp, rooms: 'late', event: 'msg', args: ['to the room'] });
    assert.match(await poller.get(one), /\["msg","to the room"/);
    await ask(one, 'sockets/leave', { namespace: nsp, leave: 'late' });
    await ask(one, 'publish', { namespace: nsp, event: 'msg', args: ['x'] });
    await poller.get(two);
    assert.equal(await count(nsp, 'late'), 0);
    await ask(one, 'sockets/disconnect', { namespace: nsp, socket: poller.id });
    assert.match(await poller.get(two), /^41/);
    assert.equal(await count(nsp), 0);
  }
});

for (const name of ['Redis', 'Postgres']) {
  test(`a client learns with its next poll who came and went since, once and in order: ${name}`, { ...quickly, skip: name === 'Postgres' && skip }, async (t) => {
    const ends = [];
    t.after(() => end(ends));
    const [one, two] = await brokers[name](ends);
    const poller = await Poller.open(one, '40{"me":"Ann"}');
    if (!poller.first.includes('presence')) poller.first = await poller.get(two);
    assert.match(poller.first, /\["presence",\{"room":null,"members":\[/);
    const bob = await Poller.open(two, '40{"me":"Bob"}');
    await ask(one, 'publish', { event: 'msg', args: ['between'] });
    await bob.post(one, '41');
    let got = '';
    for (let i = 0; !got.includes('"left"') && i < 5; i++) got += await poller.get(i % 2 ? one : two);
    const told = [...got.matchAll(/"(entered|left)":\[\{"id":"([^"]+)","data":"Bob"\}\],"count":(\d)|"(between)"/g)].map((found) => found[4] ?? `${found[1]} ${found[3]}`);
    assert.deepEqual(told, ['entered 2', 'between', 'left 1']);
    await ask(one, 'publish', { event: 'msg', args: ['end'] });
    got = await poller.get(one);
    assert.match(got, /"end"/);
    assert.doesNotMatch(got, /presence/); // nothing is told again
  });
}
