import { expect, test } from 'vitest';
import { fitText } from './fit-text.ts';

const roomy = { maxBytes: 1_000, maxLines: 100 };

test('text that fits is left as it is', () => {
  expect(fitText('one\ntwo\n', roomy)).toBe('one\ntwo\n');
});

test('of long text head and tail stay, and one line says what is left out', () => {
  const text = `${'a'.repeat(1_000)}${'b'.repeat(1_000)}`;
  expect(fitText(text, { ...roomy, maxBytes: 30 })).toBe(
    `${'a'.repeat(10)}\n[… 1970 bytes left out …]\n${'b'.repeat(20)}`,
  );
});

test('of many lines head and tail stay', () => {
  const text = Array.from({ length: 10 }, (_, index) => `line ${index}`).join('\n');
  expect(fitText(text, { ...roomy, maxLines: 3 })).toBe('line 0\n[… 7 lines left out …]\nline 8\nline 9');
});

test('characters are never split', () => {
  for (let maxBytes = 10; maxBytes < 40; maxBytes += 1) {
    expect(fitText('🙂é語'.repeat(50), { maxBytes, maxLines: 100 })).not.toContain('\ufffd');
  }
});
