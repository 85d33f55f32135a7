import type { NetworkSpec } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { validatePolicy } from '../src/index.ts';
import { policy, rule } from './fixtures.ts';

test.each([
  ['no network', { mode: 'fixed-none', rules: [] }],
  ['a policy without rules', policy()],
  [
    'names, wildcards and addresses',
    policy(
      rule('pypi.org'),
      rule('*.example.org', { name: 'wild' }),
      rule('10.0.0.7', { name: 'database', ports: [5432] }),
      rule('::1', { name: 'loopback', ports: [] }),
      rule('[2001:DB8::0:1]', { name: 'brackets' }),
      rule('example.org', { name: 'http', ports: [80], methods: ['GET'], pathPrefixes: ['/', '/api', '/files/'] }),
    ),
  ],
])('%s is accepted', (_what, network) => {
  expect(() => validatePolicy(network as NetworkSpec)).not.toThrow();
});

const refused: readonly (readonly [argument: string, network: unknown])[] = [
  ['network.mode', { mode: 'open', rules: [] }],
  ['network.rules', { mode: 'fixed-none', rules: [rule('pypi.org')] }],
  ['network.rules', { mode: 'fixed-none' }],
  ['network.rules[0].name', policy({ ...rule('pypi.org'), name: undefined } as never)],
  ['network.rules[0].host', policy({ ...rule('pypi.org'), host: 7 } as never)],
  ['network.rules[0].methods', policy({ ...rule('pypi.org'), methods: undefined } as never)],
  ['network.rules[0].name', policy(rule('pypi.org', { name: '' }))],
  ['network.rules[0].name', policy(rule('pypi.org', { name: 'default-deny' }))],
  ['network.rules[1].name', policy(rule('pypi.org'), rule('example.org'))],
  ...[
    '',
    '*',
    '*.',
    '*.com',
    '*.*.org',
    'a.*.org',
    '*.10.0.0.1',
    'https://pypi.org',
    'pypi.org:443',
    'pypi.org/simple',
    'a b',
    '10.0.0.0/8',
    '-a.org',
    '0x7f.1',
    '1.2.3',
    '2130706433',
    '010.0.0.1',
  ].map((host) => ['network.rules[0].host', policy(rule(host))] as const),
  ['network.rules[0].ports', policy(rule('pypi.org', { ports: [0] }))],
  ['network.rules[0].ports', policy(rule('pypi.org', { ports: [1.5] }))],
  ['network.rules[0].ports', policy(rule('pypi.org', { ports: [65_536] }))],
  ['network.rules[0].methods', policy(rule('pypi.org', { methods: ['get'] }))],
  ...['api', '/a/../b', '/%2e', '/%61', '/a?b', '//a', '/a%2fb'].map(
    (prefix) => ['network.rules[0].pathPrefixes', policy(rule('pypi.org', { pathPrefixes: [prefix] }))] as const,
  ),
];

test.each(refused)('%s of %j is refused by name', (argument, network) => {
  expect(() => validatePolicy(network as NetworkSpec)).toThrow(
    expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT', details: { argument } }) as Error,
  );
});
