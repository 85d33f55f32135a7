import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { formatBytes, formatDuration, oneLine, safeText, shownPath } from './format.ts';
import { colourStyle, plainStyle } from './style.ts';
import { table } from './table.ts';

test('a table is aligned whatever is painted', () => {
  const rows = [
    { name: 'a', size: 5 },
    { name: 'größer', size: 12_000 },
  ];
  const columns = [
    { title: 'NAME', text: (row: (typeof rows)[number]) => row.name, paint: () => colourStyle.good },
    { title: 'SIZE', align: 'right' as const, text: (row: (typeof rows)[number]) => String(row.size) },
  ];
  expect(table(rows, columns, plainStyle)).toBe(
    ['NAME     SIZE', '\u001b[32ma     \u001b[39m      5', '\u001b[32mgrößer\u001b[39m  12000'].join('\n'),
  );
});

test('text from outside cannot move the cursor, ring, or break a row', () => {
  expect(oneLine('a\u001b[2J\u0007b\nc\td')).toBe('ab c d');
  expect(safeText('a\u001b]0;title\u0007\nb')).toBe('a\nb');
});

test('a path is shown as it is, or so that a shell takes it back', () => {
  for (const path of ['src/a.ts', 'a b', "it's", 'ünï', 'back\\slash']) expect(shownPath(path)).toBe(path);
  const odd = [
    'q\nq/Makefile',
    'a\tb',
    ' x',
    'x ',
    'a  b',
    "it's\n",
    'a\\n\nb',
    '\u0007',
    'a\u200bb',
    'ü\u0085',
    'a\u00a0b',
    '\u{e0001}',
  ];
  for (const path of odd) {
    const shown = shownPath(path);
    expect(shown).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const env = { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' };
    expect(execFileSync('bash', ['--norc', '-c', `printf %s ${shown}`], { env, encoding: 'utf8' })).toBe(path);
  }
});

test('long text is kept whole, and cut only on one line', () => {
  expect(safeText('x'.repeat(5_000))).toHaveLength(5_000);
  expect(safeText(`x${'😀'.repeat(2_000)}`)).toBe(`x${'😀'.repeat(2_000)}`);
  expect(oneLine('x'.repeat(5_000), 10)).toBe(`${'x'.repeat(9)}…`);
});

test.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_536, '1.5 KiB'],
  [5 * 1024 ** 3, '5.0 GiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [null, '-'],
  [12, '12 ms'],
  [1_500, '1.5 s'],
  [90_000, '1 min 30 s'],
  [7_260_000, '2 h 1 min'],
])('%s ms are %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
