// firestore: Google's emulator, for tests and benchmarks, where it is installed.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { freePort, sennit, until } from './lib.mjs';

const jar = '/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar';

// Why it cannot be tried here; undefined: it can.
export function missing() {
  if (!fs.existsSync(jar) || !fs.existsSync('/usr/bin/java')) return "Google's emulator of Firestore is not installed";
  const said = spawnSync(sennit, ['serve', '--broker', 'firestore://demo-sennit?polling=affinity', '--config', '/dev/null'],
    { encoding: 'utf8', timeout: 1000, env: { ...process.env, FIRESTORE_EMULATOR_HOST: '127.0.0.1:1' } });
  return /built without Firestore/.test(said.stderr) ? 'sennit is built without nghttp2 and protobuf-c' : undefined;
}

// With the variables by which an instance finds it.
export async function firestore() {
  const port = await freePort();
  const child = spawn('/usr/bin/java', ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xmx512m', '-cp', jar,
    'com.google.cloud.datastore.emulator.firestore.CloudFirestore', '--host', '127.0.0.1', '--port', String(port)], { stdio: 'ignore' });
  const ended = once(child, 'close');
  const close = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    await until('the emulator listens', () => new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    }), 30000);
  } catch (error) {
    await close();
    throw error;
  }
  return { pid: child.pid, env: { FIRESTORE_EMULATOR_HOST: `127.0.0.1:${port}`, SENNIT_BROKER: 'firestore://demo-sennit?polling=affinity' }, close };
}
