// board: what a person does at the whiteboard, in a real Chromium on one instance: undo, erase, clear, boards by name, people, keys, phones.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { example, launch, nameless, newPage, skip, smallTargets } from './chromium.mjs';
import { serve, until } from './lib.mjs';

const options = { timeout: 60000, skip };
let browser, server;
const visitors = [];

before(async () => {
  if (skip) return;
  [browser, server] = await Promise.all([launch(), serve(example('whiteboard/board.yaml'), { args: ['--broker', 'memory'] })]);
});
after(async () => {
  await browser?.close();
  await server?.close();
});
afterEach(() => visitors.splice(0).forEach((socket) => socket.disconnect()));

async function come(room = '', { name, ...more } = {}) {
  const page = await newPage(browser, { viewport: { width: 560, height: 520 }, ...more });
  if (name) await page.addInitScript((text) => localStorage.setItem('sennit.name', text), name);
  await page.goto(`${server.url}/${room && `#${room}`}`);
  await page.waitForFunction(() => window.board?.instance && window.board.drawing.joined && window.board.people.count);
  return page;
}

// What a page of the stock whiteboard does: an event without id, and a list of what it was sent.
async function stock() {
  const socket = io(server.url, { transports: ['websocket'], forceNew: true });
  visitors.push(socket);
  socket.got = [];
  socket.on('drawing', (data) => socket.got.push(data));
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

async function drag(page, x0, y0, x1, y1) {
  const box = await page.locator('#board').boundingBox();
  await page.mouse.move(box.x + box.width * x0, box.y + box.height * y0);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * x1, box.y + box.height * y1, { steps: 3 });
  await page.mouse.up();
}

const hash = (page) => page.evaluate(() => window.board.picture.hash());
const painted = (page, x, y) => page.evaluate(([px, py]) => {
  const { picture } = window.board;
  picture.refresh();
  const [r, g, b] = picture.view.getImageData(Math.round(px * 1600), Math.round(py * 1000), 1, 1).data;
  return r + g + b < 3 * 250;
}, [x, y]);
const saved = (page) => until('it is saved', () => page.evaluate(() => window.board.outbox.size === 0));

// All of these show the same, and so does somebody who comes now.
async function agree(room, ...pages) {
  const wanted = await hash(pages[0]);
  const late = await come(room);
  for (const page of [...pages.slice(1), late]) await until('all boards are alike', async () => (await hash(page)) === wanted);
  assert.deepEqual(late.errors, []);
  await late.close();
}

test('undo, redo, eraser and clear are seen by others, and by those who come later', options, async () => {
  const [one, other] = [await come('sheet'), await come('sheet')];
  const blank = await hash(one);
  await drag(one, 0.2, 0.5, 0.8, 0.5);
  await drag(one, 0.5, 0.2, 0.5, 0.8);
  await drag(other, 0.2, 0.8, 0.8, 0.8);
  const three = async (page) => (await painted(page, 0.3, 0.5)) && (await painted(page, 0.5, 0.3)) && (await painted(page, 0.3, 0.8));
  await until('both have three lines', async () => (await three(one)) && (await three(other)));
  // Whole gestures, one's own, the newest first.
  await one.keyboard.press('Control+z');
  await until('the second line is gone', async () => !(await painted(other, 0.5, 0.3)) && (await painted(other, 0.3, 0.5)));
  assert.equal(await painted(one, 0.3, 0.8), true, "the other's line stays");
  await one.click('#undo');
  await until('the first, too', async () => !(await painted(other, 0.3, 0.5)));
  await one.keyboard.press('Control+Shift+Z');
  await until('it is back', () => painted(other, 0.3, 0.5));
  assert.equal(await painted(other, 0.5, 0.3), false);
  assert.equal(await one.getAttribute('#redo', 'aria-disabled'), 'false');
  await agree('sheet', one, other);
  // The eraser covers, and is undone like any other gesture.
  await other.keyboard.press('e');
  await drag(other, 0.5, 0.4, 0.5, 0.6);
  await until('erased', async () => !(await painted(one, 0.5, 0.5)) && (await painted(one, 0.3, 0.5)));
  await agree('sheet', one, other);
  await other.keyboard.press('Control+z');
  await until('not erased', () => painted(one, 0.5, 0.5));
  // Clearing is asked for twice.
  await one.click('#clear');
  await one.click('#sure [value=keep]');
  assert.equal(await painted(one, 0.3, 0.8), true, 'kept');
  await one.keyboard.press('Delete');
  await one.click('#sure [value=clear]');
  await until('clear', async () => (await hash(one)) === blank && (await hash(other)) === blank);
  assert.equal(await one.getAttribute('#undo', 'aria-disabled'), 'true');
  await drag(other, 0.1, 0.1, 0.9, 0.1); // with the eraser still in the hand
  await other.keyboard.press('3');
  await drag(other, 0.1, 0.2, 0.9, 0.2);
  await until('drawn on the new page', () => painted(one, 0.5, 0.2));
  await agree('sheet', one, other);
  for (const page of [one, other]) assert.deepEqual(page.errors, []);
  await Promise.all([one.close(), other.close()]);
});

test('two people clear at once: one page is turned, and a stroke of the page before does not come back', options, async () => {
  const [one, other] = [await come('twice'), await come('twice')];
  await drag(one, 0.2, 0.5, 0.8, 0.5);
  await until('both have it', () => painted(other, 0.5, 0.5));
  // The other is away, draws on the old page, and clears it, too.
  await other.evaluate(() => {
    window.board.socket.io.reconnection(false);
    window.board.socket.io.engine.close();
    window.board.draw({ x: 0.2, y: 0.7 }, { x: 0.8, y: 0.7 });
    window.board.drawing.clear();
  });
  await one.evaluate(() => window.board.drawing.clear());
  await until('cleared', async () => !(await painted(one, 0.5, 0.5)));
  await drag(one, 0.2, 0.3, 0.8, 0.3);
  await saved(one);
  await other.evaluate(() => window.board.socket.connect());
  await saved(other);
  await until('the other has the new page', async () => (await painted(other, 0.5, 0.3)) && !(await painted(other, 0.5, 0.7)) && !(await painted(other, 0.5, 0.5)));
  assert.equal(await painted(one, 0.5, 0.3), true);
  assert.equal(await painted(one, 0.5, 0.7), false);
  await agree('twice', one, other);
  await Promise.all([one.close(), other.close()]);
});

test('a stock page and ours draw on one board, also after it was cleared', options, async () => {
  const page = await come();
  const client = await stock();
  client.emit('drawing', { x0: 0.2, y0: 0.4, x1: 0.8, y1: 0.4, color: 'black' });
  await until("the stock page's line is there", () => painted(page, 0.5, 0.4));
  await drag(page, 0.2, 0.6, 0.8, 0.6);
  await until('it is sent ours', () => client.got.length > 0);
  const { x0, y0, x1, y1, color } = client.got[0];
  for (const at of [x0, y0, x1, y1]) assert.ok(at >= 0 && at <= 1);
  assert.match(color, /^#[0-9a-f]{6}$/);
  await page.evaluate(() => window.board.drawing.clear());
  await until('cleared', async () => !(await painted(page, 0.5, 0.4)) && !(await painted(page, 0.5, 0.6)));
  client.emit('drawing', { x0: 0.2, y0: 0.8, x1: 0.8, y1: 0.8, color: 'red' });
  client.emit('drawing', { x0: 0.2, y0: 0.9, x1: 0.8, y1: 0.9, color: 'blue' });
  await until('its lines are there', async () => (await painted(page, 0.5, 0.8)) && (await painted(page, 0.5, 0.9)));
  // Another board has none of it.
  const elsewhere = await come('elsewhere');
  assert.equal(await elsewhere.evaluate(() => window.board.picture.strokes.length), 0);
  // Nothing that a stranger sends disturbs a page.
  for (const [event, data] of [['drawing', null], ['drawing', 7], ['drawing', { x0: 'a', id: { b: 1 }, g: [] }], ['undo', null], ['undo', { id: 'long enough id 1', g: 3 }],
    ['undo', { id: 'long enough id 2', g: 'nobody', t: 1e300, off: 'yes' }], ['clear', { id: 'long enough id 3', p: 'some other page, long gone' }]]) client.emit(event, data);
  client.emit('drawing', { x0: 0.1, y0: 0.1, x1: 0.2, y1: 0.1, color: 'url(javascript:alert(1))' });
  await until('the page goes on', () => painted(page, 0.15, 0.1));
  await agree('', page);
  assert.deepEqual(page.errors, []);
  await Promise.all([page.close(), elsewhere.close()]);
});

test('people: how many, their names and pointers, all as text', options, async () => {
  const [one, other] = [await come('crowd', { name: 'Ada' }), await come('crowd', { name: '<b>Bob</b>' })];
  await until('each sees two', async () => /^2 people\s*saved$/.test((await one.textContent('#badge')).trim()) && /2 people/.test(await other.textContent('#badge')));
  const box = await other.locator('#board').boundingBox();
  const pointed = () => until('Ada sees the pointer', async () => {
    await other.mouse.move(box.x + box.width * (0.25 + Math.random() / 1000), box.y + box.height / 2);
    return (await one.locator('.pointer').count()) === 1;
  });
  await pointed();
  assert.equal(await one.textContent('.pointer'), '<b>Bob</b>');
  await until('in its place', () => one.evaluate(() => Math.abs(parseFloat(document.querySelector('.pointer').style.left) - 25) < 1));
  await one.click('#badge');
  assert.deepEqual(await one.locator('#people bdi').allTextContents(), ['Ada', '<b>Bob</b>']);
  assert.match(await one.textContent('#facts'), /Instance.*Cuts so far0/);
  await one.fill('#name', 'Ada L.');
  await one.press('#name', 'Enter');
  await other.click('#badge');
  await until('the other is told the new name', async () => (await other.locator('#people bdi').allTextContents()).join() === '<b>Bob</b>,Ada L.');
  await one.evaluate(() => window.board.socket.io.engine.close());
  await until('it says how it came back', async () => /Cuts so far1Last return.*(resumed, nothing missed)/.test(await one.textContent('#facts')));
  await other.keyboard.press('Escape');
  await pointed();
  await other.close();
  await until('one is left, and the pointer is gone', async () => /1 person/.test(await one.textContent('#badge')) && (await one.locator('.pointer').count()) === 0, 5000);
  assert.equal(await one.locator('#people b, .pointer b').count(), 0);
  await assert.rejects(one.evaluate(() => (document.body.innerHTML = '<b>')), /TrustedHTML/);
  assert.deepEqual(one.errors, []);
  await one.close();
});

test('the keyboard: the toolbar is one stop, arrows move in it, and every tool has a key', options, async () => {
  const page = await come('keys');
  assert.deepEqual(await nameless(page), []);
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.id);
  await page.focus('#board');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Ink');
  for (const [key, name] of [['ArrowRight', 'Red'], ['ArrowLeft', 'Ink'], ['ArrowLeft', 'Redo'], ['Home', 'Ink'], ['End', 'Redo'], ['ArrowUp', 'Undo']]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), name, key);
  }
  await page.keyboard.press('Shift+Tab');
  assert.equal(await focused(), 'Shared drawing. Draw with mouse, pen or finger.');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Undo', 'where it was left');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Space');
  const chosen = () => page.locator('#tools [aria-checked=true]').evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')).join());
  assert.equal(await chosen(), 'Red,Pen,Medium');
  for (const [key, now] of [['e', 'Red,Eraser,Medium'], ['p', 'Red,Pen,Medium'], [']', 'Red,Pen,Thick'], ['[', 'Red,Pen,Medium'], ['7', 'Violet,Pen,Medium']]) {
    await page.keyboard.press(key);
    assert.equal(await chosen(), now, key);
  }
  const width = async () => (await page.locator('#board').boundingBox()).width;
  const all = await width();
  await page.keyboard.press('+');
  assert.ok(Math.abs((await width()) / all - 1.25) < 0.01);
  await page.keyboard.press('0');
  assert.equal(await width(), all);
  await page.focus('#boards');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Attic 2');
  await page.keyboard.press('e'); // in a field a key is a letter
  await page.keyboard.press('Enter');
  await page.waitForURL(/#attic-2e$/);
  await until('it is that board', async () => (await page.textContent('#title')) === '#attic-2e');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.click('#copy');
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /#attic-2e$/);
  assert.equal(await page.textContent('#copied'), 'Copied');
  assert.deepEqual(page.errors, []);
  await page.close();
});

