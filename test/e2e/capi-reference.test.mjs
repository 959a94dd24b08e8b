// capi-reference: the examples of docs/sennit.h.md run, and do with stock clients what the page says. An example without `main` gets one here.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { build, client, dial, end, instance } from './capi.mjs';
import { redis, sleep, temporary, top, until } from './lib.mjs';

const page = fs.readFileSync(path.join(top, 'docs/sennit.h.md'), 'utf8');
const library = path.join(build, 'src/embed');
const examples = new Map(); // by the heading that they stand under, and their number there
let heading;
for (const [, title, code] of page.matchAll(/^## (.*)$|^```c\n([\s\S]*?)^```$/gm)) {
  if (title) { heading = title; continue; }
  let name = heading;
  for (let number = 2; examples.has(name); number++) name = `${heading} ${number}`;
  examples.set(name, code);
}

// Sockets of "/" are in these rooms from the start.
const entry = `
static void enter(sennit_event *event, void *data)
{
    sennit_join(sennit_event_socket(event), "hall");
    sennit_join(sennit_event_socket(event), "tea");
    sennit_join(sennit_event_socket(event), "admins");
    sennit_emitf(sennit_to_sender(event), "entered", "");
}

static sennit_nsp *root(sennit_server *server)
{
    const struct sennit_nsp_options options = {.presence = true};
    sennit_nsp *nsp = sennit_namespace_with(server, "/", &options);
    sennit_on_connect(nsp, enter, NULL);
    return nsp;
}
`;

function whole(code) {
  const run = (call) => `\nint main(int argc, char **argv)\n{\n    sennit_server *server = sennit_create(argc, argv);\n    ${call}\n    return sennit_run(server);\n}\n`;
  if (/\bint main\(/.test(code)) return code;
  if (/\bint embedded\(/.test(code)) return code.replace('60000', '600') + '\nint main(void)\n{\n    return embedded();\n}\n';
  if (/set_up\(sennit_server \*server\)/.test(code)) return code + run('set_up(server);');
  if (/set_up\(sennit_nsp \*nsp\)/.test(code)) return code + entry + run('set_up(root(server));');
  return code + entry + run('set_up(server, root(server), 0);');
}

const folder = temporary(), programs = new Map(), tried = new Set();
const sanitized = execFileSync('nm', ['-D', path.join(library, 'libsennit.so')], { maxBuffer: 1 << 26 }).includes('__asan_init') ? ['-fsanitize=address,undefined'] : [];

before(async () => {
  const compile = async ([name, code]) => {
    const file = path.join(folder, `example${programs.size}`);
    programs.set(name, file);
    fs.writeFileSync(`${file}.c`, whole(code));
    await promisify(execFile)('cc', ['-std=gnu11', `${file}.c`, `-I${path.join(top, 'include')}`, ...sanitized, `-L${library}`, `-Wl,-rpath,${library}`, '-lsennit', '-o', file]);
  };
  await Promise.all([...examples].map(compile));
});
after(() => {
  end();
  fs.rmSync(folder, { recursive: true, force: true });
});

// Runs one example; `trial` is what it does.
function example(name, trial, args = []) {
  tried.add(name);
  test(name, async () => {
    const server = await instance(programs.get(name), args);
    await trial(server);
    assert.equal(await server.stop(), 0);
  });
}

describe('each does what the page says', { concurrency: 4 }, () => {
  example('A program', async (server) => {
    const [a, b] = [await client(server), await client(server)];
    a.emit('drawing', { x0: 1 });
    assert.deepEqual((await b.had('drawing')).slice(0, 2), ['drawing', { x0: 1 }]);
  });

  test('Inside another program', async () => {
    const { stdout, stderr } = await promisify(execFile)(programs.get('Inside another program'), { env: { ...process.env, K_SERVICE: '', REDIS_URL: '', PORT: '' } });
    assert.match(stdout, /^\S+ on port 0\n$/);
    assert.match(stderr, /"stopped"/);
  });
  tried.add('Inside another program');

  example('Namespaces, and who comes and goes', async (server) => {
    const [a, b] = [await client(server, '/hall', { auth: { user: 'ann' } }), await client(server, '/hall', { auth: { user: 'bob' } })];
    const nobody = await client(server, '/hall', { auth: { user: 'x' } });
    nobody.close();
    nobody.auth = {};
    nobody.connect();
    const [error] = await once(nobody, 'connect_error');
    assert.deepEqual([error.message, error.data], ['who are you?', { missing: 'user' }]);
    b.io.engine.close();
    assert.deepEqual((await b.had('resumed')).slice(1, 3), ['guest', 5]);
    const id = b.id;
    b.close();
    await a.had('gone', (who, why) => who === id && why === 'left');
  });

  example('Namespaces, and who comes and goes 2', async (server) => {
    const a = await client(server, '/seen');
    await until('the program says so', () => server.output.includes(`all enter ${a.id} as null: 1 now\n`));
    const id = a.id;
    a.close();
    await until('and that it has left', () => server.output.includes(`all leave ${id} as null: 0 now\n`));
  });

  example('Namespaces by pattern', async (server) => {
    const [a, b, other] = [await client(server, '/game-7'), await client(server, '/game-7'), await client(server, '/game-finals')];
    a.emit('move', 'e4');
    assert.equal((await b.had('moved'))[1], 'e4');
    assert.equal((await other.had('news'))[1], 'begins soon');
    assert.deepEqual([...a.got, ...b.got].filter((one) => one[0] === 'news'), []);
    assert.equal((await (await client(server, '/game-7')).had('moved'))[1], 'e4');
  });

  example('Arguments', async (server) => {
    const [a, b] = [await client(server), await client(server)];
    assert.deepEqual(await a.ask('upload', {}), ['expected a description and a Buffer']);
    assert.deepEqual(await a.ask('upload', { file: { name: 'a.png', size: 3 }, tags: [1] }, Buffer.from([1, 2, 3])), [null]);
    const { bytes, ...rest } = (await b.had('file'))[1];
    assert.deepEqual([[...bytes], rest], [[1, 2, 3], { name: 'a.png', size: 3, scale: 1, shared: false, tags: [1] }]);
  });

  const secret = 'a secret of thirty-two bytes, or more', keys = path.join(folder, 'me.yaml');
  fs.writeFileSync(path.join(folder, 'secret'), secret);
  fs.writeFileSync(keys, `jwt: {keys: [{file: ${folder}/secret, alg: HS256}]}\nnamespaces: {/me: {events: {}}}\n`);
  const signed = (claims) => {
    const text = [{ alg: 'HS256' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${text}.${crypto.createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  example('The client of an event', async (server) => {
    const options = (until) => ({ auth: { token: signed({ sub: 'ada', roles: ['user'], until, exp: 9e9 }), name: 'Ada', settings: { dark: true } }, query: { team: 'red' }, extraHeaders: { 'Accept-Language': 'gsw' } });
    const a = await client(server, '/me', options(2027));
    assert.deepEqual(await a.ask('about me'), [{ address: '127.0.0.1', language: 'gsw', name: 'Ada', settings: { dark: true }, roles: ['user'] }]);
    const [found] = (await (await fetch(`${server.url}/api/v1/sockets?namespace=/me`)).json()).sockets;
    assert.deepEqual([found.rooms, found.handshake.query.team], [['red'], 'red']);
    const [error] = await once(dial(`${server.url}/me`, options(2025)), 'connect_error');
    assert.equal(error.message, 'your subscription has ended');
  }, ['--config', keys]);

  const rules = path.join(folder, 'rules.yaml');
  fs.writeFileSync(rules, 'namespaces:\n  /: {auth: none, events: {say: {to: others}}}\n');
  example('Pages and rules from a file', async (server) => {
    const [a, b] = [await client(server), await client(server)];
    assert.deepEqual(await a.ask('say', { text: 'hello' }), []);
    assert.deepEqual((await b.had('say'))[1], { text: 'hello' });
    assert.deepEqual(await a.ask('say', {}), [{ error: 'a text is missing' }]);
  }, ['--config', rules]);

  example('Targets', async (server) => {
    const [a, b] = [await client(server), await client(server)];
    await Promise.all([a, b].map((socket) => socket.had('entered')));
    for (let i = 0; i < 2; i++) assert.deepEqual(await a.ask('say', { id: 'm-1', text: 'x' }), []);
    await a.had('heard');
    await b.had('mouth', (open) => open === true);
    const said = (socket) => socket.got.filter((one) => one[0] === 'said').length;
    await until('all have it', () => said(b) === 5 && said(a) === 3);
  });

  example('Asking a client, and answering later', async (server) => {
    const a = await client(server);
    a.on('color?', (what, done) => done(`blue is ${what.of}`));
    assert.deepEqual(await a.ask('ask'), [null, 'blue is the sky']);
    await a.had('again?');
  });

  example('Asking many clients', async (server) => {
    const [a, b, c] = [await client(server), await client(server), await client(server)];
    await Promise.all([a, b, c].map((socket) => socket.had('entered')));
    for (const [socket, answer] of [[a, 'no'], [b, 'yes']]) socket.on('vote', (what, done) => done(answer));
    assert.deepEqual(await a.ask('vote'), [1, [c.id], true]);
    assert.equal((await b.had('vote'))[1].for, 'tea');
  });

  example('Answers with bytes', async (server) => {
    const [a, b, c] = [await client(server), await client(server), await client(server)];
    await Promise.all([a, b, c].map((socket) => socket.had('entered')));
    for (const socket of [b, c]) socket.on('picture?', (size, done) => done(Buffer.from(size)));
    assert.deepEqual(await a.ask('show'), [10]);
  });

  example('Rooms and the fleet', async (server) => {
    const [a, b] = [await client(server), await client(server)];
    await Promise.all([a, b].map((socket) => socket.had('entered')));
    a.emit('admin', { id: b.id });
    await until('both are ended', () => a.disconnected && b.disconnected);
  });

  example('Timers and descriptors', async (server) => {
    const a = await client(server);
    await a.had('tick');
    server.input.write('a line\n');
    const since = a.got.length;
    await until('it ticks on', () => a.got.length > since);
    server.input.end();
    await until('the program lets go of the descriptor, and ticks no more', async () => {
      const before = a.got.length;
      await sleep(1200);
      return a.got.length === before;
    });
  });

  test('Once in the fleet', async () => {
    const broker = await redis();
    const two = await Promise.all([1, 2].map(() => instance(programs.get('Once in the fleet'), ['--redis-url', broker.url])));
    const clients = [await client(two[0], '/clock'), await client(two[1], '/clock')];
    const seconds = (one) => one.got.filter(([name]) => name === 'second').map((event) => event[1]);
    await until('three seconds have come to both', () => clients.every((one) => seconds(one).length > 3));
    for (const one of clients) assert.deepEqual(seconds(one), seconds(one).map((_, i) => seconds(one)[0] + i), 'each second once, in order');
    for (const one of two) assert.equal(await one.stop(), 0);
    assert.doesNotMatch(two.map((one) => one.output).join(''), /refused/);
    await broker.close();
  });
  tried.add('Once in the fleet');

  example('Child processes', async (server) => {
    const a = await client(server);
    assert.deepEqual(await a.ask('run'), [7]);
  });
});

test('each example of the page is among these', () => assert.deepEqual([...tried].sort(), [...examples.keys()].sort()));
