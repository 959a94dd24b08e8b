// wire: a client that sends any bytes it is given: TCP, HTTP, WebSocket frames and Socket.IO packets by hand, and the same for Redis.
import net from 'node:net';

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// One frame of a client, masked with zeros unless a mask is given.
export function frame(opcode, data, { fin = true, rsv = 0, masked = true, mask = 0, length } = {}) {
  const body = Buffer.isBuffer(data) ? data : Buffer.from(data);
  const size = length ?? body.length, bit = masked ? 128 : 0;
  const head = Buffer.alloc((size < 126 ? 2 : size < 65536 ? 4 : 10) + (masked ? 4 : 0));
  head[0] = (fin ? 128 : 0) | (rsv << 4) | opcode;
  if (size < 126) head[1] = bit | size;
  else if (size < 65536) head.writeUInt16BE(size, (head[1] = bit | 126) && 2);
  else head.writeBigUInt64BE(BigInt(size), (head[1] = bit | 127) && 2);
  if (!masked || mask === 0) return Buffer.concat([head, body]);
  head.writeUInt32BE(mask >>> 0, head.length - 4);
  const key = head.subarray(-4);
  return Buffer.concat([head, Buffer.from(body.map((byte, at) => byte ^ key[at & 3]))]);
}

export const text = (packet) => frame(1, packet);

export function repeat(bytes, count) {
  return Buffer.concat(Array(Math.floor(count)).fill(bytes));
}

// A TCP connection. `received` counts bytes; `closed` is true when it has ended.
export class Wire {
  constructor(port) {
    this.received = 0;
    this.closed = false;
    this.input = Buffer.alloc(0);
    this.waiting = new Set();
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (data) => {
      this.received += data.length;
      this.came(data);
      this.wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', () => resolve(this));
      this.socket.once('error', reject);
    });
    this.connected.catch(() => {});
  }

  came(data) {
    if (this.input.length < 1 << 20) this.input = Buffer.concat([this.input, data]);
  }

  wake() {
    for (const look of this.waiting) look();
  }

  // Waits until `look` answers something true, or the connection ends, or the time is over: then null.
  wait(look, ms) {
    return new Promise((resolve) => {
      const done = (value) => {
        clearTimeout(timer);
        this.waiting.delete(again);
        resolve(value);
      };
      const again = () => {
        const value = look();
        if (value) done(value);
        else if (this.closed) done(null);
      };
      const timer = setTimeout(() => done(null), ms);
      this.waiting.add(again);
      again();
    });
  }

  // False when the other side did not take all of it in time.
  send(bytes, ms = 3000) {
    if (this.closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.socket.write(bytes, (error) => {
        clearTimeout(timer);
        resolve(!error);
      });
    });
  }

  ended(ms) {
    return this.wait(() => this.closed, ms).then(() => this.closed);
  }

  close() {
    this.socket.destroy();
  }
}

const upgrade = (path, fields) => `GET ${path} HTTP/1.1\r\nHost: attack\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
  + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${fields}\r\n`;

// A client of Socket.IO over WebSocket. `messages` holds the packets that came, at most 100,000; events are counted besides.
export class Client extends Wire {
  constructor(port, { path = '/socket.io/?EIO=4&transport=websocket', fields = '' } = {}) {
    super(port);
    this.messages = [];
    this.acks = this.events = 0;
    this.status = null;
    this.socket.write(upgrade(path, fields));
  }

  // Connected, and in `nsp` unless that is null. With `read` false it reads nothing from then on.
  static async open(port, { nsp = '/', auth, read = true, ms = 5000, ...options } = {}) {
    const client = new Client(port, options);
    const opened = await client.wait(() => client.messages.find((message) => message[0] === '0'), ms);
    if (!opened) throw new Error(`no session: ${client.status ?? 'no answer'}`);
    if (nsp !== null && !(await client.join(nsp, auth, ms))) throw new Error(`not in ${nsp}: ${client.messages.slice(-1)}`);
    if (!read) client.socket.pause();
    return client;
  }

  prefix(nsp = this.nsp) {
    return nsp === '/' ? '' : `${nsp},`;
  }

  // The answer to CONNECT, or null when it was refused.
  async join(nsp, auth, ms = 5000) {
    const from = this.messages.length, prefix = this.prefix(nsp);
    this.send(text(`40${prefix}${auth === undefined ? '' : JSON.stringify(auth)}`));
    const answer = await this.wait(() => this.messages.slice(from).find((one) => one.startsWith(`40${prefix}{`) || one.startsWith('44')), ms);
    if (!answer || answer.startsWith('44')) return null;
    this.nsp = nsp;
    Object.assign(this, { sid: undefined, pid: undefined }, JSON.parse(answer.slice(2 + prefix.length)));
    return this;
  }

