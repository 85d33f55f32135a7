import { expect, test } from 'vitest';
import { chooseApiVersion } from './api-version.ts';

test.each([
  ['the oldest that has all we need', { ApiVersion: '1.41', MinAPIVersion: '1.12' }, '1.41'],
  ['the same with a newer engine that still takes it', { ApiVersion: '1.47', MinAPIVersion: '1.24' }, '1.41'],
  ['the oldest that a newer engine takes', { ApiVersion: '1.52', MinAPIVersion: '1.44' }, '1.44'],
  ['one that is compared as numbers', { ApiVersion: '1.100', MinAPIVersion: '1.9' }, '1.41'],
  ['none with an older engine', { ApiVersion: '1.40', MinAPIVersion: '1.12' }, undefined],
  ['none with what is no engine', {}, undefined],
])('the version that is spoken is %s', (_title, spoken, chosen) => {
  expect(chooseApiVersion(spoken)).toBe(chosen);
});
