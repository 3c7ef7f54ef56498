// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Opens a page of attend in Chromium, headless, from file://, without a network.
import { chromium } from 'playwright-core';
import { pathToFileURL } from 'node:url';

export async function launch() {
  return chromium.launch({
    executablePath: process.env.ATTEND_CHROMIUM || '/usr/bin/chromium',
    // A container's root may not nest sandboxes; the pages are our own.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}

// A page that fails on anything a user should never see: console errors, exceptions, and any
// request that is not the file itself.
export async function open(browser, path, { theme = 'light', hash = '', width = 1100, height = 900 } = {}) {
  const context = await browser.newContext({ offline: true, colorScheme: theme, viewport: { width, height }, acceptDownloads: true });
  const page = await context.newPage();
  const problems = [];
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) problems.push(`console: ${message.text()}`); });
  page.on('pageerror', error => problems.push(`exception: ${error.message}`));
  const url = pathToFileURL(path).href;
  page.on('request', request => {
    const asked = request.url();
    if (!asked.startsWith(url) && !asked.startsWith('blob:')) problems.push(`request: ${asked.slice(0, 200)}`);
  });
  // Processor time of the page's own thread beside the clock: other work on the machine stretches
  // the one and not the other.
  const devtools = await context.newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const processor = async () => (await devtools.send('Performance.getMetrics')).metrics.find(each => each.name === 'TaskDuration').value;
  const began = performance.now();
  await page.goto(url + hash);
  await page.waitForSelector('#view > div');
  const seconds = (performance.now() - began) / 1000;
  return { page, context, problems, seconds, processor };
}

export const islandOf = page => page.evaluate(() => JSON.parse(document.getElementById('data').textContent));
