// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Opens the example pages of report_pages in Chromium and does what a reader does: clicks, keys,
// exports. node pages_test.mjs FOLDER [name of a test]. Screenshots of every view go to
// FOLDER/screenshots.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { islandOf, launch, open } from './browser.mjs';

const folder = path.resolve(process.argv[2]);
const only = process.argv[3];
const screenshots = path.join(folder, 'screenshots');
fs.mkdirSync(screenshots, { recursive: true });
const fileOf = name => path.join(folder, name + '.html');
const jsonOf = name => JSON.parse(fs.readFileSync(path.join(folder, name + '.json'), 'utf8'));
const browser = await launch();
const tests = [];
const test = (name, run) => tests.push([name, run]);

// Every number on the page has three digits at least.
const near = (shown, exact, what) => assert.ok(Math.abs(shown - exact) <= 0.006 * Math.abs(exact) + 1e-9, `${what}: ${shown} is shown for ${exact}`);
const numberAfter = (text, label) => Number(new RegExp(`${label} ([+-]?[0-9.e-]+)`).exec(text)[1]);
const text = (page, selector) => page.textContent(selector);
const tabsOf = page => page.$$eval('#tabs button', all => all.map(tab => tab.dataset.view));
const show = (page, view) => page.click('#tab-' + view);

async function exported(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
  return { name: download.suggestedFilename(), svg: fs.readFileSync(await download.path(), 'utf8') };
}

// What an XML parser makes of an exported figure.
const parsed = (page, svg) => page.evaluate(source => {
  const figure = new DOMParser().parseFromString(source, 'image/svg+xml');
  const error = figure.querySelector('parsererror');
  return { error: error && error.textContent, root: figure.documentElement.nodeName,
    scripts: figure.querySelectorAll('script, foreignObject').length,
    titles: [...figure.querySelectorAll('title')].map(title => title.textContent),
    texts: [...figure.querySelectorAll('text')].map(each => each.textContent) };
}, svg);

async function withPage(name, options, run) {
  const opened = await open(browser, fileOf(name), options);
  try {
    await run(opened.page, opened);
    assert.deepEqual(opened.problems, [], 'nothing on the console, no request');
  } finally {
    await opened.context.close();
  }
}

const EXPECTED_VIEWS = {
  rich: ['overview', 'scores', 'matrix', 'heads', 'curve'],
  translation: ['overview', 'scores', 'matrix', 'alignment'],
  picture: ['overview', 'scores', 'overlay'],
  long: ['overview', 'scores', 'long'],
  large: ['overview', 'scores', 'matrix', 'heads'],
  hostile: ['overview', 'scores', 'matrix'],
  bare: ['overview'],
  comparison: ['overview', 'scores', 'matrix'],
  two_inputs: ['overview', 'scores'],
  dataset: ['overview', 'confusion', 'classes'],
};

for (const [name, views] of Object.entries(EXPECTED_VIEWS)) {
  test(`every view of ${name}, light and dark, and its SVG`, async () => {
    for (const theme of ['light', 'dark']) {
      await withPage(name, { theme }, async page => {
        assert.deepEqual(await tabsOf(page), views);
        for (const view of views) {
          await show(page, view);
          assert.equal(await page.getAttribute('#view', 'data-view'), view);
          assert.equal(await page.getAttribute('#tab-' + view, 'aria-selected'), 'true');
          await page.screenshot({ path: path.join(screenshots, `${name}-${view}-${theme}.png`), fullPage: true });
          if (theme === 'dark' && name !== 'rich') continue;
          const { name: saved, svg } = await exported(page);
          assert.match(saved, /\.svg$/);
          const figure = await parsed(page, svg);
          assert.equal(figure.error, null);
          assert.equal(figure.root, 'svg');
          assert.equal(figure.scripts, 0);
          assert.ok(svg.includes('fill="#fff"'), 'a figure is light, whatever the page is');
          assert.ok(svg.length < 8e6, `${svg.length} bytes`);
          assert.equal(await page.getAttribute('html', 'data-theme'), theme, 'the page keeps its theme');
        }
      });
    }
  });
}

