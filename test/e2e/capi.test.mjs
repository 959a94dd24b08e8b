// capi: programs in C with sennit.h: the examples, two instances each on one Redis, with the stock client. One more program, of the test,
// tries what the examples do not.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { build, dial, end, instance as run } from './capi.mjs';
import { redis, until } from './lib.mjs';

const example = (name) => path.join(build, 'examples', name);
const instance = (file, redisUrl, env) => run(file, ['--redis-url', redisUrl], env);
const client = (server, options) => dial(server.url, options);

let broker;
before(async () => { broker = await redis(); });
after(async () => {
  end();
  await broker.close();
});

test('the whiteboard: strokes reach the others, once, and whoever comes later', async () => {
  const two = [await instance(example('whiteboard'), broker.url), await instance(example('whiteboard'), broker.url)];
  const [a, b] = [client(two[0]), client(two[1])];
  await until('both are connected', () => a.connected && b.connected);
  await a.timeout(5000).emitWithAck('drawing', { x0: 1, id: 'stroke-1' });
  await a.timeout(5000).emitWithAck('drawing', { x0: 1, id: 'stroke-1' });
  await a.timeout(5000).emitWithAck('drawing', { x0: 2, id: 'stroke-2' });
  await b.had('drawing', (one) => one.x0 === 2);
  assert.deepEqual(b.got.filter((one) => one[0] === 'drawing').map((one) => one[1].id), ['stroke-1', 'stroke-2']);
  assert.deepEqual(a.got.filter((one) => one[0] === 'drawing'), []);
  const late = client(two[1]);
  await late.had('drawing', (one) => one.x0 === 2);
  assert.equal(late.got.filter((one) => one[0] === 'drawing').length, 2);
  for (const socket of [a, b, late]) socket.close();
  for (const one of two) assert.equal(await one.stop(), 0);
});

test("the chatroom, by the events of Socket.IO's example: the number of users is the fleet's, also when one has been cut off", async () => {
  const two = [await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' }), await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' })];
  const [ann, bob] = [client(two[0]), client(two[1])];
  await until('both are connected', () => ann.connected && bob.connected);
  ann.emit('add user', 'ann');
  assert.deepEqual((await ann.had('login'))[1], { numUsers: 1 });
  bob.emit('add user', 'bob');
  assert.deepEqual((await bob.had('login'))[1], { numUsers: 2 });
  assert.deepEqual((await ann.had('user joined'))[1], { username: 'bob', numUsers: 2 });
  bob.emit('typing');
  assert.deepEqual((await ann.had('typing'))[1], { username: 'bob' });
  bob.emit('stop typing');
  await ann.had('stop typing');
  bob.emit('new message', 'hello "\\<b>');
  assert.deepEqual((await ann.had('new message'))[1], { username: 'bob', message: 'hello "\\<b>' });
  // Cut off: the name is known when the socket is back, on the other instance.
  const id = bob.id;
  bob.io.uri = two[0].url;
  bob.io.engine.close();
  await until('bob is back', () => bob.connected && bob.recovered && bob.id === id);
  bob.emit('new message', 'again');
  assert.deepEqual((await ann.had('new message', (one) => one.message === 'again'))[1], { username: 'bob', message: 'again' });
  assert.equal(ann.got.filter((one) => one[0] === 'user left').length, 0);
  // Gone without a word: the disconnect comes when the time is over.
  bob.io.reconnection(false);
  bob.io.engine.close();
  assert.deepEqual((await ann.had('user left'))[1], { username: 'bob', numUsers: 1 });
  // Gone with a word: at once.
  const eve = client(two[1]);
  await until('eve is connected', () => eve.connected);
  eve.emit('add user', 'eve');
  await ann.had('user joined', (one) => one.username === 'eve');
  eve.close();
  assert.deepEqual((await ann.had('user left', (one) => one.username === 'eve'))[1], { username: 'eve', numUsers: 1 });
  ann.close();
  for (const one of two) assert.equal(await one.stop(), 0);
  assert.equal(ann.got.filter((one) => one[0] === 'user left').length, 2);
});

