// firestore: instances that share a database of Firestore and nothing else, on Google's emulator: cuts, and an instance that is killed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import test, { after, before } from 'node:test';
import { firestore, missing } from './firestore.mjs';
import { board, Client, flawless, load, sennit, serve, sleep, temporary, up, until } from './lib.mjs';

const skip = missing() ?? false;
let emulator, env;
before(async () => {
  if (skip) return;
  emulator = await firestore();
  env = emulator.env;
});
after(() => emulator?.close());

test('on WebSocket through two instances, with cuts and one of them killed: nothing lost, nothing doubled', { skip, timeout: 60000 }, async () => {
  const service = { ...board({ min: 2 }), annotations: { 'autoscaling.knative.dev/minScale': 2 } };
  service.env = { ...service.env, ...env };
  const fleet = await up(service, { ready: 2 });
  try {
    const going = load(fleet.url, '-c', 20, '-r', 40, '--publishers', 3, '-d', 3, '--check', '--settle', 20, '--cut-every', 1, '--reconnect-delay', 100);
    await sleep(1500);
    process.kill((await fleet.instances())[0].pid, 'SIGKILL');
    flawless(await going);
  } finally {
    await fleet.close();
  }
});

test('what an instance logged is there for one that starts when the first has ended', { skip, timeout: 30000 }, async (t) => {
  const config = 'prefix: later\ntransports: [websocket]\nnamespaces:\n  /: {auth: none, log: {entries: 100}, replay: all, events: {drawing: {to: others, log: true, id: 0.id}}}\n';
  const first = await serve(config, { env });
  t.after(() => first.close());
  const client = new Client(first.url);
  t.after(() => client.socket.disconnect());
  await client.connected();
  const id = client.draw();
  await client.settled();
  client.socket.disconnect();
  await first.close();
  const second = await serve(config, { env });
  t.after(() => second.close());
  const late = new Client(second.url);
  t.after(() => late.socket.disconnect());
  await until('the stroke is there', () => late.got.includes(id));
});

// A balancer that sends requests to one of these, whichever `front.to` says.
async function frontOf(t, instances) {
  const front = { to: 0 };
  const server = http.createServer((request, response) => {
    const inner = http.request({ port: instances[front.to].port, host: '127.0.0.1', method: request.method, path: request.url, headers: request.headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    inner.on('error', () => response.destroy());
    response.on('close', () => inner.destroy());
    request.pipe(inner);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  front.url = `http://127.0.0.1:${server.address().port}`;
  return front;
}

test('long-polling without affinity: another instance refuses the session; the client connects anew there and recovers', { skip, timeout: 60000 }, async (t) => {
  const config = 'prefix: astray\nnamespaces:\n  /: {auth: none, log: {entries: 100}, replay: all, events: {drawing: {to: others, log: true, id: 0.id}}}\n';
  const instances = [await serve(config, { env }), await serve(config, { env })];
  for (const instance of instances) t.after(() => instance.close());
  const poll = (instance, sid, more = {}) => fetch(`${instance.url}/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`, more);
  const { sid } = JSON.parse((await (await poll(instances[0])).text()).slice(1));
  for (const more of [{}, { method: 'POST', body: '40' }]) {
    const answer = await poll(instances[1], sid, more);
    assert.equal(answer.status, 400);
    assert.equal((await answer.json()).code, 1);
  }
  assert.equal(await (await poll(instances[0], sid, { method: 'POST', body: '40' })).text(), 'ok', 'at its own instance it goes on');

  const front = await frontOf(t, instances), polling = new Client(front.url, { transports: ['polling'] });
  t.after(() => polling.close());
  await polling.connected();
  const writer = new Client(instances[0].url, { transports: ['websocket'] });
  t.after(() => writer.close());
  await writer.connected();
  writer.draw();
  await until('the first stroke came', () => polling.got.length === 1);
  front.to = 1; // from the next request on
  writer.draw();
  const own = polling.draw();
  await until('it has connected anew', () => polling.connects.length === 2);
  await polling.settled(); // what was not acknowledged is sent again by the client
  await until('its own came to the other', () => writer.got.includes(own));
  await until('the second stroke came', () => polling.got.length === 2);
  assert.deepEqual([polling.connects, polling.doubled(), writer.doubled()], [[false, true], [], []]);
});

test('what it cannot do is refused at the start, with the cure', () => {
  const some = 'namespaces: {/: {auth: none, events: {drawing: {to: others}}}}\n';
  const refused = (url, text) => {
    const directory = temporary();
    fs.writeFileSync(`${directory}/config.yaml`, text);
    const said = spawnSync(sennit, ['serve', '--broker', url, '--config', `${directory}/config.yaml`], { encoding: 'utf8', timeout: 5000 });
    fs.rmSync(directory, { recursive: true });
    assert.notEqual(said.status, 0);
    return said.stderr;
  };
  assert.match(refused('firestore://demo', some), /transports: \[websocket\].*polling=affinity/);
  assert.match(refused('firestore://demo', `transports: [websocket]\nlimits: {max_payload: 4MiB}\n${some}`), /max_payload/);
  assert.match(refused('firestore://UPPER', `transports: [websocket]\n${some}`), /firestore:\/\/PROJECT|built without/);
});
