// A plain Node server, as any platform runs it: it listens on $PORT and knows nothing of Sennit.
//   curl http://localhost:8080/         which instance answered
//   curl http://localhost:8080/slow     takes two seconds, and holds a slot meanwhile
import http from 'node:http';

const server = http.createServer((request, response) => {
  const answer = () => response.end(`${process.env.K_REVISION ?? 'nowhere'}, process ${process.pid}, ${request.method} ${request.url}\n`);
  response.setHeader('Content-Type', 'text/plain');
  if (request.url === '/slow') setTimeout(answer, 2000);
  else answer();
});
server.listen(Number(process.env.PORT ?? 8080));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
