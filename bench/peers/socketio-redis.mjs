// socket.io on several instances: the event `drawing` of one client goes to all others, on all of them, through Redis. ADAPTER names the package:
// redis-adapter publishes; redis-streams-adapter logs to a stream, so that a client that was cut off can recover.
import { createServer } from 'node:http';
import { createAdapter as createPubSub } from '@socket.io/redis-adapter';
import { createAdapter as createStreams } from '@socket.io/redis-streams-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const client = createClient({ url: process.env.REDIS_URL });
await client.connect();
let adapter, recovery;
if (process.env.ADAPTER === 'redis-streams-adapter') {
  adapter = createStreams(client);
  recovery = { maxDisconnectionDuration: 120000 };
} else {
  const subscriber = client.duplicate();
  await subscriber.connect();
  adapter = createPubSub(client, subscriber);
}
const server = createServer();
const io = new Server(server, { transports: ['websocket'], serveClient: false, adapter, ...(recovery && { connectionStateRecovery: recovery }) });
io.on('connection', (socket) => {
  socket.on('drawing', (data, done) => {
    socket.broadcast.emit('drawing', data);
    if (typeof done === 'function') done();
  });
});
server.listen(Number(process.env.PORT));
