// picture: the drawing as a list of strokes, and as pixels.
//
// Every board must end up with the same pixels, whatever the order in which strokes reached it: one's own are drawn at once, and
// two people draw at the same time. So strokes have an order of their own, by time and then by id, and are painted in that order.
// Most arrive in it and are just painted; one that belongs further back makes the newest part be painted again, from a base
// picture that holds what lies before.

export const WIDTH = 1600;
export const HEIGHT = 1000;
const KEPT_BACK = 400; // strokes in front of the base picture, so that a late one seldom needs everything painted again

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

// What others send is theirs to say, within bounds. The stock whiteboard's strokes have neither id, nor time, nor width.
function stroke(data, count) {
  return {
    id: typeof data.id === 'string' ? data.id.slice(0, 64) : `stock-${count}`,
    t: number(data.t, 0, 1e15, 0),
    x0: number(data.x0, -1, 2, 0), y0: number(data.y0, -1, 2, 0), x1: number(data.x1, -1, 2, 0), y1: number(data.y1, -1, 2, 0),
    color: typeof data.color === 'string' && /^[#a-z0-9]{1,20}$/i.test(data.color) ? data.color : 'black',
    w: number(data.w, 1, 60, 4),
  };
}

export class Picture {
  constructor(canvas) {
    this.view = surface(canvas);
    this.base = surface(document.createElement('canvas'));
    this.clear();
  }

  clear() {
    this.strokes = [];
    this.ids = new Set();
    this.based = 0; // how many strokes the base picture holds
    this.stale = false;
    blank(this.view);
    blank(this.base);
  }

  // False for a stroke that is there already.
  add(data) {
    const one = stroke(data, this.strokes.length);
    if (this.ids.has(one.id)) return false;
    this.ids.add(one.id);
    let at = this.strokes.length;
    while (at > 0 && before(one, this.strokes[at - 1]) < 0) at--;
    this.strokes.splice(at, 0, one);
    if (at === this.strokes.length - 1) {
      if (!this.stale) paint(this.view, one);
      return true;
    }
    if (at < this.based) {
      this.based = 0;
      blank(this.base);
    }
    if (!this.stale) {
      this.stale = true;
      requestAnimationFrame(() => this.refresh());
    }
    return true;
  }

  refresh() {
    if (!this.stale) return;
    this.stale = false;
    for (; this.based < this.strokes.length - KEPT_BACK; this.based++) paint(this.base, this.strokes[this.based]);
    this.view.drawImage(this.base.canvas, 0, 0);
    for (let at = this.based; at < this.strokes.length; at++) paint(this.view, this.strokes[at]);
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
