// Inputs too long for matrices: exact sums over the whole input and what can be opened from them;
// and the curves of the faithfulness test.

function decodedLayer(layer) {
  if (layer.entropy instanceof Float32Array) return layer;
  for (const key of ['entropy', 'received', 'pooled', 'weight']) layer[key] = floatsOf(layer[key]);
  for (const key of ['query', 'key']) layer[key] = integersOf(layer[key]);
  return layer;
}

// A line over all units, binned to pixels: mean and, above it, the largest of each bin.
function drawStrip(pen, y, width, values, title, peaks) {
  const bend = peaks ? Math.sqrt : value => value;  // one heavy key would flatten all others
  const height = 54, left = 0, bins = Math.min(values.length, Math.floor(width)), means = [], tops = [];
  for (let b = 0; b < bins; ++b) {
    const first = Math.floor(b * values.length / bins), last = Math.max(first + 1, Math.floor((b + 1) * values.length / bins));
    let total = 0, top = 0;
    for (let i = first; i < last; ++i) { total += values[i]; top = Math.max(top, values[i]); }
    means.push(total / (last - first));
    tops.push(top);
  }
  const drawn = peaks ? tops : means, scale = largest(drawn) || 1;
  pen.text(left, y + 11, title, { size: 11.5, fill: tone('muted') });
  const base = y + 20 + height;
  pen.path([[left, base], ...drawn.map((v, b) => [left + (b + 0.5) * width / bins, base - bend(v / scale) * height]), [left + width, base]], { fill: shade(false, 0.55)[0] });
  pen.line(left, base, left + width, base, { stroke: tone('line'), width: 1 });
  pen.text(left + width, y + 11, `largest ${number(scale)}`, { size: 11, anchor: 'end', fill: tone('muted') });
  return { bottom: base + 12, bins };
}

const MOST_ARCS = 300;

