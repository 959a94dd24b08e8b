// full: the chatroom on four instances whose places are all taken: two tabs of Chromium among the users, everything everywhere once and in one
// order, the count right on every instance and right again after kill -9, and one user too many. `make crowd` does it with 1,000 users.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { example, launch, newPage, skip } from './chromium.mjs';
import { sleep, temporary, until, up } from './lib.mjs';

const USERS = Number(process.env.CROWD ?? 40);
const WHOLE = process.env.CROWD !== undefined; // with what takes time
const INSTANCES = 4, LEAVERS = 3, ROOM = '#hall';
const LONG = WHOLE ? 120000 : 20000;

// A user without a page: what it heard in its room, how many are there as it was told, and its instance.
function user(url, name) {
  const socket = io(url, { transports: ['websocket'], forceNew: true, auth: { user: { name } }, reconnectionDelay: 50, reconnectionDelayMax: 300, timeout: 60000 });
  const one = { socket, heard: [], count: 0, sent: 0 };
  socket.on('new message', ({ id }) => one.heard.push(id));
  socket.on('presence', ({ room, count }) => room === ROOM && (one.count = count));
  socket.on('sennit', ({ instance }) => instance && (one.instance = instance));
  socket.on('connect', () => socket.recovered || socket.emit('join', ROOM, () => (one.joined = true)));
  one.say = () => socket.emitWithAck('new message', { id: `${name}-${one.sent++}-message`, username: name, message: `by ${name}` }, ROOM);
  return one;
}

async function come(browser, url, name) {
  const page = await newPage(browser);
  if (name) await page.addInitScript((text) => localStorage.setItem('sennit.name', text), name);
  await page.goto(`${url}/${ROOM}`);
  if (name) await page.waitForFunction(() => window.chat?.conversation.ready && window.chat.link.instance);
  return page;
}

test(`${USERS} users take all places of ${INSTANCES} instances`, { timeout: WHOLE ? 600000 : 90000, skip }, async (t) => {
  const directory = temporary();
  const file = path.join(directory, 'chatroom.yaml');
  fs.writeFileSync(file, example('chatroom/chatroom.yaml'));
  const service = await up({ name: 'chatroom', concurrency: USERS / INSTANCES, env: { SENNIT_ROTATE: 'off' }, run: `sennit serve --config ${file}`,
    annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': INSTANCES, 'autoscaling.knative.dev/maxScale': INSTANCES } },
  { ready: INSTANCES, flags: ['--request-log', 'failed'] });
  const browser = await launch();
  const users = [];
  try {
    const tabs = [await come(browser, service.url, 'Ada'), await come(browser, service.url, 'Bob')];
    const late = await come(browser, service.url); // it has the page, and has not come in yet
    while (users.length < USERS - tabs.length) {
      users.push(user(service.url, `u${users.length}`));
      if (users.length % 50 === 0 || users.length === USERS - tabs.length) await until('they are in', () => users.every((one) => one.joined), LONG);
    }
    const counted = (wanted) => () => users.every((one) => !one.socket.connected || one.count === wanted);
    // For a test that fails: how many users were told of which number, by instance.
    const tally = () => JSON.stringify(users.reduce((sums, { instance, count, socket }) => {
      const key = `${instance} ${count}${socket.connected ? '' : ' away'}`;
      return { ...sums, [key]: (sums[key] ?? 0) + 1 };
    }, {}));
    const shown = async (wanted) => (await Promise.all(tabs.map((page) => page.textContent('#here')))).every((text) => text === `${wanted} here`);
    await until('every user is told of all', counted(USERS), LONG);
    await until('the tabs show all', () => shown(USERS));
    assert.equal(new Set(users.map((one) => one.instance)).size, INSTANCES);
    assert.deepEqual((await service.instances()).map((one) => one.requests), Array(INSTANCES).fill(USERS / INSTANCES));

    // Everything everywhere, once, in one order.
    const before = users.length;
    const accepted = [];
    for (let n = 0; n < 30; n++) {
      accepted.push(users[(n * 7) % before].say());
      if (n % 10 === 0) await tabs[n % 2].evaluate((text) => window.chat.conversation.send(text), `from a tab, ${n}`);
      await sleep(WHOLE ? 100 : 5);
    }
    await Promise.all(accepted);
    const all = 33;
    const texts = (page) => page.evaluate(() => Array.from(document.querySelectorAll('#log .message'), (one) => one.dataset.id));
    await until('all have all', async () => users.every((one) => one.heard.length >= all) && (await Promise.all(tabs.map(texts))).every((list) => list.length >= all), LONG);
    const order = users[0].heard;
    assert.equal(new Set(order).size, all);
    for (const one of users) assert.deepEqual(one.heard, order);
    for (const page of tabs) assert.deepEqual(await texts(page), order);

    // One too many waits, and is told so in words; when nobody leaves, it is told that as well.
    await late.fill('#name', 'Cy');
    await late.press('#name', 'Enter');
    await until('it says that it waits', async () => /This takes longer than usual: all places may be taken\./.test(await late.textContent('#trouble')));
    if (WHOLE) {
      await until('it says that it goes on trying', async () => /All places are taken\. You will be let in as soon as somebody leaves/.test(await late.textContent('#trouble')), 90000);
      const refused = await fetch(`${service.url}/socket.io/?EIO=4&transport=polling`);
      assert.deepEqual([refused.status, refused.headers.get('x-sennit-reason')], [429, 'max-instances']);
    }
    users.pop().socket.disconnect();
    await until('it is let in', async () => (await late.textContent('#state')) === 'Live' && (await late.textContent('#trouble')) === '', 60000);
    await until('all are told of it', () => users.every((one) => one.count === USERS), LONG).catch((error) => assert.fail(`${error.message}: ${tally()}`));

    // kill -9: some of its users do not come back, the others do.
    const killed = (await service.instances()).find((one) => users.filter((other) => other.instance === one.id).length >= LEAVERS);
    for (const one of users.filter((other) => other.instance === killed.id).slice(0, LEAVERS)) one.socket.io.reconnection(false);
    process.kill(killed.pid, 'SIGKILL');
    const begun = Date.now();
    const rest = () => users.filter((one) => one.socket.connected);
    const right = async () => rest().length === users.length - LEAVERS && rest().every((one) => one.count === USERS - LEAVERS) && (await shown(USERS - LEAVERS));
    await until('the count is right again', right, LONG).catch((error) => assert.fail(`${error.message}: ${tally()}`));
    const took = Date.now() - begun;
    t.diagnostic(`right again after ${took} ms`);
    assert.ok(took < (WHOLE ? 15000 : 10000), `${took} ms`);
    await Promise.all(rest().slice(0, 3).map((one) => one.say()));
    await until('all who stayed have it', () => rest().every((one) => one.heard.length === all + 3), LONG);
    for (const one of rest()) assert.deepEqual(one.heard, rest()[0].heard);
    for (const page of [...tabs, late]) assert.deepEqual(page.errors, []);
  } finally {
    await browser.close();
    users.forEach((one) => one.socket.close());
    await service.close();
    fs.rmSync(directory, { recursive: true });
  }
});
