// crowd: two thousand clients in one room, through the ingress, on eight instances: everybody gets everything.
// alone: two thousand clients fill the machine
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { board, Client, sleep, until, up } from './lib.mjs';

const CLIENTS = 2000;
const STROKES = 40;

test(`${CLIENTS} clients on eight instances`, { timeout: 180000 }, async () => {
  const service = await up(board({ min: 8, annotations: { 'autoscaling.knative.dev/maxScale': 8 }, concurrency: 300 }), { ready: 8 });
  const clients = [];
  try {
    for (let n = 0; n < CLIENTS; n++) {
      clients.push(new Client(service.url, { name: `c${n}` }));
      if (n % 100 === 99) await until('they are connected', () => clients.every((client) => client.socket.connected), 60000);
    }
    const held = (await service.instances()).map((one) => one.requests);
    assert.equal(held.length, 8);
    assert.equal(held.reduce((sum, one) => sum + one), CLIENTS);
    assert.ok(Math.min(...held) > 150, `spread over all of them: ${held}`);
    for (let n = 0; n < STROKES; n++) {
      clients[n * 50].draw();
      await sleep(50);
    }
    const drawn = clients.filter((client) => client.sent > 0);
    const all = drawn.map((client) => `${client.name}-0`);
    const expected = (client) => all.length - client.sent;
    await until('everybody has everything', () => clients.every((client) => client.got.length >= expected(client)), 60000).catch(() => {});
    const wrong = clients.filter((client) => client.got.length !== expected(client) || client.doubled().length > 0);
    assert.equal(wrong.length, 0, `${wrong.length} lack or doubled something`);
    const order = clients.at(-1).got;
    for (const client of clients) assert.deepEqual(client.got, order.filter((id) => id !== `${client.name}-0`));
    assert.ok(clients.every((client) => client.connects.length === 1), 'nobody was cut');
  } finally {
    clients.forEach((client) => client.close());
    await service.close();
  }
});
