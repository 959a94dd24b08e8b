// link: the page's connection to the service, and in words what it is doing.
//
// The platform cuts every connection sooner or later, and the stock client comes back by itself. A link watches it: which instance
// the page is on, when that connection will be cut, how the last cut went, and why the page is not let in.

const SLOW_MS = 3000;
const LOOK_MS = 250;
const BRIEF_MS = 1000; // a cut that is over by then is no news

// WebSocket first. Where that fails, long-polling follows: it works behind every proxy, and its answer says why (429, 503).
const OPTIONS = { transports: ['websocket', 'polling'], tryAllTransports: true, reconnectionDelay: 300, reconnectionDelayMax: 2000, timeout: 30000 };

// `io` is the global that /socket.io/socket.io.js makes.
export const open = (namespace, options = {}) => io(namespace, { ...OPTIONS, ...options });

// Somebody who closes the page has left; one whose connection is cut has not. A page that comes out of the browser's cache is back.
export function leaveWithPage(...sockets) {
  addEventListener('pagehide', () => sockets.forEach((socket) => socket.disconnect()));
  addEventListener('pageshow', (event) => event.persisted && sockets.forEach((socket) => socket.connect()));
}

const STATES = {
  connecting: ['Connecting', ''],
  waiting: ['Waiting for a place', 'This takes longer than usual: all places may be taken. You will be let in as soon as there is one.'],
  live: ['Live', ''],
  away: ['Reconnecting', 'The connection was cut and is coming back. You will get what you miss.'],
  full: ['Full', 'All places are taken. You will be let in as soon as somebody leaves; this page keeps trying.'],
  busy: ['Busy', 'The service is busy or restarting. This page keeps trying.'],
  unreachable: ['Out of reach', 'The service cannot be reached. This page keeps trying.'],
  offline: ['Offline', 'Your device is offline. This page goes on as soon as it is back.'],
  refused: ['Not let in', ''],
};

// Why the last attempt failed. Only long-polling knows the status.
function stateOf(error) {
  if (error.data?.error) return 'refused';
  if (navigator.onLine === false) return 'offline';
  if (error.description === 429) return 'full';
  if (error.description === 503) return 'busy';
  return 'unreachable';
}

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} min`;
}

export class Link {
  // `changed(link)` is called whenever something of it is to be shown anew.
  constructor(socket, changed) {
    this.changed = changed;
    this.state = 'connecting';
    this.why = '';
    this.instance = null;
    this.deadline = null; // when this connection will be cut: ms since 1970; null: unknown
    this.cuts = 0;
    this.cutAt = null;
    this.back = null; // the last return: {at, after, recovered}
    this.slow = null;
    this.waitOn(socket);
    socket.on('connect', () => this.connected(socket));
    socket.on('disconnect', () => this.disconnected());
    socket.on('connect_error', (error) => this.become(stateOf(error), error.data?.error ?? ''));
    socket.on('sennit', (about) => this.announced(about));
    addEventListener('offline', () => this.state !== 'live' && this.become('offline'));
  }

  become(state, why = '') {
    this.state = state;
    this.why = why;
    this.changed(this);
  }

  // A socket that nobody has opened yet waits for nothing: the page may be asking for a name.
  waitOn(socket, since = null) {
    const begun = socket.active ? (since ?? Date.now()) : null;
    if (this.state !== 'connecting') return;
    if (begun !== null && Date.now() - begun >= SLOW_MS) this.become('waiting');
    else this.slow = setTimeout(() => this.waitOn(socket, begun), LOOK_MS);
  }

  connected(socket) {
    clearTimeout(this.slow);
    if (this.cutAt !== null) this.back = { at: Date.now(), after: Date.now() - this.cutAt, recovered: socket.recovered };
    this.cutAt = null;
    this.become('live');
  }

  disconnected() {
    this.cuts++;
    this.cutAt = Date.now();
    this.instance = this.deadline = null;
    this.become(navigator.onLine === false ? 'offline' : 'away');
    setTimeout(() => this.state === 'away' && this.changed(this), BRIEF_MS);
  }

  announced(about) {
    if (typeof about?.instance !== 'string') return;
    this.instance = about.instance;
    this.deadline = Number.isFinite(about.deadline_ms) ? Date.now() + about.deadline_ms : null;
    this.changed(this);
  }

  // One or two words.
  get word() {
    return STATES[this.state][0];
  }

  // A sentence for people; empty while there is nothing to say.
  get sentence() {
    if (this.state === 'away' && Date.now() - this.cutAt < BRIEF_MS) return '';
    return this.why || STATES[this.state][1];
  }

  // What the connection is, for the curious: rows of a name and a text.
  facts() {
    const rows = [['Instance', this.instance ?? 'none at the moment']];
    if (this.state === 'live') rows.push(['Connection is cut in', this.deadline === null ? 'no limit known' : duration(this.deadline - Date.now())]);
    rows.push(['Cuts so far', String(this.cuts)]);
    if (this.back) {
      const ago = duration(Date.now() - this.back.at);
      rows.push(['Last return', this.back.recovered ? `${ago} ago, after ${duration(this.back.after)}: resumed, nothing missed` : `${ago} ago: loaded anew`]);
    }
    return rows;
  }
}
