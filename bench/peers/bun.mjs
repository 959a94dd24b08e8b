// bun: its own WebSocket server with its own publish, a message of one client goes to all others.
Bun.serve({
  port: Number(process.env.PORT),
  hostname: '127.0.0.1',
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response('a WebSocket server', { status: 400 });
  },
  websocket: {
    perMessageDeflate: process.env.DEFLATE === '1' ? { compress: 'shared', decompress: 'shared' } : false,
    open(socket) {
      socket.subscribe('all');
    },
    message(socket, data) {
      socket.publish('all', data, process.env.DEFLATE === '1');
    },
  },
});
