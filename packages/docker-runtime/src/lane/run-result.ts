import { constants } from 'node:os';

/** What the supervisor said about one command. */
export type RunResult =
  | { readonly kind: 'refused' }
  /** The supervisor could not make a process. */
  | { readonly kind: 'no-process' }
  /** Not said by a supervisor: the stream to it ended. */
  | { readonly kind: 'lost' }
  | {
      readonly kind: 'ended';
      readonly exitCode: number | null;
      readonly signal: string | null;
      /** Processes of the command outlive it: the lane must not be used again. */
      readonly leftovers: boolean;
      /** Not every process could be ended. */
      readonly stuck: boolean;
      /** `shell-ended`: the status is the one that the shell ended with; `no-shell`: nothing ran. */
      readonly note: 'none' | 'cut' | 'fenced' | 'out-of-memory' | 'timeout' | 'shell-ended' | 'no-shell';
    };

const notes = {
  '-': 'none',
  cut: 'cut',
  fenced: 'fenced',
  oom: 'out-of-memory',
  time: 'timeout',
  gone: 'shell-ended',
  none: 'no-shell',
} as const;
const form = /^(s?)(\d{1,3}) ([013]) (-|cut|fenced|oom|time|gone|none)$/;

/** Reads a result line; anything that is not one is a broken lane. */
export function parseRunResult(text: string): RunResult {
  if (text === 'refused') return { kind: 'refused' };
  if (text === 'lost') return { kind: 'no-process' };
  const [, signalled, status, left, note] = form.exec(text) ?? [];
  if (status === undefined) throw new Error(`Not a result: ${JSON.stringify(text.slice(0, 80))}`);
  return {
    kind: 'ended',
    exitCode: signalled ? null : Number(status),
    signal: signalled ? signalName(Number(status)) : null,
    leftovers: left !== '0',
    stuck: left === '3',
    note: notes[note as keyof typeof notes],
  };
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `SIG${number}`;
}
