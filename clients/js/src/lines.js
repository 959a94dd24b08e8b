// lines: the connections of a client, and its place in the stream of events.
//
// One line is the current one. Before the server cuts it, a second one opens beside it and asks to resume; as soon as the
// server has connected that one, it is the current line, and the old one is not listened to any more. If the second one is
// refused, as where the instance has no slot for it, the client breaks first: the current line connects again.
import ReconnectingWebSocket from 'reconnecting-websocket';

export const CONNECT = 0; // the ref of `connect`
const OPEN_MS = 10000; // a container may have to start first
const RETRY_MS = 10000; // the longest time between two tries, unless the server's window is longer

// Node's `ws` throws an error that nobody listens to, and the listeners are gone once a try has been given up.
const harmless = (Socket) => (Socket?.prototype?.on ? class extends Socket {
  constructor(...args) {
    super(...args);
    this.on('error', () => {});
  }
} : Socket);

// A position is the same text on two lines, unless it tells how far the replay of a room has come.
const isComparable = (at) => at === undefined || /^\w+\.\w+$/.test(at);

// `greeting` returns what `connect` says besides the position, or a promise of it. `on` has the client's functions:
//   welcome(message)         a line is up
//   connected(what, id)      the client is in: 'connected' for the first time, 'recovered', 'moved' or 'lost'
//   event(message)           each event once, in order
//   answer(message)          an answer or an error
//   away(event)              there is no connection now; the next one is on its way
//   refused(message)         the server, or `greeting`, said no; it is asked again
export function linesOpen(url, { WebSocket, greeting, on }) {
  let spread = { min_ms: 1000, max_ms: 5000 }; // until the server says its own
  let [isAway, isClosed, refusals] = [false, false, 0];
  let [id, resume, at] = [];
  let [current, next, moving] = [];
  // The events that the current line brings once the next one has asked to resume come again on that one. Those handed
  // out are known by their positions (`seen`). Those whose positions are not comparable wait (`held`).
  const seen = new Set();
  let held;

  const delay = ({ min_ms: min, max_ms: max } = spread) => min + Math.random() * (max - min);

  function open() {
    const line = {};
    line.socket = new ReconnectingWebSocket(url, 'sennit.v1', {
      WebSocket: harmless(WebSocket),
      connectionTimeout: OPEN_MS,
      maxEnqueuedMessages: 0, // what waits is kept by the client, which sends it behind `connect`
      get minReconnectionDelay() { return delay(); },
      get maxReconnectionDelay() { return Math.max(RETRY_MS, spread.max_ms); },
    });
    line.socket.onmessage = ({ data }) => {
      if (!isClosed && (line === current || line === next)) received(line, JSON.parse(data));
    };
    line.socket.onclose = (event) => ended(line, event);
    return line;
  }

  function handOut(message) {
    at = message.at ?? at;
    on.event(message);
  }

  function release() {
    const events = held ?? [];
    held = undefined;
    seen.clear();
    events.forEach(handOut);
  }

  async function ask(line) {
    const turn = (line.turn = {});
    try {
      const more = await greeting();
      if (line.turn !== turn) return; // it was cut meanwhile, and asks anew
      line.from = at;
      line.asked = true;
      line.socket.send(JSON.stringify({ ...more, type: 'connect', ref: CONNECT, resume, at }));
    } catch (error) {
      if (line.turn === turn) refused(line, { reason: 'auth_failed', error: String(error) });
    }
  }

  function refused(line, message) {
    if (line === next) {
      breakFirst();
      return;
    }
    const { turn } = line;
    setTimeout(() => {
      if (line.turn === turn) ask(line);
    }, delay() * 2 ** Math.min(refusals++, 5));
    on.refused(message);
  }

  function breakFirst() {
    const { socket } = next;
    next = undefined;
    socket.close();
    release();
    current.socket.reconnect();
  }

  function connected(line, message) {
    const old = line === next ? current : undefined;
    const what = id === undefined ? 'connected' : !message.recovered ? 'lost' : isAway ? 'recovered' : 'moved';
    if (message.recovered) held = undefined;
    else release();
    if (old) [current, next] = [line, undefined];
    old?.socket.close();
    ({ id, resume } = message);
    if (!message.recovered) at = undefined;
    [line.in, isAway, refusals] = [{}, false, 0];
    on.connected(what, id);
  }

  function eventCame(message) {
    if (next?.asked) {
      if (!isComparable(next.from) || !isComparable(message.at)) held ??= [];
      if (held) {
        held.push(message);
        return;
      }
      if (message.at !== next.from) seen.add(message.at);
    } else if (seen.delete(message.at)) {
      return;
    }
    handOut(message);
  }

  // The server is going to close the line.
  function closing(line, message) {
    const { in: stay } = line;
    if (line !== current || next || moving) return;
    moving = setTimeout(() => {
      moving = undefined;
      if (line === current && line.in === stay) next = open();
    }, Math.min(delay(message.reconnect), message.in_ms / 2));
  }

  function received(line, message) {
    if (message.type === 'welcome') {
      spread = message.reconnect ?? spread;
      on.welcome(message);
      ask(line);
    } else if (message.type === 'connected') connected(line, message);
    else if (message.type === 'event') eventCame(message);
    else if (message.type === 'closing') closing(line, message);
    else if (message.ref === CONNECT) refused(line, message);
    else if (line === current) on.answer(message);
  }

  function ended(line, event) {
    line.turn = line.in = line.asked = undefined;
    if (isClosed) return;
    if (line === next) breakFirst();
    else if (line === current && next) {
      // It was cut too early. The next line has begun already, and goes on alone.
      [current, next] = [next, undefined];
      line.socket.close();
    } else if (line === current) {
      release();
      if (!isAway) {
        isAway = true;
        on.away(event);
      }
    }
  }

  current = open();
  return {
    // The line by which the client is in now: another one after each cut; undefined while it is away.
    get in() { return current.in; },
    send: (text) => current.socket.send(text),
    restart: () => current.socket.reconnect(),
    close() {
      isClosed = true;
      clearTimeout(moving);
      current.turn = undefined;
      current.socket.close();
      next?.socket.close();
    },
  };
}
