// talk: a client to try the service with. A line `say "hello there"` sends the event `say` with a text; what comes back is printed.
//
//     node talk.mjs [URL]      (otherwise the port PORT, or 8080, of this machine)
import readline from 'node:readline';
import { io } from 'socket.io-client';

const socket = io(process.argv[2] ?? `http://localhost:${process.env.PORT ?? 8080}`);
socket.on('connect', () => console.log(socket.recovered ? 'connected again' : 'connected'));
socket.on('connect_error', (error) => console.log(`no connection: ${error.message}`));
socket.on('disconnect', (reason) => console.log(`disconnected: ${reason}`));
socket.onAny((...event) => {
  // Socket.IO appends the position in the log, from which a client that was cut off goes on.
  if (/^[\w-]+\.\d+\S*$/.test(event.at(-1))) event.pop();
  console.log(...event);
});
readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const words = (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"|"$/g, ''));
    if (words.length) socket.emit(...words, (...answer) => console.log(`(${words[0]}: ${answer.join(' ') || 'done'})`));
  })
  .on('close', () => socket.close());
