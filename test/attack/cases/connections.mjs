// Connections without end, silent ones, half requests: there is always room for the broker, for /health and for connected clients.
import { repeat, request, sleep, Wire } from '../wire.mjs';

const plain = 'namespaces:\n  /:\n    log: {entries: 100}\n    events: {say: {to: others, log: true}}';

async function many(world, count, begin) {
  for (let i = 0; i < count; i += 50) {
    const wires = Array.from({ length: 50 }, () => new Wire(world.port));
    world.clients.push(...wires);
    await Promise.all(wires.map((wire) => wire.connected.catch(() => null)));
    await Promise.all(wires.map((wire) => (begin ? wire.send(begin) : null)));
    world.requests += 50;
  }
  await sleep(500);
  const { ok, ms } = await world.health();
  world.expect(ok && ms < 1000, `/health beside ${count} connections: ${ok ? `${ms} ms` : 'no answer'}`);
  world.note(`${world.clients.filter((one) => one.closed).length} of ${count} closed by the instance`);
}

const counted = (world) => (world.quick ? 500 : 2000);

async function withoutConnect(world) {
  for (let i = 0; i < counted(world) / 4; i++) {
    await world.open({ nsp: null });
    world.requests++;
  }
  world.expect((await world.health()).ok, '/health is not answered');
}

// More connections than there may be descriptors.
async function descriptors(world) {
  const limit = 200;
  await many(world, limit + 100);
  const ready = await request(world.port, '/ready', { ms: 4000 });
  world.note(`/ready ${ready?.status ?? 'no answer'}`);
}

const floods = (target) => async (world) => {
  const wires = await Promise.all([1, 2, 3].map(() => new Wire(world.port).connected));
  world.clients.push(...wires);
  const chunk = repeat(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`), 200), end = Date.now() + (world.quick ? 1000 : 3000);
  await Promise.all(wires.map(async (wire) => {
    while (Date.now() < end && (await wire.send(chunk, Math.max(1, end - Date.now())))) world.requests += 200;
  }));
};

async function wholeHandshakes(world) {
  const end = Date.now() + (world.quick ? 1500 : 5000);
  while (Date.now() < end) {
    const clients = await Promise.all([1, 2, 3, 4].map(() => world.open()));
    for (const client of clients) client.socket.resetAndDestroy();
    world.clients.splice(0);
    world.requests += 4;
  }
}

const connects = { kind: 'connections', config: plain, expects: 'whoever is there is served, and /health answers' };

export default [
  { ...connects, name: 'silent-connections', run: (world) => many(world, counted(world)) },
  { ...connects, name: 'half-heads', run: (world) => many(world, counted(world), Buffer.from(`GET / HTTP/1.1\r\nX: ${'x'.repeat(7000)}`)) },
  { ...connects, name: 'sessions-without-connect', run: withoutConnect },
  { ...connects, name: 'more-than-descriptors', descriptors: 200, expects: 'descriptors are kept back for the broker and for /health', redis: true, run: descriptors },
  { ...connects, name: 'health-flood', run: floods('/health') },
  { ...connects, name: 'ready-flood', redis: true, run: floods('/ready') },
  { ...connects, name: 'metrics-flood', redis: true, run: floods('/metrics') },
  { ...connects, name: 'no-such-file-flood', run: floods('/nothing') },
  { ...connects, name: 'sessions-reset', run: wholeHandshakes },
];
