// A data set: one row per input, with filters, the confusion matrix, and the top units per class.

const ROWS_AT_ONCE = 50;

function filteredRows(d) {
  const wanted = state.text.toLowerCase(), below = state.below === '' ? Infinity : Number(state.below);
  const rows = d.rows.filter(row => (!wanted || row.input.toLowerCase().includes(wanted)) && (!state.wrong || row.gold !== row.prediction) &&
    (!state.gold || row.gold === state.gold) && (!state.predicted || row.prediction === state.predicted) && row.confidence <= below);
  if (state.sort === 'sure') rows.sort((a, b) => b.confidence - a.confidence);
  if (state.sort === 'unsure') rows.sort((a, b) => a.confidence - b.confidence);
  return rows;
}
const tableMethod = d => Math.max(0, d.methods.indexOf(state.method));

const tableView = {
  id: 'overview', title: 'Inputs', about: '', has: () => true,
  build(host) {
    const d = island.dataset, labels = [['', 'any'], ...d.labels.map(label => [label, label])];
    const search = element('input');
    search.type = 'search';
    search.id = 'search';
    search.value = state.text;
    search.addEventListener('input', () => refresh({ text: search.value }));
    const refresh = changes => { Object.assign(state, changes, { page: '0' }); writeAddress(); this.fill(holder, d); };
    const holder = element('div', 'table-holder');
    const controls = element('div', 'controls', element('label', '', 'Text ', search));
    if (d.has_gold) {
      controls.append(toggle('wrong only', 'wrong', Boolean(state.wrong), on => refresh({ wrong: on ? '1' : '' })),
        choice('Gold', 'gold', labels, state.gold, value => refresh({ gold: value })));
    }
    controls.append(choice('Predicted', 'predicted', labels, state.predicted, value => refresh({ predicted: value })),
      choice('Probability', 'below', [['', 'any'], ['0.5', 'up to 0.5'], ['0.7', 'up to 0.7'], ['0.9', 'up to 0.9']], state.below, value => refresh({ below: value })),
      choice('Order', 'sort', [['id', 'as in the file'], ['unsure', 'least sure first'], ['sure', 'surest first']], state.sort, value => refresh({ sort: value })));
    if (d.methods.length) controls.append(choice('Units by', 'method', d.methods.map(m => [m, m]), d.methods[tableMethod(d)], value => refresh({ method: value })));
    host.append(controls, holder);
    this.fill(holder, d);
  },
  fill(holder, d) {
    const rows = filteredRows(d), pages = Math.max(1, Math.ceil(rows.length / ROWS_AT_ONCE)), page = whole(state.page, pages), method = tableMethod(d);
    const scale = largest(d.rows.flatMap(row => (row.top[method] || []).map(unit => unit[1])));
    const body = element('tbody');
    for (const row of rows.slice(page * ROWS_AT_ONCE, (page + 1) * ROWS_AT_ONCE)) {
      const units = element('td', 'units');
      for (const [text, score] of row.top[method] || []) {
        const pair = shade(d.is_signed[method], scale > 0 ? score / scale : 0), part = element('bdi', 'unit', text);
        part.style.background = pair[0];
        part.style.color = pair[1];
        part.title = number(score, d.is_signed[method]);
        units.append(part, ' ');
      }
      body.append(element('tr', d.has_gold && row.gold !== row.prediction ? 'wrong' : '', element('td', '', row.id), element('td', 'input', bdi(row.input)),
        d.has_gold ? element('td', '', bdi(row.gold)) : null, element('td', '', bdi(row.prediction)), element('td', '', row.confidence.toFixed(3)), units));
    }
    const heads = ['id', 'input', ...(d.has_gold ? ['gold'] : []), 'predicted', 'probability', 'top units'];
    const count = element('p', 'meaning', `${rows.length} of ${d.rows.length} inputs` + (d.has_gold ? `, ${rows.filter(row => row.gold !== row.prediction).length} of them wrong` : ''));
    count.id = 'count';
    const turn = step => { state.page = String(clamp(page + step, 0, pages - 1)); writeAddress(); this.fill(holder, d); };
    const pager = pages > 1 ? element('div', 'controls', button('earlier', () => turn(-1)), `page ${page + 1} of ${pages}`, button('later', () => turn(1))) : null;
    holder.replaceChildren(count, element('div', 'scroll', Object.assign(element('table', 'numbers data', element('thead', '', element('tr', '', ...heads.map(text => element('th', '', text)))), body), { id: 'rows' })), ...(pager ? [pager] : []));
  },
  draw(pen, width) {
    const d = island.dataset, method = tableMethod(d), rows = filteredRows(d).slice(0, ROWS_AT_ONCE);
    const at = [0, 60, width * 0.48, width * 0.6, width * 0.72, width * 0.8];
    ['id', 'input', 'gold', 'predicted', 'prob.', 'top units'].forEach((text, i) => pen.text(at[i], 12, text, { size: 12, bold: true }));
    rows.forEach((row, i) => {
      const y = 34 + 20 * i, cells = [row.id, row.input.replace(/\s+/g, ' '), row.gold, row.prediction, row.confidence.toFixed(3), (row.top[method] || []).map(unit => unit[0]).join(' ')];
      if (d.has_gold && row.gold !== row.prediction) pen.rect(0, y - 14, width, 20, tone('warn-page'));
      cells.forEach((text, k) => pen.text(at[k], y, clipped(text, (at[k + 1] || width) - at[k] - 10, 12), { size: 12 }));
    });
    return { width, height: 40 + 20 * rows.length };
  },
};

