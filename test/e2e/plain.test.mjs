// plain: clients that speak sennit.v1 over their own WebSocket (docs/plain.md), over two instances and a real Redis, beside Socket.IO's.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { pair, sleep, until } from './lib.mjs';
import { Plain, wsUrl } from './plain.mjs';

const config = `
raw: on
compression: {threshold: 100}
namespaces:
  /:
    log: {entries: 1000, bytes: 1MiB, age: 1h}
    presence: {data: user}
    events:
      msg: {to: everyone, log: true}
      others: {to: others, log: true}
      cursor: {to: others}
      enter: {join: 0}
      exit: {leave: 0}
      say: {to: room, room: 0, log: true, id: 2}
      who: {who: 0}
      past: {history: 0}
  /quiet:
    events:
      msg: {to: others}
`;

let servers, close;
before(async () => ({ servers, close } = await pair(config)));
after(() => close());

const open = (n, options) => new Plain(servers[n].url, options);

test('it connects, joins, publishes, and hears others, of both kinds', async () => {
  const ann = open(0), bob = open(1);
  const welcome = await ann.find('welcome');
  assert.equal(welcome.protocol, 'sennit.v1');
  assert.equal(welcome.max_payload, 1000000);
  assert.equal(ann.socket.protocol, 'sennit.v1');
  const connected = await ann.connected();
  assert.equal(connected.ns, '/');
  assert.equal(connected.recovered, false);
  assert.equal(connected.at, null);
  assert.match(connected.id, /^.{20}$/);
  await bob.connected();
  const cat = io(servers[1].url, { forceNew: true });
  const heard = [];
  cat.onAny((event, ...args) => event !== 'presence' && heard.push([event, ...args.slice(0, -1)]));
  await until('Socket.IO is connected', () => cat.connected);
  for (const one of [ann, bob]) assert.deepEqual((await one.ask({ type: 'join', room: 'red' })).result, null);
  await cat.emitWithAck('enter', 'red');
  assert.deepEqual(await ann.ask({ type: 'publish', event: 'say', room: 'red', args: ['hi', 'name-of-this-1'] }), { type: 'answer', ref: 2, result: null });
  await cat.emitWithAck('say', 'red', { from: 'cat' });
  const all = [['red', 'hi', 'name-of-this-1'], ['red', { from: 'cat' }]];
  await until('both came', () => [ann, bob].every((one) => one.events.length === 2) && heard.length === 2);
  assert.deepEqual(ann.args(), all);
  assert.deepEqual(bob.args(), all);
  assert.deepEqual(heard, all.map((args) => ['say', ...args]));
  assert.equal(bob.events[0].event, 'say');
  assert.equal(typeof bob.events[0].at, 'string');
  for (const one of [ann, bob, cat]) one.close();
});

