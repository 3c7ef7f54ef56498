// Attention between units: one map at a time, and all heads side by side.

const queriesOf = (e, map) => (map.role === 'decoder' || map.role === 'cross' ? e.output_units : e.units);
const keysOf = (e, map) => (map.role === 'decoder' ? e.output_units : e.units);
const blockName = (units, at, block) => (block > 1 ? `${units[at * block]} … ${units[Math.min(units.length, (at + 1) * block) - 1]}` : units[at]);
const queryName = (e, map, row) => (map.role === 'pooling' || (map.rows === 1 && e.units.length !== 1) ? map.label : blockName(queriesOf(e, map), row, map.row_block));
const keyName = (e, map, column) => blockName(keysOf(e, map), column, map.column_block);

// Which map the address names: by layer and head, else the default.
function mapIndex(e) {
  if (state.layer === '' && state.head === '') return e.default_map;
  const at = e.attention.findIndex(map => String(map.layer) === state.layer && String(map.head) === state.head);
  return at < 0 ? e.default_map : at;
}
const chooseMap = (e, index) => change({ layer: String(e.attention[index].layer), head: String(e.attention[index].head) });

// The key that takes most of the attention, and its share of it.
function sinkOf(map) {
  const weights = weightsOf(map), mass = new Float64Array(map.columns);
  for (let r = 0, at = 0; r < map.rows; ++r) for (let c = 0; c < map.columns; ++c, ++at) mass[c] += weights[at];
  const total = sum(mass);
  let key = 0;
  for (let c = 1; c < map.columns; ++c) if (mass[c] > mass[key]) key = c;
  return { key, share: total > 0 ? mass[key] / total : 0 };
}

// A labelled heat map. options: { rowName, columnName, value, color, show, describe, activate, pinned }.
function drawHeat(pen, width, rows, columns, options) {
  const names = Array.from({ length: columns }, (_, c) => options.columnName(c));
  const sides = Array.from({ length: rows }, (_, r) => options.rowName(r));
  const widest = texts => {
    let most = 8;
    for (const text of texts.length > 300 ? texts.slice(0, 300) : texts) most = Math.max(most, Math.min(120, textWidth(text, 13)));
    return most;
  };
  const left = Math.ceil(widest(sides)) + 12, keyWidth = widest(names);
  const cell = clamp(Math.floor((width - left - 4) / columns), Math.min(4, Math.max(1, 1400 / columns)), options.mostCell || 34);
  const upright = keyWidth <= cell - 2, top = upright ? 22 : Math.ceil(keyWidth * 0.78) + 20;
  const w = cell * columns, h = cell * rows, stride = Math.ceil(14 / cell);
  pen.cells(left, top, w, h, rows, columns, (r, c) => options.color(r, c)[0], (r, c) => `${sides[r]} → ${names[c]}: ${options.value(r, c)}`);
  if (cell >= 24) {
    for (let r = 0; r < rows; ++r) {
      for (let c = 0; c < columns; ++c) {
        pen.text(left + (c + 0.5) * cell, top + (r + 0.5) * cell + 4, options.show(r, c), { size: 11, anchor: 'middle', fill: options.color(r, c)[1] });
      }
    }
  }
  pen.rect(left - 0.5, top - 0.5, w + 1, h + 1, null, { stroke: tone('line') });
  for (let r = 0; r < rows; r += stride) pen.text(left - 6, top + (r + 0.5) * cell + 4.5, clipped(sides[r], 120, 13), { anchor: 'end' });
  for (let c = 0; c < columns; c += stride) {
    const x = left + (c + 0.5) * cell + (upright ? 0 : 3);
    pen.text(x, top - 7, clipped(names[c], 120, 13), upright ? { anchor: 'middle' } : { rotate: -50 });
  }
  if (options.pinned >= 0) pen.rect(left, top + options.pinned * cell, w, cell, null, { stroke: tone('focus') });
  return { width: left + w + (upright ? 4 : Math.ceil(keyWidth * 0.64)), height: top + h + 4, cell, left, top,
    grids: [evenGrid(left, top, w, h, rows, columns, options.describe, options.activate)] };
}

