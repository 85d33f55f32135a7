import { PassThrough, Readable } from 'node:stream';
import type { OpenHome, Services, TaskId } from '@opencode-tools/core';
import { type CliOptions, runCli } from '../src/index.ts';

/** Answers of the services that a test cares about; any other call fails the test. */
export type Answers = { readonly [Name in keyof Services]?: Partial<Services[Name]> };

export interface Line {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What `openHome` was asked for, once per call. */
  readonly opened: readonly object[];
  readonly closed: number;
}

export const taskId: TaskId = 'tsk_00000000000000000000000001';

/** Runs one command line in this process, over services that answer as told. */
export async function runLine(
  argv: readonly string[],
  answers: Answers = {},
  options: Partial<CliOptions> & { readonly input?: string; readonly notices?: OpenHome['notices'] } = {},
): Promise<Line> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const opened: object[] = [];
  let closed = 0;
  const code = await runCli({
    argv,
    environment: {},
    stdin: Readable.from(options.input === undefined ? [] : [Buffer.from(options.input)]),
    stdout,
    stderr,
    isTty: false,
    signal: new AbortController().signal,
    cwd: '/somewhere',
    version: '1.2.3',
    openHome: async (request) => {
      opened.push(request);
      return homeOf(answers, async () => void (closed += 1), options.notices ?? []);
    },
    ...options,
  });
  return { code, stdout: text(stdout), stderr: text(stderr), opened, closed };
}

function homeOf(answers: Answers, close: () => Promise<void>, notices: OpenHome['notices']): OpenHome {
  const services = { ...answers, tasks: { resolve: async () => taskId, ...answers.tasks } };
  return { homeId: 'hom_1', directory: '/home', notices, services, close } as unknown as OpenHome;
}

function text(stream: PassThrough): string {
  return String(stream.read() ?? '');
}
