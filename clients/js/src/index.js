// sennit-client: rooms over Sennit's protocol for plain WebSockets. index.d.ts has the contract of each function; lines.js
// keeps the connection. Here are requests, rooms and handlers.
//
// A request is kept until it is answered, and is sent again whenever the client is in again. A publish has an id, so that
// the server accepts it once.
import { pack, unpack } from './attachments.js';
import { linesOpen } from './lines.js';

export class SennitError extends Error {
  constructor({ reason, error, field }) {
    super(error);
    this.name = 'SennitError';
    this.reason = reason;
    this.field = field;
  }
}

// A name that no other client has, and that none can guess.
function nameMake() {
  const numbers = globalThis.crypto?.getRandomValues?.(new Uint32Array(4)) ?? [0, 0, 0, 0].map(() => Math.random() * 2 ** 32);
  return Array.from(numbers, (number) => Math.floor(number).toString(36)).join('');
}

// What the application's function throws is reported, and stops nobody else.
function call(fn, args) {
  try {
    fn(...args);
  } catch (error) {
    setTimeout(() => { throw error; });
  }
}

export function connect(url, { namespace = '/', auth, maxWaiting = 1000, maxWaitingBytes = 4 << 20, answerTimeout = 20000, WebSocket = globalThis.WebSocket } = {}) {
  const handlers = new Map(); // by event
  const watchers = new Set();
  const rooms = new Map(); // by name: whether the server has confirmed the join
  const requests = new Map(); // by ref, in the order in which they were made
  const name = nameMake();
  let [state, id] = ['connecting'];
  let [ref, waitingBytes, maxPayload] = [0, 0, Infinity];
  let watching;

  const tell = (what, about = {}) => [...watchers].forEach((fn) => call(fn, [what, about]));

  function enter(what, about) {
    state = what;
    tell(what, about);
  }

  function settle(request, error, result) {
    if (!requests.delete(request?.ref)) return;
    waitingBytes -= request.text.length;
    if (error) request.reject(new SennitError(error));
    else request.resolve(result);
  }

  function post(request) {
    if (new TextEncoder().encode(request.text).length > maxPayload) {
      settle(request, { reason: 'payload_too_large', error: `a message may have ${maxPayload} bytes (max_payload of the server)` });
      return;
    }
    request.sent = lines.in;
    lines.send(request.text);
    watching ??= setTimeout(watch, answerTimeout);
  }

  // A connection can be dead without a sign: one on which a request waits for so long is given up.
  function watch() {
    const [oldest] = requests.values();
    watching = oldest && setTimeout(watch, answerTimeout);
    if (!oldest || !lines.in) return;
    if (oldest.watched === lines.in) lines.restart();
    else oldest.watched = lines.in;
  }

  function ask(message, isOurs) {
    const request = { ref: ++ref, text: JSON.stringify({ ...message, ref }) };
    return new Promise((resolve, reject) => {
      if (state === 'closed') {
        reject(new SennitError({ reason: 'closed', error: 'this client was closed: connect another' }));
      } else if (!isOurs && (requests.size >= maxWaiting || waitingBytes + request.text.length > maxWaitingBytes)) {
        reject(new SennitError({ reason: 'waiting_full', error: `${requests.size} requests wait for the server: see maxWaiting and maxWaitingBytes` }));
      } else {
        requests.set(ref, Object.assign(request, { resolve, reject }));
        waitingBytes += request.text.length;
        if (lines.in) post(request);
      }
    });
  }

  async function join(room, isOurs) {
    try {
      await ask({ type: 'join', room }, isOurs);
      if (rooms.has(room)) rooms.set(room, true);
    } catch (error) {
      rooms.delete(room);
      throw error;
    }
  }

  const lines = linesOpen(url, {
    WebSocket,
    greeting: async () => ({ ns: namespace, auth: typeof auth === 'function' ? await auth() : auth }),
    on: {
      welcome: (message) => { maxPayload = message.max_payload ?? Infinity; },
      connected(what, now) {
        const waiting = [...requests.values()];
        id = now;
        enter(what, { id });
        if (what === 'lost') {
          for (const [room, joined] of rooms) if (joined) join(room, true).catch((error) => tell('error', { error, room }));
        }
        waiting.forEach((request) => requests.has(request.ref) && request.sent !== lines.in && post(request));
      },
      event: ({ event, args, attachments }) => {
        const given = unpack(args, attachments);
        [...(handlers.get(event) ?? [])].forEach((fn) => call(fn, given));
      },
      answer(message) {
        const request = requests.get(message.ref);
        if (message.type === 'answer') settle(request, undefined, unpack(message.result, message.attachments));
        else if (request) settle(request, message);
        else if (message.type === 'error') tell('error', { error: new SennitError(message) });
      },
      away: ({ code, reason }) => enter('away', { code, reason }),
      refused: (message) => tell('refused', { error: new SennitError(message) }),
    },
  });

  return {
    get state() { return state; },
    get id() { return id; },
    on(event, fn) {
      if (!handlers.has(event)) handlers.set(event, new Set());
      handlers.get(event).add(fn);
      return () => handlers.get(event).delete(fn);
    },
    onState(fn) {
      watchers.add(fn);
      return () => watchers.delete(fn);
    },
    join(room) {
      rooms.set(room, rooms.get(room) ?? false);
      return join(room);
    },
    leave(room) {
      rooms.delete(room);
      return ask({ type: 'leave', room });
    },
    async publish(room, event, ...args) {
      await ask({ type: 'publish', room: room ?? undefined, event, ...pack(args), id: `${name}-${ref}` });
    },
    history: (room, options) => ask({ ...options, type: 'history', room }),
    presence: (room, options) => ask({ ...options, type: 'presence', room }),
    close() {
      if (state === 'closed') return;
      lines.close();
      clearTimeout(watching);
      enter('closed');
      for (const request of [...requests.values()]) settle(request, { reason: 'closed', error: 'the client was closed before the server answered' });
    },
  };
}