function drawMap(pen, width, e, map, pinned = -1, activate) {
  const weights = weightsOf(map), at = (r, c) => weights[r * map.columns + c];
  const sink = state.sink && map.columns > 1 ? sinkOf(map).key : -1;
  let scale = 0;
  for (let i = 0; i < weights.length; ++i) if (i % map.columns !== sink && weights[i] > scale) scale = weights[i];
  const blank = [tone('track'), tone('muted')];
  return drawHeat(pen, width, map.rows, map.columns, {
    rowName: r => queryName(e, map, r), columnName: c => keyName(e, map, c), value: at, pinned, activate,
    color: (r, c) => (c === sink ? blank : shade(false, scale > 0 ? at(r, c) / scale : 0)),
    show: (r, c) => (c === sink ? '×' : String(Math.round(100 * at(r, c)))),
    describe: (r, c) => [bdi(queryName(e, map, r)), ' → ', bdi(keyName(e, map, c)), `  ${number(at(r, c))} of the row` + (c === sink ? ' (hidden: the sink)' : '')],
  });
}

const matrixView = {
  id: 'matrix', title: 'Attention', about: 'Rows = queries (which look), columns = keys (which are looked at); each row sums to 1, numbers in cells are percent.',
  has: e => e.attention.length > 0,
  build(host, e) {
    const index = mapIndex(e), map = e.attention[index], sink = sinkOf(map);
    const controls = element('div', 'controls', choice('Map', 'map', e.attention.map((each, i) => [String(i), each.label]), String(index), value => chooseMap(e, Number(value))),
      toggle(`hide the sink (${keyName(e, map, sink.key)})`, 'sink', Boolean(state.sink), on => change({ sink: on ? '1' : '' })));
    const mass = element('p', 'meaning');
    mass.id = 'sink-mass';
    mass.append(state.sink ? 'Hidden: ' : 'Heaviest key: ', bdi(keyName(e, map, sink.key)), ` with ${percent(sink.share)} of all attention in this map` +
      (state.sink ? '; the colours span the rest, the numbers are unchanged.' : '.'));
    host.append(controls, mass);
    if (map.row_block > 1 || map.column_block > 1) {
      host.append(element('p', 'meaning', `Pooled to fit this page: one cell is the mass that ${map.row_block} queries in a row give on average to ${map.column_block} keys in a row.`));
    }
    let pinned = -1;
    const rowView = element('div', 'row-view');
    rowView.id = 'row-view';
    const figure = new Figure(`attention map ${map.label}, ${map.rows} queries by ${map.columns} keys`, (pen, width) => drawMap(pen, width, e, map, pinned, row => {
      pinned = pinned === row ? -1 : row;
      rowView.replaceChildren();
      if (pinned >= 0 && map.column_block === 1 && keysOf(e, map) === e.units) {
        const values = weightsOf(map).subarray(row * map.columns, (row + 1) * map.columns);
        rowView.append(element('p', 'meaning', 'What ', bdi(queryName(e, map, row)), ` looks at in ${map.label}:`), flow(e, values, largest(values), false));
      }
      figure.paint();
    }), 'Point at a cell, or focus the map and use the arrow keys; click a row or press Enter to spell it out.');
    figure.readout.id = 'cell-readout';
    host.append(figure.host, legend(false, map.scale, 'share of the row'), rowView);
    return figure;
  },
  draw: (pen, width, e) => drawMap(pen, width, e, e.attention[mapIndex(e)]),
  name: e => e.attention[mapIndex(e)].label + (state.sink ? ', sink hidden' : ''),
};

// --- layers x heads
const MEASURES = {
  entropy: ['entropy', 'share of the entropy of equal weights; 1 = looks everywhere alike'],
  distance: ['mean distance', 'mean |query − key| in units, by weight'],
  importance: ['importance', 'drop of the task’s metric on dev data with this head off'],
  self: ['on itself', 'share of the weight on the query itself'],
  previous: ['on the previous unit', 'share of the weight'],
  next: ['on the next unit', 'share of the weight'],
  first: ['on the first unit', 'share of the weight'],
};
const UNIFORM = 0.95;

