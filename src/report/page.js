'use strict';
// Draws one explanation from the JSON island. Text from the input only ever becomes textContent, so
// nothing in it can become markup; <bdi> keeps its writing direction to itself.
const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
const root = document.documentElement;
const systemDark = matchMedia('(prefers-color-scheme: dark)');

const state = { theme: systemDark.matches ? 'dark' : 'light', unit: 0, method: 0, map: data.default_map,
                row: 0, column: 0, pinned: -1, geometry: null };

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// --- colours: [background, ink] pairs that the program computed, so there is one source of them
function shade(isSigned, t) {
  const ramp = data.ramps[state.theme][isSigned ? 'signed' : 'unsigned'];
  const at = isSigned ? (t + 1) / 2 : t;
  return ramp[Math.max(0, Math.min(ramp.length - 1, Math.round(at * (ramp.length - 1))))];
}
const rampCss = isSigned => 'linear-gradient(to right,' +
  data.ramps[state.theme][isSigned ? 'signed' : 'unsigned'].map(pair => pair[0]).join(',') + ')';

function number(value, isSigned) {
  const text = Math.abs(value) < 1e-4 && value !== 0 ? value.toExponential(2)
    : String(Number(value.toPrecision(3)));
  return isSigned && value > 0 ? '+' + text : text;
}

// --- overview
function drawOverview() {
  $('kicker').textContent = [data.task, data.model].filter(Boolean).join(' · ');
  const [before, inside, after] = data.evidence;
  $('input').classList.toggle('long', before.length + inside.length + after.length > 120);
  $('input').append(before);
  if (inside) $('input').append(Object.assign(element('mark', '', inside), { title: 'evidence for the target' }));
  $('input').append(after);
  for (const text of data.notices) $('notices').append(element('p', 'notice', text));
  for (const output of data.outputs) {
    const row = element('tr', output.label === data.target ? 'target' : '');
    const label = element('td');
    label.append(element('bdi', '', output.label));
    const bar = element('td'), track = element('div', 'track'), fill = element('div', 'fill');
    fill.style.width = Math.max(0, Math.min(1, output.probability)) * 100 + '%';
    track.append(fill);
    bar.append(track);
    row.append(label, bar, element('td', '', output.probability.toFixed(3)));
    row.title = `probability ${output.probability}, logit ${output.logit}`;
    $('prediction').append(row);
  }
  $('target').append('Explained output: ', element('bdi', '', data.target),
    data.more_outputs ? `. ${data.more_outputs} less likely outputs are not listed.` : '');
  $('about').textContent = `model ${data.model} · task ${data.task} · ${data.units.length} units (${data.unit_kind})`;
  $('command').textContent = data.command;
}

// --- token highlight, one flow per method
function flow(values, scale, isSigned, makeUnit) {
  const box = element('div', data.units.length > 400 ? 'flow long' : 'flow');
  box.dir = 'auto';
  for (const [text, unit] of data.pieces) {
    const part = element('bdi', unit < 0 ? '' : 'unit', text);
    if (unit >= 0) {
      const pair = shade(isSigned, scale > 0 ? values[unit] / scale : 0);
      part.style.background = pair[0];
      part.style.color = pair[1];
      part.dataset.unit = unit;
      part.title = number(values[unit], isSigned);
      makeUnit(part, unit);
    }
    box.append(part);
  }
  return box;
}

function drawHighlight() {
  const host = $('highlight');
  host.replaceChildren();
  $('highlight-section').hidden = data.attributions.length === 0;
  let heading = '';
  data.attributions.forEach((method, index) => {
    if (method.heading !== heading) {
      heading = method.heading;
      host.append(element('h3', '', heading[0].toUpperCase() + heading.slice(1)));
    }
    const scale = Math.max(0, ...method.scores.map(Math.abs));
    const name = element('div');
    const ramp = element('div', 'ramp'), ends = element('div', 'ramp-ends');
    ramp.style.background = rampCss(method.is_signed);
    ends.append(element('span', '', number(method.is_signed ? -scale : 0)),
      element('span', '', number(scale, method.is_signed)));
    name.append(element('div', 'method-name', method.method), ramp, ends);
    const units = flow(method.scores, scale, method.is_signed, (part, unit) => {
      part.dataset.method = index;
      part.tabIndex = index === state.method && unit === state.unit ? 0 : -1;
    });
    units.setAttribute('role', 'group');
    units.setAttribute('aria-label', method.method);
    const colors = method.is_signed ? `blue: for ${data.target}, orange: against` : '';
    const body = element('div');
    body.append(units, element('p', 'meaning', [method.meaning, colors].filter(Boolean).join(' · ')));
    const row = element('div', 'method');
    row.append(name, body);
    host.append(row);
  });
}

