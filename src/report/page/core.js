'use strict';
// What every view uses: the data island, elements, colours, numbers, and the state that the address
// holds. Text from the input only ever becomes textContent, so nothing in it can become markup;
// <bdi> keeps its writing direction to itself.
const island = JSON.parse(document.getElementById('data').textContent);
const explanations = island.explanations;
const root = document.documentElement;
const systemDark = matchMedia('(prefers-color-scheme: dark)');
const $ = id => document.getElementById(id);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter(child => child !== undefined && child !== null));
  return made;
}
const bdi = text => element('bdi', '', text);

function button(text, onClick, attributes = {}) {
  const made = element('button', '', text);
  made.type = 'button';
  made.addEventListener('click', onClick);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// A labelled <select>; `options` are [value, text] pairs.
function choice(label, id, options, value, onChange) {
  const select = element('select');
  select.id = id;
  for (const [each, text] of options) {
    const option = element('option', '', text);
    option.value = each;
    select.append(option);
  }
  select.value = value;
  select.addEventListener('change', () => onChange(select.value));
  return element('label', '', label + ' ', select);
}

function toggle(label, id, checked, onChange) {
  const box = element('input');
  box.type = 'checkbox';
  box.id = id;
  box.checked = checked;
  box.addEventListener('change', () => onChange(box.checked));
  return element('label', '', box, ' ' + label);
}

function slider(label, id, value, onInput) {
  const range = element('input'), shown = element('output', '', value + ' %');
  range.type = 'range';
  range.id = id;
  range.min = 0;
  range.max = 100;
  range.value = value;
  range.addEventListener('input', () => { shown.textContent = range.value + ' %'; onInput(Number(range.value)); });
  return element('label', '', label + ' ', range, ' ', shown);
}

// --- numbers
function number(value, withSign) {
  if (!Number.isFinite(value)) return '–';
  // Totals are exact: three digits would turn 4,096 into 4,100.
  if (Math.abs(value) >= 1000 && Math.abs(value) < 1e7) return (withSign && value > 0 ? '+' : '') + Number(value.toFixed(1));
  const text = value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  return withSign && value > 0 ? '+' + text : text;
}
const REMOVALS = { delete: 'deleting them', mask: 'masking them', mean: 'putting the mean embedding in their place' };
const removalOf = e => REMOVALS[e.test.removal] || e.test.removal;
const percent = share => `${number(100 * share)} %`;
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const largest = values => { let most = 0; for (const v of values) most = Math.max(most, Math.abs(v)); return most; };
function sum(values) { let total = 0; for (const v of values) total += v; return total; }

// --- lists of numbers that came as base64 of little-endian bytes
function bytesOf(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; ++i) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
function floatsOf(text) {
  const view = new DataView(bytesOf(text).buffer), values = new Float32Array(view.byteLength / 4);
  for (let i = 0; i < values.length; ++i) values[i] = view.getFloat32(4 * i, true);
  return values;
}
function integersOf(text) {
  const view = new DataView(bytesOf(text).buffer), values = new Uint32Array(view.byteLength / 4);
  for (let i = 0; i < values.length; ++i) values[i] = view.getUint32(4 * i, true);
  return values;
}
// Weights in steps of the largest: 16 bits linear, or 8 bits of the square root (small ones stay apart).
function weightsOf(map) {
  if (!map.decoded) {
    const bytes = bytesOf(map.data);
    map.decoded = new Float32Array(map.rows * map.columns);
    for (let i = 0; i < map.decoded.length; ++i) {
      const share = map.bits === 8 ? (bytes[i] / 255) ** 2 : (bytes[2 * i] + 256 * bytes[2 * i + 1]) / 65535;
      map.decoded[i] = share * map.scale;
    }
  }
  return map.decoded;
}

// --- colours: [background, ink] pairs that the program computed, so there is one source of them
const looks = { theme: systemDark.matches ? 'dark' : 'light' };
const rampOf = isSigned => island.ramps[looks.theme][isSigned ? 'signed' : 'unsigned'];
function shade(isSigned, t) {
  const ramp = rampOf(isSigned), at = isSigned ? (t + 1) / 2 : t;
  return ramp[clamp(Math.round((Number.isFinite(at) ? at : 0) * (ramp.length - 1)), 0, ramp.length - 1)];
}
const rampCss = isSigned => `linear-gradient(to right,${rampOf(isSigned).map(pair => pair[0]).join(',')})`;
const tone = name => getComputedStyle(root).getPropertyValue('--' + name).trim();
const SERIES = 6;
const seriesTone = index => tone('series-' + index % SERIES);
// Colours that come again have another dash.
const seriesDash = index => [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [1, 2]][(index + Math.floor(index / SERIES)) % SERIES];

function legend(isSigned, scale, meaning, low = isSigned ? -scale : 0) {
  const ramp = element('div', 'ramp');
  ramp.style.background = rampCss(isSigned);
  return element('div', 'ramp-line', element('span', '', number(low, isSigned)), ramp,
    element('span', '', number(scale, isSigned)), element('span', '', meaning));
}

// --- state: what the address after # says, so that a link shows the same picture
const defaults = { view: '', layer: '', head: '', method: '', sink: '', measure: 'entropy', mode: 'matrix',
  blend: '80', top: '100', grid: '', colors: '', tile: '0', unit: '0', part: '0', order: 'layer', text: '', wrong: '',
  gold: '', predicted: '', below: '', sort: 'id', page: '0' };
const state = { ...defaults };
function readAddress() {
  Object.assign(state, defaults);
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (key in defaults) state[key] = value;
  }
}
function writeAddress() {
  const parts = Object.entries(state).filter(([key, value]) => String(value) !== defaults[key])
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  const address = '#' + parts.join('&');
  if (address !== (location.hash || '#')) location.replace(address);
}
const whole = (text, count) => clamp(Math.floor(Number(text)) || 0, 0, Math.max(0, count - 1));
