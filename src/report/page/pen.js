// A view draws its figure once, with a pen: CanvasPen shows it, SvgPen writes it to a file, and
// MeasurePen only finds its size. Texts stand on their baseline at (x, y).
const FONTS = "system-ui, 'Noto Sans CJK SC', 'Microsoft YaHei', 'PingFang SC', sans-serif";
const measuring = document.createElement('canvas').getContext('2d');
function textWidth(text, size, bold) {
  measuring.font = `${bold ? 600 : 400} ${size}px ${FONTS}`;
  return measuring.measureText(text).width;
}
function clipped(text, width, size) {
  if (textWidth(text, size) <= width) return text;
  const parts = Array.from(text);
  let low = 0, high = parts.length;
  while (low < high) {  // the longest beginning that fits with its ellipsis
    const middle = Math.ceil((low + high) / 2);
    if (textWidth(parts.slice(0, middle).join('') + '…', size) <= width) low = middle; else high = middle - 1;
  }
  return parts.slice(0, low).join('') + '…';
}

class MeasurePen {
  rect() {} text() {} line() {} path() {} cells() {} image() {}
}

class CanvasPen {
  constructor(context) { this.context = context; }
  rect(x, y, width, height, fill, { stroke, radius = 0 } = {}) {
    const c = this.context;
    c.beginPath();
    if (radius) c.roundRect(x, y, width, height, radius); else c.rect(x, y, width, height);
    if (fill) { c.fillStyle = fill; c.fill(); }
    if (stroke) { c.strokeStyle = stroke; c.lineWidth = 1; c.stroke(); }
  }
  text(x, y, text, { size = 13, fill = tone('ink'), anchor = 'start', bold = false, rotate = 0 } = {}) {
    const c = this.context;
    c.save();
    c.font = `${bold ? 600 : 400} ${size}px ${FONTS}`;
    c.fillStyle = fill;
    c.textAlign = { start: 'left', middle: 'center', end: 'right' }[anchor];
    c.translate(x, y);
    if (rotate) c.rotate(rotate * Math.PI / 180);
    c.fillText(text, 0, 0);
    c.restore();
  }
  path(points, { stroke, width = 1.5, dash = [], fill, curved = false, opacity = 1 } = {}) {
    const c = this.context;
    c.save();
    c.globalAlpha = opacity;
    c.beginPath();
    if (curved) {
      const [[x1, y1], [x2, y2]] = points, middle = (y1 + y2) / 2;
      c.moveTo(x1, y1);
      c.bezierCurveTo(x1, middle, x2, middle, x2, y2);
    } else points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
    if (fill) { c.fillStyle = fill; c.closePath(); c.fill(); }
    if (stroke) { c.strokeStyle = stroke; c.lineWidth = width; c.setLineDash(dash); c.stroke(); }
    c.restore();
  }
  line(x1, y1, x2, y2, look) { this.path([[x1, y1], [x2, y2]], look); }
  cells(x, y, width, height, rows, columns, color) {
    const w = width / columns, h = height / rows;
    if (w < 6 || h < 6) return this.image(x, y, width, height, pixels(rows, columns, color), false);
    const seam = Math.min(w, h) >= 10 ? 1 : 0;
    for (let r = 0; r < rows; ++r) {
      for (let c = 0; c < columns; ++c) this.rect(x + c * w, y + r * h, w - seam, h - seam, color(r, c));
    }
  }
  image(x, y, width, height, canvas, smooth) {
    this.context.save();
    this.context.imageSmoothingEnabled = smooth;
    this.context.drawImage(canvas, x, y, width, height);
    this.context.restore();
  }
}

// XML 1.0 has no way to write most control characters.
const xml = text => String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff]/g, '\ufffd')
  .replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const px = value => String(Math.round(value * 100) / 100);