test('on a phone, either way up, the board fills the screen, everything is in reach, one finger draws and two move', options, async () => {
  for (const [width, height] of [[390, 844], [320, 568], [568, 320]]) {
    const what = `${width} x ${height}`;
    const page = await come('phones', { viewport: { width, height }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    const box = (selector) => page.locator(selector).boundingBox();
    const [stage, canvas, tools, bar, badge] = [await box('#stage'), await box('#board'), await box('#tools'), await box('#bar'), await box('#badge')];
    assert.deepEqual(await smallTargets(page), [], what);
    assert.ok(badge.x + badge.width <= bar.x + bar.width + 0.5 && bar.y + bar.height <= stage.y + 0.5, `${what}: badge above the board`);
    const beside = width > height ? stage.x + stage.width <= tools.x : stage.y + stage.height <= tools.y;
    assert.ok(beside && tools.x >= 0 && tools.x + tools.width <= width && tools.y >= 0 && tools.y + tools.height <= height, `${what}: the tools are beside it, and whole`);
    assert.ok(Math.abs(canvas.width / canvas.height - 1.6) < 0.02, what);
    assert.ok(canvas.height >= stage.height - 1 || canvas.width >= stage.width - 1, `${what}: as large as can be`);
    if (height > width) assert.ok(canvas.height >= stage.height - 1 && stage.width >= width - 1, `${what}: it fills the screen`);
    for (const button of await page.locator('#tools button, #bar > button').all()) {
      const at = await button.boundingBox();
      assert.ok(at.x >= 0 && at.y >= 0 && at.x + at.width <= width && at.y + at.height <= height, `${what}: ${await button.getAttribute('title')}`);
    }
    const count = () => page.evaluate(() => window.board.picture.strokes.length);
    const had = await count();
    await page.touchscreen.tap(stage.x + stage.width / 2, stage.y + stage.height / 2);
    await until('the dot is there', async () => (await count()) === had + 1);
    // Two fingers apart: twice as large, and nothing is drawn.
    const session = await page.context().newCDPSession(page);
    const [x, y] = [stage.x + stage.width / 2, stage.y + stage.height / 2];
    const touch = (type, apart) => session.send('Input.dispatchTouchEvent', { type, touchPoints: apart === null ? [] : [{ x: x - apart, y, id: 1 }, { x: x + apart, y, id: 2 }] });
    await touch('touchStart', 30);
    await touch('touchMove', 60);
    await touch('touchEnd', null);
    await until('larger', async () => (await box('#board')).width > 1.8 * canvas.width);
    assert.equal(await count(), had + 1, what);
    assert.deepEqual(page.errors, []);
    await page.close();
  }
});
