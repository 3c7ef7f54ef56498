// The input with a score on every unit, once per method; and the overview, which begins with it.

// A piece is a unit's index, a [text, unit] pair where the text shown is not the unit's, or the text
// between units.
function pieceOf(e, piece) {
  if (typeof piece === 'number') return [e.units[piece], piece];
  return typeof piece === 'string' ? [piece, -1] : piece;
}

const UNITS_AT_ONCE = 600;  // more boxes than this make a page slow
const partsOf = e => Math.ceil(e.units.length / UNITS_AT_ONCE);
function piecesOfPart(e, part) {
  if (partsOf(e) < 2) return e.pieces;
  const first = part * UNITS_AT_ONCE, last = first + UNITS_AT_ONCE;
  let unit = -1;
  return e.pieces.filter(piece => {
    const at = pieceOf(e, piece)[1];
    if (at >= 0) unit = at;
    return Math.max(unit, 0) >= first && Math.max(unit, 0) < last;
  });
}

// One method's units as boxes; values are on a scale of their own.
function flow(e, values, scale, isSigned, makeUnit) {
  const box = element('div', 'flow');
  box.dir = 'auto';
  for (const piece of piecesOfPart(e, whole(state.part, partsOf(e)))) {
    const [text, unit] = pieceOf(e, piece), part = element('bdi', unit < 0 ? '' : 'unit', text);
    if (unit >= 0) {
      const pair = shade(isSigned, scale > 0 ? values[unit] / scale : 0);
      part.style.background = pair[0];
      part.style.color = pair[1];
      part.dataset.unit = unit;
      part.title = number(values[unit], isSigned);
      if (makeUnit) makeUnit(part, unit);
    }
    box.append(part);
  }
  return box;
}

const colorsSay = (e, method) => (method.is_signed ? `blue: for ${e.target}, orange: against` : '');
const scaleOf = method => (method.scale === undefined ? (method.scale = largest(method.scores)) : method.scale);
const capital = text => text[0].toUpperCase() + text.slice(1);

function figuresOf(method) {
  const f = method.faithfulness;
  if (!f) return '';
  return `comprehensiveness ${number(f.comprehensiveness)} · sufficiency ${number(f.sufficiency)} · ` +
    `deletion ${number(f.deletion)} · insertion ${number(f.insertion)}`;
}

function methodRow(e, method, index, onUnit) {
  const scale = scaleOf(method), ramp = element('div', 'ramp');
  ramp.style.background = rampCss(method.is_signed);
  const name = element('div', '', element('div', 'method-name', method.method), ramp,
    element('div', 'ramp-ends', element('span', '', number(method.is_signed ? -scale : 0)), element('span', '', number(scale, method.is_signed))));
  const units = flow(e, method.scores, scale, method.is_signed, (part, unit) => {
    part.dataset.method = index;
    if (onUnit) onUnit(part, unit);
  });
  units.setAttribute('role', 'group');
  units.setAttribute('aria-label', method.method);
  const body = element('div', '', units, element('p', 'meaning', [method.meaning, colorsSay(e, method), method.note].filter(Boolean).join(' · ')));
  if (method.faithfulness) body.append(element('p', 'meaning figures', figuresOf(method)));
  return element('div', 'method', name, body);
}

function partControl(e) {
  const parts = partsOf(e);
  if (parts < 2) return null;
  const options = Array.from({ length: parts }, (_, i) =>
    [String(i), `${i * UNITS_AT_ONCE} to ${Math.min(e.units.length, (i + 1) * UNITS_AT_ONCE) - 1} of ${e.units.length}`]);
  return choice('Units', 'part', options, String(whole(state.part, parts)), value => change({ part: value, unit: String(Number(value) * UNITS_AT_ONCE) }));
}

// The same as a figure: boxes flowing from left to right.
function drawMethods(pen, e, methods, width, top = 0) {
  const name = 150;
  let y = top;
  for (const method of methods) {
    const scale = scaleOf(method);
    pen.text(0, y + 18, clipped(method.method, name - 12, 13), { bold: true });
    pen.text(0, y + 34, `${number(method.is_signed ? -scale : 0)} to ${number(scale, method.is_signed)}`, { size: 10.5, fill: tone('muted') });
    let x = name, line = y;
    for (const piece of piecesOfPart(e, whole(state.part, partsOf(e)))) {
      const [raw, unit] = pieceOf(e, piece), text = raw.replace(/\s+/g, ' ');
      if (unit < 0 && !text.trim()) { x += 4; continue; }
      const shown = clipped(text, width - name - 12, 14), box = textWidth(shown, 14) + (unit < 0 ? 2 : 8);
      if (x + box > width) { x = name; line += 32; }
      if (unit < 0) pen.text(x, line + 18, shown, { size: 14, fill: tone('muted') });
      else {
        const value = method.scores[unit], pair = shade(method.is_signed, scale > 0 ? value / scale : 0);
        pen.rect(x, line, box, 26, pair[0], { radius: 3, stroke: tone('line'), title: `${text}: ${number(value, method.is_signed)}` });
        pen.text(x + box / 2, line + 18, shown, { size: 14, fill: pair[1], anchor: 'middle' });
      }
      x += box + 2;
    }
    y = line + 44;
    pen.text(name, y, clipped([method.meaning, colorsSay(e, method), method.note].filter(Boolean).join(' · '), width - name, 11), { size: 11, fill: tone('muted') });
    if (method.faithfulness) pen.text(name, y += 15, figuresOf(method), { size: 11, fill: tone('muted') });
    y += 18;
  }
  return y;
}

