// fake_redis: a Redis that knows the greeting and answers every script plausibly, but for what `lie` changes: lie(name, call, answer,
// redis) gives another answer for a command (a script goes by its file's name), null for none, or undefined to leave it.
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { top } from '../e2e/lib.mjs';
import { bulk, parse, reply } from './wire.mjs';

const folder = path.join(top, 'src/broker/scripts');
const scripts = fs.readdirSync(folder).filter((name) => name.endsWith('.lua') && name !== 'oldest.lua').map((name) => [name.slice(0, -4), fs.readFileSync(path.join(folder, name), 'utf8')]);
const info = `redis_version:7.0.15\r\nrun_id:${'a'.repeat(40)}\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nused_memory:1000\r\n`;

// The file that a script was made of: the build may have taken its comments away, so the one with the most lines in common.
function nameOf(text) {
  const lines = new Set(text.split('\n').map((line) => line.trim()).filter((line) => line.length > 20));
  const common = ([, source]) => {
    const own = source.split('\n').map((line) => line.trim()).filter((line) => line.length > 20 && !line.startsWith('--'));
    return own.filter((line) => lines.has(line)).length / (own.length || 1);
  };
  return scripts.reduce((best, one) => (common(one) > common(best) ? one : best))[0];
}

export class FakeRedis {
  static async open(lie = () => undefined) {
    const redis = new FakeRedis();
    Object.assign(redis, { lie, names: new Map(), feed: null, inbox: '', seq: 100, pushed: 0, told: 0, epoch: 'fakeepo1', calls: {}, links: 0, sockets: new Set() });
    redis.server = net.createServer((socket) => redis.link(socket));
    await new Promise((resolve) => redis.server.listen(0, '127.0.0.1', resolve));
    redis.port = redis.server.address().port;
    redis.url = `redis://127.0.0.1:${redis.port}`;
    return redis;
  }

  close() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  link(socket) {
    this.links++;
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    let input = Buffer.alloc(0);
    socket.on('data', (data) => {
      input = Buffer.concat([input, data]);
      for (let one; (one = parse(input)) !== null; input = input.subarray(one[1])) {
        const [name, answer] = this.answer(socket, one[0]);
        this.calls[name] = (this.calls[name] ?? 0) + 1;
        const pushed = this.pushed, lie = this.lie(name, one[0], answer, this);
        if (lie !== undefined || this.pushed > pushed) this.told++;
        const said = lie === undefined ? answer : lie;
        if (said !== null && socket.writable) socket.write(Buffer.isBuffer(said) ? said : reply(said));
      }
    });
  }

  // A message on a channel; `message` may be any answer.
  push(channel, message) {
    this.pushed++;
    if (this.feed?.writable) this.feed.write(Buffer.concat([Buffer.from('*3\r\n'), bulk('message'), bulk(channel), Buffer.isBuffer(message) ? message : reply(message)]));
  }

  answer(socket, call) {
    const command = call[0].toUpperCase();
    if (command === 'INFO') return ['INFO', info];
    if (command === 'SCRIPT') {
      const sha = crypto.createHash('sha1').update(Buffer.from(call[2], 'latin1')).digest('hex');
      this.names.set(sha, nameOf(call[2]));
      return ['SCRIPT', sha];
    }
    if (command === 'SUBSCRIBE') {
      this.feed = socket;
      if (call[1].includes(':inbox:')) this.inbox = call[1];
      return ['SUBSCRIBE', ['subscribe', call[1], 1]];
    }
    if (command === 'UNSUBSCRIBE') return ['UNSUBSCRIBE', ['unsubscribe', call[1], 0]];
    if (command === 'PUBLISH') return this.push(call[1], call[2]), ['PUBLISH', 1];
    if (command !== 'EVALSHA') return [command, { raw: '+OK\r\n' }];
    const name = this.names.get(call[1]) ?? '?', keys = Number(call[2]), values = call.slice(3 + keys);
    return [name, this.script(name, values)];
  }

  script(name, values) {
    if (name === 'check') return 'ok';
    if (name === 'open') return [this.epoch, String(this.seq), '', '0'];
    if (name === 'publish') return [1, Number(values[1])];
    if (name === 'read') return [String(this.seq), 0, 0];
    if (name === 'lease_claim') return ['2', 'S'.repeat(20), '', '0 0 0 - 0 1 /', '', '120000', 1];
    if (name === 'fence') for (const room of values.slice(2)) this.push(values[0], `fence ${values[1]} ${this.seq} ${this.seq}\n${room}`);
    if (name === 'present_list') this.push(values[0], `present ${values[1]} 0 0\n`);
    if (name === 'pulse') this.push(values[3], `probe ${values[4]} ${this.seq}\n`);
    return 1;
  }
}
