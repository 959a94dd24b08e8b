// chatroom: our chat page in a real Chromium: two people, cuts, strangers' markup, the keyboard, a phone, and a service that is full.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { example, launch, nameless, newPage, skip, smallTargets } from './chromium.mjs';
import { serve, sleep, temporary, until, up } from './lib.mjs';

const options = { timeout: 60000, skip };
const directory = temporary();
const file = path.join(directory, 'chatroom.yaml');
let browser;

before(async () => {
  fs.writeFileSync(file, example('chatroom/chatroom.yaml'));
  if (!skip) browser = await launch();
});
after(async () => {
  await browser?.close();
  fs.rmSync(directory, { recursive: true });
});
const visitors = [];
afterEach(() => visitors.splice(0).forEach((socket) => socket.disconnect()));

const fleet = ({ timeout = 300, min = 2 } = {}) => up({ name: 'chatroom', concurrency: 250, timeout, env: { SENNIT_ROTATE: 'off' },
  run: `sennit serve --config ${file}`, annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': min } }, { ready: min });

const alone = () => serve(example('chatroom/chatroom.yaml').replace('messages_per_second: 50, ', ''), { args: ['--broker', 'memory'] });

async function come(url, name, { room = 'den', not, ...more } = {}) {
  const page = await newPage(browser, { viewport: { width: 1000, height: 640 }, ...more });
  for (let tries = 0; ; tries++) {
    await page.goto(`${url}/#${room}`);
    if (await page.locator('#welcome').isVisible()) {
      await page.fill('#name', name);
      await page.press('#name', 'Enter');
    }
    await page.waitForFunction(() => window.chat?.conversation.ready && window.chat.link.instance);
    page.instance = await page.evaluate(() => window.chat.link.instance);
    if (page.instance !== not) return page;
    assert.ok(tries < 40, 'the ingress gives another instance some day');
    await page.goto('about:blank');
  }
}

async function say(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

const texts = (page) => page.locator('#log .text').allTextContents();
const shows = (page, text) => until(`it shows ${text}`, async () => (await texts(page)).includes(text));

// A client without a page, in the same room.
async function visitor(url, name, room = '#den') {
  const socket = io(url, { transports: ['websocket'], forceNew: true, auth: { user: { name } }, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  visitors.push(socket);
  await new Promise((resolve) => socket.once('connect', resolve));
  assert.equal(await socket.timeout(5000).emitWithAck('join', room), undefined);
  let count = 0;
  socket.say = (message, more = {}) => socket.emitWithAck('new message', { id: `${name}-${Date.now()}-${count++}-visitor`, username: name, message, ...more }, room);
  return socket;
}

test('two people on two instances: messages, typing, presence, unread, and history for those who come later', options, async () => {
  const service = await fleet();
  try {
    const ada = await come(service.url, 'Ada');
    const bob = await come(service.url, 'Bob', { not: ada.instance });
    assert.notEqual(ada.instance, bob.instance);
    for (const page of [ada, bob]) {
      await until('both are here', async () => (await page.locator('#people bdi').allTextContents()).sort().join() === 'Ada,Bob');
      assert.equal(await page.textContent('#here'), '2 here');
    }
    await until('Ada is told', async () => /Bob joined/.test(await ada.locator('#log .notice').textContent()));
    await bob.locator('#text').pressSequentially('hel');
    await until('Ada sees that Bob types', async () => (await ada.textContent('#typing')) === 'Bob is typing');
    await ada.evaluate(() => {
      Object.defineProperty(document, 'hasFocus', { value: () => false, configurable: true });
    });
    await say(bob, 'hello');
    await shows(ada, 'hello');
    await until('the typing is over', async () => (await ada.textContent('#typing')) === '');
    await until('it is marked as sent, and stands in the log', async () => (await bob.locator('#log .mine .state').allTextContents()).join() === 'sent');
    assert.equal(await bob.locator('#pending .message').count(), 0);
    assert.equal(await ada.title(), '(1) #den · Chatroom');
    await ada.evaluate(() => {
      delete document.hasFocus;
      dispatchEvent(new Event('focus'));
    });
    assert.equal(await ada.title(), '#den · Chatroom');
    // Another room hears nothing of it, and its name is in the address.
    await bob.fill('#room', 'The Attic!');
    await bob.press('#room', 'Enter');
    await until('Bob is in the attic', async () => (await bob.textContent('#title')) === '#the-attic' && bob.url().endsWith('#the-attic'));
    await until('Ada sees him go', async () => /Bob left/.test(await ada.locator('#log .notice').last().textContent()));
    await say(ada, 'gone already?');
    await bob.goBack();
    await shows(bob, 'gone already?');
    assert.deepEqual(await texts(bob), ['hello', 'gone already?']);
    // History: the newest page, and older ones on scrolling up, each message once.
    const many = await visitor(service.url, 'Cy');
    for (let n = 0; n < 130; n++) many.say(`line ${n}`);
    await shows(ada, 'line 129');
    const late = await come(service.url, 'Dee');
    assert.deepEqual(await texts(late), Array.from({ length: 50 }, (_, n) => `line ${n + 80}`));
    await late.hover('#log');
    await until('the beginning is reached', async () => {
      await late.mouse.wheel(0, -4000);
      return /beginning of #den/.test(await late.textContent('#older'));
    });
    assert.deepEqual(await texts(late), ['hello', 'gone already?', ...Array.from({ length: 130 }, (_, n) => `line ${n}`)]);
    await late.reload();
    await late.waitForFunction(() => window.chat?.conversation.ready);
    assert.equal(await late.textContent('#my-name'), 'Dee', 'names are kept');
    // Who closes the page has left at once; a cut would be waited for.
    await bob.goto('about:blank');
    await until('Bob has left', async () => !(await ada.locator('#people bdi').allTextContents()).includes('Bob'), 2500);
    for (const page of [ada, bob, late]) assert.deepEqual(page.errors, []);
    await Promise.all([ada, bob, late].map((page) => page.close()));
  } finally {
    await service.close();
  }
});

test('cut every two seconds at twenty messages a second, both pages show every message once, in one order', options, async () => {
  const service = await fleet({ timeout: 2 });
  try {
    const [one, other] = [await come(service.url, 'Ada'), await come(service.url, 'Bob')];
    const talk = (page, name) => page.evaluate(async (who) => {
      for (let n = 0; n < 50; n++) {
        window.chat.conversation.send(`${who} ${n}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }, name);
    await Promise.all([talk(one, 'a'), talk(other, 'b')]);
    const expected = ['a', 'b'].flatMap((who) => Array.from({ length: 50 }, (_, n) => `${who} ${n}`)).sort();
    for (const page of [one, other]) {
      await until('all is sent', () => page.evaluate(() => window.chat.conversation.outbox.size === 0));
      await until('all is shown', async () => (await texts(page)).length >= expected.length).catch(() => {});
      assert.deepEqual((await texts(page)).sort(), expected);
      const { cuts, back, doubled } = await page.evaluate(() => ({ cuts: window.chat.link.cuts, back: window.chat.link.back, doubled: window.chat.conversation.counts.doubled }));
      assert.ok(cuts >= 2, `cut ${cuts} times`);
      assert.equal(back.recovered, true);
      assert.equal(doubled, 0);
      assert.deepEqual(page.errors, []);
      assert.equal(await page.locator('#pending .message').count(), 0);
    }
    assert.deepEqual(await texts(one), await texts(other));
    await Promise.all([one.close(), other.close()]);
  } finally {
    await service.close();
  }
});

test("text is text: no markup, no name and no malformed message of a stranger's does anything", options, async () => {
  const server = await alone();
  try {
    const page = await come(server.url, '<i>Ada</i>');
    const hostile = ['<img src=x onerror="window.hit=1">', '<script>window.hit=1</script>', '"><svg onload=window.hit=1>', 'javascript:window.hit=1', '{{7*7}}', '&lt;b&gt;'];
    const stranger = await visitor(server.url, '<img src=x onerror="window.hit=1">');
    for (const text of hostile) assert.equal(await stranger.say(text), undefined);
    for (const message of [7, null, { a: 1 }, ['<b>']]) await stranger.say(message);
    await stranger.say('turned', { username: '\u202ecba\u0000\n<b>' });
    stranger.emit('typing', { username: '<b>Mallory</b>' }, '#den');
    await until('they are shown as they are', async () => (await texts(page)).join('|') === [...hostile, 'turned'].join('|'));
    await until('names too', async () => (await page.textContent('#typing')) === '<b>Mallory</b> is typing');
    assert.equal(await page.locator('#log .name').last().textContent(), 'cba <b>');
    await say(page, '<b>bold?</b>');
    await shows(page, '<b>bold?</b>');
    assert.ok((await page.locator('#people bdi').allTextContents()).includes('<i>Ada</i>'));
    assert.equal(await page.locator('#log img, #log script, #log b, #people i, #people img, #typing b').count(), 0);
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.deepEqual(page.errors, []);
    // The browser itself refuses: inline scripts by the policy, markup from strings by trusted types.
    assert.equal(await page.evaluate(() => {
      const script = document.createElement('script');
      script.append('window.inline = 1');
      document.body.append(script);
      return window.inline;
    }).catch(() => undefined), undefined);
    await assert.rejects(page.evaluate(() => (document.body.innerHTML = '<b>')), /TrustedHTML/);
    await page.close();
  } finally {
    await server.close();
  }
});

test('names and rooms of any script, and more people than a list has', options, async () => {
  const server = await alone();
  try {
    const page = await come(server.url, 'Ada');
    const family = '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}';
    const visitor1 = await visitor(server.url, '\u0639\u0628\u062f'), visitor2 = await visitor(server.url, `${family} Fox`);
    for (const one of [visitor1, visitor2]) one.emit('typing', { username: one.auth.user.name }, '#den');
    // Each name turns the direction of its own text alone.
    await until('names are set apart', async () => (await page.locator('#typing bdi').allTextContents()).length === 2 && (await page.locator('.notice bdi').allTextContents()).length === 2);
    assert.equal(await page.textContent('#typing'), `\u0639\u0628\u062f and ${family} Fox are typing`);
    assert.equal(await page.textContent('.notice'), `\u0639\u0628\u062f and ${family} Fox joined`);
    assert.ok((await page.locator('#people .face').allTextContents()).includes(`${family}F`));
    for (let i = 0; i < 120; i++) await visitor(server.url, `Visitor ${i}`);
    await page.reload();
    await until('they are counted', async () => (await page.textContent('#here')) === '123 here');
    assert.equal((await page.locator('#people li').first().textContent()).replace(/^A/, ''), 'Adayou');
    assert.equal(await page.getAttribute('#people', 'tabindex'), '0', 'the keyboard reaches a list that scrolls');
    assert.deepEqual(await nameless(page), []);
    const go = async (room) => {
      await page.fill('#room', room);
      await page.press('#room', 'Enter');
    };
    await go('\u{1f389}');
    assert.match(await page.evaluate(() => document.querySelector('#room').validationMessage), /letters or digits/);
    assert.equal(await page.textContent('#title'), '#den');
    for (const [room, title] of [['Cafe\u0301 <b>', '#caf\u00e9-b'], ['\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u092e\u0930\u093e', '#\u0939\u093f\u0928\u094d\u0926\u0940-\u0915\u092e\u0930\u093e']]) {
      await go(room);
      await until(`${title} is entered`, async () => (await page.textContent('#title')) === title && page.evaluate(() => window.chat.conversation.ready));
    }
    assert.deepEqual(page.errors, []);
    await page.close();
  } finally {
    await server.close();
  }
});

test('a busy room: the oldest messages leave the page, and come back on scrolling up, each once', options, async () => {
  const server = await alone();
  try {
    const page = await come(server.url, 'Ada');
    const busy = await visitor(server.url, 'Busy');
    for (let n = 0; n < 700; n++) {
      busy.say(`line ${n}`);
      if (n % 100 === 99) await sleep(30);
    }
    await until('the last is shown, at the end of the page', async () => (await page.locator('#log .text').last().textContent()) === 'line 699' &&
      page.evaluate(() => window.chat.transcript.stuck && window.chat.transcript.atEnd()));
    assert.ok((await page.locator('#log .message').count()) <= 600);
    await page.hover('#log');
    await until('the beginning is reached', async () => {
      await page.mouse.wheel(0, -60000);
      return /beginning of #den/.test(await page.textContent('#older'));
    });
    assert.deepEqual(await texts(page), Array.from({ length: 700 }, (_, n) => `line ${n}`));
    // Whoever reads above is not moved, and is told what comes.
    const top = () => page.evaluate(() => document.querySelector('#scroll').scrollTop);
    const was = await top();
    await busy.say('news');
    await until('it is told', async () => (await page.textContent('#jump')) === '1 new message');
    assert.equal(await top(), was);
    await page.click('#jump');
    await until('there', () => page.evaluate(() => window.chat.transcript.atEnd() && document.querySelector('#jump').hidden));
    assert.deepEqual(page.errors, []);
    await page.close();
  } finally {
    await server.close();
  }
});

test('with the keyboard alone, and on a phone', options, async () => {
  const server = await alone();
  try {
    const desk = await come(server.url, 'Kay');
    assert.deepEqual(await nameless(desk), []);
    assert.equal(await desk.getAttribute('#log', 'role'), 'log');
    assert.equal(await desk.getAttribute('#log', 'aria-live'), 'polite');
    await desk.keyboard.type('from the keys');
    await desk.keyboard.press('Shift+Enter');
    await desk.keyboard.type('second line');
    await desk.keyboard.press('Enter');
    await shows(desk, 'from the keys\nsecond line');
    const focused = () => desk.evaluate(() => document.activeElement.id);
    const tabTo = (id) => until(`Tab reaches ${id}`, async () => (await focused()) === id || (await desk.keyboard.press('Shift+Tab'), false));
    await tabTo('link');
    await desk.keyboard.press('Enter');
    assert.match(await desk.textContent('#facts'), /Instance.*Cuts so far0/);
    await desk.keyboard.press('Escape');
    assert.equal(await desk.locator('#details').isVisible(), false);
    await tabTo('rename');
    await desk.keyboard.press('Enter');
    await desk.keyboard.type('Kate');
    await desk.keyboard.press('Enter');
    await until('the new name is known', async () => (await desk.locator('#people bdi').allTextContents()).join() === 'Kate');
    assert.deepEqual(await texts(desk), ['from the keys\nsecond line'], 'what was said stays');

    for (const [width, height] of [[390, 844], [568, 320]]) {
      const phone = await come(server.url, 'Pat', { viewport: { width, height }, isMobile: true, hasTouch: true });
      const what = `${width} x ${height}`;
      assert.deepEqual(await smallTargets(phone), [], what);
      assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth), width, `${what}: nothing sticks out`);
      const composer = await phone.locator('#composer').boundingBox();
      assert.ok(composer.y + composer.height <= height && composer.x >= 0, what);
      await phone.tap('#menu');
      await until('the drawer is open', () => phone.locator('#rename').isVisible());
      assert.deepEqual(await smallTargets(phone), [], `${what}, drawer`);
      await phone.fill('#room', 'attic');
      await phone.press('#room', 'Enter');
      await until('it closes', async () => !(await phone.locator('#rename').isVisible()) && (await phone.textContent('#title')) === '#attic');
      await until('it is in', () => phone.evaluate(() => window.chat.conversation.ready));
      await phone.fill('#text', `from ${what}`);
      await phone.tap('#send');
      await shows(phone, `from ${what}`);
      assert.deepEqual(phone.errors, []);
      await phone.close();
    }
    await desk.close();
  } finally {
    await server.close();
  }
});

// In front of one instance: while it is `full`, it answers as the platform does when all slots are taken.
async function ingress(port) {
  const front = http.createServer((asked, answer) => {
    if (front.full) return answer.writeHead(429).end('all slots of all instances stayed taken');
    const { method, url: path, headers } = asked;
    asked.pipe(http.request({ port, method, path, headers }, (got) => got.pipe(answer.writeHead(got.statusCode, got.headers))));
  });
  const tunnels = new Set();
  front.on('upgrade', (asked, socket, head) => {
    if (front.full) return socket.end('HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    const instance = net.connect(port, () => {
      const fields = asked.rawHeaders.flatMap((text, at) => (at % 2 ? [] : [`${text}: ${asked.rawHeaders[at + 1]}\r\n`])).join('');
      instance.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${fields}\r\n`);
      instance.write(head);
      instance.pipe(socket).pipe(instance);
    });
    for (const one of [instance, socket]) {
      tunnels.add(one);
      one.on('error', () => {}).on('close', () => [instance, socket].forEach((other) => other.destroy()));
    }
  });
  await once(front.listen(0), 'listening');
  front.url = `http://127.0.0.1:${front.address().port}`;
  const close = front.close.bind(front);
  front.close = () => {
    close();
    front.closeAllConnections();
    tunnels.forEach((one) => one.destroy());
  };
  return front;
}

test('while it is cut off, a page says so in words, keeps what is written, and sends it once when there is a place again', options, async () => {
  const server = await alone();
  const door = await ingress(server.port);
  try {
    const page = await come(door.url, 'Ada');
    const witness = await visitor(server.url, 'Wit');
    const heard = [];
    witness.on('new message', ({ message }) => heard.push(message));
    door.full = true;
    await page.evaluate(() => window.chat.socket.io.engine.close());
    await say(page, 'kept');
    assert.match(await page.locator('#pending .state').textContent(), /sending/);
    await until('it says that all places are taken', async () => (await page.textContent('#state')) === 'Full');
    assert.match(await page.textContent('#trouble'), /All places are taken\. You will be let in as soon as somebody leaves.*Your message is kept and sent then/);
    await say(page, 'kept, too');
    await until('it counts both', async () => /Your 2 messages are kept and sent then/.test(await page.textContent('#trouble')));
    // A reload loses nothing either.
    door.full = false;
    await page.reload();
    await until('both are sent, once', async () => heard.join() === 'kept,kept, too' && (await page.locator('#pending .message').count()) === 0);
    assert.equal(await page.textContent('#trouble'), '');
    assert.deepEqual(await texts(page), ['kept', 'kept, too']);
    await sleep(100);
    assert.deepEqual(heard, ['kept', 'kept, too']);
    await page.close();
  } finally {
    door.close();
    await server.close();
  }
});

test('a page that has not been told a name yet waits for nothing, and says so', options, async () => {
  const service = await alone();
  try {
    const page = await newPage(browser, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    await page.goto(service.url);
    await until('it asks for a name', () => page.locator('#welcome').isVisible());
    await sleep(4000);
    assert.equal(await page.textContent('#trouble'), '');
    assert.equal(await page.textContent('#state'), 'Connecting');
    await page.fill('#name', 'Slow');
    await page.press('#name', 'Enter');
    await until('it is live', async () => (await page.textContent('#state')) === 'Live');
    await page.close();
  } finally {
    await service.close();
  }
});
