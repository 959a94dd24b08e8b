// deflate: permessage-deflate with the npm library `ws`, with stock socket.io-client, and byte by byte.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { io } from 'socket.io-client';
import { board, freePort, program, temporary, top, until, up } from './lib.mjs';

// `ws` is engine.io-client's.
const require = createRequire(createRequire(path.join(top, 'package.json')).resolve('engine.io-client'));
const WebSocket = require('ws');

const events = 'namespaces: {/: {auth: none, events: {say: {to: others, log: true, id: 0.id}, all: {to: everyone}}}}';

async function served(compression, use, flags = []) {
  const directory = temporary();
  const file = path.join(directory, 'relay.yaml');
  fs.writeFileSync(file, `${compression}\n${events}\n`);
  const port = await freePort();
  const run = program(['serve', '--config', file, '--port', port, ...flags]);
  try {
    await until('it is ready', async () => (await fetch(`http://127.0.0.1:${port}/ready`).catch(() => ({}))).ok);
    await use(port, run);
  } finally {
    await run.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const metric = async (port, name) =>
  Number((await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).match(new RegExp(`^sennit_${name} (\\d+)$`, 'm'))[1]);

const closes = async (port, reason) =>
  Number((await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).match(new RegExp(`closes_total{reason="${reason}"} (\\d+)`))[1]);

const url = (port) => `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`;

// A client of `ws` in namespace /. `compressed` tells of each message whether it came with RSV1.
class Client {
  constructor(port, options) {
    this.socket = new WebSocket(url(port), options);
    this.received = [];
    this.compressed = [];
    this.code = null;
    this.socket.on('upgrade', (response) => {
      this.answer = response.headers['sec-websocket-extensions'];
    });
    this.socket.on('open', () => {
      const receiver = this.socket._receiver;
      const getInfo = receiver.getInfo;
      receiver.getInfo = (...args) => {
        const first = receiver._buffers[0]?.[0];
        if (first !== undefined && (first & 15) !== 0 && first & 64) this.rsv1 = true;
        return getInfo.apply(receiver, args);
      };
    });
    this.socket.on('message', (data) => {
      const text = data.toString();
      if (text.startsWith('0')) this.socket.send('40');
      else if (text === '2') this.socket.send('3');
      else if (text.startsWith('42')) {
        this.received.push(JSON.parse(text.slice(2)));
        this.compressed.push(this.rsv1 === true);
      } else if (text.startsWith('40')) this.joined = true;
      this.rsv1 = false;
    });
    this.socket.on('close', (code) => (this.code = code));
    this.socket.on('error', (error) => (this.error = error));
  }

  in() {
    return until('it is in', () => this.joined || this.error);
  }

  say(...args) {
    this.socket.send(`42${JSON.stringify(args)}`, { compress: true });
  }
}

const long = (id, bytes = 3000) => ({ id, text: `${id} `.repeat(Math.ceil(bytes / (id.length + 1))) });

// A client on the raw wire, for what no library sends.
class Raw {
  static async open(port, offer) {
    const raw = new Raw();
    raw.socket = net.connect(port, '127.0.0.1');
    raw.bytes = Buffer.alloc(0);
    raw.socket.on('data', (data) => (raw.bytes = Buffer.concat([raw.bytes, data])));
    raw.socket.on('error', () => {});
    raw.ended = once(raw.socket, 'close');
    raw.socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: ${offer}\r\n\r\n`);
    await until('the answer', () => raw.bytes.includes('\r\n\r\n'));
    raw.head = raw.bytes.subarray(0, raw.bytes.indexOf('\r\n\r\n')).toString();
    raw.bytes = raw.bytes.subarray(raw.bytes.indexOf('\r\n\r\n') + 4);
    return raw;
  }

  frame(first, payload) {
    const header = payload.length < 126 ? Buffer.from([first, 128 | payload.length]) : Buffer.from([first, 128 | 126, payload.length >> 8, payload.length & 255]);
    this.socket.write(Buffer.concat([header, Buffer.alloc(4), payload]));
  }

  // The code of the server's Close frame, its last one.
  async code() {
    await this.ended;
    let at = 0, last;
    while (at < this.bytes.length) {
      const len = this.bytes[at + 1], more = len === 126 ? 2 : 0;
      last = at;
      at += 2 + more + (more ? this.bytes.readUInt16BE(at + 2) : len);
    }
    assert.equal(this.bytes[last], 0x88);
    return this.bytes.readUInt16BE(last + 2);
  }
}

const packed = (text) => zlib.deflateRawSync(text, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);

test('not offered, not configured, or both: only both compress', async () => {
  await served('', async (port) => {
    const client = new Client(port);
    await client.in();
    assert.equal(client.answer, undefined);
    client.socket.close();
  });
  await served('compression: {websocket: on}', async (port) => {
    const [plain, client] = [new Client(port, { perMessageDeflate: false }), new Client(port)];
    await Promise.all([plain.in(), client.in()]);
    assert.equal(plain.answer, undefined);
    assert.equal(client.answer, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
    plain.socket.close();
    client.socket.close();
  });
});

test('clients with each window, and without, get the same, each message compressed once per window', async () => {
  await served('compression: {websocket: on}', async (port) => {
    const clients = [{ perMessageDeflate: false }, ...[15, 14, 12, 11, 9, 15, 15].map((bits) => ({ perMessageDeflate: { serverMaxWindowBits: bits, clientMaxWindowBits: bits } }))]
      .map((options) => new Client(port, options));
    await Promise.all(clients.map((client) => client.in()));
    const sender = clients[1];
    for (let i = 0; i < 20; i++) sender.say('say', long(`message-number-${i}`));
    sender.say('say', { id: 'a-short-message-at-the-end' });
    for (const client of clients.filter((one) => one !== sender)) {
      await until('all have come', () => client.received.length === 21);
      assert.deepEqual(client.received.slice(0, 20).map(([, message]) => message), Array.from({ length: 20 }, (_, i) => long(`message-number-${i}`)));
      assert.deepEqual(new Set(client.compressed.slice(0, 20)), new Set([client.answer !== undefined]));
      assert.equal(client.compressed[20], false, 'it is below the threshold');
    }
    assert.equal(await metric(port, 'deflate_messages_in_total'), 20);
    assert.equal(await metric(port, 'deflate_messages_out_total'), 60, 'three windows');
    assert.equal(await metric(port, 'deflate_contexts'), 0);
    clients.forEach((client) => client.socket.close());
  });
});

test('contexts are kept where the operator allows it, up to the bound', async () => {
  await served('compression: {websocket: on, context_takeover: true, contexts_max: 2}', async (port) => {
    const clients = [];
    for (let i = 0; i < 3; i++) {
      clients.push(new Client(port));
      await clients[i].in();
    }
    assert.equal(clients[1].answer, 'permessage-deflate; client_max_window_bits=12');
    assert.equal(clients[2].answer, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
    assert.equal(await metric(port, 'deflate_contexts'), 2);
    assert.equal(await metric(port, 'deflate_contexts_declined_total'), 1);
    for (let i = 0; i < 50; i++) clients[i % 3].say('all', long(`message-number-${i}`, 1500));
    for (const client of clients) {
      await until('all have come', () => client.received.length === 50);
      const ids = client.received.map(([, message]) => message.id);
      for (let i = 0; i < 50; i++) assert.deepEqual(client.received[ids.indexOf(`message-number-${i}`)][1], long(`message-number-${i}`, 1500));
      assert.ok(client.compressed.every((one) => one));
    }
    const [before, context] = [clients[0].socket, clients[1].socket];
    before.close();
    context.terminate();
    await until('they are gone', async () => (await metric(port, 'deflate_contexts')) === 0);
    const again = new Client(port);
    await again.in();
    assert.equal(again.answer, 'permessage-deflate; client_max_window_bits=12');
    again.socket.close();
    clients[2].socket.close();
  });
});

test('a slow client with a context loses nothing when its queue is dropped', async () => {
  await served('compression: {websocket: on, context_takeover: true}', async (port) => {
    const [slow, sender] = [new Client(port), new Client(port)];
    await Promise.all([slow.in(), sender.in()]);
    slow.socket.pause();
    const text = () => Array.from({ length: 3000 }, () => Math.random().toString(36).slice(2)).join('');
    const sent = Array.from({ length: 300 }, (_, i) => ({ id: `message-number-${i}`, text: text() }));
    for (const message of sent) sender.say('say', message);
    await until('its queue was dropped', async () => (await metric(port, 'slowed_total')) > 0);
    slow.socket.resume();
    await until('all have come', () => slow.received.length === 300 || slow.code !== null, 30000);
    assert.equal(slow.code, null);
    assert.deepEqual(slow.received.map(([, message]) => message), sent);
    slow.socket.close();
    sender.socket.close();
  });
});

test('socket.io-client with perMessageDeflate', async () => {
  await served('compression: {websocket: on, threshold: 100}', async (port) => {
    const open = (options) => io(`http://127.0.0.1:${port}`, { transports: ['websocket'], reconnection: false, ...options });
    const [a, b] = [open({ perMessageDeflate: { threshold: 0 } }), open({ perMessageDeflate: false })];
    await Promise.all([once(a, 'connect'), once(b, 'connect')]);
    const [got, back] = [once(b, 'say'), once(a, 'say')];
    a.emit('say', long('from-the-one-that-compresses'));
    b.emit('say', long('from-the-one-that-does-not'));
    assert.deepEqual((await got)[0], long('from-the-one-that-compresses'));
    assert.deepEqual((await back)[0], long('from-the-one-that-does-not'));
    assert.ok((await metric(port, 'deflate_messages_in_total')) > 0);
    assert.ok((await metric(port, 'deflate_messages_out_total')) > 0);
    a.close();
    b.close();
  });
});

