// fake_redis: a proxy in front of a real Redis that tells lies: lie(name, call, answer, redis) gives another answer to a command (a script
// goes by its file's name), or undefined to keep Redis' answer. push() sends a message on a channel that nobody published.
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { redis as redisStart, top } from '../e2e/lib.mjs';
import { bulk, parse, reply } from './wire.mjs';

const folder = path.join(top, 'src/broker/scripts');
const scripts = fs.readdirSync(folder).filter((name) => name.endsWith('.lua')).map((name) => [name.slice(0, -4), fs.readFileSync(path.join(folder, name), 'latin1')]);
const pushed = ['message', 'subscribe', 'unsubscribe'];

// The file that a script was made of. Code that it shares with others stands in front.
function nameOf(text) {
  const said = text.trim();
  return scripts.find(([, source]) => said.endsWith(source.trim()))?.[0] ?? '?';
}

// Yields the complete values at the front of a stream: [value, bytes].
class Values {
  constructor() {
    this.input = Buffer.alloc(0);
  }

  *feed(data) {
    this.input = Buffer.concat([this.input, data]);
    for (let one; (one = parse(this.input)) !== null;) {
      const bytes = this.input.subarray(0, one[1]);
      this.input = this.input.subarray(one[1]);
      yield [one[0], bytes];
    }
  }
}

export class FakeRedis {
  static async open(lie = () => undefined) {
    const redis = new FakeRedis();
    Object.assign(redis, { lie, names: new Map(), feed: null, inbox: '', pushed: 0, told: 0, epoch: 'fakeepo1', calls: {}, links: 0, sockets: new Set() });
    redis.real = await redisStart();
    redis.server = net.createServer((socket) => redis.link(socket));
    await new Promise((resolve) => redis.server.listen(0, '127.0.0.1', resolve));
    redis.port = redis.server.address().port;
    redis.url = `redis://127.0.0.1:${redis.port}`;
    return redis;
  }

  async close() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await this.real.close();
  }

  link(socket) {
    const behind = net.connect(this.real.port, '127.0.0.1'), asked = [], requests = new Values(), answers = new Values();
    this.links++;
    for (const [one, other] of [[socket, behind], [behind, socket]]) {
      this.sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    socket.on('data', (data) => {
      for (const [call, bytes] of requests.feed(data)) {
        const name = this.nameOfCall(socket, call);
        if (!name.endsWith('SUBSCRIBE')) asked.push([name, call]);
        behind.write(bytes);
      }
    });
    behind.on('data', (data) => {
      for (const [value, bytes] of answers.feed(data)) {
        const isPush = Array.isArray(value) && pushed.includes(value[0]);
        const said = isPush ? bytes : this.answer(asked.shift(), value, bytes);
        if (socket.writable) socket.write(said);
      }
    });
  }

  nameOfCall(socket, call) {
    const command = call[0].toUpperCase();
    if (command === 'SCRIPT') this.names.set(crypto.createHash('sha1').update(Buffer.from(call[2], 'latin1')).digest('hex'), nameOf(call[2]));
    if (command === 'SUBSCRIBE') this.feed = socket;
    if (command === 'SUBSCRIBE' && call[1].includes(':inbox:')) this.inbox = call[1];
    return command === 'EVALSHA' ? this.names.get(call[1]) ?? '?' : command;
  }

  // The answer in place of Redis' own.
  answer([name, call], value, bytes) {
    const before = this.pushed;
    this.calls[name] = (this.calls[name] ?? 0) + 1;
    if (name === 'open') this.epoch = [value].flat(4).find((one) => typeof one === 'string' && /^[a-z0-9]{8}$/i.test(one)) ?? this.epoch;
    const lie = this.lie(name, call, value, this);
    if (lie !== undefined || this.pushed > before) this.told++;
    return lie === undefined ? bytes : reply(lie);
  }

  // A message on a channel; `message` may be any answer. `fakeepo1` in it stands for the epoch.
  push(channel, message) {
    this.pushed++;
    const said = typeof message === 'string' ? message.replaceAll('fakeepo1', this.epoch) : message;
    if (this.feed?.writable) this.feed.write(Buffer.concat([Buffer.from('*3\r\n'), bulk('message'), bulk(channel), reply(said)]));
  }
}