test('overview: the numbers of the JSON', () => withPage('rich', {}, async page => {
  const e = jsonOf('rich');
  const rows = await page.$$eval('.prediction tr', all => all.map(row => [...row.cells].map(cell => cell.textContent)));
  e.outputs.forEach((output, i) => {
    assert.equal(rows[i][0], output.label);
    assert.equal(rows[i][2], output.probability.toFixed(3));
  });
  assert.equal(await text(page, '#verdict'), e.verdict);
  const best = e.attributions.find(row => row.method === e.best_method);
  near(numberAfter(await text(page, '#badge'), 'comprehensiveness'), best.faithfulness.comprehensiveness, 'badge');
  assert.equal(await page.getAttribute('#badge', 'data-beats'), 'true');
  const table = await page.$$eval('#faithfulness tbody tr', all => all.map(row => [...row.cells].map(cell => cell.textContent)));
  for (const line of table) {
    const f = e.attributions.find(row => line[0].startsWith(row.method)).faithfulness;
    ['comprehensiveness', 'sufficiency', 'deletion', 'insertion'].forEach((key, k) => near(parseFloat(line[k + 1]), f[key], `${line[0]} ${key}`));
  }
  const effects = await page.$$eval('#effects tbody tr', all => all.map(row => row.textContent));
  e.effects.forEach((effect, i) => assert.ok(effects[i].includes(effect.edit) && effects[i].includes(effect.after[0].label)));
  assert.ok(effects[0].includes('output changed') && !effects[1].includes('output changed'));
  assert.deepEqual(await page.$$eval('#notices .notice', all => all.map(each => each.textContent)), e.notices);
}));

test('scores: every method of every unit', () => withPage('rich', {}, async page => {
  const e = jsonOf('rich');
  await show(page, 'scores');
  for (const row of e.attributions) {
    const titles = await page.$$eval(`[aria-label="${row.method}"] .unit`, all => all.map(unit => Number(unit.title)));
    assert.equal(titles.length, e.units.length);
    row.scores.forEach((score, i) => near(titles[i], score, `${row.method} ${i}`));
  }
  // 0 is the surface; signed rows are never the colour of unsigned ones.
  const colors = await page.$$eval('.unit', all => all.map(unit => [unit.dataset.method, getComputedStyle(unit).backgroundColor]));
  assert.ok(new Set(colors.map(each => each[1])).size > 8);
  await page.hover('[aria-label="occlusion"] .unit >> nth=4');
  near(numberAfter(await text(page, '#unit-readout'), 'occlusion'), 4.42, 'read-out');
}));

test('matrix: cells, layers, heads, the sink and what it hides', () => withPage('rich', { hash: '#view=matrix&layer=1&head=2' }, async page => {
  const e = jsonOf('rich');
  const map = e.attention.find(each => each.layer === 1 && each.head === 2);
  assert.equal(await page.$eval('#map', select => select.selectedOptions[0].textContent), map.label, 'the address chose the map');
  await page.focus('canvas');
  for (const [key, row, column] of [['ArrowRight', 0, 1], ['ArrowDown', 1, 1], ['End', 1, 6], ['Home', 1, 0]]) {
    await page.keyboard.press(key);
    const said = await text(page, '#cell-readout');
    assert.ok(said.startsWith(e.units[row].text + ' → ' + e.units[column].text), said);
    near(Number(/ {2}([0-9.e-]+) of the row/.exec(said)[1]), map.weights[row][column], said);
  }
  await page.keyboard.press('Enter');
  assert.ok((await text(page, '#row-view')).includes(`looks at in ${map.label}`));
  const mass = e.units.map((_, c) => map.weights.reduce((total, row) => total + row[c], 0) / map.rows);
  const sink = mass.indexOf(Math.max(...mass));
  await page.click('#sink');
  const said = await text(page, '#sink-mass');
  assert.ok(said.startsWith(`Hidden: ${e.units[sink].text}`), said);
  near(Number(/with ([0-9.]+) %/.exec(said)[1]), 100 * mass[sink], 'dropped mass');
  assert.ok(page.url().includes('sink=1') && page.url().includes('layer=1'));
  const { svg } = await exported(page);
  const titles = (await parsed(page, svg)).titles.filter(title => title.includes(' → '));
  assert.equal(titles.length, map.rows * map.columns, 'a title per cell');
  near(Number(titles[1].split(': ')[1]), map.weights[0][1], titles[1]);
}));

