// ws: a message of one client goes to all others.
import { WebSocket, WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: Number(process.env.PORT), host: '127.0.0.1', perMessageDeflate: process.env.DEFLATE === '1' ? { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 1024 } : false, clientTracking: true });
server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    for (const other of server.clients) if (other !== socket && other.readyState === WebSocket.OPEN) other.send(data, { binary });
  });
});
