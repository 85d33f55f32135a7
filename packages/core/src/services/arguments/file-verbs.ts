import type { FileService } from '../services.ts';
import {
  among,
  bytesOrStream,
  callback,
  flag,
  list,
  members,
  number,
  optional,
  shape,
  options,
  stream,
  tagged,
  text,
} from './shape.ts';
import { type VerbsOf, call, session } from './shapes.ts';

const at = { ...session, path: text };
const atPath = options<{ readonly path: string }>(at);
const below = { ...session, path: optional(text), limit: optional(number) };

const numberOrAll = shape<number | 'all'>(
  'a number, or "all"',
  (value) => typeof value === 'number' || value === 'all',
);

export const fileVerbs: VerbsOf<FileService> = {
  read: [
    ['taskId', text],
    [
      'options',
      options({
        ...at,
        range: optional(
          tagged('unit', { bytes: { offset: number, length: number }, lines: { first: number, count: number } }),
        ),
        limitBytes: optional(number),
        withDigest: optional(flag),
      }),
    ],
    ['call', call],
  ],
  write: [
    ['taskId', text],
    [
      'options',
      options({
        ...at,
        content: bytesOrStream,
        mode: optional(number),
        expect: optional(tagged('kind', { absent: {}, digest: { digest: text } })),
        makeParents: optional(flag),
      }),
    ],
    ['call', call],
  ],
  edit: [
    ['taskId', text],
    [
      'options',
      options({
        ...at,
        edits: list(members({ oldText: text, newText: text, count: optional(numberOrAll) })),
        expectedDigest: optional(text),
      }),
    ],
    ['call', call],
  ],
  stat: [
    ['taskId', text],
    ['options', atPath],
    ['call', call],
  ],
  list: [
    ['taskId', text],
    ['options', options({ ...below, depth: optional(number), after: optional(text) })],
    ['call', call],
  ],
  find: [
    ['taskId', text],
    ['options', options({ ...below, glob: text })],
    ['call', call],
  ],
  search: [
    ['taskId', text],
    [
      'options',
      options({
        ...below,
        pattern: text,
        kind: optional(among(['literal', 'regex'])),
        ignoreCase: optional(flag),
        glob: optional(text),
      }),
    ],
    ['call', call],
  ],
  remove: [
    ['taskId', text],
    ['options', options({ ...at, recursive: optional(flag) })],
    ['call', call],
  ],
  move: [
    ['taskId', text],
    ['options', options({ ...at, to: text, replace: optional(flag) })],
    ['call', call],
  ],
  makeDirectory: [
    ['taskId', text],
    ['options', atPath],
    ['call', call],
  ],
  copyIn: [
    ['taskId', text],
    ['options', options({ ...at, tar: stream })],
    ['call', call],
  ],
  copyOut: [
    ['taskId', text],
    ['options', options({ ...at, take: callback })],
    ['call', call],
  ],
};
