// operator: whatever stands in a file, a flag or a variable, the program works or says in a line what is wrong with it: no
// assert, no signal, no control characters on the terminal, and no secret.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { io } from 'socket.io-client';
import { program, serviceYaml, sleep, temporary, until } from './lib.mjs';

const quickly = { timeout: 120000 };
const directory = temporary();
after(() => fs.rmSync(directory, { recursive: true, force: true }));
let files = 0;

function file(text) {
  const name = path.join(directory, `${++files}.yaml`);
  fs.writeFileSync(name, text);
  return name;
}

// C0 but for line feeds, DEL, C1, marks that change the direction of text, line separators.
// eslint-disable-next-line no-control-regex
const harmful = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]/u;

// Runs until it ends or listens. Whatever it is given, its output is harmless and it ends by itself or by being asked to.
async function run(args, { env = {}, then } = {}) {
  const one = program(args.map(String), { env: { PATH: process.env.PATH, ...env } });
  const chunks = [];
  for (const stream of [one.child.stdout, one.child.stderr]) stream.on('data', (data) => chunks.push(data));
  await Promise.race([one.ended, until('it listens', () => one.output.includes('"listening"') || one.status !== null, 10000).catch(() => {})]);
  const works = one.status === null && one.output.includes('"listening"');
  if (works && then) await then(Number(JSON.parse(one.output.split('\n').find((line) => line.includes('"listening"'))).port));
  const status = one.status ?? (await one.stop('SIGTERM'), one.status);
  const bytes = Buffer.concat(chunks);
  const what = `${args.join(' ').slice(0, 300)} ${JSON.stringify(env).slice(0, 300)}\n${one.output.slice(0, 2000)}`;
  assert.ok(typeof status === 'number', `ended by a signal: ${status}\n${what}`);
  assert.ok(!harmful.test(new TextDecoder('utf-8').decode(bytes)), `control characters or broken text:\n${JSON.stringify(what)}`);
  assert.ok(bytes.length < 20000, `${bytes.length} bytes of output\n${what}`);
  if (works) assert.equal(status, 0, what);
  else assert.match(one.output, /^sennit/m, what);
  return { works, status, output: one.output, what };
}

const serve = (args, more) => run(['serve', '--port', 0, '--broker', 'memory', '--log-format', 'json', ...args], more);
const config = (text, more) => serve(['--config', file(text)], more);
const long = (count, unit = 'a') => unit.repeat(count);
const events = 'events: {say: {to: others, log: true}}';
const quoted = (text) => JSON.stringify(text);

// A stock client that connects and hears the acknowledgement of an event.
const client = (namespace = '/') => async (port) => {
  const socket = io(`http://127.0.0.1:${port}${namespace}`, { transports: ['websocket'], forceNew: true, reconnection: false });
  try {
    await until('it is connected', () => socket.connected, 5000);
    await socket.timeout(5000).emitWithAck('say', 'hello');
  } finally {
    socket.disconnect();
  }
};

