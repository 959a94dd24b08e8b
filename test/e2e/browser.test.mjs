// browser: the whiteboard in a real Chromium, on a fleet.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { launch, newPage, skip } from './chromium.mjs';
import { board, Client, serve, sleep, until, up } from './lib.mjs';

const options = { timeout: 120000, skip };
let browser;

before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

async function tab(url, not = [], more = undefined) {
  const page = await newPage(browser, more);
  for (let tries = 0; ; tries++) {
    await page.goto(url);
    await page.waitForFunction(() => window.board?.instance);
    page.instance = await page.evaluate(() => window.board.instance);
    if (!not.includes(page.instance)) return page;
    assert.ok(tries < 60, 'the ingress gives another instance some day');
    await page.goto('about:blank');
  }
}

const hash = (page) => page.evaluate(() => window.board.picture.hash());
const strokes = (page) => page.evaluate(() => window.board.picture.strokes.length);

async function drawLine(page, x0, y0, x1, y1) {
  const box = await page.locator('#board').boundingBox();
  await page.mouse.move(box.x + box.width * x0, box.y + box.height * y0);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * x1, box.y + box.height * y1, { steps: 8 });
  await page.mouse.up();
}

// Is the pixel at this place of the picture painted?
const painted = (page, x, y) => page.evaluate(([px, py]) => {
  const { view } = window.board.picture;
  const [r, g, b] = view.getImageData(Math.round(px * view.canvas.width), Math.round(py * view.canvas.height), 1, 1).data;
  return r + g + b < 3 * 250;
}, [x, y]);

test('what one tab draws, another on another instance shows, and one opened later too', options, async () => {
  const service = await up(board(), { ready: 3 });
  try {
    const one = await tab(service.url);
    const other = await tab(service.url, [one.instance]);
    assert.notEqual(one.instance, other.instance);
    const blank = await hash(other);
    assert.equal(await painted(other, 0.5, 0.5), false);
    await drawLine(one, 0.2, 0.5, 0.8, 0.5);
    await until('the stroke is there as pixels', () => painted(other, 0.5, 0.5));
    await drawLine(other, 0.5, 0.2, 0.5, 0.8);
    await until('both have both', async () => (await strokes(one)) === (await strokes(other)) && (await painted(one, 0.5, 0.3)));
    assert.notEqual(await hash(one), blank);
    assert.equal(await hash(one), await hash(other));
    const late = await tab(service.url);
    await until('the late one has them', async () => (await strokes(late)) === (await strokes(one)));
    assert.equal(await hash(late), await hash(one));
    for (const page of [one, other, late]) assert.deepEqual(page.errors, []);
    await Promise.all([one, other, late].map((page) => page.close()));
  } finally {
    await service.close();
  }
});

// Records, at each connect, how many strokes the log had for this tab that it had not got; and afterwards what came.
async function cutAndCompare(service, viewer, seconds, perSecond) {
  const drawer = await tab(service.url, [viewer.instance]);
  await viewer.evaluate(() => {
    window.cuts = [];
    window.board.socket.on('disconnect', () => window.cuts.push({ had: window.board.received }));
    window.board.socket.on('connect', () => Object.assign(window.cuts.at(-1) ?? {}, { recovered: window.board.socket.recovered }));
  });
  const end = Date.now() + seconds * 1000;
  await drawer.evaluate(([forMs, rate]) => {
    let n = 0;
    const start = Date.now();
    const timer = setInterval(() => {
      const angle = n / 20;
      const at = (a) => ({ x: 0.5 + 0.004 * (a % 100) * Math.cos(a), y: 0.5 + 0.004 * (a % 100) * Math.sin(a) });
      for (; n < ((Date.now() - start) / 1000) * rate; n++) window.board.draw(at(angle), at(angle + 0.05 + n / 1e6));
      if (Date.now() - start > forMs) clearInterval(timer);
    }, 20);
  }, [seconds * 1000, perSecond]);
  await sleep(end - Date.now() + 500);
  await until('the drawer lost nothing', () => drawer.evaluate(() => window.board.outbox.size === 0), 30000);
  await until('both have everything', async () => (await strokes(viewer)) === (await strokes(drawer)), 30000).catch(() => {});
  const [ids, drawerIds] = await Promise.all([viewer, drawer].map((page) => page.evaluate(() => window.board.ids().sort())));
  assert.deepEqual(ids, drawerIds);
  return drawer;
}

test('cut every five seconds while another draws on, a tab misses nothing and gets nothing twice', options, async () => {
  const service = await up(board({ timeout: 5 }), { ready: 3 });
  try {
    const viewer = await tab(service.url);
    const drawer = await cutAndCompare(service, viewer, 18, 60);
    for (const page of [viewer, drawer]) {
      const { connects, doubled, received, own } = await page.evaluate(() => ({ connects: window.board.connects, doubled: window.board.doubled,
        received: window.board.received, own: window.board.ids().length }));
      assert.ok(connects.length >= 4, `cut ${connects.length - 1} times`);
      assert.deepEqual(connects.slice(1).filter((recovered) => !recovered), []);
      assert.equal(doubled, 0);
      assert.deepEqual(page.errors, []);
      // Every stroke came exactly once, so after each cut exactly what was missed came.
      if (page === viewer) assert.equal(received, own);
    }
    const cuts = await viewer.evaluate(() => window.cuts);
    assert.ok(cuts.length >= 3 && cuts.every((cut) => cut.recovered));
    assert.equal(await hash(viewer), await hash(drawer));
    await Promise.all([viewer.close(), drawer.close()]);
  } finally {
    await service.close();
  }
});