function selectUnit(unit, method, focus) {
  document.querySelectorAll('.unit.on').forEach(part => part.classList.remove('on'));
  document.querySelectorAll(`#highlight .unit[data-unit="${unit}"]`).forEach(part => {
    part.classList.add('on');
    if (Number(part.dataset.method) !== method) return;
    document.querySelectorAll('#highlight .unit[tabindex="0"]').forEach(old => { old.tabIndex = -1; });
    part.tabIndex = 0;
    if (focus) part.focus();
  });
  state.unit = unit;
  state.method = method;
  const readout = $('unit-readout');
  readout.replaceChildren(element('bdi', '', data.units[unit]), '  ' + data.attributions
    .map(row => `${row.method} ${number(row.scores[unit], row.is_signed)}`).join(' · '));
}

function listenToUnits() {
  const host = $('highlight');
  const of = event => event.target.closest('.unit');
  const show = event => {
    const part = of(event);
    if (part) selectUnit(Number(part.dataset.unit), Number(part.dataset.method), false);
  };
  host.addEventListener('pointerover', show);
  host.addEventListener('focusin', show);
  host.addEventListener('keydown', event => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
                   Home: [-Infinity, 0], End: [Infinity, 0] }[event.key];
    if (!step || !of(event)) return;
    event.preventDefault();
    const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));
    selectUnit(clamp(state.unit + step[0], data.units.length),
      clamp(state.method + step[1], data.attributions.length), true);
  });
}

// --- attention maps: 16-bit steps of the largest weight, row by row
function weightsOf(map) {
  if (!map.decoded) {
    const bytes = atob(map.data);
    map.decoded = new Float32Array(map.rows * map.columns);
    for (let i = 0; i < map.decoded.length; ++i) {
      map.decoded[i] = (bytes.charCodeAt(2 * i) + 256 * bytes.charCodeAt(2 * i + 1)) / 65535 * map.scale;
    }
  }
  return map.decoded;
}
const rowName = (map, row) => map.rows === data.units.length ? data.units[row] : map.label;

function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const parts = Array.from(text);
  while (parts.length && context.measureText(parts.join('') + '…').width > width) parts.pop();
  return parts.join('') + '…';
}

// Where everything stands; shared by the canvas and the SVG export.
function layOut(map) {
  const context = $('matrix').getContext('2d');
  context.font = '13px ' + getComputedStyle(document.body).fontFamily;
  const measure = text => Math.min(120, context.measureText(text).width);
  const widest = Math.max(8, ...data.units.map(measure));
  const left = Math.ceil(map.rows === data.units.length ? widest : measure(map.label)) + 12;
  const room = Math.max(200, $('matrix').parentElement.clientWidth - left - 4);
  const cell = Math.max(4, Math.min(34, Math.floor(room / map.columns)));
  const upright = widest <= cell - 2;
  const top = upright ? 22 : Math.ceil(widest * 0.78) + 20;
  const extra = upright ? 2 : Math.ceil(widest * 0.64);
  return { left, top, cell, upright, stride: Math.ceil(14 / cell), context,
           width: left + cell * map.columns + extra, height: top + cell * map.rows + 2 };
}

