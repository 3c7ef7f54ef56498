// Two explanations side by side, with their difference: two runs on one input, or two inputs.
// island.pairs: [unit of the first, unit of the second], the units that correspond.

const nameOf = (e, side) => (explanations[0].model !== explanations[1].model ? e.model : `input ${side + 1}`);
const sharedMethods = () => explanations[0].attributions.map(row => row.method)
  .filter(method => explanations[1].attributions.some(row => row.method === method));
const rowOf = (side, method) => explanations[side].attributions.find(row => row.method === method);

// Attention maps that both have, by layer, head and role.
function sharedMaps() {
  return explanations[0].attention.map(map => [map, explanations[1].attention.find(other =>
    other.layer === map.layer && other.head === map.head && other.role === map.role)])
    .filter(([a, b]) => b && a.column_block === 1 && b.column_block === 1 && (a.role === 'self' || a.role === 'pooling'));
}

const bothView = {
  id: 'overview', title: 'Overview', has: () => true,
  build(host) {
    const [a, b] = explanations, columns = element('div', 'columns');
    explanations.forEach((e, side) => {
      const text = element('p', 'output', ...[e.evidence.join('')].map(bdi));
      columns.append(element('div', '', element('h2', '', nameOf(e, side)), element('p', 'meaning', e.model), text, predictionTable(e)));
    });
    host.append(columns);
    const before = a.outputs.find(output => output.label === a.target), after = b.outputs.find(output => output.label === a.target);
    if (before && after) {
      const line = element('p', 'verdict', bdi(a.target), `: ${before.probability.toFixed(3)} → ${after.probability.toFixed(3)} (${number(after.probability - before.probability, true)})`);
      line.id = 'change';
      host.append(line);
    }
    host.append(element('p', 'meaning', `${island.pairs.length} units correspond (of ${a.units.length} and ${b.units.length}).`));
  },
  draw(pen, width) {
    let most = 0;
    explanations.forEach((e, side) => {
      const x = side * (width / 2 + 10), w = width / 2 - 10;
      pen.text(x, 12, clipped(nameOf(e, side), w, 13), { bold: true });
      pen.text(x, 30, clipped(e.evidence.join(''), w, 12), { size: 12, fill: tone('muted') });
      e.outputs.slice(0, 6).forEach((output, i) => {
        const y = 42 + 21 * i;
        pen.text(x, y + 12, clipped(output.label, 110, 13), { bold: output.label === e.target });
        pen.rect(x + 120, y + 1, (w - 170) * output.probability, 13, tone('bar-other'), { radius: 2 });
        pen.text(x + w, y + 12, output.probability.toFixed(3), { size: 12, anchor: 'end' });
        most = Math.max(most, y + 21);
      });
    });
    return { width, height: most };
  },
};

// One method: both rows and the difference on the units that correspond.
function differenceOf(method) {
  const values = new Array(explanations[1].units.length).fill(null), a = rowOf(0, method), b = rowOf(1, method);
  for (const [i, j] of island.pairs) values[j] = b.scores[j] - a.scores[i];
  return values;
}

const bothScores = {
  id: 'scores', title: 'Scores', about: 'Each method on both sides, on one scale, and the difference (second minus first) on the units that correspond; units without a partner stay blank.',
  has: () => sharedMethods().length > 0,
  build(host) {
    for (const method of sharedMethods()) {
      const rows = [rowOf(0, method), rowOf(1, method)], scale = Math.max(scaleOf(rows[0]), scaleOf(rows[1]));
      host.append(element('h3', '', method));
      explanations.forEach((e, side) => {
        const body = element('div', '', flow(e, rows[side].scores, scale, rows[side].is_signed));
        body.dataset.side = side;
        host.append(element('div', 'method', element('div', 'method-name', nameOf(e, side)), body));
      });
      const difference = differenceOf(method), known = difference.map(value => value || 0), reach = largest(known);
      const changes = flow(explanations[1], known, reach, true, (part, unit) => {
        if (difference[unit] === null) { part.style.background = 'none'; part.style.color = ''; part.title = 'no partner'; }
      });
      changes.classList.add('difference');
      host.append(element('div', 'method', element('div', 'method-name', 'difference'), element('div', '', changes, legend(true, reach, 'second minus first'))));
    }
  },
  draw(pen, width) {
    let y = 0;
    for (const method of sharedMethods()) {
      const rows = [0, 1].map(side => ({ ...rowOf(side, method), method: `${method}, ${nameOf(explanations[side], side)}`, faithfulness: null, note: '',
        scale: Math.max(scaleOf(rowOf(0, method)), scaleOf(rowOf(1, method))) }));
      y = drawMethods(pen, explanations[0], [rows[0]], width, y);
      y = drawMethods(pen, explanations[1], [rows[1]], width, y);
      y = drawMethods(pen, explanations[1], [{ method: method + ', change', is_signed: true, meaning: 'second minus first', scores: differenceOf(method).map(v => v || 0) }], width, y) + 10;
    }
    return { width, height: y };
  },
};