class SvgPen {
  constructor() { this.parts = []; }
  rect(x, y, width, height, fill, { stroke, radius = 0, title } = {}) {
    const look = `fill="${fill || 'none'}"${stroke ? ` stroke="${stroke}"` : ''}${radius ? ` rx="${px(radius)}"` : ''}`;
    const shape = `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(height)}" ${look}`;
    this.parts.push(title ? `${shape}><title>${xml(title)}</title></rect>` : shape + '/>');
  }
  text(x, y, text, { size = 13, fill = tone('ink'), anchor = 'start', bold = false, rotate = 0 } = {}) {
    this.parts.push(`<text x="${px(x)}" y="${px(y)}" font-size="${px(size)}" fill="${fill}"` +
      (anchor === 'start' ? '' : ` text-anchor="${anchor}"`) + (bold ? ' font-weight="600"' : '') +
      (rotate ? ` transform="rotate(${rotate} ${px(x)} ${px(y)})"` : '') + `>${xml(text)}</text>`);
  }
  path(points, { stroke, width = 1.5, dash = [], fill, curved = false, opacity = 1, title } = {}) {
    let d = 'M' + points.map(([x, y]) => `${px(x)} ${px(y)}`).join('L') + (fill ? 'Z' : '');
    if (curved) {
      const [[x1, y1], [x2, y2]] = points, middle = px((y1 + y2) / 2);
      d = `M${px(x1)} ${px(y1)}C${px(x1)} ${middle} ${px(x2)} ${middle} ${px(x2)} ${px(y2)}`;
    }
    const shape = `<path d="${d}" fill="${fill || 'none'}"` + (opacity < 1 ? ` opacity="${opacity}"` : '') +
      (stroke ? ` stroke="${stroke}" stroke-width="${px(width)}"` : '') + (dash.length ? ` stroke-dasharray="${dash.join(' ')}"` : '');
    this.parts.push(title ? `${shape}><title>${xml(title)}</title></path>` : shape + '/>');
  }
  line(x1, y1, x2, y2, look) { this.path([[x1, y1], [x2, y2]], look); }
  cells(x, y, width, height, rows, columns, color, title) {
    if (rows * columns > 40000) return this.image(x, y, width, height, pixels(rows, columns, color), false);
    const w = width / columns, h = height / rows, seam = Math.min(w, h) >= 10 ? 1 : 0;
    for (let r = 0; r < rows; ++r) {
      for (let c = 0; c < columns; ++c) {
        this.rect(x + c * w, y + r * h, w - seam, h - seam, color(r, c), { title: title && title(r, c) });
      }
    }
  }
  image(x, y, width, height, canvas, smooth) {
    this.parts.push(`<image x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(height)}" preserveAspectRatio="none"` +
      `${smooth ? '' : ' style="image-rendering:pixelated"'} href="${canvas.toDataURL()}"/>`);
  }
  file(width, height, title) {
    const w = Math.ceil(width), h = Math.ceil(height);
    return `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="${FONTS}" role="img">\n` +
      `<title>${xml(title)}</title>\n<rect width="${w}" height="${h}" rx="10" fill="#fff"/>\n${this.parts.join('\n')}\n</svg>\n`;
  }
}