function drawMatrix() {
  const map = data.attention[state.map], canvas = $('matrix');
  const weights = weightsOf(map), at = layOut(map), ratio = devicePixelRatio || 1;
  state.geometry = at;
  canvas.width = at.width * ratio;
  canvas.height = at.height * ratio;
  canvas.style.width = at.width + 'px';
  canvas.style.height = at.height + 'px';
  canvas.setAttribute('aria-label', `attention map ${map.label}, ${map.rows} queries by ${map.columns} keys`);
  const style = getComputedStyle(root), context = at.context;
  const ink = style.getPropertyValue('--ink'), font = getComputedStyle(document.body).fontFamily;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.textBaseline = 'middle';
  for (let row = 0; row < map.rows; ++row) {
    const y = at.top + row * at.cell;
    for (let column = 0; column < map.columns; ++column) {
      const weight = weights[row * map.columns + column];
      const pair = shade(false, map.scale > 0 ? weight / map.scale : 0);
      context.fillStyle = pair[0];
      const seam = at.cell >= 10 ? 1 : 0;
      context.fillRect(at.left + column * at.cell, y, at.cell - seam, at.cell - seam);
      if (at.cell >= 24) {
        context.fillStyle = pair[1];
        context.font = '11px ' + font;
        context.textAlign = 'center';
        context.fillText(String(Math.round(100 * weight)), at.left + (column + 0.5) * at.cell, y + at.cell / 2);
      }
    }
  }
  context.strokeStyle = style.getPropertyValue('--line');
  context.strokeRect(at.left - 0.5, at.top - 0.5, at.cell * map.columns + 1, at.cell * map.rows + 1);
  context.font = '13px ' + font;
  for (let row = 0; row < map.rows; row += at.stride) {
    context.fillStyle = ink;
    context.textAlign = 'right';
    context.fillText(clipped(context, rowName(map, row), 120), at.left - 6, at.top + (row + 0.5) * at.cell);
  }
  for (let column = 0; column < map.columns; column += at.stride) {
    context.save();
    context.translate(at.left + (column + 0.5) * at.cell, at.top - 9);
    context.textAlign = at.upright ? 'center' : 'left';
    if (!at.upright) context.rotate(-50 * Math.PI / 180);
    context.fillText(clipped(context, data.units[column], 120), 0, 0);
    context.restore();
  }
  context.strokeStyle = style.getPropertyValue('--focus');
  context.lineWidth = 2;
  if (state.pinned >= 0) {
    context.strokeRect(at.left, at.top + state.pinned * at.cell, at.cell * map.columns, at.cell);
  }
  if (document.activeElement === canvas) {
    context.strokeRect(at.left + state.column * at.cell + 1, at.top + state.row * at.cell + 1, at.cell - 2, at.cell - 2);
  }
}

function showCell() {
  const map = data.attention[state.map];
  const weight = weightsOf(map)[state.row * map.columns + state.column];
  $('cell-readout').replaceChildren(element('bdi', '', rowName(map, state.row)), ' → ',
    element('bdi', '', data.units[state.column]), `  ${number(weight)} of the row`);
}

function pinRow(row) {
  const map = data.attention[state.map], view = $('row-view');
  state.pinned = state.pinned === row ? -1 : row;
  view.hidden = state.pinned < 0;
  if (state.pinned >= 0) {
    const values = Array.from(weightsOf(map).subarray(row * map.columns, (row + 1) * map.columns));
    const title = element('p', 'meaning');
    title.append('What ', element('bdi', '', rowName(map, row)), ` looks at in ${map.label}:`);
    view.replaceChildren(title, flow(values, Math.max(...values), false, () => {}));
  }
  drawMatrix();
}

function drawLegend() {
  const map = data.attention[state.map], ramp = element('div', 'ramp');
  ramp.style.background = rampCss(false);
  $('matrix-legend').replaceChildren('0', ramp, number(map.scale), element('span', '', 'share of the row (numbers in cells: percent)'));
}

function drawThumbnails() {
  const host = $('thumbnails');
  host.replaceChildren();
  if (data.attention.length < 2 || data.attention.length > 48) return;
  data.attention.forEach((map, index) => {
    const small = element('canvas'), weights = weightsOf(map);
    const side = Math.min(64, Math.max(map.rows, map.columns));
    small.width = Math.min(side, map.columns);
    small.height = Math.min(side, map.rows);
    const context = small.getContext('2d');
    for (let y = 0; y < small.height; ++y) {
      for (let x = 0; x < small.width; ++x) {
        const row = Math.floor(y * map.rows / small.height), column = Math.floor(x * map.columns / small.width);
        context.fillStyle = shade(false, map.scale > 0 ? weights[row * map.columns + column] / map.scale : 0)[0];
        context.fillRect(x, y, 1, 1);
      }
    }
    const button = element('button');
    button.type = 'button';
    button.append(small, map.label);
    button.setAttribute('aria-pressed', String(index === state.map));
    button.addEventListener('click', () => selectMap(index));
    host.append(button);
  });
}

function selectMap(index) {
  const map = data.attention[index];
  state.map = index;
  state.pinned = -1;
  state.row = Math.min(state.row, map.rows - 1);
  $('row-view').hidden = true;
  $('map').value = String(index);
  document.querySelectorAll('#thumbnails button').forEach((button, i) =>
    button.setAttribute('aria-pressed', String(i === index)));
  drawMatrix();
  drawLegend();
}