test('heads: numbers, order, and the way to a map', () => withPage('rich', { hash: '#view=heads' }, async page => {
  const e = jsonOf('rich');
  await page.focus('canvas');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  const said = await text(page, '#head-readout'), head = e.heads.find(each => each.layer === 1 && each.head === 1);
  assert.ok(said.startsWith('layer 1, head 1'), said);
  near(numberAfter(said, 'entropy'), head.entropy, 'entropy');
  near(numberAfter(said, 'mean distance'), head.distance, 'distance');
  near(numberAfter(said, 'importance'), head.importance, 'importance');
  await page.selectOption('#measure', 'importance');
  await page.selectOption('#order', 'value');
  const most = [...e.heads].sort((a, b) => b.importance - a.importance)[0];
  await page.focus('canvas');
  await page.keyboard.press('Home');
  assert.ok((await text(page, '#head-readout')).startsWith(`layer ${most.layer}, head ${most.head}`));
  await page.keyboard.press('Enter');
  assert.equal(await page.getAttribute('#view', 'data-view'), 'matrix');
  assert.equal(await page.$eval('#map', select => select.selectedOptions[0].textContent), `layer ${most.layer}, head ${most.head}`);
}));

test('curves: values and areas', () => withPage('rich', { hash: '#view=curve' }, async page => {
  const e = jsonOf('rich');
  await page.focus('canvas');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  const said = await text(page, '#curve-readout');
  assert.ok(said.startsWith('deletion, 2 of 7 units'), said);
  for (const row of e.attributions) near(numberAfter(said, row.method), row.faithfulness.deletion_curve[2], row.method);
  await page.keyboard.press('PageDown');
  assert.ok((await text(page, '#curve-readout')).startsWith('insertion'));
  const texts = (await parsed(page, (await exported(page)).svg)).texts.join('\n');
  for (const row of e.attributions) near(numberAfter(texts, `${row.method}: deletion area`), row.faithfulness.deletion, row.method);
  assert.ok(texts.includes('★ most faithful on dev data') && texts.includes('random orders'));
}));

test('alignment: matrix and lines', () => withPage('translation', { hash: '#view=alignment&method=occlusion' }, async page => {
  const e = jsonOf('translation'), scores = e.alignments[1].scores;
  await page.focus('canvas');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  assert.match(await text(page, '#alignment-readout'), /^like ← mag {2}\+3\.2 \(heaviest\)$/);
  await page.selectOption('#mode', 'lines');
  const { titles } = await parsed(page, (await exported(page)).svg);
  assert.ok(titles.includes(`tea ← Tee: ${scores[2 * 3 + 2]}`), titles.join('; '));
}));

test('overlay: scores, mask and blend', () => withPage('picture', { hash: '#view=overlay&method=occlusion' }, async page => {
  const e = jsonOf('picture'), scores = e.attributions[1].scores;
  const best = scores.indexOf(Math.max(...scores));
  const box = await page.$eval('canvas', canvas => ({ width: canvas.clientWidth }));
  const zoom = (box.width - 2) / e.surface.width, [x, y] = e.surface.boxes[best];
  await page.hover('canvas', { position: { x: (x + 4) * zoom, y: (y + 4) * zoom } });
  const said = await text(page, '#overlay-readout');
  assert.ok(said.startsWith(e.units[best].text), said);
  near(numberAfter(said, 'occlusion'), scores[best], said);
  await page.fill('#top', '10');
  const { svg } = await exported(page);
  assert.ok(svg.includes('data:image/png;base64,'), 'the picture is in the figure');
  const dimmed = (svg.match(/opacity="0.75"/g) || []).length;
  assert.equal(dimmed, 96 - Math.round(96 * 0.1), 'what is not among the top tenth is dimmed');
}));

