// The page: header, tabs, keys, export.
const first = explanations[0];
const VIEWS = { explanation: [overviewView, tokensView, matrixView, headsView, alignmentView, overlayView, longView, curveView],
  comparison: [bothView, bothScores, bothMaps], dataset: [tableView, confusionView, classesView] }[island.kind].filter(view => view.has(first));
let figure = null;
// Attention alone, without a prediction, opens on its map.
const START = island.kind === 'explanation' && !first.outputs.length && VIEWS.some(view => view.id === 'matrix') ? 'matrix' : VIEWS[0].id;
const current = () => VIEWS.find(view => view.id === state.view) || VIEWS.find(view => view.id === START);

function change(changes) {
  const moved = 'view' in changes && changes.view !== current().id;
  Object.assign(state, changes);
  writeAddress();
  show(moved);
}

function show(moved) {
  const view = current(), focused = document.activeElement && document.activeElement.id, host = element('div');
  for (const tab of $('tabs').children) {
    const chosen = tab.dataset.view === view.id;
    tab.setAttribute('aria-selected', String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  const panel = $('view');
  panel.setAttribute('aria-labelledby', 'tab-' + view.id);
  panel.dataset.view = view.id;
  if (view.about) host.append(element('p', 'meaning about', view.about));
  longView.tiles = [];
  panel.replaceChildren(host);
  figure = view.build(host, first) || null;
  host.append(element('div', 'controls', button('Save as SVG', exportSvg, { id: 'export' })));
  if (figure) figure.paint();
  for (const tile of longView.tiles) tile.paint();
  // A control that rebuilt the view keeps the focus it had.
  if (!moved && focused && $(focused) && panel.contains($(focused))) $(focused).focus();
}

function currentSvg() {
  const view = current(), d = island.dataset, named = view.name ? view.name(first) : view.title.toLowerCase();
  const about = d ? `model ${d.model} · ${d.rows.length} inputs` : explanations.map(e => `model ${e.model}` + (e.target ? ` · target ${e.target}` : '')).join(' | ');
  return svgFile((pen, width) => view.draw(pen, width, first), named, [...island.notices.map(text => 'note: ' + text), about, (d || first).command]);
}

function exportSvg() {
  const link = element('a'), view = current();
  link.href = URL.createObjectURL(new Blob([currentSvg()], { type: 'image/svg+xml' }));
  link.download = `${view.name ? view.name(first).replace(/[^\p{L}\p{N}]+/gu, '-') : view.id}.svg`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function drawHeader() {
  if (island.dataset) {
    const d = island.dataset;
    $('kicker').textContent = [d.task, d.model].filter(Boolean).join(' · ');
    $('input').textContent = `${d.data}: ${d.rows.length} inputs`;
    $('command').textContent = d.command;
    $('about').textContent = `model ${d.model} · task ${d.task} · units: ${d.unit_kind}`;
    return;
  }
  const [before, inside, after] = first.evidence;
  $('kicker').textContent = [first.task, first.model].filter(Boolean).join(' · ') + (island.kind === 'comparison' ? ` and ${explanations[1].model}` : '');
  $('input').classList.toggle('long', before.length + inside.length + after.length > 120);
  const most = 4000, shown = text => (text.length > most ? text.slice(0, most) + ' …' : text);
  $('input').append(shown(before));
  if (inside) $('input').append(Object.assign(element('mark', '', inside), { title: 'evidence for the target' }));
  $('input').append(shown(after));
  $('command').textContent = first.command;
  $('about').textContent = `model ${first.model} · task ${first.task} · ${first.units.length} units (${first.unit_kind})`;
}

function drawTabs() {
  VIEWS.forEach((view, index) => {
    const tab = button(view.title, () => change({ view: view.id }), { role: 'tab', id: 'tab-' + view.id, 'aria-controls': 'view' });
    tab.dataset.view = view.id;
    tab.title = `key ${index + 1}`;
    $('tabs').append(tab);
  });
  $('tabs').addEventListener('keydown', event => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = VIEWS[(VIEWS.indexOf(current()) + step + VIEWS.length) % VIEWS.length];
    change({ view: next.id });
    $('tab-' + next.id).focus();
  });
}

// --- keys
function step(list, value, by) {
  const at = list.indexOf(String(value));
  return list[(Math.max(0, at) + by + list.length) % list.length];
}
function stepMap(layers, by) {
  const e = first, maps = island.kind === 'comparison' ? sharedMaps().map(([map]) => map) : e.attention;
  if (current().id === 'long' && layers) return change({ layer: step(e.layers.map(layer => String(layer.layer)), state.layer || e.layers[0].layer, by), tile: '0' });
  if (current().id !== 'matrix') return undefined;
  const now = island.kind === 'comparison' ? bothMaps.chosen()[0] : e.attention[mapIndex(e)];
  const all = [...new Set(maps.filter(map => layers || map.layer === now.layer).map(map => String(layers ? map.layer : map.head)))];
  const wanted = step(all, layers ? now.layer : now.head, by);
  const same = maps.filter(map => (layers ? String(map.layer) === wanted : map.layer === now.layer && String(map.head) === wanted));
  const map = same.find(each => layers && each.head === now.head) || same[0];
  return change({ layer: String(map.layer), head: String(map.head) });
}
function stepMethod(by) {
  const lists = { alignment: first && first.alignments, overlay: first && first.attributions }, list = island.dataset ? island.dataset.methods : (lists[current().id] || []).map(each => each.method);
  if (list.length) change({ method: step(list, state.method || list[0], by) });
}
function switchTheme() {
  looks.theme = looks.theme === 'dark' ? 'light' : 'dark';
  root.dataset.theme = looks.theme;
  show();
}
const KEYS = {
  '?': ['list the keys', () => $('help').showModal()],
  l: ['next layer (L: previous)', () => stepMap(true, 1)], L: [null, () => stepMap(true, -1)],
  h: ['next head (H: previous)', () => stepMap(false, 1)], H: [null, () => stepMap(false, -1)],
  m: ['next method (M: previous)', () => stepMethod(1)], M: [null, () => stepMethod(-1)],
  s: ['hide or show the sink', () => current().id === 'matrix' && !island.dataset && change({ sink: state.sink ? '' : '1' })],
  t: ['light or dark', switchTheme],
  e: ['save this view as SVG', exportSvg],
};
function drawHelp() {
  const rows = [[`1 to ${VIEWS.length}`, 'choose a view'], ...Object.entries(KEYS).filter(([, [text]]) => text).map(([key, [text]]) => [key, text]),
    ['Tab', 'move between controls'], ['arrow keys', 'move through units, cells and views'], ['Enter', 'open what a cell holds'], ['Esc', 'close this list']];
  const body = element('tbody', '', ...rows.map(([key, text]) => element('tr', '', element('th', '', element('kbd', '', key)), element('td', '', text))));
  $('help').append(element('h2', '', 'Keys'), element('table', 'numbers', body), button('Close', () => $('help').close()));
}
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== 'checkbox' && event.target.type !== 'range') return;
  const at = Number(event.key) - 1;
  if (VIEWS[at]) change({ view: VIEWS[at].id });
  else if (KEYS[event.key]) KEYS[event.key][1]();
  else return;
  event.preventDefault();
});

root.dataset.theme = looks.theme;
readAddress();
drawHeader();
for (const text of island.notices) $('notices').append(element('p', 'notice', text));
drawTabs();
drawHelp();
show();
$('theme').addEventListener('click', switchTheme);
$('keys').addEventListener('click', () => $('help').showModal());
systemDark.addEventListener('change', () => { looks.theme = root.dataset.theme = systemDark.matches ? 'dark' : 'light'; show(); });
addEventListener('hashchange', () => {
  const before = JSON.stringify(state);
  readAddress();
  if (JSON.stringify(state) !== before) show(true);
});
let resizing = 0;
addEventListener('resize', () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => { if (figure) figure.paint(); for (const tile of longView.tiles) tile.paint(); });
});