// One pixel per cell. `color` answers "#rrggbb" or [r, g, b, a].
function pixels(rows, columns, color) {
  const canvas = document.createElement('canvas');
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext('2d'), image = context.createImageData(columns, rows), known = new Map();
  const parsed = text => {
    if (!known.has(text)) known.set(text, [1, 3, 5].map(at => parseInt(text.slice(at, at + 2), 16)).concat(255));
    return known.get(text);
  };
  for (let r = 0, at = 0; r < rows; ++r) {
    for (let c = 0; c < columns; ++c, at += 4) {
      const value = color(r, c);
      image.data.set(typeof value === 'string' ? parsed(value) : value, at);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Where cells lie: for pointing, for the arrow keys and for the focus frame.
function evenGrid(x, y, width, height, rows, columns, describe, activate) {
  const w = width / columns, h = height / rows;
  return { rows, columns, describe, activate,
    at: (px_, py_) => (px_ < x || py_ < y || px_ >= x + width || py_ >= y + height ? null
      : [Math.floor((py_ - y) / h), Math.floor((px_ - x) / w)]),
    box: (r, c) => [x + c * w, y + r * h, w, h] };
}

// A figure on the page. draw(pen, width) answers { width, height, grids }; a grid tells what a cell
// is. The same draw() makes the exported file, in light colours because a figure is for paper.
class Figure {
  constructor(label, draw, hint = 'Point at a cell, or focus the figure and use the arrow keys.') {
    this.draw = draw;
    this.grid = 0;
    this.cell = [0, 0];
    this.canvas = element('canvas');
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', label);
    this.readout = element('p', 'readout', hint);
    this.readout.setAttribute('aria-live', 'polite');
    this.scroll = element('div', 'scroll', this.canvas);
    this.host = element('div', 'figure', this.scroll, this.readout);
    this.listen();
  }
  width() { return Math.max(320, this.host.clientWidth || 900); }
  paint() {
    const size = this.draw(new MeasurePen(), this.width()), ratio = devicePixelRatio || 1;
    this.size = size;
    this.canvas.width = Math.ceil(size.width * ratio);
    this.canvas.height = Math.ceil(size.height * ratio);
    this.canvas.style.width = Math.ceil(size.width) + 'px';
    this.canvas.style.height = Math.ceil(size.height) + 'px';
    const context = this.canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw(new CanvasPen(context), this.width());
    const grid = size.grids && size.grids[this.grid];
    if (grid && document.activeElement === this.canvas) {
      const [x, y, w, h] = grid.box(...this.clampedCell(grid));
      context.strokeStyle = tone('focus');
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, Math.max(2, w - 2), Math.max(2, h - 2));
    }
  }
  clampedCell(grid) {
    this.cell = [clamp(this.cell[0], 0, grid.rows - 1), clamp(this.cell[1], 0, grid.columns - 1)];
    return this.cell;
  }
  describe() {
    const grid = this.size.grids[this.grid], said = grid.describe(...this.clampedCell(grid));
    this.readout.replaceChildren(...(Array.isArray(said) ? said : [said]));
  }
  listen() {
    const find = event => {
      for (const [index, grid] of (this.size.grids || []).entries()) {
        const cell = grid.at(event.offsetX, event.offsetY);
        if (!cell) continue;
        this.grid = index;
        this.cell = cell;
        return grid;
      }
      return null;
    };
    this.canvas.addEventListener('pointermove', event => { if (find(event)) this.describe(); });
    this.canvas.addEventListener('click', event => {
      const grid = find(event);
      if (grid && grid.activate) grid.activate(...this.cell);
    });
    this.canvas.addEventListener('focus', () => this.paint());
    this.canvas.addEventListener('blur', () => this.paint());
    this.canvas.addEventListener('keydown', event => {
      const grids = this.size.grids || [], grid = grids[this.grid];
      if (!grid || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
        Home: [0, -Infinity], End: [0, Infinity] }[event.key];
      if (event.key === 'Enter' || event.key === ' ') {
        if (grid.activate) grid.activate(...this.clampedCell(grid));
      } else if (event.key === 'PageDown' || event.key === 'PageUp') {
        this.grid = (this.grid + (event.key === 'PageDown' ? 1 : grids.length - 1)) % grids.length;
      } else if (step) {
        this.cell = [this.cell[0] + step[0], this.cell[1] + step[1]];
      } else return;
      event.preventDefault();
      if (!this.canvas.isConnected) return;
      this.describe();
      this.paint();
    });
  }
}

function svgFile(draw, title, caption) {
  const theme = root.dataset.theme, margin = 16;
  root.dataset.theme = looks.theme = 'light';
  try {
    const size = draw(new MeasurePen(), 900), pen = new SvgPen(), width = Math.max(size.width, 320) + 2 * margin;
    pen.parts.push(`<g transform="translate(${margin} ${margin + 26})">`);
    draw(pen, 900);
    pen.parts.push('</g>');
    const lines = [];
    for (const text of caption) lines.push(clipped(text, width - 2 * margin, 11));
    pen.text(margin, margin + 10, clipped(title, width - 2 * margin, 14), { size: 14, bold: true });
    lines.forEach((line, i) => pen.text(margin, margin + 44 + size.height + 16 * i, line, { size: 11, fill: tone('muted') }));
    return pen.file(width, size.height + 52 + 16 * lines.length + margin, title);
  } finally {
    root.dataset.theme = looks.theme = theme;
  }
}
