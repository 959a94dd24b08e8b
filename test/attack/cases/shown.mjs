// Output: passwords, control characters, pages and figures that strangers must not see; and the operator's input.
import fs from 'node:fs';
import * as lib from '../../e2e/lib.mjs';
import { request, sleep, text } from '../wire.mjs';

const plain = 'namespaces:\n  /:\n    auth: none\n    log: {entries: 100}\n    events: {say: {to: others, log: true}}';
const secret = 'hunter2secret';

// The output of a program until it ends, or for this long.
async function said(args, ms = 1500, env = {}) {
  const run = lib.program(args, { env: { ...process.env, K_SERVICE: '', REDIS_URL: '', ...env } });
  await Promise.race([run.ended.catch(() => {}), sleep(ms)]);
  const status = run.status;
  await run.stop('SIGKILL').catch(() => {});
  return { status, output: run.output };
}

async function urls(world) {
  const slips = ['default:%', ':%', 'user:12/%', 'h/%', 'h:1/0?password=%', 'u:a?%@h', 'u:a/%@h', 'u:%@h:port', 'u:%#@h:1', 'u:%@[::1', '%@', 'u:%@h:1?cluster=yes', 'u: %@h'].map((rest) => rest.replace('%', secret));
  for (const rest of slips) {
    for (const scheme of ['redis', 'rediss', 'unix', 'redus']) {
      if (world.quick && scheme !== 'redis') continue;
      const { output } = await said(['serve', '--port', '0', '--redis-url', `${scheme}://${rest}`, '--log-level', 'debug'], 400);
      world.expect(!output.includes(secret), `a password is shown for ${scheme}://${rest.replace(secret, 'SECRET')}`);
      world.requests++;
    }
  }
}

// An answer of Redis may hold text that it was sent.
const echo = (name, call) => (name === 'AUTH' ? { raw: `-ERR unknown command 'AUTH', with args beginning with: ${call.slice(1).map((one) => `'${one}'`).join(' ')}\r\n` } : undefined);
async function echoed(world) {
  const { output } = await said(['serve', '--port', '0', '--redis-url', world.fake.url.replace('//', `//user:${secret}@`)], 1500);
  world.expect(!output.includes(secret), 'a password is shown when Redis repeats it');
  world.requests++;
}

const wild = ['\u0000', '\u001b[2J\u001b]0;x\u0007', '\u007f', '\u009b31m', '\u202e', '\u2066', '\u2028', '\ufeff', '" level=error message="x', '\n{"level":"ERROR"}', '\\u001b[2J'];
const isWild = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/;
const controls = (format) => async function run(world) {
  const file = `${world.directory = lib.temporary()}/c.yaml`, port = await lib.freePort();
  fs.writeFileSync(file, `${plain}\n`);
  const server = lib.program(['serve', '--config', file, '--port', String(port), '--broker', 'memory', '--log-level', 'debug', '--log-format', format], { env: { ...process.env, K_SERVICE: '' } });
  await lib.until('it listens', () => server.output.includes('listening'), 5000);
  world.port = port;
  await shout(world, format, await world.open(), server);
  world.port = null;
  await server.stop('SIGKILL');
};

async function shout(world, format, client, server) {
  for (const one of wild) {
    for (const packet of [`42["${JSON.stringify(one).slice(1, -1)}",1]`, `42[${JSON.stringify(`x${one}`)}]`, `40/${one.replace(/[\n"]/g, '')}`, `42["${one.replace(/[\n"\0\u001b\u0007]/g, '')}"]`])
      await client.send(text(packet));
    world.requests += 4;
  }
  await sleep(300);
  for (const line of server.output.split('\n'))
    world.expect(!isWild.test(line), `a line of the log (${format}) holds ${JSON.stringify(line.match(isWild)?.[0])}: ${JSON.stringify(line).slice(0, 160)}`);
}