test('the same on a board of 20,000 strokes, cut in the middle of the replay', options, async () => {
  const service = await up(board({ timeout: 5 }), { ready: 3 });
  const filler = new Client(service.url, { name: 'fill' });
  try {
    await filler.connected();
    for (let n = 0; n < 20000; n++) {
      const x = (n % 200) / 200, y = Math.floor(n / 200) / 100;
      filler.draw({ t: n, x0: x, y0: y, x1: x + 0.004, y1: y + 0.006, color: n % 2 ? '#2f6fdd' : '#d64545', w: 2 });
    }
    await filler.settled(60000);
    filler.close();
    const viewer = await browser.newPage();
    viewer.errors = [];
    // Its stream is closed at the 4,000th stroke of the replay.
    await viewer.addInitScript(() => {
      let board;
      Object.defineProperty(window, 'board', {
        get: () => board,
        set: (value) => {
          board = value;
          board.socket.on('disconnect', () => (window.cutAt ??= board.received));
          board.socket.on('drawing', () => {
            // One after the other, as they are read: ours comes before the page's own count.
            if (board.received === 4000) board.socket.io.engine.transport.ws.close();
          });
        },
      });
    });
    await viewer.goto(service.url);
    await viewer.waitForFunction(() => window.board?.connects.length >= 2 && window.board.instance, undefined, { timeout: 30000 });
    const { connects: sofar, cutAt } = await viewer.evaluate(() => ({ connects: window.board.connects, cutAt: window.cutAt }));
    assert.deepEqual(sofar, [false, true]);
    assert.ok(cutAt >= 4000 && cutAt < 20000, `cut in the middle, at ${cutAt}`);
    viewer.instance = await viewer.evaluate(() => window.board.instance);
    const drawer = await cutAndCompare(service, viewer, 12, 40);
    const { connects, doubled, received, count } = await viewer.evaluate(() => ({ connects: window.board.connects, doubled: window.board.doubled,
      received: window.board.received, count: window.board.ids().length }));
    assert.equal(doubled, 0);
    assert.equal(received, count);
    assert.ok(count > 20000);
    assert.deepEqual(connects.slice(1).filter((recovered) => !recovered), []);
    assert.equal(await hash(viewer), await hash(drawer));
    await Promise.all([viewer.close(), drawer.close()]);
  } finally {
    filler.close();
    await service.close();
  }
});

test('a page of another site neither connects to the board nor frames it', options, async () => {
  const service = await up(board({ min: 1 }), { ready: 1 });
  const stranger = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<iframe id="frame" src="${service.url}/"></iframe>`);
  }).listen(0);
  await once(stranger, 'listening');
  const page = await browser.newPage();
  try {
    const said = [];
    page.on('console', (one) => said.push(one.text()));
    await page.goto(`http://localhost:${stranger.address().port}/`);
    await until('the frame is refused', () => said.some((text) => /frame-ancestors/.test(text)));
    const outcome = (url) => page.evaluate((where) => new Promise((resolve) => {
      const socket = new WebSocket(where);
      socket.onopen = () => resolve('open');
      socket.onerror = () => resolve('error');
    }), url);
    const engine = `${service.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
    assert.equal(await outcome(engine), 'error');
    await page.goto(`${service.url}/`);
    assert.equal(await outcome(engine), 'open');
  } finally {
    await page.close();
    stranger.close();
    await service.close();
  }
});

// A page of another origin, which loads the client library from the engine's and connects with default options.
test('a page of another origin connects if `cors` lists it', options, async () => {
  const site = http.createServer((asked, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<h1>elsewhere</h1>'));
  await once(site.listen(0), 'listening');
  const origin = `http://localhost:${site.address().port}`;
  const relay = 'namespaces: {/: {events: {echo: {to: everyone}}}}\n';
  const servers = await Promise.all([`cors: {origin: ["${origin}"], credentials: true}\n`, ''].map((cors) => serve(cors + relay, { args: ['--broker', 'memory'] })));
  const page = await browser.newPage();
  const visit = async ({ url }, more = {}) => {
    await page.goto(origin);
    await page.addScriptTag({ url: `${url}/socket.io/socket.io.js` });
    return page.evaluate(([where, given]) => new Promise((resolve) => {
      const socket = window.io(where, { reconnection: false, ...given });
      socket.on('connect_error', (error) => resolve(`refused: ${error.message}`));
      socket.on('echo', (text) => setTimeout(() => resolve(`${text} by ${socket.io.engine.transport.name}`), 500));
      socket.on('connect', () => socket.emit('echo', 'hello'));
    }), [url, more]);
  };
  try {
    assert.equal(await visit(servers[0]), 'hello by websocket');
    assert.equal(await visit(servers[0], { withCredentials: true, extraHeaders: { 'x-a': 'b' } }), 'hello by websocket');
    assert.equal(await visit(servers[0], { transports: ['polling'] }), 'hello by polling');
    assert.equal(await visit(servers[1]), 'refused: xhr poll error');
    assert.match(servers[1].output, new RegExp(`"cors".*"what":"${origin}"`));
  } finally {
    await page.close();
    await Promise.all(servers.map((server) => server.close()));
    site.close();
  }
});
