// Which input made which output, and scores laid over a picture.

const methodIndex = list => Math.max(0, list.findIndex(each => each.method === state.method));

const alignmentView = {
  id: 'alignment', title: 'Alignment', about: 'Rows = units of the output, columns = units of the input; the heaviest unit of each row is framed.',
  has: e => e.alignments.length > 0,
  build(host, e) {
    host.append(element('div', 'controls',
      choice('Method', 'method', e.alignments.map(each => [each.method, each.method]), e.alignments[methodIndex(e.alignments)].method, value => change({ method: value })),
      choice('Form', 'mode', [['matrix', 'matrix'], ['lines', 'lines']], state.mode, value => change({ mode: value }))));
    const chosen = e.alignments[methodIndex(e.alignments)];
    const figure = new Figure(`alignment by ${chosen.method}`, (pen, width) => this.draw(pen, width, e));
    figure.readout.id = 'alignment-readout';
    host.append(figure.host, legend(chosen.is_signed, largest(chosen.scores), chosen.meaning));
    return figure;
  },
  draw(pen, width, e) {
    const chosen = e.alignments[methodIndex(e.alignments)], columns = e.units.length, rows = e.output_units.length;
    const scale = largest(chosen.scores), at = (r, c) => chosen.scores[r * columns + c];
    const best = r => { let key = 0; for (let c = 1; c < columns; ++c) if (at(r, c) > at(r, key)) key = c; return key; };
    const color = (r, c) => shade(chosen.is_signed, scale > 0 ? at(r, c) / scale : 0);
    const describe = (r, c) => [bdi(e.output_units[r]), ' ← ', bdi(e.units[c]), `  ${number(at(r, c), chosen.is_signed)}` + (c === best(r) ? ' (heaviest)' : '')];
    if (state.mode === 'lines') return drawLines(pen, width, e, { at, best, color, scale, describe, isSigned: chosen.is_signed });
    const size = drawHeat(pen, width, rows, columns, { rowName: r => e.output_units[r], columnName: c => e.units[c], value: at, color, describe,
      show: (r, c) => number(at(r, c)).slice(0, 5), mostCell: 44 });
    for (let r = 0; r < rows; ++r) pen.rect(size.left + best(r) * size.cell + 1, size.top + r * size.cell + 1, size.cell - 3, size.cell - 3, null, { stroke: tone('ink') });
    return size;
  },
  name: e => 'alignment, ' + e.alignments[methodIndex(e.alignments)].method,
};

// Two lines of text with links between them; broader and darker = heavier.
function drawLines(pen, width, e, { at, best, scale, describe, isSigned }) {
  const spread = (units, y, above) => {
    const widths = units.map(text => Math.min(120, textWidth(text, 14)) + 14), total = sum(widths), room = Math.max(total, width - 4);
    let x = 0;
    return units.map((text, i) => {
      const share = widths[i] * room / total, center = x + share / 2;
      pen.text(center, y + (above ? 0 : 12), clipped(text, 120, 14), { size: 14, anchor: 'middle' });
      x += share;
      return center;
    });
  };
  const height = 190, top = 24, bottom = height - 24;
  const sources = spread(e.units, top - 8, true), targets = spread(e.output_units, bottom + 8, false);
  for (let r = 0; r < targets.length; ++r) {
    for (let c = 0; c < sources.length; ++c) {
      const share = scale > 0 ? Math.abs(at(r, c)) / scale : 0;
      if (share < 0.08) continue;
      pen.path([[sources[c], top], [targets[r], bottom]], { curved: true, stroke: shade(isSigned, Math.sign(at(r, c)) * (0.45 + 0.55 * share))[0],
        width: 0.8 + 5 * share, opacity: c === best(r) ? 0.95 : 0.55, title: `${e.output_units[r]} ← ${e.units[c]}: ${at(r, c)}` });
    }
  }
  const wide = Math.max(width, ...sources.map(x => x + 60), ...targets.map(x => x + 60));
  const grid = { rows: targets.length, columns: sources.length, describe,
    at: (x, y) => {
      if (y < 0 || y > height) return null;
      const nearest = list => list.reduce((found, place, i) => (Math.abs(place - x) < Math.abs(list[found] - x) ? i : found), 0);
      return y > height / 2 ? [nearest(targets), best(nearest(targets))] : [targets.reduce((found, _, r) => (at(r, nearest(sources)) > at(found, nearest(sources)) ? r : found), 0), nearest(sources)];
    },
    box: (r, c) => [Math.min(sources[c], targets[r]) - 8, 2, Math.abs(sources[c] - targets[r]) + 16, height - 4] };
  return { width: wide, height, grids: [grid] };
}

