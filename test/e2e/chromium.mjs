// chromium: a real Chromium for tests of our pages, and tabs that remember what went wrong in them.
import fs from 'node:fs';
import { top } from './lib.mjs';

export const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((one) => fs.existsSync(one));
export const skip = path ? false : 'no Chromium on this machine (Debian: apt-get install chromium)';

export async function launch() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
}

// An example's configuration, like `chatroom/chatroom.yaml`, for any folder. SENNIT_WEB: its pages come from there (see pages.test.mjs).
export function example(name) {
  const text = fs.readFileSync(`${top}/examples/${name}`, 'utf8');
  return `${text.replace('static: ../../web', `static: ${process.env.SENNIT_WEB ?? `${top}/web`}`)}client: ${top}/node_modules/socket.io-client/dist\n`;
}

// A page in a context of its own. `errors` has each uncaught error, and each breach of a Content-Security-Policy.
export async function newPage(browser, options = { viewport: { width: 900, height: 700 } }) {
  const page = await browser.newPage(options);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error.message));
  page.on('console', (said) => /Content Security Policy|Trusted ?Type/i.test(said.text()) && page.errors.push(said.text()));
  return page;
}

// Of the shown elements that take clicks, those smaller than `least` pixels either way, by name.
export const smallTargets = (page, least = 44) => page.evaluate((px) => Array.from(document.querySelectorAll('button, a[href], input, textarea')).flatMap((one) => {
  const { width, height } = one.getBoundingClientRect();
  const name = one.getAttribute('aria-label') || one.textContent.trim() || one.id;
  return width > 0 && one.checkVisibility({ visibilityProperty: true }) && (width < px - 0.5 || height < px - 0.5) ? [`${name}: ${width} x ${height}`] : [];
}), least);

// Of the shown elements that take the focus, those without a name that a screen reader can say.
export const nameless = (page) => page.evaluate(() => Array.from(document.querySelectorAll('button, a[href], input, textarea, select, [tabindex="0"]')).filter((one) =>
  one.checkVisibility({ visibilityProperty: true }) && !one.getAttribute('aria-label') && !one.textContent.trim() && !one.labels?.length).map((one) => one.outerHTML.slice(0, 80)));
