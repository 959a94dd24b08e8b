// several: `make run`: the whiteboard at the bare address and the chatroom at its own, from one `sennit up`; and the page that lists services.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { launch, newPage, skip } from './chromium.mjs';
import { freePort, program, serviceYaml, temporary, top, until } from './lib.mjs';

const ask = (port, host, method = 'GET', target = '/') => new Promise((resolve, reject) => http.request({ host: '127.0.0.1', port, method, path: target, headers: { Host: host }, agent: false }, (response) => {
  let text = '';
  response.on('data', (data) => (text += data)).on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
}).on('error', reject).end());

// What `make run` starts, on a port and in a state directory of its own.
function made(port, state) {
  const said = spawnSync('make', ['-n', 'run', `PORT=${port}`], { cwd: top, encoding: 'utf8' }).stdout;
  const [, args] = said.match(/build\/sennit (up .*)/);
  return program([...args.trim().split(/\s+/), '--state', state, '--log-level', 'error', '--log-format', 'text'], { cwd: top });
}

test('make run: the whiteboard at localhost, the chatroom at chatroom.localhost', { timeout: 60000 }, async (t) => {
  const [port, state] = [await freePort(), temporary()];
  const run = made(port, state);
  t.after(async () => {
    await run.stop();
    fs.rmSync(state, { recursive: true });
  });
  const serves = (host, title) => until(`${host} has the ${title}`, async () => {
    if (run.status !== null) throw new Error(run.output);
    return (await ask(port, host).catch(() => ({ text: '' }))).text.includes(`<title>${title}</title>`);
  });
  for (const host of [`localhost:${port}`, '127.0.0.1', `whiteboard.localhost:${port}`]) await serves(host, 'Whiteboard');
  await serves(`chatroom.localhost:${port}`, 'Chatroom');
  assert.match(run.output, new RegExp(`whiteboard +http://localhost:${port}, http://whiteboard\\.localhost:${port}\\n +chatroom +http://chatroom\\.localhost:${port}\\n`));
  assert.match(run.output, /\/etc\/hosts:\n +127\.0\.0\.1 whiteboard\.localhost chatroom\.localhost\n/);
  assert.equal(run.output.match(/Ctrl-C/g).length, 1);
  assert.equal((await ask(port, 'elsewhere.example')).headers['x-sennit-reason'], 'no-service');
  if (skip) return t.diagnostic(skip);
  const browser = await launch();
  try {
    const page = await newPage(browser);
    await page.addInitScript(() => localStorage.setItem('sennit.name', 'Ada'));
    await page.goto(`http://chatroom.localhost:${port}/#kitchen`);
    await page.waitForFunction(() => window.chat?.conversation.ready);
    await page.fill('#text', 'hello');
    await page.press('#text', 'Enter');
    await page.waitForFunction(() => document.querySelector('#log .message .state')?.textContent === 'sent');
    await page.goto(`http://localhost:${port}/`);
    await page.waitForFunction(() => window.board?.instance?.startsWith('whiteboard-'));
    assert.deepEqual(page.errors, []);
  } finally {
    await browser.close();
  }
});

test('without --default the bare address lists the services, under a policy that its style keeps', { timeout: 30000 }, async (t) => {
  const [port, state] = [await freePort(), temporary()];
  const files = ['one', 'two'].map((name) => {
    const file = path.join(state, `${name}.yaml`);
    fs.writeFileSync(file, serviceYaml({ name, run: `${process.execPath} -e "require('node:http').createServer((request, response) => response.end('I am ${name}')).listen(process.env.PORT)"` }));
    return file;
  });
  const run = program(['up', ...files, '--port', port, '--state', path.join(state, 'state'), '--log-format', 'json'].map(String));
  t.after(async () => {
    await run.stop();
    fs.rmSync(state, { recursive: true });
  });
  await until('it serves', () => /"serving"[^\n]*"service":"two","address":"two\.localhost"/.test(run.output));
  const index = await ask(port, `localhost:${port}`);
  assert.equal(index.status, 200);
  const hash = crypto.createHash('sha256').update(index.text.match(/<style>([^]*)<\/style>/)[1]).digest('base64');
  assert.equal(index.headers['content-security-policy'], `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`);
  assert.deepEqual([...index.text.matchAll(/href="([^"]*)"/g)].map((match) => match[1]), [`//one.localhost:${port}/`, `//two.localhost:${port}/`]);
  const head = await ask(port, 'localhost', 'HEAD');
  assert.deepEqual([head.status, head.text], [200, '']);
  for (const [host, ...rest] of [['localhost', 'POST'], ['localhost', 'GET', '/other'], ['example.com'], ['three.localhost']]) {
    const refused = await ask(port, host, ...rest);
    assert.deepEqual([refused.status, refused.headers['x-sennit-reason']], [404, 'no-service']);
    assert.match(refused.text, /ask for NAME\.localhost/);
  }
  assert.equal((await ask(port, 'two.localhost')).text, 'I am two');
  await until('the log has it', () => /"path":"\/","status":200,[^\n]*"ended_by":"ingress","why":"answered with the list of services"/.test(run.output));
  if (skip) return t.diagnostic(skip);
  const browser = await launch();
  try {
    const page = await newPage(browser);
    await page.goto(`http://localhost:${port}/`);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('a')).display), 'block'); // the style is in force
    await page.click('text=two');
    assert.equal(await page.textContent('body'), 'I am two');
    assert.deepEqual(page.errors, []);
  } finally {
    await browser.close();
  }
});