// An operator's input works, or is refused with a reason: no client ends the process.
async function operators(world) {
  const long = 'n'.repeat(1010);
  const files = { 'a namespace of 1010 bytes': `namespaces:\n  /${long}:\n    log: {entries: 10}\n    events: {join: {join: 0}, say: {to: others, log: true}, dm: {to: socket, socket: 0, log: true}}\n`,
    'an event of 5000 bytes': `namespaces:\n  /:\n    events: {${'e'.repeat(5000)}: {to: others}}\n`, 'a pattern of 5000 bytes': `namespaces:\n  /:\n    rooms: {"${'*a'.repeat(2500)}": {presence: true}}\n    events: {join: {join: 0}}\n`,
    'a namespace with a comma': 'namespaces:\n  "/a,b":\n    events: {join: {join: 0}, say: {to: others}}\n', 'a namespace with a quote': 'namespaces:\n  "/a\\"b":\n    events: {join: {join: 0}}\n',
    'a namespace with a NUL': 'namespaces:\n  "/a\\0b":\n    events: {join: {join: 0}}\n', 'ping_interval of 100ms': `ping_interval: 100ms\nping_timeout: 100ms\n${plain}\n`, 'a payload of 128 bytes': `max_payload: 128\n${plain}\n`,
    'a presence key with a NUL': 'namespaces:\n  /:\n    presence: {data: "a\\0b"}\n    events: {say: {to: others}}\n' };
  for (const [what, config] of Object.entries(files)) {
    const directory = lib.temporary(), file = `${directory}/c.yaml`, port = await lib.freePort();
    fs.writeFileSync(file, config);
    const server = lib.program(['serve', '--config', file, '--port', String(port), '--broker', 'memory', '--log-format', 'json'], { env: { ...process.env, K_SERVICE: '', REDIS_URL: '' } });
    await Promise.race([server.ended.catch(() => {}), lib.until('it listens', () => server.output.includes('"listening"'), 5000).catch(() => {})]);
    if (server.status === null) {
      world.port = port;
      const client = await world.open({ nsp: null }).catch(() => null);
      for (const nsp of [`/${long}`, '/', '/a,b', '/a"b', '/a\0b']) await client?.send(text(`40${nsp === '/' ? '' : `${nsp},`}`));
      await client?.send(Buffer.concat([text(`42/${long},1["join","${'r'.repeat(1000)}"]`), text('421["join","aaaa"]'), text('42["say",1]')]));
      await sleep(300);
      world.expect(server.status === null, `${what}: a client ends the process: ${server.output.slice(-300)}`);
    } else world.expect(server.status === 1, `${what}: ended with ${server.status}`);
    world.requests++;
    await server.stop('SIGKILL').catch((error) => world.fault(`${what}: ${String(error.message).slice(-300)}`));
    fs.rmSync(directory, { recursive: true });
  }
  world.port = null;
}

// Figures are for the loopback or a token, pages say how they may be used, and WebSockets are same-origin.
async function strangers(world) {
  const through = { fields: 'X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n' };
  const metrics = await request(world.port, '/metrics', through);
  world.expect(metrics && metrics.status !== 200, `/metrics is shown to whoever comes through a proxy (${metrics?.status})`);
  const page = await request(world.port, '/index.html');
  for (const field of ['X-Content-Type-Options', 'Content-Security-Policy'])
    world.expect(new RegExp(`^${field}:`, 'im').test(page?.head ?? ''), `a page comes without ${field}`);
  world.expect(/frame-ancestors/i.test(page?.head ?? ''), 'a page may be framed by anybody');
  const other = await world.open({ nsp: null, fields: 'Origin: http://evil.example\r\n' }).catch(() => null);
  world.expect(other === null, 'a WebSocket of another origin is taken');
  const same = await world.open({ nsp: null, fields: 'Origin: http://attack\r\n' }).catch(() => null);
  world.expect(same !== null, 'a WebSocket of the same origin is refused');
  world.requests += 4;
}

const page = (directory) => {
  fs.writeFileSync(`${directory}/index.html`, '<p>page</p>');
  return `static: ${directory}\n`;
};

process.env.SENNIT_ATTACK_SECRET = 'x'; // whatever is started here has it from its parent

async function folders(world) {
  const { directory } = world;
  const wrong = [];
  const look = (folder) => {
    for (const name of fs.readdirSync(folder)) {
      const file = `${folder}/${name}`, { mode } = fs.lstatSync(file), rights = mode & 0o777;
      if ((mode & 0o170000) === 0o040000 && rights & 0o77) wrong.push(`${name} ${rights.toString(8)}`), look(file);
      else if ((mode & 0o170000) === 0o040000) continue; // nobody else comes to what lies in it
      else if ((mode & 0o170000) === 0o140000 && rights & 0o77) wrong.push(`${name} ${rights.toString(8)}`);
    }
  };
  look(`${directory}/above`);
  world.expect(wrong.length === 0, `open to others: ${wrong.join(', ')}`);
  const environment = fs.readFileSync(`/proc/${world.pids[1]}/environ`, 'latin1');
  world.expect(!environment.includes('SENNIT_ATTACK_SECRET'), 'an instance sees the environment of sennit up');
}

const alone = { calm: false, start: false, kind: 'shown' };

export default [
  { ...alone, name: 'secrets, slips in the URL', expects: 'a password never reaches a log', run: urls },
  { ...alone, name: 'secrets, Redis repeats it', fake: echo, expects: 'likewise when Redis says it', run: echoed },
  { ...alone, name: 'controls-in-the-log, json', expects: 'what a client sends never reaches a terminal as control characters', run: controls('json') },
  { ...alone, name: 'controls-in-the-log, text', expects: 'likewise as text', run: controls('text') },
  { ...alone, name: 'operators-input', expects: 'an operator\'s input never reaches an assert', run: operators },
  { name: 'strangers', kind: 'shown', calm: false, config: plain, top: page, expects: 'a stranger reaches the engine and the static files', run: strangers },
  { name: 'folders-of-up', kind: 'shown', calm: false, up: true, memory: false, config: plain, expects: 'folders and sockets of `sennit up` are its owner\'s; instances see the file\'s environment only', run: folders },
];