// --- scores over an image or a spectrogram
const overlayView = {
  id: 'overlay', title: 'Overlay', about: 'The picture that was explained with the score of each part laid over it.',
  has: e => Boolean(e.surface) && e.attributions.length > 0,
  build(host, e) {
    const chosen = e.attributions[methodIndex(e.attributions)];
    const repaint = changes => { Object.assign(state, changes); writeAddress(); figure.paint(); };
    const figure = new Figure(`scores of ${chosen.method} over the picture`, (pen, width) => this.draw(pen, width, e));
    figure.readout.id = 'overlay-readout';
    host.append(element('div', 'controls',
      choice('Method', 'method', e.attributions.map(each => [each.method, each.method]), chosen.method, value => change({ method: value })),
      slider('Heat', 'blend', whole(state.blend, 101), value => repaint({ blend: String(value) })),
      slider('Only the top', 'top', whole(state.top, 101), value => repaint({ top: String(value) })),
      toggle('outline the parts', 'grid', Boolean(state.grid), on => repaint({ grid: on ? '1' : '' })),
      e.surface.channels === 3 ? toggle('in its colours', 'colors', Boolean(state.colors), on => repaint({ colors: on ? '1' : '' })) : null),
    figure.host, legend(chosen.is_signed, scaleOf(chosen), [chosen.meaning, colorsSay(e, chosen)].filter(Boolean).join(' · ')));
    if (e.surface.reduced > 1) host.append(element('p', 'meaning', `The picture is shown at 1/${e.surface.reduced} of its size to keep this page small.`));
    return figure;
  },
  // Grey unless the reader wants its colours: heat is told apart from the picture by its hue.
  picture(e) {
    const s = e.surface, grey = s.channels === 1 || !state.colors, bytes = s.decoded || (s.decoded = bytesOf(s.data));
    const kept = grey ? 'grey' : 'colors';
    return s[kept] || (s[kept] = pixels(s.height, s.width, (y, x) => {
      const at = (y * s.width + x) * s.channels, [r, g, b] = s.channels === 1 ? [bytes[at], bytes[at], bytes[at]] : [bytes[at], bytes[at + 1], bytes[at + 2]];
      const light = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
      return grey ? [light, light, light, 255] : [r, g, b, 255];
    }));
  },
  // The score from which a part is among the top k %.
  limit(method) {
    const sorted = [...method.scores].map(Math.abs).sort((a, b) => b - a), count = Math.round(sorted.length * whole(state.top, 101) / 100);
    return count > 0 ? sorted[count - 1] : Infinity;
  },
  draw(pen, width, e) {
    const s = e.surface, method = e.attributions[methodIndex(e.attributions)], scale = scaleOf(method), least = this.limit(method);
    const left = s.y_axis ? 22 : 0, zoom = Math.min((width - left) / s.width, 460 / s.height), w = s.width * zoom, h = s.height * zoom;
    pen.image(left, 0, w, h, this.picture(e), s.width * zoom < 3 * s.width);
    const blend = whole(state.blend, 101) / 100;
    e.units.forEach((name, i) => {
      const [x, y, bw, bh] = s.boxes.slice(4 * i, 4 * i + 4).map(value => value * zoom), score = method.scores[i], t = scale > 0 ? score / scale : 0;
      const hidden = Math.abs(score) < least;
      const points = [[left + x, y], [left + x + bw, y], [left + x + bw, y + bh], [left + x, y + bh]];
      // Outside the mask the picture is dimmed, not coloured; inside, heat is the more opaque the heavier,
      // and nothing where there is none.
      if (hidden) pen.path(points, { fill: tone('card'), opacity: 0.75, title: `${name}: ${score}` });
      else pen.path(points, { fill: shade(method.is_signed, Math.sign(t) * (0.6 + 0.4 * Math.abs(t)))[0], opacity: Number((blend * Math.abs(t) ** 0.6).toFixed(3)), title: `${name}: ${score}` });
      if (state.grid) pen.rect(left + x, y, bw, bh, null, { stroke: tone('line') });
    });
    if (s.x_axis) pen.text(left + w / 2, h + 16, s.x_axis, { size: 11, anchor: 'middle', fill: tone('muted') });
    if (s.y_axis) pen.text(14, h / 2, s.y_axis, { size: 11, anchor: 'middle', rotate: -90, fill: tone('muted') });
    const unitAt = (x, y) => e.units.findIndex((_, i) => {
      const [bx, by, bw, bh] = s.boxes.slice(4 * i, 4 * i + 4);
      return x >= bx && y >= by && x < bx + bw && y < by + bh;
    });
    const grid = { rows: 1, columns: e.units.length,
      describe: (_, i) => [bdi(e.units[i]), `  ${method.method} ${number(method.scores[i], method.is_signed)}` + (Math.abs(method.scores[i]) < least ? ' (outside the top)' : '')],
      at: (x, y) => { const unit = unitAt((x - left) / zoom, y / zoom); return unit < 0 ? null : [0, unit]; },
      box: (_, i) => { const [x, y, bw, bh] = s.boxes.slice(4 * i, 4 * i + 4).map(value => value * zoom); return [left + x, y, bw, bh]; } };
    return { width: left + w + 2, height: h + (s.x_axis ? 22 : 2), grids: [grid] };
  },
  name: e => 'scores over the picture, ' + e.attributions[methodIndex(e.attributions)].method,
};
