import { describe, expect, test } from 'vitest';
import { excerptWith, searchBody, searchWords } from './search-text.ts';

describe('an excerpt', () => {
  test.each([
    ['Migrate the DATABASE first', 'data', 'Migrate the DATABASE first'],
    ['Crème brûlée', 'creme BRU', 'Crème brûlée'],
    ['one\n\ttwo   three', 'three one', 'one two three'],
    ['snake_case-and.dots', 'case dots', 'snake_case-and.dots'],
  ])('of %j for %j', (text, query, shown) => {
    expect(excerptWith(searchWords(query), text)).toBe(shown);
  });

  test.each([
    ['Migrate the database', 'base'],
    ['Migrate the database', 'migrate table'],
    ['Migrate the database', '!?'],
    ['', 'x'],
  ])('is not there of %j for %j', (text, query) => {
    expect(excerptWith(searchWords(query), text)).toBeUndefined();
  });

  test('of a long text is the part around the word', () => {
    const text = `${'before '.repeat(1_000)}needle ${'after '.repeat(1_000)}`;
    const excerpt = excerptWith(['needle'], text) ?? '';
    expect(excerpt).toMatch(/^….*needle.*…$/);
    expect(excerpt.length).toBeLessThanOrEqual(242);
  });

  test('neither begins nor ends with half a character', () => {
    const excerpt = excerptWith(['x'], `${'😀'.repeat(50)} ${'y'.repeat(58)} x ${'😀'.repeat(500)}`) ?? '';
    expect(excerpt).toMatch(/^…y+ x (😀)+…$/u);
    expect(excerptWith(['x'], `x${'😀'.repeat(500)}`)).toMatch(/^x(😀)+…$/u);
  });

  test('of a text that is all accents is there at once', () => {
    const text = `a${'\u0301\u0323\u0327'.repeat(33_000)} needle`;
    const from = performance.now();
    expect(excerptWith(['needle'], text)).toMatch(/needle$/);
    expect(performance.now() - from).toBeLessThan(1_000);
  });
});

test('a body has each word once, and a query at most 16', () => {
  expect(searchBody('Two two', 'TWO three')).toBe('two three');
  expect(searchWords(Array.from({ length: 40 }, (_none, index) => `w${index}`).join(' '))).toHaveLength(16);
});

test('a body ends with a whole word where there are too many', () => {
  const words = Array.from({ length: 60_000 }, (_none, index) => `w${index}`);
  const body = searchBody(...words).split(' ');
  expect(body).toEqual(words.slice(0, body.length));
  expect(body.length).toBeGreaterThan(30_000);
});
