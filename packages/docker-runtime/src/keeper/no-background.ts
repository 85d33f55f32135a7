import type { BackgroundCommands } from '@opencode-tools/core';
import { needsShell } from './needs-shell.ts';

const refuse = (): Promise<never> => Promise.reject(needsShell('A command in the background'));

/** There is none: what keeps commands in the background is a script. */
export const noBackground: BackgroundCommands = {
  spawn: refuse,
  openShell: () => Promise.reject(needsShell('A shell')),
  look: () => Promise.resolve({ kind: 'none' }),
  pull: () => Promise.resolve(undefined),
  signal: () => Promise.resolve(false),
  write: refuse,
  endInput: refuse,
  forget: () => Promise.resolve(),
};