// [file, what the refusal says]
const refusedFiles = [
  [`namespaces: {${quoted(`/${long(1009)}`)}: {${events}}}`, /:1: .*at most 128 bytes, this one 1010/],
  [`namespaces: {${quoted(`/${long(128)}`)}: {${events}}}`, /:1: .*at most 128 bytes, this one 129: shorten it/],
  [`namespaces: {${quoted(`/${long(100000)}`)}: {${events}}}`, /:1:.*\S/],
  [`namespaces: {"/\\0": {${events}}}`, /one line|control/],
  [`namespaces: {"/\\e[2J": {${events}}}`, /one line|control/],
  [`namespaces: {"/\\u202e": {${events}}}`, /control character/],
  [`namespaces: {"/\\x9b": {${events}}}`, /control character/],
  [`namespaces: {"": {${events}}}`, /begins with "\/"/],
  [`namespaces: {chat: {${events}}}`, /begins with "\/"/],
  [`namespaces: {"/a,b": {${events}}}`, /no comma/],
  [`namespaces: {/: {${events}}, /: {${events}}}`, /second time/],
  [`namespaces: {/: {${events}, ${events}}}`, /second time/],
  ['namespaces: []', /expected a mapping, found a list/],
  ['namespaces: ""', /expected a mapping/],
  ['namespaces:', /expected a mapping, found nothing/],
  ['{}', /needs `namespaces:`/],
  ['[]', /expected a mapping/],
  ['', /nothing in it/],
  ['\0', /control character|not UTF-8/],
  ['\xff\xfe\x00', /not|control/],
  [`a: ${long(1 << 20)}b`, /larger than 1048576 bytes/],
  [`${long(40, '[')}`, /nested more than/],
  [`namespaces: {/: {events: {${quoted(long(129))}: {to: others}}}}`, /at most 128 bytes, this one 129/],
  ['namespaces: {/: {events: {connect: {to: others}}}}', /Socket\.IO keeps to itself/],
  ['namespaces: {/: {events: {"\\u2028": {to: others}}}}', /control character/],
  ['namespaces: {/: {events: {say: {to: "\\e]0;owned\\a"}}}}', /expected one of others/],
  [`namespaces: {/: {events: {say: {to: ${long(5000)}}}}}`, /expected one of others.*aaa\.\.\."/],
  ['namespaces: {/: {events: {say: {to: others, log: true, id: "0.a\\0b"}}}}', /NUL character/],
  [`namespaces: {/: {events: {say: {to: others, log: true, id: 0.${long(300)}}}}}`, /at most 256 bytes/],
  ['namespaces: {/: {events: {say: {to: others, log: true, id: 99999999999999999999}}}}', /expected the argument/],
  ['namespaces: {/: {events: {say: {to: others, log: true, id: -1}}}}', /expected the argument/],
  ['namespaces: {/: {events: {say: {to: room, room: -1}}}}', /from 0 to 15, found -1/],
  ['namespaces: {/: {events: {say: {to: room, room: 18446744073709551616}}}}', /from 0 to 15/],
  [`namespaces: {/: {presence: {data: ${quoted(long(900000))}}, ${events}}}`, /1 to 256 bytes, found 900000/],
  [`namespaces: {/: {presence: {data: ""}, ${events}}}`, /1 to 256 bytes, found 0/],
  [`namespaces: {/: {presence: {data: "a\\0b"}, ${events}}}`, /NUL character/],
  [`namespaces: {/: {rooms: {${quoted(long(10000, '*'))}: {presence: true}}, ${events}}}`, /:1:.*(longer than 1024 bytes|expected)/],
  [`namespaces: {/: {rooms: {"": {presence: true}}, ${events}}}`, /empty/],
  [`namespaces: {/: {log: {entries: -1}, ${events}}}`, /found -1/],
  [`namespaces: {/: {log: {bytes: 99999999999GiB}, ${events}}}`, /expected a size/],
  [`namespaces: {/: {log: {age: 0}, ${events}}}`, /expected a duration/],
  [`namespaces: {/: {recovery: 1e9, ${events}}}`, /expected a duration/],
  [`namespaces: {/: {replay: -5, ${events}}}`, /expected none, all/],
  [`prefix: "a\\0"\nnamespaces: {/: {${events}}}`, /NUL character/],
  [`prefix: "a\\u202eb"\nnamespaces: {/: {${events}}}`, /prefix: expected 1 to 64/],
  [`prefix: ${long(65)}\nnamespaces: {/: {${events}}}`, /prefix: expected 1 to 64/],
  [`static: "\\0"\nnamespaces: {/: {${events}}}`, /NUL character/],
  [`static: ${long(9000)}\nnamespaces: {/: {${events}}}`, /no directory/],
  [`static: ""\nnamespaces: {/: {${events}}}`, /static: expected a directory, found an empty text/],
  [`max_payload: 0\nnamespaces: {/: {${events}}}`, /expected a size from 128 bytes/],
  [`max_payload: 17MiB\nnamespaces: {/: {${events}}}`, /expected a size from 128 bytes/],
  [`ping_timeout: 99999999999999999999h\nnamespaces: {/: {${events}}}`, /expected a duration/],
  [`&a a: *a`, /\S/],
  [`namespaces: !ruby/object x`, /tag \(!\)/],
];

test('sennit serve: absurd files are refused with file, line and remedy', quickly, async () => {
  for (const [text, expected] of refusedFiles) {
    const { works, status, output, what } = await config(text);
    assert.ok(!works && status === 1, `${text.slice(0, 200)}\n${what}`);
    assert.match(output, expected, text.slice(0, 200));
    assert.match(output, /\d+\.yaml/, what);
  }
});

test('sennit serve: what is long but right works with a stock client', quickly, async () => {
  const works = [
    [`/${long(127)}`, `namespaces: {${quoted(`/${long(127)}`)}: {presence: true, ${events}}}`],
    ['/', `namespaces: {/: {presence: {data: ${quoted(long(256))}}, ${events}}}`],
    ['/', `namespaces: {/: {rooms: {${quoted(long(1000, '*'))}: {presence: true}, "*": {}}, ${events}}}`],
    ['/', `namespaces: {/: {events: {say: {to: others}, ${quoted(long(128, 'é').slice(0, 64))}: {to: others}, "": {to: others}, " = ": {to: others}}}}`],
    ['/', `namespaces: {/: {log: {entries: 10000000, bytes: 16GiB, age: 366d}, recovery: 12h, ${events}}}`],
    ['/', `prefix: "%s%n*?[x]"\nnamespaces: {/: {${events}}}`],
    ['/', `namespaces: {${Array.from({ length: 2000 }, (_, n) => `/n${n}: {${events}}`).join(', ')}, /: {${events}}}`],
  ];
  for (const [namespace, text] of works) {
    const { works: does, what } = await config(text, { then: client(namespace) });
    assert.ok(does, what);
  }
});

const absurd = ['', ' ', '-1', '+1', '0x10', '1e3', '99999999999999999999', 'nan', 'inf', '1.5', '\x1b[31m', '\u009b31m', '\u202e', 'a\nsennit serve: all is well', '%s%s%n', long(100000), 'redis://user:hunter2secret@host'];

test('sennit serve: absurd flags and variables', quickly, async () => {
  const base = file(`namespaces: {/: {${events}}}`);
  for (const value of absurd) {
    for (const flag of ['--port', '--request-timeout', '--rotate', '--broker', '--trusted-hops', '--log-format', '--log-level', '--config']) {
      const { works, output, what } = await run(['serve', '--port', 0, '--broker', 'memory', '--log-format', 'json', '--config', base, flag, value]);
      assert.ok(works || output.includes(flag) || flag === '--config', what);
      assert.ok(!output.includes('hunter2secret'), what);
    }
    for (const variable of ['PORT', 'SENNIT_REQUEST_TIMEOUT_SECONDS', 'SENNIT_ROTATE', 'SENNIT_BROKER', 'SENNIT_TRUSTED_HOPS', 'SENNIT_LOG_FORMAT', 'SENNIT_INSTANCE', 'K_REVISION', 'SENNIT_CLIENT_DIR']) {
      const { works, output, what } = await run(['serve', '--config', base, ...(variable === 'PORT' ? [] : ['--port', 0])],
        { env: { SENNIT_BROKER: 'memory', SENNIT_LOG_FORMAT: 'json', PORT: '0', [variable]: value } });
      assert.ok(works || output.includes(`${variable}: expected`), what);
      assert.ok(!output.includes('hunter2secret'), what);
    }
  }
});

test('sennit serve: names of instances', quickly, async () => {
  for (const name of ['a b', '"', 'a=b', 'ä', 'a:b', '{0}', long(101), long(300), '*'])
    for (const variable of ['SENNIT_INSTANCE', 'K_REVISION']) {
      const { works, output, what } = await serve([], { env: { [variable]: name } });
      assert.ok(!works && output.includes(`${variable}: expected 1 to 100 letters, digits, dots`), what);
    }
  for (const name of ['a', long(100), 'board-00001-1', 'A.b_c']) {
    const { works, output, what } = await serve([], { env: { SENNIT_INSTANCE: name } });
    assert.ok(works && output.includes(`"instance":"${name}"`), what);
  }
});

test('sennit up and sennit load: absurd flags', quickly, async () => {
  const service = file(serviceYaml({ run: `${process.execPath} -e 0` }));
  const loads = ['--clients', '--connect-rate', '--connect-timeout', '--protocol', '--rate', '--publishers', '--duration', '--settle', '--size', '--rooms',
    '--rooms-per-client', '--cut-every', '--cut', '--reconnect-delay', '--pid', '--namespace', '--path', '--auth'];
  for (const value of absurd.filter((one) => !['', ' ', '+1', '1e3', '1.5', '0x10', '%s%s%n'].includes(one))) {
    for (const flag of ['--port', '--status-port', '--idle-timeout', '--startup-timeout', '--log-format', '--log-level', '--run'])
      assert.ok(!(await run(['up', service, flag, value, ...(flag === '--run' ? ['--port', 0] : [])])).output.includes('hunter2secret'));
    for (const flag of loads) // port 1: nobody is there
      assert.ok(!(await run(['load', 'http://127.0.0.1:1', '--connect-timeout', 0.1, '--duration', 0.1, flag, value])).output.includes('hunter2secret'));
    assert.ok(!(await run(['load', value])).output.includes('hunter2secret'));
    assert.ok(!(await run([value])).output.includes('hunter2secret'));
  }
});

const SECRET = 'hunter2secret';

test('no slip makes a command repeat a secret', quickly, async () => {
  const url = `redis://default:${SECRET}@host:1`, web = `http://user:${SECRET}@127.0.0.1:1`;
  const service = (more) => file(serviceYaml({ run: `${process.execPath} -e 0` }) + more);
  const env = (text) => service(`          env: ${text}\n`);
  const commands = [
    ['serve', url], ['serve', '--redis_url', url], ['serve', `--redis_url=${url}`], ['serve', `--redis-ulr=${url}`], ['serve', `--r=${url}`], ['serve', `--re=${url}`],
    ['serve', '-r'], ['serve', `-x${url}`], ['serve', '--port', url], ['serve', '-p', url], ['serve', '--config', url], ['serve', '--broker', url], ['serve', '--broker', 'redis', SECRET],
    ['serve', '--rotate', url], ['serve', '--request-timeout', url], ['serve', '--log-level', url], [`--redis-url=${url}`], [url], [SECRET + '!'],
    ['serve', '--redis-url', `redis://default:a b@host:1`, SECRET], ['serve', '--', url], ['serve', `--help=${url}`], ['serve', `--=${url}`],
    ['up', url], ['up', service(''), url], ['up', `--run=x`, service(''), `--token=${SECRET}`], ['up', service(''), '--port', url], ['up', service(''), '--run', 'node', `--token=${SECRET}`],
    ['up', service(''), '--run', `'${SECRET}`],
    ['up', env(SECRET)], ['up', env(`[${SECRET}]`)], ['up', env(`[DB=${SECRET}]`)], ['up', env(`[{name: DB, value: [${SECRET}]}]`)], ['up', env(`[{name: DB, value: {a: ${SECRET}}}]`)],
    ['up', env(`[{name: DB, valu: ${SECRET}}]`)], ['up', env(`[{name: "DB=${SECRET}", value: x}]`)], ['up', env(`[{name: DB, value: !${SECRET}}]`)], ['up', env(`[{name: DB, value: *${SECRET}}]`)],
    ['up', env(`[{name: DB, value: "${SECRET}]`)], ['up', env(`[{name: DB, value: @${SECRET}}]`)], ['up', env(`[{name: DB, value: %${SECRET}}]`)], ['up', env(`{DB: ${SECRET}}`)],
    ['up', service(`          args: ${SECRET}\n`)], ['up', service(`          args: {${SECRET}: 1}\n`)], ['up', service(`          command: "--token=${SECRET}"\n`)],
    ['up', file(serviceYaml({ annotations: { 'sennit.dev/redis': url } }))], ['up', file(serviceYaml({ annotations: { 'sennit.dev/redis-restart-delay': url } }))],
    ['up', file(serviceYaml({ annotations: { 'sennit.dev/run': `'${SECRET}` } }))],
    ['load', web], ['load', web.replace('http', 'https')], ['load', web.replace('@', '')], ['load', `http://user:${SECRET}`], ['load', `user:${SECRET}@host`], ['load', `http://[::1]:${SECRET}`],
    ['load', `http://127.0.0.1:1/?token=${SECRET}`], ['load', `http://127.0.0.1:1/x?token=${SECRET}`], ['load', `ws://127.0.0.1:1/x?token=${SECRET}`, '--protocol', 'websocket', '--connect-timeout', '0.2'],
    ['load', 'http://127.0.0.1:1', `http://127.0.0.1:1?token=${SECRET}`], ['load', 'http://127.0.0.1:1', '--auth', `{token:${SECRET}}`], ['load', 'http://127.0.0.1:1', '--auth', SECRET],
    ['load', 'http://127.0.0.1:1', `--oauth={"token":"${SECRET}"}`], ['load', 'http://127.0.0.1:1', `--json=${SECRET}`], ['load', 'http://127.0.0.1:1', '--auth', `{"token":"${SECRET}"}`, '--connect-timeout', '0.2'],
    ['load', `http://127.0.0.1:1#${SECRET}`], ['load', '--rate', web], ['load', 'http://127.0.0.1:1', '--pid', web],
  ];
  for (const args of commands) {
    const { works, output, what } = await run(args);
    assert.ok(!works && !output.includes(SECRET), `LEAK:\n${what}`);
  }
});

test('the list of processes shows no password', quickly, async () => {
  const one = program(['serve', '--port', '0', '--redis-url', `redis://:${SECRET}@127.0.0.1:1`, '--log-format', 'json'], { env: { PATH: process.env.PATH } });
  try {
    await until('the broker is tried', () => one.output.includes('retrying'));
    assert.ok(!fs.readFileSync(`/proc/${one.pid}/cmdline`, 'utf8').includes(SECRET));
    await sleep(100);
    assert.ok(!one.output.includes(SECRET), one.output);
  } finally {
    await one.stop();
  }
});

test('what an instance prints reaches the terminal in harmless characters', quickly, async () => {
  const script = path.join(directory, 'loud.js');
  const lines = ['\x1b[2Jcleared', 'a\u009bb', 'c\u202ed', '{"a":"\u202e\u009b"}', '{"from":"other-1","x":1}', 'tab\there', 'bell\x07', 'cr\rover'];
  fs.writeFileSync(script, `for (const line of ${JSON.stringify(lines)}) console.log(line);
    process.stdout.write(Buffer.from([0xff, 0x9b, 0x0a]));
    require('node:http').createServer((a, b) => b.end()).listen(process.env.PORT);`);
  const service = file(serviceYaml({ run: `${process.execPath} ${script}`, annotations: { 'autoscaling.knative.dev/minScale': 1, 'sennit.dev/hint': '\x1b[2Jhint' } }));
  for (const format of ['text', 'json']) {
    const one = program(['up', service, '--port', '0', '--log-format', format], { env: process.env });
    try {
      await until('it is ready', () => one.output.includes('instance is ready'));
      await until('all was said', () => one.output.includes('over'));
      assert.ok(!harmful.test(one.output.replaceAll('\ufffd', '')), JSON.stringify(one.output));
      if (format === 'json') {
        const said = one.output.trim().split('\n').map((line) => JSON.parse(line));
        assert.ok(said.every((line) => line.from === undefined || /^board-00001-\d+$/.test(line.from)), one.output);
        assert.ok(said.some((line) => line.from && line.a === '\u202e\u009b'), one.output);
      }
    } finally {
      await one.stop();
    }
  }
});
