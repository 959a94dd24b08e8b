// Makes the README's pictures, each of a service of its own: two tabs on two instances, side by side.
//   node tools/screenshot.mjs [whiteboard|chatroom]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { launch } from '../test/e2e/chromium.mjs';
import { freePort } from './free_port.mjs';

const which = process.argv.length > 2 ? process.argv.slice(2) : ['whiteboard', 'chatroom'];
const VIEW = { width: 720, height: 560 };
const browser = await launch();

// `sennit up` on an example, in a state directory of its own, until `made` is done.
async function withService(name, made) {
  const state = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-screenshot-'));
  const port = await freePort();
  const service = spawn('build/sennit', ['up', `examples/${name}/service.yaml`, '--port', port, '--state', state, '--request-log', 'none', '--log-level', 'error'].map(String),
    { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise((resolve) => service.once('close', resolve));
  try {
    const url = `http://127.0.0.1:${port}`;
    for (let tries = 0; !(await fetch(url).catch(() => null))?.ok; tries++) {
      if (tries > 100 || service.exitCode !== null) throw new Error(`${name} did not start`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await made(url);
  } finally {
    service.kill('SIGTERM');
    await ended;
    fs.rmSync(state, { recursive: true, force: true });
  }
}

// A tab of somebody, on another instance than `not`; `instance` is a function of the page that gives its instance.
async function tab(url, name, instance, not, options = {}) {
  const page = await browser.newPage({ viewport: VIEW, ...options });
  await page.addInitScript((text) => localStorage.setItem('sennit.name', text), name);
  for (;;) {
    await page.goto(url);
    await page.waitForFunction(instance);
    page.instance = await page.evaluate(instance);
    if (page.instance !== not) return page;
    await page.goto('about:blank');
  }
}

async function sheet(pages, out) {
  const shots = [];
  for (const page of pages) shots.push(`data:image/png;base64,${(await page.screenshot()).toString('base64')}`);
  const paper = await browser.newPage({ viewport: { width: 1496, height: 592 } });
  await paper.setContent(`<body style="margin:0;background:#c9d0db;display:flex;gap:16px;padding:16px">
    ${shots.map((shot) => `<img src="${shot}" style="width:724px;border-radius:12px">`).join('')}</body>`);
  await paper.waitForTimeout(200);
  await paper.screenshot({ path: out });
  await paper.close();
  console.log(`${out}: ${pages.map((page) => page.instance).join(' and ')}`);
}

/* The whiteboard. */

async function curve(page, colour, width, points) {
  await page.locator('#colours button').nth(colour).click();
  await page.locator('#widths button').nth(width).click();
  const box = await page.locator('#board').boundingBox();
  const at = ([x, y]) => [box.x + box.width * x, box.y + box.height * y];
  await page.mouse.move(...at(points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) {
    await page.mouse.move(...at(point));
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  await page.mouse.up();
}

const wave = (x0, x1, y, height, waves, n = 60) => Array.from({ length: n + 1 }, (_, i) => {
  const at = i / n;
  return [x0 + (x1 - x0) * at, y + height * Math.sin(at * Math.PI * 2 * waves)];
});
const circle = (x, y, r, n = 40) => Array.from({ length: n + 1 }, (_, i) => [x + r * Math.cos((i / n) * 6.3), y + 1.6 * r * Math.sin((i / n) * 6.3)]);

async function whiteboard(url) {
  const instance = () => window.board?.people.count && window.board.instance;
  const left = await tab(url, 'Ada', instance);
  const right = await tab(url, 'Grace', instance, left.instance);
  await curve(left, 5, 2, wave(0.06, 0.94, 0.6, 0.12, 2));
  await curve(right, 3, 2, wave(0.06, 0.94, 0.6, -0.12, 2));
  await curve(left, 1, 2, wave(0.06, 0.94, 0.6, 0.02, 3));
  await curve(right, 2, 1, circle(0.82, 0.2, 0.07));
  for (let ray = 0; ray < 8; ray++) {
    const a = (ray / 8) * Math.PI * 2;
    await curve(right, 2, 1, [[0.82 + 0.09 * Math.cos(a), 0.2 + 0.144 * Math.sin(a)], [0.82 + 0.125 * Math.cos(a), 0.2 + 0.2 * Math.sin(a)]]);
  }
  await curve(left, 0, 0, wave(0.08, 0.3, 0.16, 0.03, 3));
  const box = await right.locator('#board').boundingBox();
  await right.mouse.move(box.x + box.width * 0.66, box.y + box.height * 0.82, { steps: 4 });
  await right.focus('#badge');
  await right.keyboard.press('Enter');
  await left.waitForTimeout(700);
  await sheet([left, right], 'docs/whiteboard.png');
}

/* The chatroom. */

async function chatroom(url) {
  const wide = { viewport: { width: 900, height: 700 } };
  const instance = () => window.chat?.conversation.ready && window.chat.link.instance;
  const left = await tab(`${url}/#harbour`, 'Ada', instance, null, wide);
  const right = await tab(`${url}/#harbour`, 'Grace', instance, left.instance, { ...wide, colorScheme: 'dark' });
  const say = async (page, text) => {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
    await page.waitForTimeout(150);
  };
  await say(right, 'Morning! Is the ferry running today?');
  await say(left, 'It is. The first one left at seven.');
  await say(left, 'The second is late because of the fog, so take your time.');
  await say(right, 'Then I have coffee first. Shall I bring you one?');
  await say(left, 'Please, and one for Barbara. She is on the early boat.');
  await right.locator('#text').pressSequentially('On my way');
  await left.click('#link');
  await left.waitForTimeout(300);
  await sheet([left, right], 'docs/chatroom.png');
}

try {
  for (const name of which) await withService(name, { whiteboard, chatroom }[name]);
} finally {
  await browser.close();
}