const longView = {
  id: 'long', title: 'Long input', about: 'No matrix was stored: these are exact sums over the whole input (means over heads), the heaviest links, and the parts that were computed in full.',
  has: e => e.layers.length > 0,
  index: e => Math.max(0, e.layers.findIndex(layer => String(layer.layer) === state.layer)),
  block(layer) {
    const [r, c] = state.tile.split('.').map(Number);
    return state.tile.includes('.') && r < layer.pooled_rows && c < layer.pooled_columns ? [r, c] : null;
  },
  range: (at, count, n) => [Math.floor(at * n / count), Math.floor((at + 1) * n / count)],
  build(host, e) {
    const layer = decodedLayer(e.layers[this.index(e)]), n = e.units.length;
    host.append(element('div', 'controls', choice('Layer', 'long-layer', e.layers.map(each => [String(each.layer), each.label]), String(layer.layer), value => change({ layer: value, tile: '0' }))));
    const total = sum(layer.received);
    const totals = element('p', 'meaning', `Totals: the keys received ${number(total)} for ${n} queries; the first unit took ${percent(layer.received[0] / (total || 1))}; ` +
      `mean entropy ${number(sum(layer.entropy) / n)} nats of ${number(Math.log(n))} at most.`);
    totals.id = 'totals';
    host.append(totals);
    const figure = new Figure(`sums of ${layer.label}`, (pen, width) => this.draw(pen, width, e), 'Point at the pooled map or a strip; click a cell or press Enter to open its links below.');
    figure.readout.id = 'long-readout';
    host.append(figure.host, this.linkTable(e, layer));
    for (const [i, tile] of e.tiles.entries()) {
      if (tile.layer !== layer.layer) continue;
      const map = { ...tile, label: `layer ${tile.layer}, ${tile.head < 0 ? 'mean of heads' : 'head ' + tile.head}` };
      const opened = new Figure('tile of ' + map.label, (pen, width) => this.drawTile(pen, width, e, map));
      opened.canvas.id = 'tile-' + i;
      host.append(element('h3', '', `In full: queries ${tile.first_row} to ${tile.first_row + tile.rows - 1}, keys ${tile.first_column} to ${tile.first_column + tile.columns - 1} (${map.label})`), opened.host);
      this.tiles.push(opened);
    }
    return figure;
  },
  tiles: [],
  drawTile(pen, width, e, tile) {
    const weights = weightsOf(tile), at = (r, c) => weights[r * tile.columns + c];
    const query = r => e.units[tile.first_row + r], key = c => e.units[tile.first_column + c];
    return drawHeat(pen, width, tile.rows, tile.columns, { rowName: query, columnName: key, value: at,
      color: (r, c) => shade(false, tile.scale > 0 ? at(r, c) / tile.scale : 0), show: (r, c) => String(Math.round(100 * at(r, c))),
      describe: (r, c) => [bdi(query(r)), ` (${tile.first_row + r}) → `, bdi(key(c)), ` (${tile.first_column + c})  ${number(at(r, c))} of the row`] });
  },
  linkTable(e, layer) {
    const block = this.block(layer), n = e.units.length;
    const [r0, r1] = block ? this.range(block[0], layer.pooled_rows, n) : [0, n], [c0, c1] = block ? this.range(block[1], layer.pooled_columns, n) : [0, n];
    const body = element('tbody');
    for (let i = 0; i < layer.query.length && body.rows.length < 20; ++i) {
      const q = layer.query[i], k = layer.key[i];
      if (q < r0 || q >= r1 || k < c0 || k >= c1) continue;
      body.append(element('tr', '', element('td', '', bdi(e.units[q]), ` (${q})`), element('td', '', bdi(e.units[k]), ` (${k})`), element('td', '', number(layer.weight[i]))));
    }
    const title = element('h3', '', block ? `Heaviest links from units ${r0} to ${r1 - 1} on units ${c0} to ${c1 - 1}` : 'Heaviest links of the whole input');
    const covered = e.tiles.some(tile => block && tile.layer === layer.layer && tile.first_row <= r0 && r1 <= tile.first_row + tile.rows && tile.first_column <= c0 && c1 <= tile.first_column + tile.columns);
    const left = layer.all_links - layer.query.length;
    const made = element('div', '', title, body.rows.length ? element('table', 'numbers links', element('thead', '', element('tr', '', ...['query', 'key', 'weight'].map(t => element('th', '', t)))), body)
      : element('p', 'meaning', 'None of the stored links lies here.'));
    if (block && !covered) made.append(element('p', 'meaning', 'All weights of this block: add ', element('code', '', `--tile ${layer.layer}:${r0}-${r1 - 1},${c0}-${c1 - 1}`), ' to the command.'));
    if (left > 0) made.append(element('p', 'meaning', `The page holds the ${layer.query.length} heaviest of ${layer.all_links} links.`));
    made.id = 'links';
    return made;
  },
  draw(pen, width, e) {
    const layer = decodedLayer(e.layers[this.index(e)]), n = e.units.length, grids = [];
    let y = 0;
    const strip = (values, title, unit, peaks) => {
      const top = y, { bottom, bins } = drawStrip(pen, y, width, values, title, peaks);
      grids.push(evenGrid(0, top, width, bottom - top, 1, bins, (_, b) => {
        const [first, last] = this.range(b, bins, n), part = values.subarray(first, Math.max(first + 1, last));
        return `units ${first} to ${Math.max(first, last - 1)}: mean ${number(sum(part) / part.length)}, largest ${number(largest(part))} ${unit}`;
      }));
      y = bottom;
    };
    strip(layer.entropy, 'entropy of each query (nats; mean of a bin)', 'nats', false);
    strip(layer.received, 'mass that each key receives (largest of a bin, square-root scale)', '', true);
    const arcs = Math.min(MOST_ARCS, layer.query.length), top = y + 20, bottom = top + 90, place = unit => (unit + 0.5) * width / n;
    pen.text(0, y + 11, `the ${arcs} heaviest links: query above, key below`, { size: 11.5, fill: tone('muted') });
    for (let i = arcs - 1; i >= 0; --i) {
      pen.path([[place(layer.query[i]), top], [place(layer.key[i]), bottom]], { curved: true, stroke: shade(false, 0.4 + 0.6 * layer.weight[i] / (layer.weight[0] || 1))[0], width: 1,
        opacity: 0.6, title: `${e.units[layer.query[i]]} (${layer.query[i]}) → ${e.units[layer.key[i]]} (${layer.key[i]}): ${layer.weight[i]}` });
    }
    pen.line(0, top, width, top, { stroke: tone('line') });
    pen.line(0, bottom, width, bottom, { stroke: tone('line') });
    y = bottom + 18;
    const rows = layer.pooled_rows, columns = layer.pooled_columns;
    if (rows > 0 && columns > 0) {
      const side = Math.min(width, 520), high = side * rows / columns, scale = largest(layer.pooled), at = (r, c) => layer.pooled[r * columns + c];
      const said = (r, c) => `queries ${this.range(r, rows, n)[0]} to ${this.range(r, rows, n)[1] - 1} → keys ${this.range(c, columns, n)[0]} to ${this.range(c, columns, n)[1] - 1}: mass ${number(at(r, c))} of ${n}`;
      pen.text(0, y + 11, `pooled map, ${rows} x ${columns} blocks: sums of the weights, all together ${number(sum(layer.pooled))} (rows = queries, columns = keys)`, { size: 11.5, fill: tone('muted') });
      y += 20;
      pen.cells(0, y, side, high, rows, columns, (r, c) => shade(false, scale > 0 ? at(r, c) / scale : 0)[0], said);
      pen.rect(-0.5 + 1, y - 0.5, side, high + 1, null, { stroke: tone('line') });
      const open = this.block(layer);
      if (open) pen.rect(open[1] * side / columns, y + open[0] * high / rows, side / columns, high / rows, null, { stroke: tone('focus') });
      grids.unshift(evenGrid(0, y, side, high, rows, columns, said, (r, c) => change({ tile: `${r}.${c}` })));
      y += high + 4;
    }
    return { width, height: y, grids };
  },
  name: e => 'long input, ' + e.layers[longView.index(e)].label,
};

