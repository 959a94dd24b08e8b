// Makes the README's picture: two tabs of the whiteboard side by side, on two instances, a drawing that came from both.
//   node tools/screenshot.mjs http://localhost:8080 docs/whiteboard.png
import fs from 'node:fs';
import { chromium } from 'playwright-core';

const [url = 'http://localhost:8080', out = 'docs/whiteboard.png'] = process.argv.slice(2);
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => fs.existsSync(path));
if (!executablePath) throw new Error('needs Chromium (Debian: apt-get install chromium)');
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'] });

async function tab(not) {
  const page = await browser.newPage({ viewport: { width: 720, height: 560 } });
  for (;;) {
    await page.goto(url);
    await page.waitForFunction(() => window.board?.instance);
    page.instance = await page.evaluate(() => window.board.instance);
    if (page.instance !== not) return page;
  }
}

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

const left = await tab(null);
const right = await tab(left.instance);
await curve(left, 5, 2, wave(0.06, 0.94, 0.6, 0.12, 2));
await curve(right, 3, 2, wave(0.06, 0.94, 0.6, -0.12, 2));
await curve(left, 1, 2, wave(0.06, 0.94, 0.6, 0.02, 3));
await curve(right, 2, 1, circle(0.82, 0.2, 0.07));
for (let ray = 0; ray < 8; ray++) {
  const a = (ray / 8) * Math.PI * 2;
  await curve(right, 2, 1, [[0.82 + 0.09 * Math.cos(a), 0.2 + 0.144 * Math.sin(a)], [0.82 + 0.125 * Math.cos(a), 0.2 + 0.2 * Math.sin(a)]]);
}
await curve(left, 0, 0, wave(0.08, 0.3, 0.16, 0.03, 3));
await left.waitForTimeout(700);

const shots = [await left.screenshot(), await right.screenshot()].map((png) => `data:image/png;base64,${png.toString('base64')}`);
const sheet = await browser.newPage({ viewport: { width: 1496, height: 592 } });
await sheet.setContent(`<body style="margin:0;background:#c9d0db;display:flex;gap:16px;padding:16px">
  ${shots.map((shot) => `<img src="${shot}" style="width:724px;border-radius:12px">`).join('')}</body>`);
await sheet.waitForTimeout(200);
await sheet.screenshot({ path: out });
await browser.close();
console.log(`${out}: ${left.instance} and ${right.instance}`);