const headsView = {
  id: 'heads', title: 'Heads', about: 'One tile per head, row = layer. Click or press Enter to open a head’s map.',
  has: e => e.heads.length > 0,
  measures: e => Object.keys(MEASURES).filter(key => key !== 'importance' || e.heads.some(head => head.importance !== undefined)),
  measure(e) { return this.measures(e).includes(state.measure) ? state.measure : 'entropy'; },
  build(host, e) {
    const measure = this.measure(e);
    host.append(element('div', 'controls',
      choice('Number', 'measure', this.measures(e).map(key => [key, MEASURES[key][0]]), measure, value => change({ measure: value })),
      choice('Order', 'order', [['layer', 'by layer'], ['value', 'by this number']], state.order, value => change({ order: value }))));
    const figure = new Figure('attention heads', (pen, width) => this.draw(pen, width, e));
    figure.readout.id = 'head-readout';
    host.append(figure.host, element('p', 'meaning', `Number: ${MEASURES[measure][0]}, ${MEASURES[measure][1]}. "uniform": entropy at least ${UNIFORM}, the head does not choose.`));
    return figure;
  },
  draw(pen, width, e) {
    const measure = this.measure(e), isSigned = measure === 'importance';
    const layers = [...new Set(e.heads.map(head => head.layer))].sort((a, b) => a - b);
    const sorted = state.order === 'value' ? [...e.heads].sort((a, b) => (b[measure] || 0) - (a[measure] || 0)) : e.heads;
    const inLayer = layer => e.heads.filter(head => head.layer === layer).sort((a, b) => a.head - b.head);
    const columns = state.order === 'value' ? Math.min(8, sorted.length) : Math.max(...layers.map(layer => inLayer(layer).length));
    const rows = state.order === 'value' ? Array.from({ length: Math.ceil(sorted.length / columns) }, (_, i) => sorted.slice(i * columns, (i + 1) * columns)) : layers.map(inLayer);
    const left = 64, gap = 10, side = clamp(Math.floor((width - left) / columns) - gap, 44, 128), tall = side + 34;
    const scale = largest(e.heads.map(head => head[measure] || 0));
    rows.forEach((heads, r) => {
      const y = r * (tall + gap);
      pen.text(0, y + side / 2, state.order === 'value' ? `${r * columns + 1}.` : `layer ${layers[r]}`, { size: 12, fill: tone('muted') });
      heads.forEach((head, c) => {
        const x = left + c * (side + gap), value = head[measure], pair = shade(isSigned, scale > 0 && value !== undefined ? value / scale : 0);
        const map = e.attention.find(each => each.layer === head.layer && each.head === head.head);
        if (map) {
          const weights = weightsOf(map), small = Math.min(48, map.rows), wide = Math.min(48, map.columns);
          pen.image(x, y, side, side, pixels(small, wide, (i, k) => shade(false, map.scale > 0 ?
            weights[Math.floor(i * map.rows / small) * map.columns + Math.floor(k * map.columns / wide)] / map.scale : 0)[0]), false);
          pen.rect(x, y, side, side, null, { stroke: tone('line') });
        } else pen.rect(x, y, side, side, tone('track'));
        pen.rect(x, y + side, side, 18, pair[0], { stroke: tone('line'), title: `layer ${head.layer}, head ${head.head}: ${MEASURES[measure][0]} ${value}` });
        pen.text(x + side / 2, y + side + 13, number(value, isSigned), { size: 11, fill: pair[1], anchor: 'middle' });
        const label = state.order === 'value' ? `${head.layer}.${head.head}` : `head ${head.head}`;
        pen.text(x, y + side + 31, label + (head.entropy >= UNIFORM ? (side < 80 ? ' =' : ' · uniform') : ''), { size: 11, fill: tone('muted') });
      });
    });
    const grid = evenGrid(left, 0, columns * (side + gap), rows.length * (tall + gap), rows.length, columns, (r, c) => {
      const head = rows[r][c];
      if (!head) return '';
      return `layer ${head.layer}, head ${head.head}: ` + this.measures(e).filter(key => head[key] !== undefined)
        .map(key => `${MEASURES[key][0]} ${number(head[key], key === 'importance')}`).join(' · ') + (head.entropy >= UNIFORM ? ' · uniform' : '');
    }, (r, c) => {
      const head = rows[r][c];
      if (head && e.attention.some(map => map.layer === head.layer && map.head === head.head)) {
        change({ view: 'matrix', layer: String(head.layer), head: String(head.head) });
      }
    });
    return { width: left + columns * (side + gap), height: rows.length * (tall + gap), grids: [grid] };
  },
};