// --- deletion and insertion
function areaUnder(steps, values) {
  const last = steps[steps.length - 1] || 1;
  let area = 0;
  for (let i = 0; i + 1 < steps.length; ++i) area += (values[i] + values[i + 1]) / 2 * (steps[i + 1] - steps[i]) / last;
  return area;
}

const curveView = {
  id: 'curve', title: 'Curves', about: 'What happens to the probability when units are taken out from the heaviest down (left: a faithful row falls early), and when only they are kept (right: it rises early). Band: 95 % of random orders.',
  has: e => Boolean(e.test) && e.attributions.some(row => row.faithfulness && row.faithfulness.deletion_curve.length > 1),
  build(host, e) {
    const figure = new Figure('deletion and insertion curves', (pen, width) => this.draw(pen, width, e), 'Point at a curve, or focus the figure and use the arrow keys; Page Down: the other panel.');
    figure.readout.id = 'curve-readout';
    host.append(figure.host, element('p', 'meaning', `Units are taken out by ${removalOf(e)}.`));
    return figure;
  },
  draw(pen, width, e) {
    const rows = e.attributions.filter(row => row.faithfulness && row.faithfulness.deletion_curve.length > 1), steps = e.test.steps;
    const gap = 34, left = 34, panel = (width - left - gap) / 2, height = 230, top = 22, grids = [];
    for (const [p, name] of ['deletion', 'insertion'].entries()) {
      const x0 = left + p * (panel + gap), x = step => x0 + step / (steps[steps.length - 1] || 1) * panel, y = value => top + (1 - value) * height;
      const low = e.test[`random_${name}_low`], high = e.test[`random_${name}_high`];
      pen.text(x0, 12, p ? 'insertion: probability with only the top units' : 'deletion: probability without the top units', { size: 12, bold: true });
      if (low.length) pen.path([...steps.map((s, i) => [x(s), y(high[i])]), ...[...steps].map((s, i) => [x(s), y(low[i])]).reverse()], { fill: tone('band') });
      for (const value of [0, 0.5, 1]) {
        pen.line(x0, y(value), x0 + panel, y(value), { stroke: tone('line'), width: 1 });
        if (!p) pen.text(x0 - 6, y(value) + 4, String(value), { size: 11, anchor: 'end', fill: tone('muted') });
      }
      for (const part of [0, 0.5, 1]) {
        pen.text(x0 + part * panel, top + height + 16, `${Math.round(100 * part)} %`, { size: 11, anchor: part === 0 ? 'start' : part === 1 ? 'end' : 'middle', fill: tone('muted') });
      }
      rows.forEach((row, i) => pen.path(steps.map((s, k) => [x(s), y(row.faithfulness[name + '_curve'][k])]), { stroke: seriesTone(i), width: 2, dash: seriesDash(i), title: row.method }));
      grids.push({ rows: 1, columns: steps.length,
        at: (px_, py_) => (px_ < x0 - 8 || px_ > x0 + panel + 8 || py_ < 0 || py_ > top + height + 20 ? null
          : [0, steps.reduce((found, s, i) => (Math.abs(x(s) - px_) < Math.abs(x(steps[found]) - px_) ? i : found), 0)]),
        box: (_, i) => [x(steps[i]) - 3, top, 6, height],
        describe: (_, i) => `${name}, ${steps[i]} of ${steps[steps.length - 1]} units: ` + rows.map(row => `${row.method} ${number(row.faithfulness[name + '_curve'][i])}`).join(' · ') +
          (low.length ? ` · random ${number(low[i])} to ${number(high[i])}` : '') });
    }
    let y = top + height + 40;
    const line = (stroke, dash, text) => {
      if (stroke) pen.line(left, y - 4, left + 34, y - 4, { stroke, width: 2.5, dash }); else pen.rect(left, y - 10, 34, 12, tone('band'));
      pen.text(left + 42, y, text, { size: 12 });
      y += 18;
    };
    rows.forEach((row, i) => line(seriesTone(i), seriesDash(i), `${row.method}: deletion area ${number(row.faithfulness.deletion)}, insertion area ${number(row.faithfulness.insertion)}` + (row.method === e.best_method ? ' ★ most faithful on dev data' : '')));
    const { random_deletion_low: dl, random_deletion_high: dh, random_insertion_low: il, random_insertion_high: ih } = e.test;
    if (dl.length) line(null, [], `random orders: deletion area ${number(areaUnder(steps, dl))} to ${number(areaUnder(steps, dh))}, insertion area ${number(areaUnder(steps, il))} to ${number(areaUnder(steps, ih))}`);
    return { width, height: y, grids };
  },
};
