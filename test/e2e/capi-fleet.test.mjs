// capi-fleet: what a program in C asks of the whole fleet: the answers of many clients, gathered.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, end, instance, probe } from './capi.mjs';
import { redis, until } from './lib.mjs';

let broker, two;
before(async () => {
  broker = await redis();
  two = await Promise.all([1, 2].map(() => instance(probe, ['--redis-url', broker.url])));
});
after(async () => {
  end();
  await broker.close();
});

const byId = (list) => Object.fromEntries(list.map((one) => [one.id, one.answer]));

test('many are asked on two instances: all answers, and who gave none', async () => {
  const [a, b, c] = [await client(two[0], '/probe'), await client(two[1], '/probe'), await client(two[1], '/probe')];
  for (const one of [b, c]) assert.deepEqual(await one.ask('rooms', 'join', 'tea'), [true]);
  a.on('all?', (n, done) => done('a'));
  b.on('all?', (n, done) => done('b', n));
  c.on('all?', (n, done) => done());
  const begun = Date.now();
  const [given, lacking, whole] = await a.ask('ask all', null, 6000);
  assert.deepEqual([byId(given), lacking, whole], [{ [b.id]: ['b', 7], [c.id]: [] }, [], true]);
  assert.ok(Date.now() - begun < 4000, 'it ends with the last answer, not with the time');
  c.off('all?');
  const [one, silent, all] = await a.ask('ask all', 'tea', 300);
  assert.deepEqual([byId(one), silent, all], [{ [b.id]: ['b', 7] }, [c.id], true]);
  assert.deepEqual(await a.ask('ask all', 'nobody', 6000), [[], [], true]);
  for (const socket of [a, b, c]) socket.close();
});

test('a backend asks the same by the HTTP API', async () => {
  const [a, b] = [await client(two[0], '/probe'), await client(two[1], '/probe')];
  b.on('all?', (n, done) => done('b', n));
  const post = async (fields, path = 'ask') => {
    const response = await fetch(`${two[0].url}/api/v1/${path}`, { method: 'POST', body: JSON.stringify({ namespace: '/probe', event: 'all?', args: [7], ...fields }) });
    return [response.status, await response.json()];
  };
  await until('no earlier client is left', async () => (await (await fetch(`${two[0].url}/api/v1/count?namespace=/probe`)).json()).sockets === 2);
  const both = { living: 2, answered: 2 };
  assert.deepEqual(await post({ timeout_ms: 400 }), [200, { answers: [{ socket: b.id, answer: ['b', 7] }], missing: [a.id], incomplete: false, instances: both }]);
  assert.deepEqual(await post({ socket: b.id }, 'emitWithAck'), [200, { answers: [{ socket: b.id, answer: ['b', 7] }], missing: [], incomplete: false, instances: both }]);
  assert.deepEqual(await post({ except: [a.id, b.id] }), [200, { answers: [], missing: [], incomplete: false, instances: both }]);
  assert.deepEqual((await post({ local: true, timeout_ms: 200 }))[1].missing, [a.id]);
  const [status, refused] = await post({ timeout_ms: 300001 });
  assert.deepEqual([status, refused.field], [400, 'timeout_ms']);
  assert.deepEqual((await post({ event: 'connect' }))[0], 400);
  for (const socket of [a, b]) socket.close();
});
