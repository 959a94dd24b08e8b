// view: how much of the board one sees. On a wide screen all of it; on a tall one it fills the height, and two fingers move it.
// Two fingers also zoom, and so do Ctrl and the wheel, and the keys + - 0.

const RATIO = 1.6;
const ZOOM_MAX = 6;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class View {
  constructor(stage, paper) {
    Object.assign(this, { stage, paper, zoom: 1, x: 0.5, y: 0.5 }); // the place of the board that is in the middle
    new ResizeObserver(() => this.lay()).observe(stage);
    stage.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    this.lay();
  }

  lay() {
    const { clientWidth: wide, clientHeight: high } = this.stage;
    if (wide === 0 || high === 0) return;
    // The whole board, or on a tall screen the whole height.
    const width = (1.2 * wide < high ? high * RATIO : Math.min(wide, high * RATIO)) * this.zoom;
    const height = width / RATIO;
    const middle = (at, all, shown) => (all <= shown ? 0.5 : clamp(at, shown / all / 2, 1 - shown / all / 2));
    this.x = middle(this.x, width, wide);
    this.y = middle(this.y, height, high);
    this.width = width;
    Object.assign(this.paper.style, { width: `${width}px`, height: `${height}px`, left: `${wide / 2 - this.x * width}px`, top: `${high / 2 - this.y * height}px` });
  }

  move(dx, dy) {
    this.x -= dx / this.width;
    this.y -= (dy / this.width) * RATIO;
    this.lay();
  }

  // The place under the pointer stays there.
  zoomBy(factor, clientX, clientY) {
    const at = this.paper.getBoundingClientRect();
    const [px, py] = [(clientX - at.left) / at.width, (clientY - at.top) / at.height];
    this.zoom = clamp(this.zoom * factor, 1, ZOOM_MAX);
    this.lay();
    const now = this.paper.getBoundingClientRect();
    this.move(clientX - now.left - px * now.width, clientY - now.top - py * now.height);
  }

  step(factor) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    this.zoomBy(factor, left + width / 2, top + height / 2);
  }

  all() {
    Object.assign(this, { zoom: 1, x: 0.5, y: 0.5 });
    this.lay();
  }

  wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) this.zoomBy(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
    else this.move(-event.deltaX, -event.deltaY);
  }
}