  packet(args, ack) {
    return text(`42${this.prefix()}${ack ?? ''}${JSON.stringify(args)}`);
  }

  emit(...args) {
    return this.send(this.packet(args));
  }

  // The arguments of the acknowledgement, or null when none came.
  async ask(args, { id = 7, ms = 3000 } = {}) {
    const from = this.messages.length, begin = `43${this.prefix()}${id}`;
    this.send(this.packet(args, id));
    const answer = await this.wait(() => this.messages.slice(from).find((one) => one.startsWith(begin)), ms);
    return answer && JSON.parse(answer.slice(begin.length));
  }

  // The events that came until `ms` passed without one, as arrays.
  async heard(ms = 300, most = 3000) {
    const end = Date.now() + most;
    for (let count = -1; count !== this.events && Date.now() < end;) {
      count = this.events;
      await sleep(ms);
    }
    const begin = `42${this.prefix()}[`;
    return this.messages.splice(0).filter((one) => one.startsWith(begin)).map((one) => JSON.parse(one.slice(begin.length - 1)));
  }

  came(data) {
    this.input = this.input.length ? Buffer.concat([this.input, data]) : data;
    if (this.status === null) {
      const end = this.input.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.input.subarray(0, end).toString('latin1');
      this.status = Number(this.head.slice(9, 12));
      this.input = this.input.subarray(end + 4);
    }
    if (this.status !== 101) return;
    let at = 0;
    const bytes = this.input;
    while (bytes.length - at >= 2) {
      let size = bytes[at + 1] & 127, from = at + 2;
      if (size === 126) size = bytes.length < from + 2 ? Infinity : bytes.readUInt16BE((from += 2) - 2);
      else if (size === 127) size = bytes.length < from + 8 ? Infinity : Number(bytes.readBigUInt64BE((from += 8) - 8));
      if (bytes.length - from < size) break;
      this.got(bytes[at] & 15, bytes.subarray(from, from + size));
      at = from + size;
    }
    this.input = bytes.subarray(at);
  }

  got(opcode, payload) {
    if (opcode === 8) this.code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
    if (opcode !== 1) return;
    const message = payload.toString();
    if (message === '2') this.socket.write(text('3'));
    if (message.startsWith('43')) this.acks++;
    if (message.startsWith('42')) this.events++;
    this.heardOf?.(message);
    if (this.messages.length < 100000) this.messages.push(message);
  }
}

// One request on a connection of its own: { status, head, body }; null when no answer came in time.
export async function request(port, target, { method = 'GET', fields = '', ms = 3000 } = {}) {
  const wire = new Wire(port);
  wire.send(`${method} ${target} HTTP/1.1\r\nHost: attack\r\nConnection: close\r\n${fields}\r\n`);
  await wire.ended(ms);
  wire.close();
  const answer = wire.input.toString('latin1'), end = answer.indexOf('\r\n\r\n');
  return end < 0 ? null : { status: Number(answer.slice(9, 12)), head: answer.slice(0, end), body: answer.slice(end + 4) };
}

// RESP.
export const bulk = (value) => {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value));
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
};
// Numbers become integers, lists arrays, null nil, { raw } itself.
export function reply(value) {
  if (value === null) return Buffer.from('$-1\r\n');
  if (typeof value === 'number') return Buffer.from(`:${value}\r\n`);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from(`*${value.length}\r\n`), ...value.map(reply)]);
  return value.raw !== undefined ? Buffer.from(value.raw) : bulk(value);
}

// The value at the front of `bytes`: [value, length], or null when it is not whole.
export function parse(bytes, at = 0) {
  const end = bytes.indexOf('\r\n', at);
  if (end < 0) return null;
  const line = bytes.toString('latin1', at + 1, end), kind = String.fromCharCode(bytes[at]);
  let next = end + 2;
  if (kind === '+') return [line, next];
  if (kind === '-') return [new Error(line), next];
  if (kind === ':') return [Number(line), next];
  if (line === '-1') return [null, next];
  if (kind === '$') return bytes.length < next + Number(line) + 2 ? null : [bytes.toString('latin1', next, next + Number(line)), next + Number(line) + 2];
  const list = [];
  for (let i = 0; i < Number(line); i++) {
    const one = parse(bytes, next);
    if (one === null) return null;
    list.push(one[0]);
    next = one[1];
  }
  return [list, next];
}

// One command to a Redis; null when it says nothing in time.
export async function redisAsk(port, ...command) {
  const wire = new Wire(port);
  let answer = null;
  wire.came = (data) => {
    wire.input = Buffer.concat([wire.input, data]);
    answer ??= parse(wire.input);
  };
  wire.send(reply(command.map(String)));
  await wire.wait(() => answer, 5000);
  wire.close();
  return answer && answer[0];
}
