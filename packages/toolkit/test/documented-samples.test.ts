import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const sample = /<!-- sample: (\S+) -->\n\n```js\n([\s\S]*?)\n```/g;
const documents = ['docs/guide/using-it-as-a-library.md', 'docs/guide/following-events.md'];

test.each(documents)('the code shown in %s is the file that runs', async (document) => {
  const text = await readFile(new URL(document, root), 'utf8');
  const samples = [...text.matchAll(sample)];
  expect(samples).not.toHaveLength(0);
  for (const [, file = '', shown = ''] of samples) {
    const code = await readFile(new URL(file, root), 'utf8');
    expect(code.trim().endsWith(shown)).toBe(true);
  }
});
