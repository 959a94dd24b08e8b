// plain: a client of sennit.v1 for the end-to-end tests.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { until } from './lib.mjs';

export const wsUrl = (url) => url.replace('http', 'ws');

// A client as a page would write it: it keeps the secret and the newest position.
export class Plain {
  constructor(url, { query = { ns: '/' }, protocols = ['sennit.v1'], options = {} } = {}) {
    this.at = null;
    this.resume = null;
    this.events = [];
    this.refs = 0;
    this.reach(url, query, protocols, options);
  }

  reach(url, query = { ns: '/' }, protocols = ['sennit.v1'], options = {}) {
    this.messages = [];
    const search = new URLSearchParams({ ...query, ...(this.resume && { resume: this.resume }), ...(this.at && { at: this.at }) });
    const socket = (this.socket = new WebSocket(`${wsUrl(url)}/ws?${search}`, protocols, options));
    this.closed = new Promise((resolve) => socket.on('close', (code, reason) => resolve({ code, reason: `${reason}` })));
    socket.on('error', () => {});
    socket.on('message', (data, binary) => {
      if (socket !== this.socket) return;
      assert.equal(binary, false);
      const message = JSON.parse(data);
      this.messages.push(message);
      if (message.at !== undefined) this.at = message.at;
      if (message.type === 'connected') this.resume = message.resume;
      if (message.type === 'event' && message.event !== 'presence') this.events.push(message);
    });
  }

  find(type, match = () => true) {
    return until(`a message ${type} came, not ${JSON.stringify(this.messages)}`, () => this.messages.find((one) => one.type === type && match(one)));
  }

  connected() {
    return this.find('connected');
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async ask(message) {
    const ref = ++this.refs;
    this.send({ ...message, ref });
    return until(`${JSON.stringify(message)} is answered`, () => this.messages.find((one) => one.ref === ref));
  }

  args() {
    return this.events.map((one) => one.args);
  }

  close() {
    this.socket.terminate();
  }
}