const confusionView = {
  id: 'confusion', title: 'Confusion', about: 'Rows = gold, columns = predicted. Click or press Enter on a cell to see its inputs.',
  has: () => island.dataset.has_gold && island.dataset.labels.length > 0,
  build(host) {
    const figure = new Figure('confusion matrix', (pen, width) => this.draw(pen, width));
    figure.readout.id = 'confusion-readout';
    host.append(figure.host);
    return figure;
  },
  draw(pen, width) {
    const { labels, confusion } = island.dataset, n = labels.length, at = (r, c) => confusion[r * n + c], scale = largest(confusion);
    return drawHeat(pen, width, n, n, { rowName: r => labels[r], columnName: c => labels[c], value: at, mostCell: 48,
      color: (r, c) => shade(false, scale > 0 ? at(r, c) / scale : 0), show: (r, c) => String(at(r, c)),
      describe: (r, c) => ['gold ', bdi(labels[r]), ', predicted ', bdi(labels[c]), `: ${at(r, c)} inputs`],
      activate: (r, c) => change({ view: 'overview', gold: labels[r], predicted: labels[c], page: '0' }) });
  },
};

const classesView = {
  id: 'classes', title: 'Classes', about: 'The units that weigh most for each explained output: score as a share of the largest of its input, summed over the inputs explained for this output and divided by their number.',
  has: () => island.dataset.classes.length > 0,
  build(host) {
    const d = island.dataset, method = d.methods[tableMethod(d)];
    host.append(element('div', 'controls', choice('Method', 'method', d.methods.map(m => [m, m]), method, value => change({ method: value }))));
    const figure = new Figure('top units per class', (pen, width) => this.draw(pen, width));
    figure.readout.id = 'classes-readout';
    host.append(figure.host);
    return figure;
  },
  draw(pen, width) {
    const d = island.dataset, method = d.methods[tableMethod(d)], list = d.classes.filter(each => each.method === method);
    const scale = largest(list.flatMap(each => each.units.map(unit => unit[1]))), isSigned = d.is_signed[tableMethod(d)], grids = [];
    const columns = clamp(Math.floor(width / 240), 1, Math.max(1, list.length)), w = width / columns, high = 28 + 22 * Math.max(0, ...list.map(each => each.units.length)) + 16;
    list.forEach((each, i) => {
      const x = (i % columns) * w, y = Math.floor(i / columns) * high;
      pen.text(x, y + 13, clipped(`${each.label} (${each.inputs})`, w - 10, 13), { bold: true });
      each.units.forEach(([text, score, count], k) => {
        const top = y + 24 + 22 * k, share = scale > 0 ? score / scale : 0;
        pen.text(x, top + 13, clipped(text, w * 0.42, 13));
        pen.rect(x + w * 0.45, top + 2, Math.max(1, Math.abs(share) * w * 0.32), 14, shade(isSigned, share)[0], { stroke: tone('line'), title: `${text}: ${score}, ${count} times` });
        pen.text(x + w * 0.8, top + 13, number(score, isSigned), { size: 11, fill: tone('muted') });
      });
      if (each.units.length) grids.push(evenGrid(x, y + 24, w - 10, 22 * each.units.length, each.units.length, 1, r => [bdi(each.label), ': ', bdi(each.units[r][0]), `  ${number(each.units[r][1], isSigned)}, in ${each.units[r][2]} inputs`]));
    });
    return { width, height: high * Math.ceil(list.length / columns), grids };
  },
};
