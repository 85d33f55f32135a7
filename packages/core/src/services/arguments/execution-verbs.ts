import { outputStreams } from '../../ports/task-memory.ts';
import type { ExecutionService } from '../services.ts';
import {
  among,
  anObject,
  bytes,
  callback,
  flag,
  list,
  members,
  number,
  optional,
  options,
  record,
  text,
} from './shape.ts';
import { type VerbsOf, call, command, page, session, underSession } from './shapes.ts';

const place = { cwd: optional(text), env: optional(record(text)), maxOutputBytes: optional(number) };
const secrets = { secrets: optional(list(anObject)) };

export const executionVerbs: VerbsOf<ExecutionService> = {
  run: [
    ['taskId', text],
    [
      'options',
      options({
        ...session,
        ...place,
        ...secrets,
        command,
        stdin: optional(bytes),
        shell: optional(text),
        newShell: optional(flag),
        timeoutMs: optional(number),
        outputLimitBytes: optional(number),
        onOutput: optional(callback),
        lendsChunks: optional(flag),
        onNotice: optional(callback),
      }),
    ],
    ['call', call],
  ],
  runTerminal: [
    ['taskId', text],
    [
      'options',
      options({
        ...session,
        ...place,
        ...secrets,
        command: optional(command),
        size: members({ columns: number, rows: number }),
        onOpen: callback,
        onOutput: callback,
      }),
    ],
    ['call', call],
  ],
  start: [
    ['taskId', text],
    [
      'options',
      options({
        ...session,
        ...place,
        ...secrets,
        command,
        timeoutMs: optional(number),
        openInput: optional(flag),
      }),
    ],
    ['call', call],
  ],
  secretsNamed: { atOnce: [['names', list(text)]] },
  listShells: [['taskId', text]],
  closeShell: [
    ['taskId', text],
    ['name', text],
    ['options', underSession],
    ['call', call],
  ],
  poll: [
    ['id', text],
    ['call', call],
  ],
  wait: [
    ['id', text],
    ['options', options({ timeoutMs: number })],
    ['call', call],
  ],
  signal: [
    ['id', text],
    ['signal', text],
    ['options', underSession],
    ['call', call],
  ],
  writeInput: [
    ['id', text],
    ['input', options({ ...session, bytes: optional(bytes), end: optional(flag) })],
    ['call', call],
  ],
  get: [['id', text]],
  list: [
    ['taskId', text],
    ['page', optional(options(page))],
  ],
  readOutput: [
    ['id', text],
    ['stream', among(outputStreams)],
    ['range', optional(options({ offset: optional(number), limit: optional(number) }))],
  ],
};
