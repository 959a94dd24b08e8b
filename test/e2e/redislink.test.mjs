// redislink: `sennit serve` on Redis servers of every kind: TLS, unix sockets, ACL users; and what it says when one cannot be used.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Client, freePort, program, redisClient, redisServer, sleep, temporary, top, until } from './lib.mjs';

const quickly = { timeout: 60000 };
const whiteboard = path.join(top, 'examples/whiteboard/board.yaml');
let directory;
const file = (name) => path.join(directory, name);
const openssl = (...args) => execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });

// A CA, and a certificate of it for these names.
function authority(name) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.pem`,
    '-days', '1', '-subj', `/CN=${name}`);
}
function certificate(name, ca, names) {
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  fs.writeFileSync(file(`${name}.ext`), `subjectAltName=${names}\n`);
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-out', `${name}.pem`, '-days', '1',
    '-extfile', `${name}.ext`);
}

before(() => {
  directory = temporary();
  authority('ca');
  authority('other');
  certificate('server', 'ca', 'DNS:redis.test,IP:127.0.0.1');
  certificate('client', 'ca', 'DNS:sennit');
});
after(() => fs.rmSync(directory, { recursive: true, force: true }));

// A redis-server whose data outlives it; `lines` are its configuration.
async function redis(lines) {
  const home = fs.mkdtempSync(path.join(directory, 'redis-'));
  const config = path.join(home, 'redis.conf');
  fs.writeFileSync(config, ['bind 127.0.0.1', `dir ${home}`, 'save ""', 'appendonly yes', 'appendfsync always', ...lines].join('\n') + '\n');
  const server = { output: '' };
  server.start = async () => {
    server.child = spawn(redisServer, [config], { stdio: ['ignore', 'pipe', 'pipe'] });
    server.output = '';
    for (const stream of [server.child.stdout, server.child.stderr]) stream.on('data', (data) => (server.output += data));
    server.ended = once(server.child, 'close');
    await until('redis-server is up', () => {
      if (server.child.exitCode !== null) throw new Error(server.output);
      return server.output.includes('eady to accept connections');
    });
  };
  server.stop = async (signal = 'SIGKILL') => {
    if (server.child.exitCode === null && server.child.signalCode === null) server.child.kill(signal);
    await server.ended;
  };
  await server.start();
  return server;
}
const tlsLines = (port, clients = 'no') => ['port 0', `tls-port ${port}`, `tls-cert-file ${file('server.pem')}`, `tls-key-file ${file('server.key')}`,
  `tls-ca-cert-file ${file('ca.pem')}`, `tls-auth-clients ${clients}`];

// One instance; it says when it is ready, or what keeps it from it.
async function serve(redisUrl, { config = whiteboard, ready = true } = {}) {
  const port = await freePort();
  const run = program(['serve', '--port', String(port), '--config', config, '--log-format', 'json'], { env: { ...process.env, REDIS_URL: redisUrl } });
  run.url = `http://127.0.0.1:${port}`;
  run.ready = async () => (await fetch(`${run.url}/ready`).catch(() => ({ status: 0 }))).status === 200;
  run.messages = () => run.output.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  run.says = (text) => until(`the log says ${text}`, () => run.output.includes(text)).catch((error) => { throw new Error(`${error.message}\n${run.output}`); });
  if (ready) await until('it is ready', run.ready).catch((error) => { throw new Error(`${error.message}\n${run.output}`); });
  return run;
}

// All of them, also when one ended badly.
async function stopAll(instances) {
  const bad = (await Promise.allSettled(instances.map((instance) => instance.stop()))).find((result) => result.status === 'rejected');
  if (bad) throw bad.reason;
}

// Two instances; what is drawn on one is seen on the other, before and after the server was killed.
async function draws(url, server) {
  const instances = [await serve(url), await serve(url)];
  const clients = instances.map((instance, n) => new Client(instance.url, { name: `c${n}` }));
  const [drawer, viewer] = clients;
  try {
    for (const client of clients) await client.connected();
    for (let n = 0; n < 50; n++) drawer.draw();
    await until('the viewer has seen it', () => viewer.got.length === 50);
    await server.stop();
    await until('the instances have noticed', async () => !(await instances[0].ready()) && !(await instances[1].ready()));
    for (let n = 0; n < 50; n++) drawer.draw();
    await sleep(300);
    await server.start();
    await drawer.settled();
    await until('the viewer has seen all', () => viewer.got.length >= 100).catch(() => {});
    assert.deepEqual(viewer.got, Array.from({ length: 100 }, (_, n) => `c0-${n}`));
    for (const instance of instances) {
      for (const line of instance.messages()) assert.doesNotMatch(line.message, /refuses|does not let|invalid answer/);
    }
  } finally {
    clients.forEach((client) => client.close());
    await stopAll(instances);
  }
}

test('TLS: the CA is named', quickly, async () => {
  const port = await freePort();
  const server = await redis(tlsLines(port));
  try {
    await draws(`rediss://127.0.0.1:${port}?ca=${file('ca.pem')}`, server);
  } finally {
    await server.stop();
  }
});