test('fragments, empty blocks, last blocks: whatever RFC 7692 allows', async () => {
  await served('compression: {websocket: on}', async (port) => {
    const ear = new Client(port);
    await ear.in();
    const raw = await Raw.open(port, 'permessage-deflate');
    assert.match(raw.head, /Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover/);
    raw.frame(0xc1, packed('40'));
    const payload = (i) => `42["all",${i}]`;
    const whole = packed(payload(0));
    raw.frame(0x41, whole.subarray(0, 3));
    raw.frame(0x89, Buffer.from('ping'));
    raw.frame(0x00, Buffer.alloc(0));
    raw.frame(0x80, whole.subarray(3));
    raw.frame(0xc1, Buffer.concat([zlib.deflateRawSync(payload(1)), Buffer.from([0])])); // a last block, and the byte behind it
    raw.frame(0xc1, zlib.deflateRawSync(payload(2), { level: 0, finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4)); // stored
    raw.frame(0x81, Buffer.from(payload(3))); // not compressed
    await until('all have come', () => ear.received.length === 4);
    assert.deepEqual(ear.received.map(([event, i]) => [event, i]), [0, 1, 2, 3].map((i) => ['all', i]));
    assert.ok(raw.bytes.includes(Buffer.from([0x8a, 4, ...Buffer.from('ping')])), 'the ping between the fragments was answered');
    raw.socket.destroy();
    ear.socket.close();
  });
});

test('breaches end the connection with their code, and are counted', async () => {
  await served('compression: {websocket: on}\nmax_payload: 100KB', async (port, run) => {
    const cases = [
      [1002, [[0x41, packed('4')], [0xc0, packed('2')]]], // RSV1 on a continuation
      [1002, [[0xc9, Buffer.alloc(0)]]], // on a ping
      [1002, [[0xe1, packed('40')]]], // RSV2
      [1007, [[0xc1, Buffer.from([7])]]], // no deflate
      [1007, [[0xc1, packed('40').subarray(0, 2)]]], // cut off
      [1007, [[0xc1, packed(Buffer.from([0x34, 0xff]))]]], // no UTF-8
      [1009, [[0xc1, packed(Buffer.alloc(30 << 20, 'a'))]]], // a bomb: 30 MB in 30 KB
    ];
    const memory = () => Number(fs.readFileSync(`/proc/${run.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/)[1]);
    const before = memory();
    for (const [code, frames] of cases) {
      const raw = await Raw.open(port, 'permessage-deflate');
      for (const frame of frames) raw.frame(...frame);
      assert.equal(await raw.code(), code, JSON.stringify(frames));
    }
    assert.ok(memory() - before < 4000, `${memory() - before} KB for a bomb`);
    assert.equal(await closes(port, 'ws_too_big'), 1);
    assert.equal(await closes(port, 'ws_deflate_invalid'), 2);
    assert.equal(await metric(port, 'deflate_refused_total'), 3);
    // Not agreed on.
    const raw = await Raw.open(port, 'permessage-deflate; mystery=1');
    assert.doesNotMatch(raw.head, /Extensions/);
    raw.frame(0xc1, packed('40'));
    assert.equal(await raw.code(), 1002);
    // The header itself.
    const malformed = await Raw.open(port, 'permessage-deflate; =');
    assert.match(malformed.head, /^HTTP\/1.1 400 /);
  });
});

test('a client that makes the instance decompress much from little is not read for a while', async () => {
  await served('compression: {websocket: on}', async (port) => {
    const raw = await Raw.open(port, 'permessage-deflate');
    raw.frame(0xc1, packed('40'));
    const large = packed('6' + 'a'.repeat(990000)); // an Engine.IO noop: a thousand times as much as is sent
    for (let i = 0; i < 100; i++) raw.frame(0xc1, large);
    await until('it waits', async () => (await metric(port, 'stalled_total')) > 0);
    const made = await metric(port, 'deflate_bytes_in_made_total');
    assert.ok(made > 10e6 && made < 30e6, `${made} bytes were made`);
    await until('it goes on', async () => (await metric(port, 'deflate_bytes_in_made_total')) > made);
    raw.socket.destroy();
  });
});

test('sennit load --deflate --check', async () => {
  for (const takeover of ['false', 'true'])
    await served(`compression: {websocket: on, context_takeover: ${takeover}}`, async (port) => {
      const run = program(['load', `http://127.0.0.1:${port}`, '-c', '10', '-r', '50', '-d', '2', '--size', '2000', '--event', 'say', '--check', '--deflate', '--cut-every', '1', '--json']);
      assert.equal(await run.ended, 0, run.output);
      const { deflate } = JSON.parse(run.output.trim().split('\n').at(-1));
      assert.ok(deflate.messages_in > 500 && deflate.bytes_in < deflate.bytes_in_made / 4, run.output);
      assert.ok(deflate.messages_out >= 100);
    });
  await served('', async (port) => {
    const run = program(['load', `http://127.0.0.1:${port}`, '-c', '2', '-d', '1', '--deflate', '--connect-timeout', '1']);
    assert.equal(await run.ended, 3);
    assert.match(run.output, /does not agree on permessage-deflate/);
  });
});

test('the client library in gzip: its version, conditions, ranges', async () => {
  await served('', async (port) => {
    // fetch would decode by itself.
    const get = (where, headers = {}, method = 'GET') =>
      new Promise((resolve, reject) => {
        http.request({ port, host: '127.0.0.1', path: where, method, headers }, (response) => {
          const parts = [];
          response.on('data', (part) => parts.push(part)).on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
        }).on('error', reject).end();
      });
    const library = '/socket.io/socket.io.js';
    const gzip = { 'Accept-Encoding': 'gzip, deflate' };
    const [plain, packed] = [await get(library), await get(library, gzip)];
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(plain.headers.vary, 'Accept-Encoding');
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.equal(packed.headers.vary, 'Accept-Encoding');
    assert.ok(packed.body.length < plain.body.length / 2);
    assert.deepEqual(zlib.gunzipSync(packed.body), plain.body);
    assert.equal(packed.headers.etag, plain.headers.etag); // the version, as upstream has it
    const head = await get(library, gzip, 'HEAD');
    assert.deepEqual([head.headers['content-length'], head.headers.etag, head.body.length], [`${packed.body.length}`, packed.headers.etag, 0]);
    const same = await get(library, { ...gzip, 'If-None-Match': packed.headers.etag });
    assert.deepEqual([same.status, same.headers.etag, same.headers.vary, same.headers['content-encoding']], [304, packed.headers.etag, 'Accept-Encoding', undefined]);
    assert.equal((await get(library, { ...gzip, 'If-None-Match': '"4.0.0"' })).status, 200);
    const part = await get(library, { ...gzip, Range: 'bytes=0-99' });
    assert.deepEqual([part.status, part.headers['content-encoding'], part.headers.etag], [206, undefined, plain.headers.etag]);
    assert.deepEqual(part.body, plain.body.subarray(0, 100));
    const metrics = await get('/metrics', gzip);
    assert.match(zlib.gunzipSync(metrics.body).toString(), /sennit_up_seconds/);
  });
});

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => fs.existsSync(file));

test('Chromium', { skip: chromium ? false : 'no Chromium on this machine (Debian: apt-get install chromium)' }, async () => {
  const { chromium: launcher } = await import('playwright-core');
  const browser = await launcher.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] });
  try {
    for (const takeover of ['false', 'true'])
      await served(`compression: {websocket: on, context_takeover: ${takeover}}`, async (port) => {
        const page = await browser.newPage();
        await page.goto(`http://127.0.0.1:${port}/health`);
        const sent = Array.from({ length: 20 }, (_, i) => long(`message-number-${i}`));
        const got = await page.evaluate(async ([address, messages]) => {
          const socket = new WebSocket(address), received = [];
          return new Promise((resolve) => {
            socket.onclose = (event) => resolve({ closed: event.code });
            socket.onmessage = ({ data }) => {
              if (data.startsWith('0')) socket.send('40');
              else if (data.startsWith('40')) messages.forEach((message) => socket.send(`42${JSON.stringify(['all', message])}`));
              else if (data.startsWith('42') && received.push(JSON.parse(data.slice(2))[1]) === messages.length) resolve({ extensions: socket.extensions, received });
            };
          });
        }, [url(port), sent]);
        assert.deepEqual(got.received, sent);
        assert.match(got.extensions, takeover === 'true' ? /^permessage-deflate; client_max_window_bits=12$/ : /^permessage-deflate; server_no_context_takeover/);
        assert.equal(await metric(port, 'deflate_messages_in_total'), 21, 'the browser compresses all, 40 too');
        assert.equal(await metric(port, 'deflate_messages_out_total'), 20);
        await page.close();
      });
  } finally {
    await browser.close();
  }
});

test('through sennit up', async () => {
  const directory = temporary();
  const file = path.join(directory, 'relay.yaml');
  fs.writeFileSync(file, `compression: {websocket: on, context_takeover: true}\n${events}\n`);
  const service = await up({ ...board({ min: 2 }), run: `sennit serve --config ${file}` }, { ready: 2 });
  try {
    const port = new URL(service.url).port;
    const clients = [new Client(port), new Client(port), new Client(port, { perMessageDeflate: false })];
    await Promise.all(clients.map((client) => client.in()));
    assert.deepEqual(clients.map(({ answer }) => answer), ['permessage-deflate; client_max_window_bits=12', 'permessage-deflate; client_max_window_bits=12', undefined]);
    const sent = Array.from({ length: 20 }, (_, i) => long(`message-number-${i}`));
    for (const message of sent) clients[0].say('all', message);
    for (const client of clients) {
      await until('all have come', () => client.received.length === 20);
      assert.deepEqual(client.received.map(([, message]) => message), sent);
      assert.ok(client.compressed.every((one) => one === (client.answer !== undefined)));
      client.socket.close();
    }
  } finally {
    await service.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