const tokensView = {
  id: 'scores', title: 'Scores', about: 'Attention = where information was mixed; attribution = what changed the output. They answer different questions and are drawn in different colours.',
  has: e => e.attributions.length > 0,
  build(host, e) {
    const control = partControl(e);
    if (control) host.append(element('div', 'controls', control));
    let heading = '';
    e.attributions.forEach((method, index) => {
      if (method.heading !== heading) {
        heading = method.heading;
        host.append(element('h3', '', capital(heading)));
      }
      host.append(methodRow(e, method, index, (part, unit) => {
        part.tabIndex = index === whole(this.method, e.attributions.length) && unit === whole(state.unit, e.units.length) ? 0 : -1;
      }));
    });
    const readout = element('p', 'readout', 'Point at a unit, or move through the units with Tab and the arrow keys.');
    readout.id = 'unit-readout';
    readout.setAttribute('aria-live', 'polite');
    host.append(readout);
    this.listen(host, e, readout);
  },
  method: 0,
  listen(host, e, readout) {
    const select = (unit, method, focus) => {
      host.querySelectorAll('.unit.on').forEach(part => part.classList.remove('on'));
      host.querySelectorAll('.unit[tabindex="0"]').forEach(part => { part.tabIndex = -1; });
      host.querySelectorAll(`.unit[data-unit="${unit}"]`).forEach(part => {
        part.classList.add('on');
        if (Number(part.dataset.method) !== method) return;
        part.tabIndex = 0;
        if (focus) part.focus();
      });
      state.unit = String(unit);
      this.method = method;
      readout.replaceChildren(bdi(e.units[unit]), '  ' + e.attributions
        .map(row => `${row.method} ${number(row.scores[unit], row.is_signed)}`).join(' · '));
    };
    const show = event => {
      const part = event.target.closest('.unit');
      if (part && !part.classList.contains('on')) select(Number(part.dataset.unit), Number(part.dataset.method), false);
    };
    host.addEventListener('pointerover', show);
    host.addEventListener('focusin', show);
    host.addEventListener('keydown', event => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
        Home: [-Infinity, 0], End: [Infinity, 0] }[event.key];
      if (!step || !event.target.closest('.unit')) return;
      event.preventDefault();
      const first = partsOf(e) < 2 ? 0 : whole(state.part, partsOf(e)) * UNITS_AT_ONCE;
      const last = partsOf(e) < 2 ? e.units.length - 1 : Math.min(e.units.length, first + UNITS_AT_ONCE) - 1;
      select(clamp(Number(state.unit) + step[0], first, last), clamp(this.method + step[1], 0, e.attributions.length - 1), true);
    });
  },
  draw: (pen, width, e) => ({ width, height: drawMethods(pen, e, e.attributions, width) }),
};

// --- overview
function predictionTable(e) {
  const body = element('tbody');
  for (const output of e.outputs) {
    const fill = element('div', 'fill');
    fill.style.width = clamp(output.probability, 0, 1) * 100 + '%';
    const row = element('tr', output.label === e.target ? 'target' : '', element('td', '', bdi(output.label)),
      element('td', '', element('div', 'track', fill)), element('td', '', output.probability.toFixed(3)));
    row.title = `probability ${output.probability}, logit ${output.logit}`;
    body.append(row);
  }
  return element('table', 'prediction', body);
}

const randomRow = e => e.attributions.find(row => row.method.startsWith('random') && row.faithfulness);
const bestRow = e => e.attributions.find(row => row.method === e.best_method) ||
  e.attributions.find(row => !row.method.startsWith('random')) || e.attributions[0];

function badge(e) {
  const row = bestRow(e), random = randomRow(e);
  if (!row || !row.faithfulness || row === random) return null;
  const beats = random && row.faithfulness.comprehensiveness > random.faithfulness.comprehensiveness;
  const made = element('div', 'badge', element('strong', '', `${row.method}: comprehensiveness ${number(row.faithfulness.comprehensiveness)}`),
    random ? ` (random ${number(random.faithfulness.comprehensiveness)})` : '',
    `, deletion area ${number(row.faithfulness.deletion)}`, random ? ` (random ${number(random.faithfulness.deletion)})` : '');
  made.id = 'badge';
  made.dataset.beats = String(Boolean(beats));
  if (random && !beats) made.append(' – no better than chance on this input');
  return made;
}