test('TLS: both sides show certificates, the name is another, an ACL user, a database', quickly, async () => {
  const port = await freePort();
  const server = await redis([...tlsLines(port, 'yes'), 'user default off ~* &* +@all', 'user me on >s@cret/ ~* &* +@all']);
  try {
    await draws(`rediss://me:s%40cret%2F@localhost:${port}/3?ca=${file('ca.pem')}&cert=${file('client.pem')}&key=${file('client.key')}` +
      '&server_name=redis.test', server);
  } finally {
    await server.stop();
  }
});

test('a unix socket with a password', quickly, async () => {
  const socket = file('redis.sock');
  const server = await redis(['port 0', `unixsocket ${socket}`, 'requirepass secret']);
  try {
    await draws(`unix://:secret@${socket}?db=2`, server);
  } finally {
    await server.stop();
  }
});

// Starts where it cannot be: ends with these words, and has never listened.
async function refuses(url, ...texts) {
  const run = await serve(url, { ready: false });
  assert.equal(await run.ended, 1, run.output);
  for (const text of texts) assert.ok(run.output.includes(text), `${text}, not:\n${run.output}`);
  assert.ok(!run.output.includes('"listening"'), 'it never listened');
}

test('TLS: what is wrong is said, with what to do', quickly, async () => {
  const port = await freePort();
  const server = await redis(tlsLines(port, 'yes'));
  const ca = `ca=${file('ca.pem')}`;
  try {
    await refuses(`rediss://127.0.0.1:${port}`, 'certificate verify failed: self-signed certificate in certificate chain; give its CA with ?ca=FILE');
    await refuses(`rediss://127.0.0.1:${port}?ca=${file('other.pem')}`, 'give its CA with ?ca=FILE');
    await refuses(`rediss://localhost:${port}?${ca}`, 'certificate verify failed: hostname mismatch; use a host that its certificate names, or say one with ?server_name=NAME');
    await refuses(`rediss://127.0.0.1:${port}?${ca}`, 'the peer refuses: certificate required; give one with ?cert=FILE&key=FILE');
    await refuses(`rediss://127.0.0.1:${port}?verify=no`, 'any certificate is accepted', 'certificate required');
  } finally {
    await server.stop();
  }
});

test('TLS to a port that does not speak it', quickly, async () => {
  const talker = net.createServer((socket) => socket.on('error', () => {}).end('-ERR what is this\r\n')).listen(0, '127.0.0.1');
  await once(talker, 'listening');
  try {
    await refuses(`rediss://127.0.0.1:${talker.address().port}`, 'the peer does not speak TLS; say redis://, or give the port that speaks TLS');
  } finally {
    talker.close();
  }
});

test('no TLS to a port that speaks it', quickly, async () => {
  const port = await freePort();
  const server = await redis(tlsLines(port));
  try {
    await refuses(`redis://127.0.0.1:${port}`, 'the port speaks TLS', 'rediss://');
  } finally {
    await server.stop();
  }
});

test('a cluster with a numbered database, and a replica', quickly, async () => {
  const [port, bus] = [await freePort(), await freePort()];
  const server = await redis([`port ${port}`, 'appendonly no', 'cluster-enabled yes', `cluster-port ${bus}`]);
  try {
    await refuses(`redis://127.0.0.1:${port}/1`, 'SELECT is not allowed', 'leave the number out of REDIS_URL');
  } finally {
    await server.stop();
  }
  const replica = await redis([`port ${port}`, 'appendonly no', 'replicaof 127.0.0.1 1']);
  try {
    await refuses(`redis://127.0.0.1:${port}`, 'replica', 'its primary is 127.0.0.1:1');
  } finally {
    await replica.stop();
  }
});

test('a Redis that becomes a replica later: not ready, and why', quickly, async () => {
  const port = await freePort();
  const server = await redis([`port ${port}`, 'appendonly no']);
  const url = `redis://127.0.0.1:${port}`;
  const instance = await serve(url);
  const ask = (...args) => execFileSync(redisClient, ['-p', String(port), ...args]);
  const metric = async () => (await (await fetch(`${instance.url}/metrics`)).text()).match(/^sennit_broker_trouble (\d)$/m)[1];
  const client = new Client(instance.url, { name: 'c' });
  try {
    await client.connected();
    ask('REPLICAOF', '127.0.0.1', '1');
    client.draw();
    await until('/ready says why', async () => (await (await fetch(`${instance.url}/ready`)).text()).includes('its primary is 127.0.0.1:1'));
    assert.equal(await metric(), '1');
    ask('REPLICAOF', 'NO', 'ONE');
    await until('it is ready', instance.ready);
    await client.settled();
    assert.equal(await metric(), '0');
    assert.equal(instance.messages().filter((line) => line.message.includes('cannot be relied on')).length, 1);
  } finally {
    client.close();
    await instance.stop();
    await server.stop();
  }
});