const bothMaps = {
  id: 'matrix', title: 'Attention', about: 'First, second, and second minus first on the units that correspond. Both maps share one scale.',
  has: () => sharedMaps().length > 0,
  chosen() {
    const shared = sharedMaps(), at = shared.findIndex(([map]) => String(map.layer) === state.layer && String(map.head) === state.head);
    return shared[Math.max(0, at)];
  },
  build(host) {
    const chosen = this.chosen();
    host.append(element('div', 'controls', choice('Map', 'map', sharedMaps().map(([map]) => [`${map.layer}/${map.head}`, map.label]), `${chosen[0].layer}/${chosen[0].head}`,
      value => { const [layer, head] = value.split('/'); change({ layer, head }); })));
    const figure = new Figure('two attention maps and their difference', (pen, width) => this.draw(pen, width));
    figure.readout.id = 'cell-readout';
    host.append(figure.host, element('p', 'meaning', 'Difference: blue = more in the second, orange = less. Page Down moves to the next map.'));
    return figure;
  },
  draw(pen, width) {
    const [a, b] = this.chosen(), maps = [a, b], scale = Math.max(a.scale, b.scale), grids = [];
    const apart = 24, part = (width - 2 * apart) / 3;
    let x = 0, height = 0;
    const shifted = dx => ({
      rect: (px_, ...rest) => pen.rect(px_ + dx, ...rest), text: (px_, ...rest) => pen.text(px_ + dx, ...rest),
      cells: (px_, ...rest) => pen.cells(px_ + dx, ...rest), image: (px_, ...rest) => pen.image(px_ + dx, ...rest) });
    const panel = (title, rows, columns, options) => {
      pen.text(x, 12, clipped(title, part, 13), { bold: true });
      const moved = shifted(x), lower = { rect: (px_, y, ...r) => moved.rect(px_, y + 20, ...r), text: (px_, y, ...r) => moved.text(px_, y + 20, ...r),
        cells: (px_, y, ...r) => moved.cells(px_, y + 20, ...r), image: (px_, y, ...r) => moved.image(px_, y + 20, ...r) };
      const size = drawHeat(lower, part, rows, columns, options);
      grids.push(evenGrid(x + size.left, 20 + size.top, size.cell * columns, size.cell * rows, rows, columns, options.describe));
      x += Math.max(part, size.width) + apart;
      height = Math.max(height, size.height + 20);
    };
    maps.forEach((map, side) => {
      const e = explanations[side], weights = weightsOf(map), at = (r, c) => weights[r * map.columns + c];
      panel(nameOf(e, side), map.rows, map.columns, { rowName: r => queryName(e, map, r), columnName: c => keyName(e, map, c), value: at,
        color: (r, c) => shade(false, scale > 0 ? at(r, c) / scale : 0), show: (r, c) => String(Math.round(100 * at(r, c))),
        describe: (r, c) => [nameOf(e, side) + ': ', bdi(queryName(e, map, r)), ' → ', bdi(keyName(e, map, c)), `  ${number(at(r, c))}`] });
    });
    const pairs = island.pairs, single = a.rows === 1 && a.role === 'pooling', rows = single ? 1 : pairs.length, wa = weightsOf(a), wb = weightsOf(b), e = explanations[1];
    if (pairs.length) {
      const change_ = (r, c) => wb[(single ? 0 : pairs[r][1]) * b.columns + pairs[c][1]] - wa[(single ? 0 : pairs[r][0]) * a.columns + pairs[c][0]];
      let reach = 0;
      for (let r = 0; r < rows; ++r) for (let c = 0; c < pairs.length; ++c) reach = Math.max(reach, Math.abs(change_(r, c)));
      const rowName = r => (single ? b.label : e.units[pairs[r][1]]);
      panel('difference', rows, pairs.length, { rowName, columnName: c => e.units[pairs[c][1]], value: change_,
        color: (r, c) => shade(true, reach > 0 ? change_(r, c) / reach : 0), show: (r, c) => String(Math.round(100 * change_(r, c))),
        describe: (r, c) => ['difference: ', bdi(rowName(r)), ' → ', bdi(e.units[pairs[c][1]]), `  ${number(change_(r, c), true)}`] });
    }
    return { width: x - apart, height, grids };
  },
};
