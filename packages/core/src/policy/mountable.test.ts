import { expect, test } from 'vitest';
import { assertMountable } from './mountable.ts';

const mayMount = (path: string, allowed: readonly string[] | null): boolean => {
  try {
    assertMountable(path, allowed);
    return true;
  } catch {
    return false;
  }
};

test('any directory may be mounted where nothing is said', () => {
  expect(mayMount('/srv/a', null)).toBe(true);
});

test('of a list, its directories and what is in them', () => {
  const allowed = ['/srv/a', '/srv/c/'];
  expect(['/srv/a', '/srv/a/b', '/srv/c', '/srv/c/x'].map((path) => mayMount(path, allowed))).toEqual([
    true,
    true,
    false,
    true,
  ]);
  expect(['/srv', '/srv/ab', '/', '/home/x'].map((path) => mayMount(path, allowed))).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

test('none where the list is empty', () => {
  expect(() => assertMountable('/srv/a', [])).toThrow(
    expect.objectContaining({ code: 'OCT_POLICY_DENIED', details: { path: '/srv/a', key: 'mounts.allow' } }),
  );
});
