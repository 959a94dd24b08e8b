// free_port: a port that nobody has right now, on any address, and that no outgoing connection is given by the kernel meanwhile.
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';

const LOW = 10000;

// Where the kernel's own choice begins; 0: unknown.
function ephemeral() {
  try {
    return Number(fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
  } catch {
    return 0;
  }
}

async function tryPort(wanted) {
  const server = net.createServer().listen(wanted);
  try {
    await once(server, 'listening');
  } catch {
    return null;
  }
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export async function freePort() {
  const high = ephemeral();
  for (let tries = 0; high > LOW * 2 && tries < 100; tries++) {
    const port = await tryPort(LOW + Math.floor(Math.random() * (high - LOW)));
    if (port !== null) return port;
  }
  return tryPort(0);
}
