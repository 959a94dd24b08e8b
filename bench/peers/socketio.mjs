// socket.io: the event `drawing` of one client goes to all others, as the published whiteboard does it.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const server = createServer();
const transports = (process.env.TRANSPORTS ?? 'websocket').split(','); // bench/polling.mjs wants polling, too
const io = new Server(server, { transports, serveClient: false });
io.on('connection', (socket) => {
  socket.on('drawing', (data, done) => {
    socket.broadcast.emit('drawing', data);
    if (typeof done === 'function') done();
  });
});
server.listen(Number(process.env.PORT), '127.0.0.1');
