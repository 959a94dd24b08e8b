/** sennit-client: rooms over Sennit's protocol for plain WebSockets (`sennit.v1`). */

/** An error of the server, or of this client. `message` says what is wrong and what to change. */
export class SennitError extends Error {
  /** Its name in the server's log and metrics, like `field_invalid`. Of this client: `closed`, `waiting_full`,
   * `payload_too_large`, `auth_failed`. */
  readonly reason: string;
  /** The member of the request that is wrong. */
  readonly field?: string;
}

export interface Options {
  /** Default `/`. */
  namespace?: string;
  /** Sent with each connect. A function is asked each time, so it can return a fresh token. */
  auth?: object | (() => object | undefined | Promise<object | undefined>);
  /** How many requests may wait for the server's answer. Default 1000; more are rejected with `waiting_full`. */
  maxWaiting?: number;
  /** How many characters of JSON these may have together. Default 4 Mi. */
  maxWaitingBytes?: number;
  /** Milliseconds. A connection on which a request waits longer for its answer (up to twice as long) is taken for broken,
   * and another one is opened. Default 20000. */
  answerTimeout?: number;
  /** The class to use where there is no global one: `ws` in Node below 22. */
  WebSocket?: unknown;
}

/** What `onState` is told.
 *
 * - `connected`: for the first time.
 * - `away`: the connection ended, and the next one is on its way. Events published meanwhile wait.
 * - `recovered`: back. The missed events follow, each once, in order. The client is in its rooms.
 * - `moved`: on another connection, because the server announced that it would cut the old one. Nothing was missed.
 * - `lost`: back, but events may have been missed, because the server cannot tell which. The client joins its rooms again.
 *   Load again what the page shows, for instance by `history`.
 * - `refused`: the server, or `auth`, refused to connect the client, which will ask again. `close` ends that.
 * - `error`: an error that belongs to no request; or a room could not be joined again after `lost`.
 * - `closed`: by `close`.
 */
export type State = 'connected' | 'away' | 'recovered' | 'moved' | 'lost' | 'refused' | 'error' | 'closed';

export interface StateDetail {
  /** The socket's id: `connected`, `recovered`, `moved`, `lost`. */
  id?: string;
  /** Why the connection ended: `away`. */
  code?: number;
  reason?: string;
  /** `refused`, `error`. */
  error?: SennitError;
  /** `error`: the room that could not be joined again. */
  room?: string;
}

export interface HistoryOptions {
  /** A position: events before it. Default: the newest. */
  before?: string;
  limit?: number;
}

export interface History {
  /** `args` begins with the event's name. `time` is in milliseconds since 1970. */
  entries: { at: string; time: number; args: unknown[] }[];
  /** There are older ones. */
  more: boolean;
  /** Some between these and the position are gone. */
  gap: boolean;
}

export interface PresenceOptions {
  limit?: number;
  /** Of the answer before. */
  cursor?: string | null;
}

export interface Presence {
  members: { id: string; data?: unknown }[];
  count: number;
  /** Null: these are the last. */
  cursor: string | null;
}

export interface Client {
  /** The last state but `refused` and `error`, or `connecting`. */
  readonly state: Exclude<State, 'refused' | 'error'> | 'connecting';
  /** The socket's id. It stays while the client is recovered. */
  readonly id: string | undefined;

  /** Calls `fn` with the arguments of each event of this name. Returns a function that stops it. Binary arguments are
   * Uint8Arrays. What `fn` throws is reported as uncaught, and stops no other handler. */
  on(event: string, fn: (...args: any[]) => void): () => void;
  /** Calls `fn` for each change of state, before the events that follow it. Returns a function that stops it. */
  onState(fn: (state: State, detail: StateDetail) => void): () => void;

  /** Joins a room. Resolves once the server has confirmed it. The client joins it again by itself after `lost`. */
  join(room: string): Promise<unknown>;
  leave(room: string): Promise<unknown>;
  /** Publishes in a room, or in the namespace (`null`). Resolves once the server has accepted it. Until then it is kept, and
   * sent again after a cut, under the same id: an event that is logged is accepted exactly once. ArrayBuffers and typed arrays may be anywhere in
   * the arguments. Rejects with a SennitError. */
  publish(room: string | null | undefined, event: string, ...args: unknown[]): Promise<void>;
  /** What was published in a room and logged. */
  history(room: string, options?: HistoryOptions): Promise<History>;
  /** Those who are in a room. */
  presence(room: string, options?: PresenceOptions): Promise<Presence>;
  /** Ends the connection for good. Publishes that wait are rejected with `closed`. */
  close(): void;
}

/** Connects to `wss://host/ws`. The URL may be a function that returns it, or a promise of it that does not reject. */
export function connect(url: string | (() => string | Promise<string>), options?: Options): Client;
