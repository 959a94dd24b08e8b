// redis: the Redis of a run of chaos, which keeps accepted data over its own death, and what may happen to it.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { freePort, redisClient, redisServer, temporary, until } from '../e2e/lib.mjs';

const run = (...argv) => spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });

export class Redis {
  constructor(cable) {
    this.cable = cable;
    this.directory = temporary();
    this.output = '';
  }

  async start() {
    this.port ??= this.cable ? 6379 : await freePort();
    this.address = this.cable?.address ?? '127.0.0.1';
    this.url = `redis://${this.address}:${this.port}`;
    const args = [redisServer, '--port', this.port, '--bind', this.address, '--dir', this.directory, '--save', '', '--appendonly', 'yes', '--protected-mode', 'no', '--enable-debug-command', 'local'];
    const argv = this.cable ? ['ip', 'netns', 'exec', this.cable.name, ...args] : args; // ip becomes the server: the pid is the same
    const started = this.output.length;
    this.child = spawn(argv[0], argv.slice(1).map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (data) => (this.output += data));
    await until('Redis accepts connections', () => {
      if (this.child.exitCode !== null) throw new Error(`${redisServer} ended: ${this.output.slice(-2000)}`);
      return this.output.indexOf('Ready to accept connections', started) >= 0;
    }, 60000);
    this.env = { REDIS_URL: this.url };
    this.title = `Redis ${this.command('INFO', 'server').match(/redis_version:([\d.]+)/)?.[1]}`;
  }

  signal(name) {
    this.child.kill(name);
  }

  // From its own side of the cable, so that a command is not lost to another fault.
  command(...words) {
    const argv = [redisClient, '-h', this.address, '-p', String(this.port), ...words.map(String)];
    const { stdout, status } = this.cable ? run('ip', 'netns', 'exec', this.cable.name, ...argv) : run(...argv);
    return status === 0 ? stdout.trim() : '';
  }

  async restart(signal, away) {
    this.signal(signal);
    await this.ended;
    await away();
    await this.start();
  }

  async close() {
    this.child?.kill('SIGCONT');
    this.child?.kill('SIGKILL');
    await this.ended;
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  // `during(on, off, low, high)` lets something last for so many ms; `away` for up to 2 s.
  faults({ during, away, pick }) {
    const setting = (name, bad, low, high) => {
      const good = this.command('CONFIG', 'GET', name).split('\n').slice(1).join(' ');
      return during(() => this.command('CONFIG', 'SET', name, bad), () => this.command('CONFIG', 'SET', name, good), low, high);
    };
    return {
      'redis-kill': ['Redis killed (`SIGKILL`) and started again', () => this.restart('SIGKILL', away)],
      'redis-term': ['Redis ended (`SIGTERM`) and started again', () => this.restart('SIGTERM', away)],
      'redis-stop': ['Redis stopped for up to 4 s (`SIGSTOP`)', () => during(() => this.signal('SIGSTOP'), () => this.signal('SIGCONT'), 100, 4000)],
      'kill-pubsub': ['all subscriber connections closed (`CLIENT KILL TYPE pubsub`)', () => this.command('CLIENT', 'KILL', 'TYPE', 'pubsub') !== ''],
      'kill-normal': ['all command connections closed (`CLIENT KILL TYPE normal`)', () => this.command('CLIENT', 'KILL', 'TYPE', 'normal') !== ''],
      'script-flush': ['scripts forgotten (`SCRIPT FLUSH`)', () => this.command('SCRIPT', 'FLUSH') !== ''],
      'out-of-memory': ['writes refused for up to 3 s (`maxmemory 1`)', () => setting('maxmemory', 1, 200, 3000)],
      'no-replicas': ['writes refused for up to 3 s (`min-replicas-to-write 1`)', () => setting('min-replicas-to-write', 1, 200, 3000)],
      'feed-overrun': ['subscribers cut off by Redis for a full output buffer', async () => {
        const channels = this.command('PUBSUB', 'CHANNELS', '*push:*').split('\n').filter((name) => name !== '');
        const good = this.command('CONFIG', 'GET', 'client-output-buffer-limit').split('\n')[1];
        if (channels.length === 0 || !good) return null;
        this.command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 1kb 1kb 0');
        this.command('PUBLISH', pick(channels), 'x'.repeat(100000)); // what nobody can read, and too much of it
        this.command('CONFIG', 'SET', 'client-output-buffer-limit', good);
        return `${channels.length} rooms`;
      }],
    };
  }
}