test('long input: totals, blocks and tiles', () => withPage('long', { hash: '#view=long' }, async page => {
  const e = jsonOf('long'), layer = e.layers[0];
  near(numberAfter(await text(page, '#totals'), 'received'), layer.received.reduce((a, b) => a + b), 'total');
  await page.focus('canvas');
  await page.keyboard.press('ArrowDown');
  const said = await text(page, '#long-readout');
  assert.ok(said.startsWith('queries 64 to 127 → keys 0 to 63'), said);
  near(numberAfter(said, 'mass'), layer.pooled[layer.pooled_columns], 'pooled');
  await page.keyboard.press('Enter');
  assert.ok((await text(page, '#links')).includes('from units 64 to 127 on units 0 to 63'));
  assert.ok((await text(page, '#links')).includes('--tile 0:64-127,0-63'));
  const shown = await page.$$eval('#links tbody tr', all => all.map(row => row.cells[0].textContent));
  for (const each of shown) {
    const at = Number(/\((\d+)\)$/.exec(each)[1]);
    assert.ok(at >= 64 && at < 128, each);
  }
  await page.focus('#tile-0');
  await page.keyboard.press('ArrowRight');
  assert.ok(await page.$eval('#tile-0', canvas => canvas.closest('.figure').querySelector('.readout').textContent.includes('(0) → ')));
  await show(page, 'scores');
  await page.selectOption('#part', '2');
  assert.equal(await page.$eval('.unit', unit => unit.dataset.unit), '1200');
}));

test('comparison: difference of scores and maps', () => withPage('comparison', {}, async page => {
  const [a, b] = (await islandOf(page)).explanations;
  near(numberAfter(await text(page, '#change'), '→'), b.outputs[0].probability, 'change');
  await show(page, 'scores');
  const occlusion = [a, b].map(e => e.attributions.find(row => row.method === 'occlusion').scores);
  const shown = await page.$$eval('.difference', all => all.map(flow => [...flow.querySelectorAll('.unit')].map(unit => Number(unit.title))));
  const index = a.attributions.findIndex(row => row.method === 'occlusion');
  occlusion[0].forEach((score, i) => near(shown[index][i], occlusion[1][i] - score, `unit ${i}`));
  await show(page, 'matrix');
  await page.focus('canvas');
  await page.keyboard.press('PageDown');
  await page.keyboard.press('PageDown');
  assert.ok((await text(page, '#cell-readout')).startsWith('difference: '));
}));

test('two inputs: units without a partner have no difference', () => withPage('two_inputs', { hash: '#view=scores' }, async page => {
  const titles = await page.$$eval('.difference .unit', all => all.map(unit => unit.title));
  assert.deepEqual(titles.map(title => title === 'no partner'), [false, false, false, true, false, true, false, false]);
}));

test('data set: filters, confusion, classes', () => withPage('dataset', {}, async page => {
  const d = jsonOf('dataset');
  const wrong = d.rows.filter(row => row.gold !== row.prediction);
  assert.equal(await text(page, '#count'), `${d.rows.length} of ${d.rows.length} inputs, ${wrong.length} of them wrong`);
  await page.click('#wrong');
  assert.ok((await text(page, '#count')).startsWith(`${wrong.length} of `));
  await page.selectOption('#below', '0.5');
  const unsure = wrong.filter(row => row.confidence <= 0.5);
  assert.ok((await text(page, '#count')).startsWith(`${unsure.length} of `));
  assert.equal(await page.$$eval('#rows tbody tr', all => all.length), unsure.length);
  await page.fill('#search', 'nothing like this');
  assert.ok((await text(page, '#count')).startsWith('0 of '));
  assert.ok(page.url().includes('wrong=1') && page.url().includes('below=0.5'));
  await show(page, 'confusion');
  await page.focus('canvas');
  await page.keyboard.press('ArrowRight');
  const said = await text(page, '#confusion-readout'), [, gold, predicted, count] = /^gold (.*), predicted (.*): (\d+) inputs$/.exec(said);
  assert.equal(Number(count), d.rows.filter(row => row.gold === gold && row.prediction === predicted).length);
  await page.goto(page.url().split('#')[0] + '#view=confusion');
  await page.focus('canvas');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  assert.ok((await text(page, '#count')).startsWith(`${count} of `), 'a cell opens its inputs');
  await show(page, 'classes');
  await page.focus('canvas');
  await page.keyboard.press('ArrowDown');
  const units = d.classes[0].units;
  assert.ok((await text(page, '#classes-readout')).startsWith(`${d.classes[0].label}: ${units[1][0]}`));
}));

