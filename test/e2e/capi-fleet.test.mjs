// capi-fleet: what a program in C has of the whole fleet: the answers of many clients, namespaces by pattern, and who comes and goes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, end, instance, probe } from './capi.mjs';
import { redis, sleep, until } from './lib.mjs';

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

test('answers bring their bytes, from both instances', async () => {
  const [a, b, c, d] = [await client(two[0], '/probe'), await client(two[0], '/probe'), await client(two[1], '/probe'), await client(two[1], '/probe')];
  for (const one of [b, c]) one.on('bytes?', (bytes, done) => done(Buffer.concat([bytes, Buffer.from(one.id)]), { more: Buffer.from('x') }));
  d.on('bytes?', (bytes, done) => done({ _placeholder: true, num: 0 })); // it only looks like bytes
  const [first, second, withBytes, all] = await a.ask('ask bytes');
  assert.deepEqual([withBytes, all], [2, 3]);
  assert.deepEqual([first, second].map((bytes) => bytes.toString('latin1')), [b.id, c.id].sort().map((id) => `\u0001\u0002${id}`));
  for (const socket of [a, b, c, d]) socket.close();
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

// A request of a session of long-polling, to any instance.
async function request(server, sid, body) {
  const url = `${server.url}/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`;
  return (await fetch(url, body === undefined ? {} : { method: 'POST', body })).text();
}

test('a handler that is told of a new socket has it, also while another instance waits for its session', async () => {
  const before = two.map((one) => one.output.length);
  const connect = async () => {
    const { sid } = JSON.parse((await request(two[0])).slice(1));
    let got = '';
    const polled = (async () => {
      for (let i = 0; i < 9 && !got.includes('40/made-born,{"sid"'); i++) got += await request(two[0], sid); // waits while the other one connects
    })();
    assert.equal(await request(two[1], sid, '40/made-born,'), 'ok');
    await polled;
    return sid;
  };
  const sids = [];
  for (let i = 0; i < 10; i++) sids.push(await connect());
  two.forEach((one, i) => assert.doesNotMatch(one.output.slice(before[i]), /sennit_data_set/, 'the handler of `connect` could write data'));
  for (const sid of sids) await request(two[0], sid, '41/made-born,');
});

test('an event of a client that polls is acknowledged later, wherever its session is by then', async () => {
  const { sid } = JSON.parse((await request(two[0])).slice(1));
  await request(two[0], sid, '40/made-later,');
  let got = '';
  const poll = async (until) => {
    for (let i = 0; i < 9 && !got.includes(until); i++) got += await request(two[0], sid);
  };
  await poll('40/made-later,{"sid"');
  for (let i = 1; i < 6; i++) {
    const polled = poll(`43/made-later,${i}[1,true]`); // here, while the handler is there
    assert.equal(await request(two[1], sid, `42/made-later,${i}["count"]`), 'ok');
    await polled;
  }
  // No request has the session when the handler is done, and each is acknowledged once.
  assert.equal(await request(two[1], sid, '42/made-later,6["count"]'), 'ok');
  await sleep(300);
  await poll('43/made-later,6[1,true]');
  assert.equal(await request(two[1], sid, '42/made-later,7["count"]'), 'ok');
  await poll('43/made-later,7[1,true]');
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map((i) => got.split(`43/made-later,${i}[`).length - 1), [1, 1, 1, 1, 1, 1, 1]);
  // So is what is sent to the client of an event that was kept.
  for (let i = 1; i < 4; i++) {
    got = '';
    const polled = poll('42/made-later,["counted",1');
    assert.equal(await request(two[1], sid, '42/made-later,["tell"]'), 'ok');
    await polled;
    assert.equal(got.includes('["counted",0'), false);
  }
  await request(two[0], sid, '41/made-later,');
});

test('who enters a room is counted there at once, also a client that polls', async () => {
  const a = await client(two[0], '/made-enter');
  assert.deepEqual(await a.ask('enter', 'first'), [1, true]);
  a.close();
  const { sid } = JSON.parse((await request(two[0])).slice(1));
  await request(two[0], sid, '40/made-enter,');
  let got = '';
  const poll = async (until) => {
    for (let i = 0; i < 9 && !got.includes(until); i++) got += await request(two[0], sid);
  };
  await poll('40/made-enter,{"sid"');
  for (let i = 1; i < 6; i++) {
    const polled = poll(`43/made-enter,${i}[`);
    assert.equal(await request(two[i % 2], sid, `42/made-enter,${i}["enter","room ${i}"]`), 'ok'); // a room that this instance does not know yet
    await polled;
    assert.ok(got.includes(`43/made-enter,${i}[1,true]`), got);
  }
  await request(two[0], sid, '41/made-enter,');
});

test('a client answers on another instance than it was asked on', async () => {
  const a = await client(two[0], '/made-asked');
  const ask = request;
  const { sid } = JSON.parse((await ask(two[1])).slice(1));
  await ask(two[1], sid, '40/made-asked,');
  let got = '';
  const poll = async () => {
    for (let i = 0; i < 9 && !got.includes('all?'); i++) got += await ask(two[1], sid);
  };
  const polled = poll();
  await until('it is connected, and was told so', () => got.includes('40/made-asked,{"sid"') && got.includes('["in"'));
  await sleep(100); // the next request is there, and waits
  const id = /40\/made-asked,{"sid":"([^"]+)"/.exec(got)[1];
  const answered = a.ask('ask all', null, 6000);
  await polled;
  const number = /42\/made-asked,(\d+)\["all\?",7\]/.exec(got)[1];
  assert.ok(Number(number) < 2 ** 31, 'clients that read 31 bits can answer');
  assert.equal(await ask(two[0], sid, `43/made-asked,${number}["from elsewhere"]`), 'ok');
  assert.deepEqual(await answered, [[{ id, answer: ['from elsewhere'] }], [], true]);
  // Nobody is there for a volatile event between two requests; another one is kept.
  await a.ask('wave');
  await a.had('wave', (n) => n === 2);
  assert.deepEqual(a.got.filter((one) => one[0] === 'wave').map((one) => one[1]), [1, 2]);
  assert.deepEqual((await ask(two[1], sid)).match(/"wave",\d/g), ['"wave",2']);
  await ask(two[0], sid, '41/made-asked,');
  a.close();
});