test("the chatroom, by the events of Google's tutorial: rooms, history in the acknowledgement, notifications", async () => {
  const two = [await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' }), await instance(example('chatroom'), broker.url, { CHATROOM_AWAY_SECONDS: '1' })];
  const [ann, bob, far] = [client(two[0]), client(two[1]), client(two[1])];
  await until('all are connected', () => ann.connected && bob.connected && far.connected);
  const ask = (socket, ...args) => new Promise((resolve, reject) => socket.timeout(5000).emit(...args, (late, ...answer) => (late ? reject(new Error(`no answer to ${args}`)) : resolve(answer))));
  assert.deepEqual(await ask(ann, 'sendMessage', 'too early'), ['Sign in first, and write at most 4000 bytes']);
  assert.match((await ask(ann, 'signin', { user: '', room: 'tea' }))[0], /missing/);
  assert.deepEqual(await ask(ann, 'signin', { user: 'ann', room: 'tea' }), [null, { messages: [] }]);
  assert.deepEqual(await ask(ann, 'sendMessage', 'one'), []);
  assert.deepEqual(await ask(far, 'signin', { user: 'far', room: 'coffee' }), [null, { messages: [] }]);
  assert.deepEqual(await ask(bob, 'signin', { user: 'bob', room: 'tea' }), [null, { messages: [{ user: 'ann', text: 'one' }] }]);
  assert.deepEqual((await ann.had('notification'))[1], { title: "Someone's here", description: 'bob just entered the room' });
  assert.deepEqual(await ask(bob, 'sendMessage', 'two'), []);
  await ann.had('message', (one) => one.text === 'two');
  await bob.had('message', (one) => one.text === 'two');
  assert.equal(far.got.filter((one) => one[0] === 'message').length, 0);
  for (const socket of [ann, bob, far]) socket.close();
  for (const one of two) assert.equal(await one.stop(), 0);
});

for (const [library, file] of [['shared', 'capi_probe'], ['static', 'capi_static']]) {
  test(`every other call, linked with the ${library} library`, async (t) => {
    const broker = await redis(); // instances of another test would be missed in the counts
    t.after(() => broker.close());
    const two = [await instance(path.join(build, 'test/e2e/capi', file), broker.url), await instance(path.join(build, 'test/e2e/capi', file), broker.url)];
    const at = (number, options) => client({ url: `${two[number].url}/probe` }, options);
    const [a, b] = [at(0, { auth: { as: { name: 'Ann' } } }), at(1)];
    await until('both are connected', () => a.connected && b.connected);
    const ask = (socket, ...args) => new Promise((resolve, reject) => socket.timeout(5000).emit(...args, (late, ...answer) => (late ? reject(new Error(`no answer to ${args}`)) : resolve(answer))));

    // A connection that is refused learns why.
    const bad = at(0, { auth: { bad: true } });
    const [error] = await once(bad, 'connect_error');
    assert.equal(error.message, 'no "bad" ones');
    assert.deepEqual(error.data, { code: 7 });

    const given = { user: { name: 'Ann "\\\u0001' }, list: [1, 17], half: 0.5, yes: true };
    const [typed, rest] = await ask(a, 'types', given, Buffer.from([0, 1, 255]));
    assert.deepEqual(typed, [6, 4, 3, 0, 7, 2, 0, 4, 2, 0]);
    const { bytes, ...values } = rest;
    assert.deepEqual(values, { count: 2, name: 'types', deep: 'Ann "\\\u0001', int: 17, half: -1, number: 0.5, yes: true, raw: [1, 17], none: null });
    assert.deepEqual([...bytes], [0, 1, 255]);

    // A client that is asked answers, or does not.
    let seen = 0;
    a.on('question', (what, ...more) => { seen++; if (seen === 1) more.at(-1)(what, 'x'); });
    assert.deepEqual(await ask(a, 'ask back', 2000), [null, 'what?', 2]);
    assert.deepEqual(await ask(a, 'ask back', 30), ['timeout', null, 0]);

    // Rooms and the fleet.
    assert.deepEqual(await ask(a, 'rooms', 'join', 'tea'), [true]);
    assert.deepEqual(await ask(a, 'rooms', 'is_in', 'tea'), [true]);
    assert.deepEqual(await ask(b, 'rooms', 'is_in', 'tea'), [false]);
    assert.deepEqual(await ask(a, 'fleet', 'count', 'tea'), [1, true]);
    assert.deepEqual(await ask(b, 'fleet', 'count'), [2, true]);
    assert.deepEqual(await ask(a, 'rooms', 'make_join', 'tea', b.id), [true]);
    await until('b is in', async () => (await ask(b, 'rooms', 'is_in', 'tea'))[0]);
    const [sockets, all] = await ask(a, 'fleet', 'fetch', 'tea');
    assert.equal(all, true);
    assert.deepEqual(sockets.map((one) => one.socket).sort(), [a.id, b.id].sort());
    const [present, number, whole] = await ask(b, 'fleet', 'present', 'tea');
    assert.deepEqual([a, b].map((one) => present.find((other) => other.id === one.id)?.data), [{ name: 'Ann' }, null]);
    assert.deepEqual([present.length, number, whole], [2, 2, true]);
    assert.equal((await ask(b, 'fleet', 'present'))[1], 2);
    await ask(b, 'send', 'tea', true, { is: 'all' });
    assert.deepEqual((await a.had('sent')).slice(1, 4), ['tea', true, { is: 'all' }]);
    await b.had('sent');
    await b.had('you sent');
    assert.equal(a.got.filter((one) => one[0] === 'you sent').length, 0);
    assert.deepEqual(await ask(b, 'rooms', 'make_leave', 'tea'), [true]);
    await until('nobody is in', async () => (await ask(a, 'fleet', 'count', 'tea'))[0] === 0);

    // The log: once under each name, read back in pages.
    for (const [name, text] of [['n1', 'one'], ['n1', 'one'], ['n2', 'two'], ['n3', 'three']]) assert.deepEqual(await ask(a, 'log', 'book', name, text), []);
    const [entries, more] = await ask(a, 'fleet', 'history', 'book');
    assert.deepEqual([entries.map((one) => one.args[1]), more], [['one', 'two', 'three'], false]);
    const [older] = await ask(a, 'fleet', 'history', 'book', entries[1].at);
    assert.deepEqual(older.map((one) => one.args[1]), ['one']);
    // Another message under a name that is taken is never acknowledged, as with `sennit serve`: the client is told, and the operator.
    let taken = false;
    a.emit('log', 'book', 'n1', 'another', () => (taken = true));
    await a.had('sennit', (about) => about.refused === 'id_taken');
    assert.equal(taken, false);
    await until('the log and a counter say so', async () => /"refused","[^\n]*"reason":"id_taken"[^\n]*"what":"n1"/.test(two[0].output) &&
      (await (await fetch(`${two[0].url}/metrics`)).text()).includes('sennit_refusals_total{reason="id_taken"} 1'));

    // Misuse is harmless, and a handler that blocks is named.
    assert.deepEqual(await ask(a, 'misuse'), [17]);
    assert.deepEqual((await a.had('misused')).slice(1, 3), [18, false]);
    await until('the log says so', () => two[0].output.includes('"a call did nothing"') && two[0].output.includes('"call":"sennit_emitf"'));
    await ask(a, 'block');
    await until('the log names it', () => /"a handler blocked the instance[^\n]*"handler":"block"/.test(two[0].output));

    // Timers, and a descriptor of the program's own.
    a.emit('ticks');
    await b.had('readable');
    assert.deepEqual(b.got.filter((one) => one[0] === 'tick').map((one) => one[1]), [1, 2, 3]);

    // Data come along; each end is told once.
    const id = b.id;
    b.io.uri = two[0].url;
    b.io.engine.close();
    const back = (await a.had('told resumed', (one) => one.id === id))[1];
    assert.equal(back.data, 'born here');
    assert.match(two[0].output, new RegExp(`"instance":"${back.instance}"`));
    await until('b is back', () => b.connected && b.id === id);
    assert.deepEqual(await ask(a, 'rooms', 'make_disconnect', id), [true]);
    const gone = (await a.had('told disconnect', (one) => one.id === id))[1];
    assert.deepEqual([gone.data, gone.reason], ['born here', 'left']);
    const cut = at(1, { reconnection: false });
    await until('it is connected', () => cut.connected);
    const cutId = cut.id;
    cut.io.engine.close();
    const ended = (await a.had('told disconnect', (one) => one.id === cutId))[1];
    assert.equal(ended.data, 'born here');
    assert.equal(a.got.filter((one) => one[0] === 'told disconnect').length, 2);

    a.emit('stop');
    a.io.reconnection(false);
    assert.equal(await two[0].stop('SIGCONT'), 0);
    assert.equal(await two[1].stop(), 0);
  });
}