test('keyboard alone reaches every view and control', () => withPage('rich', {}, async page => {
  await page.keyboard.press('?');
  assert.ok(await page.$eval('#help', dialog => dialog.open));
  const keys = await page.$$eval('#help kbd', all => all.map(key => key.textContent));
  assert.ok(['l', 'h', 's', 't', 'e', '?'].every(key => keys.includes(key)), keys.join(' '));
  await page.keyboard.press('Escape');
  assert.ok(!await page.$eval('#help', dialog => dialog.open));
  for (const [index, view] of EXPECTED_VIEWS.rich.entries()) {
    await page.keyboard.press(String(index + 1));
    assert.equal(await page.getAttribute('#view', 'data-view'), view);
    // Tab goes through everything that can be used, and comes to its end.
    const reached = new Set();
    await page.focus('#keys');
    for (let i = 0; i < 40; ++i) {
      await page.keyboard.press('Tab');
      const id = await page.evaluate(() => (document.activeElement === document.body ? 'end' : document.activeElement.id || document.activeElement.className || document.activeElement.tagName));
      if (id === 'end') break;
      reached.add(id);
    }
    for (const needed of ['theme', 'tab-' + view, 'export', ...await page.$$eval('#view select, #view input', all => all.map(each => each.id))]) {
      assert.ok(reached.has(needed), `${needed} in ${view}: ${[...reached].join(' ')}`);
    }
  }
  await page.focus('#tab-curve');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.getAttribute('#view', 'data-view'), 'overview', 'the arrow keys go round');
  await page.keyboard.press('3');
  const label = () => page.$eval('#map', select => select.selectedOptions[0].textContent);
  await page.evaluate(() => document.activeElement.blur());
  const before = await label();
  await page.keyboard.press('l');
  assert.notEqual(await label(), before);
  await page.keyboard.press('L');
  assert.equal(await label(), before);
  await page.keyboard.press('h');
  assert.notEqual(await label(), before);
  await page.keyboard.press('s');
  assert.ok(await page.isChecked('#sink'));
  await page.keyboard.press('t');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('e')]);
  assert.match(download.suggestedFilename(), /\.svg$/);
  await page.keyboard.press('2');
  await page.focus('.unit[tabindex="0"]');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  assert.equal(await page.$eval('.unit.on', unit => unit.dataset.unit), '6');
}));

test('hostile text stays text', () => withPage('hostile', {}, async page => {
  const e = jsonOf('hostile');
  let dialogs = 0;
  page.on('dialog', dialog => { ++dialogs; dialog.dismiss(); });
  assert.equal(await page.$$eval('script', all => all.length), 2);
  assert.equal(await page.$$eval('main b', all => all.length), 0, 'markup of the input is not markup of the page');
  assert.ok((await text(page, '#input')).includes('</script><script>alert(1)</script>'));
  for (const view of await tabsOf(page)) {
    await show(page, view);
    const shown = await page.evaluate(() => document.body.innerText);
    assert.ok(!/[\u202e\u0007\u001b]/.test(shown), 'no control or direction characters');
  }
  assert.equal(dialogs, 0);
  assert.ok(e.input.includes('\u202e'), 'the JSON keeps what the page makes visible');
}));

test('a page of 1,024 units is ready in under 2 s and fits 5 MB', async () => {
  const size = fs.statSync(fileOf('large')).size;
  assert.ok(size < 5e6, `${size} bytes`);
  await withPage('large', {}, async (page, opened) => {
    const opening = await opened.processor();
    await show(page, 'matrix');
    await page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const drawing = await opened.processor() - opening;
    console.log(`    opened in ${opening.toFixed(2)} s of the processor (${opened.seconds.toFixed(2)} s by the clock), largest map drawn in ${drawing.toFixed(2)} s`);
    assert.ok(opening > 0.01, 'something was measured');
    assert.ok(opening < 2, `${opening} s`);
    assert.ok(drawing < 2, `${drawing} s`);
  });
});

test('a narrow window has no sideways scroll', async () => {
  for (const name of ['rich', 'dataset', 'comparison', 'long']) {
    await withPage(name, { width: 420, height: 800 }, async page => {
      for (const view of await tabsOf(page)) {
        await show(page, view);
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(beyond <= 1, `${name} ${view}: ${beyond} px`);
      }
    });
  }
});

let failed = 0;
for (const [name, run] of tests) {
  if (only && !name.includes(only)) continue;
  try {
    await run();
    console.log('ok    ' + name);
  } catch (error) {
    ++failed;
    console.log(`FAIL  ${name}\n      ${String(error.stack || error).split('\n').slice(0, 6).join('\n      ')}`);
  }
}
await browser.close();
console.log(failed ? `${failed} tests failed` : 'all passed');
process.exit(failed ? 1 : 0);