test('a cut client gets what it missed, once and in order, on another instance', async () => {
  const ann = open(0), bob = open(0);
  await Promise.all([ann.connected(), bob.connected()]);
  const { id } = await bob.connected();
  for (let n = 0; n < 3; n++) await ann.ask({ type: 'publish', event: 'msg', args: [n] });
  await until('they came', () => bob.events.length === 3);
  bob.close();
  await bob.closed;
  for (let n = 3; n < 10; n++) await ann.ask({ type: 'publish', event: 'msg', args: [n] });
  bob.reach(servers[1].url);
  const again = await bob.connected();
  assert.equal(again.recovered, true);
  assert.equal(again.id, id);
  await until('the missed ones came', () => bob.events.length >= 10);
  await sleep(100);
  assert.deepEqual(bob.args().flat(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  ann.close();
  bob.close();
});

test('deflate on demand: the client decides, unless the configuration does', async () => {
  const ann = open(0, { options: { perMessageDeflate: true } }), bob = open(0, { options: { perMessageDeflate: false } });
  await Promise.all([ann.connected(), bob.connected()]);
  assert.match(ann.socket.extensions, /permessage-deflate/);
  assert.equal(bob.socket.extensions, '');
  const before = await servers[0].metric('deflate_messages_out_total');
  const text = 'long and the same '.repeat(100);
  await bob.ask({ type: 'publish', event: 'msg', args: [text] });
  await ann.ask({ type: 'publish', event: 'msg', args: [text] });
  await until('both came to both', () => [ann, bob].every((one) => one.events.length === 2));
  assert.deepEqual(ann.args(), [[text], [text]]);
  assert.deepEqual(bob.args(), [[text], [text]]);
  assert.ok(await servers[0].metric('deflate_messages_out_total') > before);
  ann.close();
  bob.close();
});

test('the handshake: no subprotocol, another one, no upgrade, a page of another site', async () => {
  const bare = open(0, { protocols: [] });
  await bare.connected();
  assert.equal(bare.socket.protocol, '');
  bare.close();
  const several = open(0, { protocols: ['soap', 'sennit.v1'] });
  await several.connected();
  assert.equal(several.socket.protocol, 'sennit.v1');
  several.close();
  const status = (options, protocols = []) => new Promise((resolve) => {
    const socket = new WebSocket(`${wsUrl(servers[0].url)}/ws`, protocols, options);
    socket.on('unexpected-response', async (_, response) => {
      let text = '';
      for await (const part of response) text += part;
      resolve([response.statusCode, text]);
    });
    socket.on('open', () => resolve([101]) || socket.terminate());
  });
  const [code, text] = await status({}, ['soap']);
  assert.equal(code, 400);
  assert.match(text, /sennit\.v1/);
  assert.equal((await status({ origin: 'https://elsewhere.example' }))[0], 403);
  assert.equal((await status({ origin: servers[0].url }))[0], 101);
  const answer = await fetch(`${servers[0].url}/ws`);
  assert.equal(answer.status, 426);
  assert.equal(answer.headers.get('upgrade'), 'websocket');
  assert.match(await answer.text(), /new WebSocket/);
  assert.equal((await fetch(`${servers[0].url}/ws`, { method: 'POST', body: '{}' })).status, 426);
});

test('what a client sends at once is read once it is connected', async () => {
  const ann = open(0);
  await new Promise((resolve) => ann.socket.on('open', resolve));
  ann.send({ type: 'join', room: 'at once', ref: 'a' });
  ann.send({ type: 'publish', event: 'say', room: 'at once', args: [1], ref: 'b' });
  ann.send('nonsense');
  await ann.find('error');
  await until('both are answered', () => ann.messages.filter((one) => one.type === 'answer').length === 2);
  assert.deepEqual(ann.messages.map((one) => one.type).slice(0, 2), ['welcome', 'connected']);
  assert.equal((await ann.find('error')).reason, 'message_invalid');
  assert.equal((await ann.ask({ type: 'presence', room: 'at once' })).result.members.length, 1);
  ann.close();
});

test('raw: each message to all others of the room, as it came', async () => {
  const sockets = await Promise.all([[0, 'red room'], [1, 'red room'], [1, 'blue']].map(async ([server, room]) => {
    const socket = new WebSocket(`${wsUrl(servers[server].url)}/raw/${encodeURIComponent(room)}`);
    socket.got = [];
    socket.on('message', (data, binary) => socket.got.push(binary ? [...data] : `${data}`));
    await new Promise((resolve) => socket.on('open', resolve));
    return socket;
  }));
  const [ann, bob, cat] = sockets;
  await until('they are in their rooms', () => {
    ann.send('are you there?');
    return bob.got.length > 0;
  });
  await sleep(100);
  bob.got.length = 0;
  ann.send('{"a":1}');
  ann.send(Buffer.from([0, 255, 1]));
  bob.send('é\u0000');
  ann.send('');
  await until('they came', () => bob.got.length === 3 && ann.got.length === 1);
  assert.deepEqual(bob.got, ['{"a":1}', [0, 255, 1], '']);
  assert.deepEqual(ann.got, ['é\u0000']);
  assert.deepEqual(cat.got, []);
  const metrics = await (await fetch(`${servers[1].url}/metrics`)).text();
  assert.match(metrics, /^sennit_protocol_sessions{protocol="raw"} 2$/m);
  assert.match(metrics, /^sennit_protocol_sessions{protocol="plain"} 0$/m);
  for (const socket of sockets) socket.terminate();
  for (const path of ['/raw/', '/raw/%00', '/raw/%ff', '/raw/AAAAAAAAAAAAAAAAAAAA']) {
    const refused = new WebSocket(`${wsUrl(servers[0].url)}${path}`);
    assert.equal(await new Promise((resolve) => refused.on('unexpected-response', (_, response) => resolve(response.statusCode))), 400, path);
  }
});
