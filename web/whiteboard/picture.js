// picture: the drawing as a list of strokes, and as pixels.
//
// Every board must end up with the same pixels, whatever the order in which strokes reached it: one's own are drawn at once, and
// two people draw at the same time. So strokes have an order of their own, by time and then by id, and are painted in that order.
// Most arrive in it and are just painted; one that belongs further back makes the newest part be painted again, from a base
// picture that holds what lies before.
//
// A gesture (from pointer down to pointer up) is what is undone: its strokes stay, hidden, and of several decisions about it the
// newest counts. Erasing is drawing in white. Clearing turns a page: the clear's id names the new page, and strokes of an earlier
// page are gone. A clear counts if it was meant for the page that is up, so two people who clear at once turn one page.

export const WIDTH = 1600;
export const HEIGHT = 1000;
const KEPT_BACK = 400; // strokes in front of the base picture, so that a late one seldom needs everything painted again
const STOCK = '~';     // begins the ids that strokes without one are given

const before = (a, b) => a.t - b.t || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

function surface(canvas) {
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  context.lineCap = context.lineJoin = 'round';
  return context;
}

function blank(context) {
  context.fillStyle = '#fff';
  context.fillRect(0, 0, WIDTH, HEIGHT);
}

function paint(context, stroke) {
  context.strokeStyle = stroke.color;
  context.lineWidth = stroke.w;
  context.beginPath();
  context.moveTo(stroke.x0 * WIDTH, stroke.y0 * HEIGHT);
  context.lineTo(stroke.x1 * WIDTH, stroke.y1 * HEIGHT);
  context.stroke();
}

const number = (value, low, high, otherwise) => (Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise);
const name = (value, otherwise) => (typeof value === 'string' ? value.slice(0, 64) : otherwise);
const time = (data) => number(data.t, 0, 1e15, 0);

export class Picture {
  constructor(canvas) {
    this.view = surface(canvas);
    this.base = surface(document.createElement('canvas'));
    this.reset();
  }

  // As if nothing had ever been drawn.
  reset() {
    this.stock = 0;
    this.past = new Set(); // pages that were turned
    this.turn('');
  }

  turn(page) {
    this.page = page;
    this.strokes = [];
    this.ids = new Set();
    this.undone = new Map(); // gesture: the newest decision about it
    this.newest = 0;         // the latest time of what is on the page
    this.based = 0;          // how many strokes the base picture holds
    this.stale = false;
    blank(this.view);
    blank(this.base);
  }

  // What others send is theirs to say, within bounds. The stock whiteboard's strokes have neither id, nor time, nor width, nor page;
  // they lie below ours, in the order in which they came.
  read(data) {
    const id = name(data.id, '');
    return {
      id: id === '' || id.startsWith(STOCK) ? STOCK + String(this.stock++).padStart(9, '0') : id,
      t: time(data),
      x0: number(data.x0, -1, 2, 0), y0: number(data.y0, -1, 2, 0), x1: number(data.x1, -1, 2, 0), y1: number(data.y1, -1, 2, 0),
      color: typeof data.color === 'string' && /^[#a-z0-9]{1,20}$/i.test(data.color) ? data.color : 'black',
      w: number(data.w, 1, 80, 4),
      g: name(data.g, null),
    };
  }

  // Whether something that names this page belongs to what is up. A page that nobody has turned to is one whose beginning the log
  // no longer has.
  isUp(page) {
    if (page === undefined || page === this.page) return true;
    if (this.past.has(page)) return false;
    this.past.add(this.page);
    this.turn(page);
    return true;
  }

  // False for a stroke that is there already.
  add(data) {
    if (!this.isUp(name(data.p))) return true;
    const one = this.read(data);
    if (this.ids.has(one.id)) return false;
    this.ids.add(one.id);
    this.newest = Math.max(this.newest, one.t);
    let at = this.strokes.length;
    while (at > 0 && before(one, this.strokes[at - 1]) < 0) at--;
    this.strokes.splice(at, 0, one);
    if (this.hides(one)) return true;
    if (at === this.strokes.length - 1) {
      if (!this.stale) paint(this.view, one);
    } else {
      this.repaint(at);
    }
    return true;
  }

  hides(stroke) {
    return stroke.g !== null && this.undone.get(stroke.g)?.off === true;
  }

  // `{id, t, p, g, off}`: the gesture g is hidden (off) or shown again.
  undo(data) {
    const decision = { id: name(data.id, ''), t: time(data), off: data.off === true };
    const g = name(data.g);
    if (g === undefined || !this.isUp(name(data.p))) return;
    this.newest = Math.max(this.newest, decision.t);
    const had = this.undone.get(g);
    if (had && before(decision, had) < 0) return;
    this.undone.set(g, decision);
    const first = this.strokes.findIndex((stroke) => stroke.g === g);
    if (first >= 0 && (had?.off === true) !== decision.off) this.repaint(first);
  }

  // `{id, p}`: a new page named id, in place of the page p. True if it has been turned.
  clear(data) {
    const id = name(data.id, '');
    if (id === '' || this.past.has(id) || !this.isUp(name(data.p, ''))) return false;
    this.past.add(this.page);
    this.turn(id);
    return true;
  }

  // Everything from stroke `at` on looks different now.
  repaint(at) {
    if (at < this.based) {
      this.based = 0;
      blank(this.base);
    }
    if (this.stale) return;
    this.stale = true;
    requestAnimationFrame(() => this.refresh());
  }

  refresh() {
    if (!this.stale) return;
    this.stale = false;
    const show = (context, stroke) => this.hides(stroke) || paint(context, stroke);
    for (; this.based < this.strokes.length - KEPT_BACK; this.based++) show(this.base, this.strokes[this.based]);
    this.view.drawImage(this.base.canvas, 0, 0);
    for (let at = this.based; at < this.strokes.length; at++) show(this.view, this.strokes[at]);
  }

  // One number for all pixels (FNV-1a), for tests.
  hash() {
    this.refresh();
    const pixels = new Uint32Array(this.view.getImageData(0, 0, WIDTH, HEIGHT).data.buffer);
    let hash = 2166136261;
    for (const pixel of pixels) hash = Math.imul(hash ^ pixel, 16777619);
    return hash >>> 0;
  }
}