test('a wrong URL, and files that are not there, end it with a word', quickly, async () => {
  const cases = [
    ['rediss://127.0.0.1?ca=/no/such/ca.pem', /REDIS_URL: ca: \/no\/such\/ca\.pem: No such file or directory/],
    [`rediss://127.0.0.1?cert=${file('client.pem')}&key=${file('other.key')}`, /REDIS_URL: key: .*other\.key: is not the key of the certificate/],
    ['rediss://127.0.0.1?insecure=yes', /REDIS_URL: an option behind \? is unknown; rediss:\/\/ knows ca, cert, key, verify, server_name and sharded/],
    ['redis://me:secret?@127.0.0.1', /REDIS_URL: in user, password and path/],
  ];
  for (const [url, expected] of cases) {
    const run = await serve(url, { ready: false });
    assert.equal(await run.ended, 1, run.output);
    assert.match(run.output, expected);
    assert.doesNotMatch(run.output, /secret/);
  }
});

// A command of an administrator's, over TCP.
async function ask(port, ...words) {
  const socket = net.connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => (answer += data));
  socket.write(`${words.join(' ')}\r\nQUIT\r\n`);
  await once(socket, 'close');
  return answer;
}

test('the ACL of docs/serve.md is enough, and no command in it is too much', quickly, async () => {
  const line = /^ {4}(user sennit on .*)$/m.exec(fs.readFileSync(path.join(top, 'docs/serve.md'), 'utf8'))[1];
  assert.match(line, / ~sennit:\{0\}:\* &sennit:\{0\}:\* -@all /);
  const port = await freePort();
  const server = await redis([`port ${port}`, line.replace('>PASSWORD', '>secret')]);
  const config = file('rooms.yaml');
  fs.writeFileSync(config, `namespaces:
  /:
    log: {entries: 1000, age: 1s}
    replay: 20
    events:
      drawing: {to: others, log: true, id: 0.id}
      cursor: {to: others}
      join: {join: 0}
      leave: {leave: 0}
      say: {to: room, room: 0, log: true}
`);
  const url = `redis://sennit:secret@127.0.0.1:${port}/0`;
  const clients = [];
  const instances = [];
  const client = async (instance, name) => {
    clients.push(new Client(instance.url, { name }));
    await clients.at(-1).connected();
    return clients.at(-1);
  };
  try {
    await ask(port, 'CONFIG', 'RESETSTAT');
    instances.push(await serve(url, { config }), await serve(url, { config }));
    const [drawer, viewer] = [await client(instances[0], 'a'), await client(instances[1], 'b')];
    const heard = [];
    viewer.socket.on('say', (room, text) => heard.push(text));
    viewer.socket.on('cursor', (at) => heard.push(at));
    await viewer.socket.emitWithAck('join', 'kitchen');
    await drawer.socket.emitWithAck('join', 'kitchen');
    await drawer.socket.emitWithAck('say', 'kitchen', 'hello');
    drawer.socket.emit('cursor', 'here');
    for (let n = 0; n < 5; n++) drawer.draw();
    await until('everything is heard', () => viewer.got.length === 5 && heard.length === 2);
    await client(instances[1], 'late').then((late) => until('the newest are replayed', () => late.got.length === 5));
    viewer.cut(); // resumes, which claims its lease
    await until('it is back', () => viewer.connects.length === 2);
    assert.equal(viewer.connects[1], true);
    await viewer.socket.emitWithAck('leave', 'kitchen');
    await drawer.socket.emitWithAck('leave', 'kitchen');
    await until('nobody is in the kitchen', async () => (await ask(port, 'INFO', 'commandstats')).includes('cmdstat_unsubscribe'));
    // The log outlives its oldest entries as long as younger ones come.
    for (let n = 6; n < 10; n++) {
      drawer.draw();
      await until('that one is seen too', () => viewer.got.length === n);
      await sleep(400);
    }
    drawer.close(); // its lease is deleted
    viewer.close();
    await sleep(300);
    await stopAll(instances);

    const denied = await ask(port, 'ACL', 'LOG');
    assert.match(denied, /^\*0\r\n/, denied);
    const used = [...(await ask(port, 'INFO', 'commandstats')).matchAll(/^cmdstat_(\S+?):calls=/gm)].map((match) => match[1]);
    const allowed = line.split(' ').filter((word) => word.startsWith('+')).map((word) => word.slice(1));
    const admins = ['config|resetstat', 'acl|log', 'quit', 'auth'];
    assert.deepEqual(used.filter((name) => !admins.includes(name)).sort(), allowed.sort());
    for (const instance of instances) for (const { message } of instance.messages()) assert.doesNotMatch(message, /refuses|cannot/);
  } finally {
    clients.forEach((one) => one.close());
    await server.stop();
    await stopAll(instances);
  }
});

test('an ACL user that may not enough: what is missing is said', quickly, async () => {
  const port = await freePort();
  const server = await redis([`port ${port}`, 'user sennit on >secret ~sennit:{0}:* &sennit:{0}:* -@all +info +script|load +subscribe +evalsha']);
  try {
    await refuses(`redis://sennit:secret@127.0.0.1:${port}`, 'does not let its user call DEL on our keys and channels: give it those that docs/serve.md lists');
    await refuses(`redis://sennit:wrong@127.0.0.1:${port}`, 'WRONGPASS');
  } finally {
    await server.stop();
  }
});
