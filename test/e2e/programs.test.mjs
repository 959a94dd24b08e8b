// programs: the examples in C with our pages, by their own service files through `sennit up`; and events that a program gives back to the
// rules of its configuration.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { example, launch, newPage, skip } from './chromium.mjs';
import { freePort, program, sennit, temporary, top, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const build = path.resolve(fs.realpathSync(sennit), '../../..');

// `sennit up examples/NAME/program.yaml`: with the program of this build, and the example's file, seen from any folder.
async function service(t, name, config) {
  const directory = temporary();
  fs.writeFileSync(path.join(directory, config), example(`${name}/${config}`));
  const text = fs.readFileSync(path.join(top, 'examples', name, 'program.yaml'), 'utf8');
  assert.match(text, new RegExp(`sennit\\.dev/run: ../../build/examples/${name} --config ${config}\n`));
  const run = await up(text.replace('../../build', build).replace(`--config ${config}`, `--config ${path.join(directory, config)}`), { ready: 2 });
  t.after(async () => {
    await run.close();
    fs.rmSync(directory, { recursive: true });
  });
  return run;
}

function client(t, url, options = {}) {
  const socket = io(url, { transports: ['websocket'], forceNew: true, ...options });
  socket.got = [];
  socket.onAny((...args) => socket.got.push(args));
  t.after(() => socket.close());
  return socket;
}

async function come(browser, url, name) {
  const page = await newPage(browser);
  await page.addInitScript((text) => localStorage.setItem('sennit.name', text), name);
  await page.goto(url);
  return page;
}

test('chatroom.c with our page: two people, their names, typing, history; the stock page beside it', { ...quickly, skip }, async (t) => {
  const [run, browser] = await Promise.all([service(t, 'chatroom', 'chatroom.yaml'), launch()]);
  try {
    const [ada, bob] = [await come(browser, `${run.url}/#den`, 'Ada'), await come(browser, `${run.url}/#den`, 'Bob')];
    for (const page of [ada, bob]) await until('both are here', async () => (await page.locator('#people bdi').allTextContents()).sort().join() === 'Ada,Bob');
    await bob.locator('#text').pressSequentially('hel');
    await until('Ada sees that Bob types', async () => (await ada.textContent('#typing')) === 'Bob is typing');
    await bob.fill('#text', 'hello <b>');
    await bob.press('#text', 'Enter');
    await until('it is sent', async () => (await bob.locator('#log .mine .state').allTextContents()).join() === 'sent');
    await until('Ada has it', async () => (await ada.locator('#log .text').allTextContents()).join() === 'hello <b>');
    await ada.reload();
    await until('it is in the history', async () => (await ada.locator('#log .text').allTextContents()).join() === 'hello <b>');
    // The same id again, as after a cut, counts once; and nobody writes into a room that they have not joined.
    const [cy, out] = [client(t, run.url, { auth: { user: { name: 'Cy' } } }), client(t, run.url)];
    await cy.timeout(5000).emitWithAck('join', '#den');
    for (let tries = 0; tries < 2; tries++) await cy.timeout(5000).emitWithAck('new message', { id: 'cy-0123456789', username: 'Cy', message: 'once' }, '#den');
    await until('Bob has it', async () => (await bob.locator('#log .text').allTextContents()).join() === 'hello <b>,once');
    assert.match((await out.timeout(5000).emitWithAck('new message', { id: 'out-0123456789', username: 'x', message: 'x' }, '#den')).error, /join/);
    // The stock page's users are in the lobby.
    out.emit('add user', 'eve');
    await until('she is counted', () => out.got.some(([name, data]) => name === 'login' && data.numUsers === 1));
    out.emit('new message', 'from the stock page');
    cy.emit('new message', 'nobody has said who this is');
    const page = await cy.timeout(5000).emitWithAck('history', '#den', { limit: 50 });
    assert.deepEqual(page.entries.map((one) => one.args[1].message), ['hello <b>', 'once']);
    for (const one of [ada, bob]) assert.deepEqual(one.errors, []);
  } finally {
    await browser.close();
  }
});

test('whiteboard.c with our page: what one draws, another sees, also later', { ...quickly, skip }, async (t) => {
  const [run, browser] = await Promise.all([service(t, 'whiteboard', 'board.yaml'), launch()]);
  const joined = () => window.board?.instance && window.board.drawing.joined && window.board.people.count;
  const dark = (page) => page.evaluate(() => {
    const { picture } = window.board;
    picture.refresh();
    return picture.view.getImageData(800, 500, 1, 1).data[0] < 250;
  });
  try {
    const [ada, bob] = [await come(browser, run.url, 'Ada'), await come(browser, run.url, 'Bob')];
    for (const page of [ada, bob]) await page.waitForFunction(joined);
    const box = await ada.locator('#board').boundingBox();
    await ada.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.5);
    await ada.mouse.down();
    await ada.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.5, { steps: 4 });
    await ada.mouse.up();
    await until('Bob sees it', () => dark(bob));
    const late = await come(browser, run.url, 'Cy');
    await until('whoever comes later sees it', () => dark(late));
    await ada.keyboard.press('Control+z');
    await until('undone, for all', async () => !(await dark(bob)) && !(await dark(late)));
    for (const page of [ada, bob, late]) assert.deepEqual(page.errors, []);
  } finally {
    await browser.close();
  }
});

test('sennit_relay: an event goes by the rules of the file, once, and only while its handler runs', quickly, async (t) => {
  const directory = temporary();
  const [file, port] = [path.join(directory, 'rules.yaml'), await freePort()];
  fs.writeFileSync(file, 'namespaces:\n  /:\n    auth: none\n    log: {entries: 100, age: 1h}\n    events:\n' +
    ['say: {to: everyone, log: true}', 'twice: {to: everyone}', 'answered: {to: everyone}', 'later: {to: everyone}'].map((rule) => `      ${rule}\n`).join(''));
  const run = program(['--config', file, '--port', port, '--broker', 'memory', '--log-format', 'json'].map(String), { file: path.join(build, 'test/e2e/capi/capi_relay'), env: { ...process.env, K_SERVICE: '', REDIS_URL: '' } });
  t.after(async () => {
    await run.stop();
    fs.rmSync(directory, { recursive: true });
  });
  await until('it listens', () => run.output.includes('"listening"'));
  const [a, b] = [client(t, `http://127.0.0.1:${port}`), client(t, `http://127.0.0.1:${port}`)];
  await until('both are connected', () => a.connected && b.connected);
  assert.equal(await a.timeout(5000).emitWithAck('say', { text: 'by the rules' }), undefined);
  assert.deepEqual(await a.timeout(5000).emitWithAck('say', {}), { error: 'no text' });
  a.emit('twice', 1);
  assert.equal(await a.timeout(5000).emitWithAck('answered', 2), 'by the program');
  a.emit('later', 3);
  a.emit('later', 4);
  const told = () => a.got.filter(([name]) => name === 'relayed').map((one) => one.slice(1, 3));
  await until('all are told', () => told().length === 3);
  assert.deepEqual(told(), [[true, false], [true, false], [false, false]]);
  await until('the rules had two of them', () => b.got.length === 2);
  assert.deepEqual(b.got.map(([name, data]) => [name, data]), [['say', { text: 'by the rules' }], ['twice', 1]]);
  assert.match(run.output, /"call":"sennit_relay","why":"the event was acknowledged already/);
  assert.match(run.output, /"call":"sennit_relay","why":"the event is none of a client whose handler runs, or was relayed already"/);
});
