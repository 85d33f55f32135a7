import { expect, test } from 'vitest';
import { readArguments } from './arguments.ts';

test.each([
  [[], { kind: 'serve' }],
  [['--home', '/h'], { kind: 'serve', home: '/h' }],
  [['--home=/h=1', '--config', 'c.yaml'], { kind: 'serve', home: '/h=1', configFile: 'c.yaml' }],
  [['--help'], { kind: 'help' }],
  [['--home', '/h', '-h'], { kind: 'help' }],
  [['--version'], { kind: 'version' }],
  [['--nope'], { kind: 'invalid', message: 'unknown argument: --nope' }],
  [['serve'], { kind: 'invalid', message: 'unknown argument: serve' }],
  [['--home'], { kind: 'invalid', message: '--home needs a value' }],
  [['--config='], { kind: 'invalid', message: '--config needs a value' }],
  [['--toString=x'], { kind: 'invalid', message: 'unknown argument: --toString=x' }],
])('%j', (argv, expected) => {
  expect(readArguments(argv)).toEqual(expected);
});
