// joins: sockets join and leave rooms as fast as they are acknowledged, beside steady traffic. Prints how many there were a second, how late
// the traffic came, and whether all of it came, once and in order.
//
//     node bench/joins.mjs [--seconds 5] [--sockets 100] [--rooms 500] [--under-way 20] [--redis URL] [--sennit build/sennit]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import WebSocket from 'ws';
import { freePort } from '../tools/free_port.mjs';

const text = (fallback) => ({ type: 'string', default: fallback });
const { values } = parseArgs({ options: { seconds: text('5'), sockets: text('100'), rooms: text('500'), 'under-way': text('20'), redis: text(''), sennit: text('build/sennit') } });
const [seconds, count, rooms, underWay] = ['seconds', 'sockets', 'rooms', 'under-way'].map((name) => Number(values[name]));
const LISTENERS = 50, RATE = 200;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-joins-'));
const file = path.join(directory, 'joins.yaml'), port = await freePort();
fs.writeFileSync(file, 'namespaces:\n  /:\n    log: {entries: 10000}\n    events:\n      join: {join: 0}\n      leave: {leave: 0}\n      tell: {to: room, room: 0, log: true}\n');
const server = spawn(values.sennit, ['serve', '--config', file, '--port', String(port), '--log-level', 'warning', ...(values.redis ? ['--redis-url', values.redis] : ['--broker', 'memory'])],
  { stdio: ['ignore', 'inherit', 'inherit'] });

async function connect() {
  for (;;) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
    const opened = await once(socket, 'open').then(() => true, () => false);
    if (opened) {
      socket.acks = new Map();
      socket.next = 0;
      socket.ask = (...args) => new Promise((resolve) => {
        socket.acks.set(String(socket.next), resolve);
        socket.send(`42${socket.next++}${JSON.stringify(args)}`);
      });
      const joined = new Promise((resolve) => {
        socket.on('message', (data) => {
          const message = data.toString();
          if (message === '2') socket.send('3');
          else if (message.startsWith('40')) resolve();
          else if (message.startsWith('43')) {
            const id = message.slice(2, message.indexOf('['));
            socket.acks.get(id)?.(message);
            socket.acks.delete(id);
          } else if (message.startsWith('42["tell"')) socket.heard?.(JSON.parse(message.slice(2)));
        });
      });
      socket.send('40');
      await joined;
      return socket;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const listeners = [], late = [], faults = [];
for (let i = 0; i < LISTENERS; i++) {
  const socket = await connect();
  let next = 0;
  socket.heard = ([, , n, at]) => {
    if (n !== next++) faults.push(`listener ${i}: ${n} for ${next - 1}`);
    late.push(performance.now() - at);
  };
  socket.count = () => next;
  await socket.ask('join', 'steady');
  listeners.push(socket);
}
const movers = await Promise.all(Array.from({ length: count }, connect));
let changes = 0, refused = 0, over = false;
const tasks = movers.flatMap((socket) => Array.from({ length: underWay }, async () => {
  while (!over) {
    const room = `room-${Math.floor(Math.random() * rooms)}`;
    for (const event of ['join', 'leave']) {
      const answer = await socket.ask(event, room);
      changes++;
      refused += answer.includes('error');
    }
  }
}));
const begin = performance.now();
let sent = 0;
const timer = setInterval(() => {
  for (const due = Math.floor((performance.now() - begin) * RATE / 1000); sent < due; sent++) listeners[0].send(`42${JSON.stringify(['tell', 'steady', sent, performance.now()])}`);
}, 5);
await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
over = true;
const took = (performance.now() - begin) / 1000;
clearInterval(timer);
await Promise.all(tasks);
const until = performance.now() + 10000;
while (listeners.some((socket) => socket.count() < sent) && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
late.sort((a, b) => a - b);
const missing = listeners.reduce((sum, socket) => sum + sent - socket.count(), 0);
console.log(`${Math.round(changes / took)} joins and leaves a second by ${count} sockets, ${refused} refused; beside them ${sent} messages to ${LISTENERS} members: ` +
  `${missing} missing, ${faults.length} out of order, p50 ${late[late.length >> 1]?.toFixed(1)} ms, p99 ${late[Math.floor(late.length * 0.99)]?.toFixed(1)} ms`);
for (const socket of [...listeners, ...movers]) socket.terminate();
server.kill();
await once(server, 'close');
fs.rmSync(directory, { recursive: true, force: true });
process.exitCode = missing || faults.length ? 1 : 0;