function listenToMatrix() {
  const canvas = $('matrix');
  data.attention.forEach((map, index) => {
    $('map').append(Object.assign(element('option', '', map.label), { value: String(index) }));
  });
  $('map').addEventListener('change', () => selectMap(Number($('map').value)));
  const cellAt = event => {
    const map = data.attention[state.map], at = state.geometry;
    const row = Math.floor((event.offsetY - at.top) / at.cell);
    const column = Math.floor((event.offsetX - at.left) / at.cell);
    if (row < 0 || row >= map.rows || column >= map.columns) return false;
    state.row = row;
    state.column = Math.max(0, column);
    return true;
  };
  canvas.addEventListener('pointermove', event => { if (cellAt(event)) showCell(); });
  canvas.addEventListener('click', event => { if (cellAt(event)) pinRow(state.row); });
  canvas.addEventListener('focus', drawMatrix);
  canvas.addEventListener('blur', drawMatrix);
  canvas.addEventListener('keydown', event => {
    const map = data.attention[state.map];
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === 'Enter' || event.key === ' ') pinRow(state.row);
    else if (!step) return;
    event.preventDefault();
    if (!step) return;
    state.row = Math.max(0, Math.min(map.rows - 1, state.row + step[0]));
    state.column = Math.max(0, Math.min(map.columns - 1, state.column + step[1]));
    drawMatrix();
    showCell();
  });
  $('export').addEventListener('click', exportSvg);
}

// XML 1.0 has no way to write most control characters.
const xml = text => text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff]/g, '\ufffd')
  .replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);

function matrixSvg() {
  const map = data.attention[state.map], weights = weightsOf(map), at = layOut(map);
  const width = at.width + 32, height = at.height + 76, x0 = at.left + 16, y0 = at.top + 36;
  const theme = state.theme;
  state.theme = 'light';  // a figure is for paper
  const parts = [`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, 'Noto Sans CJK SC', 'Microsoft YaHei', 'PingFang SC', sans-serif">`,
    `<rect width="${width}" height="${height}" rx="10" fill="#fff"/>`,
    `<text x="16" y="26" font-size="14" font-weight="600">${xml(map.label)}</text>`];
  for (let row = 0; row < map.rows; ++row) {
    const y = y0 + row * at.cell;
    if (row % at.stride === 0) {
      parts.push(`<text x="${x0 - 6}" y="${y + at.cell / 2 + 4.5}" font-size="13" text-anchor="end">${xml(clipped(at.context, rowName(map, row), 120))}</text>`);
    }
    for (let column = 0; column < map.columns; ++column) {
      const weight = weights[row * map.columns + column], x = x0 + column * at.cell;
      const pair = shade(false, map.scale > 0 ? weight / map.scale : 0);
      parts.push(`<rect x="${x}" y="${y}" width="${at.cell - 0.5}" height="${at.cell - 0.5}" fill="${pair[0]}"><title>${xml(rowName(map, row))} → ${xml(data.units[column])}: ${number(weight)}</title></rect>`);
      if (at.cell >= 24) parts.push(`<text x="${x + at.cell / 2}" y="${y + at.cell / 2 + 4}" font-size="11" text-anchor="middle" fill="${pair[1]}">${Math.round(100 * weight)}</text>`);
    }
  }
  for (let column = 0; column < map.columns; column += at.stride) {
    const x = x0 + (column + 0.5) * at.cell, y = y0 - 6;
    const place = at.upright ? 'text-anchor="middle"' : `transform="rotate(-50 ${x} ${y})"`;
    parts.push(`<text x="${x}" y="${y}" font-size="13" ${place}>${xml(clipped(at.context, data.units[column], 120))}</text>`);
  }
  parts.push(`<text x="16" y="${height - 14}" font-size="11" fill="#5b6472">rows = queries, columns = keys, percent of the row · ${xml(data.model)} · ${xml(data.target)}</text></svg>`);
  state.theme = theme;
  return parts.join('\n');
}

function exportSvg() {
  const link = element('a');
  link.href = URL.createObjectURL(new Blob([matrixSvg()], { type: 'image/svg+xml' }));
  link.download = `attention-${data.attention[state.map].label.replace(/[^\w-]+/g, '-')}.svg`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- everything
function drawAll() {
  root.dataset.theme = state.theme;
  drawHighlight();
  if (!data.attention.length) return;
  drawThumbnails();
  drawMatrix();
  drawLegend();
  if (state.pinned >= 0) { const row = state.pinned; state.pinned = -1; pinRow(row); }
}
drawOverview();
$('matrix-section').hidden = data.attention.length === 0;
listenToUnits();
if (data.attention.length) { listenToMatrix(); $('map').value = String(state.map); }
drawAll();
const follow = () => { state.theme = systemDark.matches ? 'dark' : 'light'; drawAll(); };
systemDark.addEventListener('change', follow);
$('theme').addEventListener('click', () => { state.theme = state.theme === 'dark' ? 'light' : 'dark'; drawAll(); });
addEventListener('resize', () => { if (data.attention.length) drawMatrix(); });