test('namespaces by a pattern: each has its own sockets, logs and ends, on all instances', async () => {
  const [a, b, c] = [await client(two[0], '/made-1'), await client(two[1], '/made-1'), await client(two[1], '/made-2')];
  await a.had('in', (id) => id === b.id);
  const third = await instance(probe, ['--redis-url', broker.url]); // its client's end is told by another one
  const d = await client(third, '/made-1');
  const [id, other, lost] = [b.id, c.id, d.id];
  d.io.reconnection(false);
  await third.stop('SIGKILL');
  a.emit('say', 'one');
  await b.had('said', (text) => text === 'one');
  assert.equal((await c.ask('count'))[0], 1);
  assert.equal((await a.ask('count'))[0], 2);
  assert.deepEqual(await a.ask('shout', '/made-2'), [true, true, false]); // the last: to the pattern itself
  await c.had('shout');
  assert.deepEqual(await a.ask('shout', '/made-3'), [true, true, false]); // nobody is there
  assert.ok(two[0].output.includes('the namespace is a pattern'));
  assert.deepEqual([...b.got, ...c.got].filter((one) => one[0] === 'shout' || one[0] === 'said').map((one) => one[1]).sort(), ['hello', 'one']);
  // Cut off and gone: told once, with its data, in its own namespace.
  b.io.reconnection(false);
  b.io.engine.close();
  await a.had('out', (gone) => gone === id);
  c.close();
  const last = await client(two[0], '/made-1');
  await a.had('out', (gone) => gone === lost);
  const ends = a.got.filter((one) => one[0] === 'out').map((one) => one.slice(1, 5));
  assert.deepEqual(ends.map(([gone, , data, same]) => [gone, data, same]), [[id, 'made', true], [lost, 'made', true]]);
  assert.equal(ends[1][1], 'instance_lost');
  assert.equal(a.got.filter((one) => one[1] === other).length, 0);
  for (const socket of [a, last]) socket.close();
  const metrics = async () => (await (await fetch(`${two[1].url}/metrics`)).text()).match(/^sennit_namespaces_made (\d+)/m)[1];
  await until('those without a socket have ended', async () => (await metrics()) === '0');
});

test('presence: each instance with a socket in the room tells who comes and goes, with their data', async () => {
  const [a, b, far] = [await client(two[0], '/made-hall'), await client(two[1], '/made-hall', { auth: { as: { name: 'Bob' } } }), await client(two[1], '/made-hall')];
  const of = (socket, name, room) => socket.got.filter((one) => one[0] === name && one[1] === room).map((one) => one.slice(2, 5));
  await a.ask('join', 'tea');
  await a.had('enter', (room, id) => room === 'tea' && id === a.id);
  await b.ask('join', 'tea');
  await until('both instances tell that Bob is there', () => of(a, 'enter', 'tea').filter(([id]) => id === b.id).length === 2);
  const told = a.got.filter((one) => one[0] === 'enter' && one[1] === 'tea' && one[2] === b.id);
  assert.deepEqual(told.map((one) => [one[3], one[4], one[6]]), [[{ name: 'Bob' }, 2, true], [{ name: 'Bob' }, 2, true]]);
  assert.equal(new Set(told.map((one) => one[5])).size, 2);
  assert.equal(of(a, 'enter', null).filter(([id]) => id === far.id).length > 0, true);
  const id = b.id;
  b.close();
  await a.had('leave', (room, who, data, count) => room === 'tea' && who === id && data.name === 'Bob' && count === 1);
  for (const socket of [a, far]) socket.close();
});