function faithfulnessTable(e) {
  const rows = e.attributions.filter(row => row.faithfulness);
  if (!rows.length) return null;
  const body = element('tbody'), random = randomRow(e);
  for (const row of rows) {
    const f = row.faithfulness, line = element('tr', row.method === e.best_method ? 'target' : '', element('th', '', row.method + (row.method === e.best_method ? ' ★' : '')));
    for (const [key, sign] of [['comprehensiveness', 1], ['sufficiency', -1], ['deletion', -1], ['insertion', 1]]) {
      const cell = element('td', '', number(f[key]));
      if (random && row !== random && sign * (f[key] - random.faithfulness[key]) <= 0) {
        cell.className = 'weak';
        cell.title = 'no better than random';
        cell.append(' ≤ random');
      }
      line.append(cell);
    }
    line.append(element('td', '', number(row.seconds)));
    body.append(line);
  }
  const head = element('tr', '', ...['method', 'comprehensiveness ↑', 'sufficiency ↓', 'deletion ↓', 'insertion ↑', 'seconds'].map(text => element('th', '', text)));
  const table = element('table', 'numbers', element('thead', '', head), body);
  table.id = 'faithfulness';
  return table;
}

function effectsTable(e) {
  const body = element('tbody'), most = largest(e.effects.map(effect => effect.change));
  const top = outputs => (outputs.length ? element('td', '', bdi(outputs[0].label), ' ' + outputs[0].probability.toFixed(3)) : element('td', '', '–'));
  for (const effect of e.effects) {
    const pair = shade(true, most > 0 ? effect.change / most : 0), cell = element('td', 'change', number(effect.change, true));
    cell.style.background = pair[0];
    cell.style.color = pair[1];
    const flipped = effect.before.length && effect.after.length && effect.before[0].label !== effect.after[0].label;
    body.append(element('tr', '', element('th', '', bdi(effect.edit)), top(effect.before), top(effect.after), cell, element('td', '', flipped ? 'output changed' : '')));
  }
  const head = element('tr', '', ...['steered by', 'before', 'after', 'change of the target', ''].map(text => element('th', '', text)));
  const table = element('table', 'numbers', element('thead', '', head), body);
  table.id = 'effects';
  return table;
}

const overviewView = {
  id: 'overview', title: 'Overview', has: () => true,
  build(host, e) {
    const target = element('p', 'meaning', 'Explained output: ', bdi(e.target),
      e.output ? ` (unit ${e.target_position} of the output)` : '',
      e.more_outputs ? `. ${e.more_outputs} less likely outputs are not listed.` : '');
    target.id = 'target';
    if (e.outputs.length) host.append(element('h2', '', 'Prediction'));
    if (e.output) host.append(element('p', 'output', 'Output: ', bdi(e.output)));
    if (e.outputs.length) host.append(predictionTable(e), target);
    else host.append(element('p', 'meaning', 'This file holds no prediction.'));
    const row = bestRow(e), mark = badge(e), table = faithfulnessTable(e);
    if (e.verdict) host.append(Object.assign(element('p', 'verdict', e.verdict), { id: 'verdict' }));
    if (row) {
      host.append(element('h3', '', row.method === e.best_method ? `Most faithful for this model on dev data: ${row.method}` : row.method));
      if (mark) host.append(mark);
      host.append(methodRow(e, row, 0));
    }
    if (table) {
      host.append(element('h3', '', 'How far each row can be trusted on this input'), table, element('p', 'meaning',
        `${e.test ? `Units are taken out by ${removalOf(e)}. ` : ''}Comprehensiveness: mean drop of the probability without the top units; ` +
        'sufficiency: with them alone; deletion and insertion: areas under the curves. Arrows: which direction is good.'));
    }
    if (e.effects.length) host.append(element('h3', '', 'Steered'), effectsTable(e));
  },
  draw(pen, width, e) {
    let y = 0;
    for (const output of e.outputs.slice(0, 6)) {
      const bold = output.label === e.target;
      pen.text(0, y + 12, clipped(output.label, 150, 13), { bold });
      pen.rect(170, y + 1, width - 240, 13, tone('track'), { radius: 2 });
      pen.rect(170, y + 1, Math.max(1, output.probability * (width - 240)), 13, tone(bold ? 'bar' : 'bar-other'), { radius: 2, title: `${output.label}: ${output.probability}` });
      pen.text(width, y + 12, output.probability.toFixed(3), { size: 12, anchor: 'end', bold });
      y += 21;
    }
    if (e.verdict) pen.text(0, (y += 24) - 6, clipped(e.verdict, width, 12), { size: 12, bold: true });
    const row = bestRow(e);
    return { width, height: row ? drawMethods(pen, e, [row], width, y + 14) : y };
  },
};
