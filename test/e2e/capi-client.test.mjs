// capi-client: what a program in C is told of its clients: address, headers, query, payload and claims; on a WebSocket, after a resume and
// after a move to another instance.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { build, client, end, instance } from './capi.mjs';
import { redis, temporary, until } from './lib.mjs';

const who = path.join(build, 'test/e2e/capi/capi_who'), secret = crypto.randomBytes(32).toString('hex');
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function token(claims) {
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
  return `${text}.${crypto.createHmac('sha256', secret).update(text).digest('base64url')}`;
}
const ann = (role) => token({ sub: 'ann', 'https://example.com/roles': [role], realm: { roles: ['a', `deep ${role}`] } });

let broker, two, folder;
before(async () => {
  folder = temporary();
  fs.writeFileSync(path.join(folder, 'secret'), secret);
  const config = path.join(folder, 'who.yaml');
  fs.writeFileSync(config, `jwt: {keys: [{file: ${folder}/secret, alg: HS256}]}\ntrusted_hops: 1\nnamespaces:\n  /who: {log: {entries: 100}, events: {who: {to: others, log: true}}}\n`);
  broker = await redis();
  two = await Promise.all([1, 2].map(() => instance(who, ['--redis-url', broker.url, '--config', config])));
});
after(async () => {
  end();
  await broker.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

// What an instance was told: by the handler's name, of this socket ("-": before there is one).
const told = (number, what, id) => [...two[number].output.matchAll(/^who (\S+) (\S+): (.*)$/gm)].filter(([, name, of]) => name === what && of === id).map(([, , , line]) => line);
const toldOnce = async (number, what, id) => {
  await until(`${what} of ${id}`, () => told(number, what, id).length > 0);
  return told(number, what, id).at(-1);
};
const headers = (more) => ({ 'User-Agent': 'one/1', 'X-Two': 'a "b"\\', 'X-Unkept': 'secret', ...more });

test('all handlers of a WebSocket know its client; after a resume elsewhere, what it shows then', async () => {
  const socket = await client(two[0], '/who', {
    query: { 'the color': 'red & blue' }, extraHeaders: headers({ 'X-Forwarded-For': '203.0.113.9, 203.0.113.7' }), auth: { token: ann('user'), user: 'Ann "\\', list: [1, { two: 2 }] },
  });
  const id = socket.id;
  assert.deepEqual(await socket.ask('who'), []);
  const first = '203.0.113.7 agent=one/1 x-two=a "b"\\ unkept=- color=red & blue user=Ann "\\ list={"two":2} auth=some sub=ann uri=["user"] deep=deep user all=some';
  for (const [what, of] of [['connecting', '-'], ['connect', id], ['who', id], ['later', id]]) assert.equal(await toldOnce(0, what, of), first);
  assert.match(two[0].output, /this header is not kept: name it to sennit_keep_header/);

  socket.io.uri = two[1].url;
  socket.io.opts.query = { 'the color': 'green' };
  socket.io.opts.extraHeaders = headers({ 'User-Agent': 'two/2', 'X-Forwarded-For': '2001:db8::1' });
  socket.auth = { token: ann('admin'), user: 'Eve' };
  socket.io.engine.close();
  const second = '2001:db8::1 agent=two/2 x-two=a "b"\\ unkept=- color=green user=Eve list=- auth=some sub=ann uri=["admin"] deep=deep admin all=some';
  assert.equal(await toldOnce(1, 'resumed', id), second);
  assert.equal(await toldOnce(1, 'connecting', '-'), second);
  await until('it is back', () => socket.connected && socket.recovered && socket.id === id);
  await socket.ask('who');
  assert.equal(await toldOnce(1, 'who', id), second);

  // Shown once more on the connection that it has: the claims are the new ones, and nothing else changes.
  assert.equal((await socket.ask('sennit', { token: ann('editor') }))[0].expires_in_ms > 0, true);
  await socket.ask('who');
  assert.equal(await toldOnce(1, 'who', id), second.replace('["admin"]', '["editor"]').replace('deep admin', 'deep editor'));

  socket.close();
  assert.match(await toldOnce(1, 'disconnect', id), /^- agent=- x-two=- unkept=- color=- user=- list=- auth=- sub=- uri=- deep=- all=-$/);
});

test('a session of long-polling takes it along to another instance', async () => {
  const ask = async (number, sid, body, from) => {
    const query = `EIO=4&transport=polling${sid ? `&sid=${sid}` : '&the%20color=bl%C3%BCe&the%20color=black+grey'}`;
    return (await fetch(`${two[number].url}/socket.io/?${query}`, { headers: headers({ 'X-Forwarded-For': from, ...(sid ? { 'User-Agent': 'later/1' } : {}) }), ...(body === undefined ? {} : { method: 'POST', body }) })).text();
  };
  const { sid } = JSON.parse((await ask(0, '', undefined, '203.0.113.1')).slice(1));
  await ask(0, sid, `40/who,${JSON.stringify({ token: ann('user'), user: 'Poll', list: [0, 7] })}`, '203.0.113.2');
  let got = '';
  for (let i = 0; i < 5 && !got.includes('"sid"'); i++) got += await ask(0, sid, undefined, '203.0.113.2');
  const id = /40\/who,{"sid":"([^"]+)"/.exec(got)[1];
  const rest = 'agent=one/1 x-two=a "b"\\ unkept=- color=black grey user=Poll list=7 auth=some sub=ann uri=["user"] deep=deep user all=some';
  await ask(1, sid, '42/who,1["who"]', '203.0.113.3');
  assert.equal(await toldOnce(1, 'moved', id), `203.0.113.3 ${rest}`);
  assert.equal(await toldOnce(1, 'who', id), `203.0.113.3 ${rest}`);
  // Once the session has gone from here, an event that was kept knows nobody.
  assert.equal(await toldOnce(1, 'later', '-'), '- agent=- x-two=- unkept=- color=- user=- list=- auth=- sub=- uri=- deep=- all=-');
  await ask(0, sid, '41/who,', '203.0.113.4');
});
