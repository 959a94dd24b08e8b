// pair: two well-behaved clients beside an attack, on a thread of their own: each says something every 10 ms, and measures how long
// its acknowledgement takes. In the end, every acknowledged message must have reached the other client, unless a client was told otherwise.
import { parentPort, workerData } from 'node:worker_threads';
import { Client, sleep } from './wire.mjs';

const nsp = '/calm';
let times = [], number = 0, drops = 0, anew = 0, going = true;
const sent = new Map(); // what waits for its acknowledgement: when it was sent

class Calm {
  constructor(name) {
    Object.assign(this, { name, accepted: new Set(), got: new Set(), doubled: 0 });
  }

  async connect() {
    const auth = this.pid ? { pid: this.pid, ...(this.token ? { offset: this.token } : {}) } : undefined;
    const client = await Client.open(workerData.port, { nsp: null });
    client.heardOf = (message) => this.heard(message);
    if (!(await client.join(nsp, auth))) throw new Error('refused');
    if (this.pid && client.pid !== this.pid) {
      anew++; // it was told: what it lacks, it knows it lacks
      this.other.accepted.clear();
    }
    this.pid = client.pid;
    this.client = client;
  }

  heard(message) {
    this.client?.messages.splice(0);
    if (message.startsWith(`42${nsp},`)) {
      const [, id, token] = JSON.parse(message.slice(3 + nsp.length));
      if (this.got.has(id)) this.doubled++;
      this.got.add(id);
      this.token = token;
    } else if (message.startsWith(`43${nsp},`)) {
      const id = parseInt(message.slice(3 + nsp.length), 10);
      if (!sent.has(id)) return;
      times.push(performance.now() - sent.get(id));
      sent.delete(id);
      this.accepted.add(id);
    }
  }

  async speak() {
    while (going) {
      if (this.client.closed) {
        drops++;
        await this.connect().catch(() => sleep(200));
        continue;
      }
      const id = number++;
      sent.set(id, performance.now());
      this.client.send(this.client.packet(['say', id], id));
      await sleep(10);
    }
  }

  lost() {
    return [...this.accepted].filter((id) => !this.other.got.has(id)).length;
  }
}

const pair = [new Calm('a'), new Calm('b')];
pair[0].other = pair[1];
pair[1].other = pair[0];

// The figures since the last call. An unanswered message counts with the time it has waited.
function figures() {
  const now = performance.now();
  const all = [...times, ...[...sent.values()].map((since) => now - since)].sort((a, b) => a - b);
  times = [];
  const at = (share) => all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0;
  return { count: all.length, p50: at(0.5), p99: at(0.99), most: all.at(-1) ?? 0, waiting: sent.size, drops, anew };
}

async function finish(ms) {
  going = false;
  const end = performance.now() + ms;
  const rest = () => pair.reduce((sum, one) => sum + one.lost(), 0);
  while (performance.now() < end && (sent.size > 0 || rest() > 0) && pair.every((one) => !one.client.closed)) await sleep(20);
  const result = { lost: rest(), doubled: pair[0].doubled + pair[1].doubled, unanswered: sent.size, accepted: pair.reduce((sum, one) => sum + one.accepted.size, 0) };
  for (const one of pair) one.client.close();
  return result;
}

parentPort.on('message', async ({ what, ms }) => {
  if (what === 'figures') parentPort.postMessage(figures());
  if (what === 'finish') parentPort.postMessage(await finish(ms));
});
for (const one of pair) await one.connect();
for (const one of pair) one.speak();
parentPort.postMessage('ready');
