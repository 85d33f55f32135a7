import { memoryKinds, messageRoles, todoStates } from '../../domain/journal.ts';
import type { CheckpointService, JournalService, WorkService } from '../services.ts';
import { among, anObject, flag, list, members, number, optional, options, stream, text } from './shape.ts';
import { type VerbsOf, call, page, session, underSession, watched } from './shapes.ts';

const dryRun = optional(flag);
const mark = ['options', underSession] as const;

export const checkpointVerbs: VerbsOf<CheckpointService> = {
  create: [
    ['taskId', text],
    ['options', options({ ...session, name: optional(text), reason: optional(text), ifChanged: optional(flag) })],
    ['call', call],
  ],
  restore: [['taskId', text], ['reference', text], mark, ['call', call]],
  delete: [
    ['taskId', text],
    ['reference', text],
    ['options', options({ ...session, dryRun })],
    ['call', call],
  ],
  tag: [['taskId', text], ['reference', text], ['tag', text], mark, ['call', call]],
  untag: [['taskId', text], ['tag', text], mark, ['call', call]],
  pin: [['taskId', text], ['reference', text], ['pinned', flag], mark, ['call', call]],
  export: [
    ['taskId', text],
    ['reference', text],
    ['options', options({ root: optional(flag) })],
    ['call', call],
  ],
  import: [
    ['taskId', text],
    ['stream', stream],
    ['options', options({ ...session, name: optional(text), root: optional(flag) })],
    ['call', call],
  ],
  usage: [['taskId', text]],
  homeUsage: [],
  prune: [
    ['taskId', optional(text)],
    [
      'options',
      options({
        dryRun: flag,
        policy: optional(
          members({
            maxPerTask: optional(number),
            keepDays: optional(number),
            thinAfterDays: optional(number),
            budgetBytes: optional(number),
            homeBudgetBytes: optional(number),
          }),
        ),
      }),
    ],
    ['call', call],
  ],
  list: [['taskId', text]],
  get: [
    ['taskId', text],
    ['reference', text],
  ],
  compare: [
    ['taskId', text],
    ['from', text],
    ['to', text],
  ],
  check: [
    ['taskId', text],
    ['reference', optional(text)],
    ['options', optional(options(watched))],
  ],
  verify: [['id', text]],
};

const accept = optional(list(text));

export const workVerbs: VerbsOf<WorkService> = {
  assertAgentMay: { atOnce: [['work', anObject]] },
  settle: [['call', call]],
  review: [
    ['taskId', text],
    ['options', options({ ...session, checkpoint: optional(text) })],
    ['call', call],
  ],
  apply: [
    ['taskId', text],
    [
      'options',
      options({
        ...session,
        checkpoint: optional(text),
        directory: optional(text),
        accept,
        threeWay: optional(flag),
        dryRun,
      }),
    ],
    ['call', call],
  ],
  merge: [
    ['taskId', text],
    [
      'options',
      options({ ...session, ref: optional(text), branch: optional(text), into: optional(text), accept, dryRun }),
    ],
    ['call', call],
  ],
  commit: [
    ['taskId', text],
    ['options', options({ ...session, message: text, author: optional(text), paths: accept, accept, dryRun })],
    ['call', call],
  ],
};

const version = optional(number);

export const journalVerbs: VerbsOf<JournalService> = {
  decide: [
    ['taskId', text],
    [
      'decision',
      options({
        ...session,
        what: text,
        why: optional(text),
        alternatives: optional(list(text)),
        executionIds: optional(list(text)),
        checkpointIds: optional(list(text)),
      }),
    ],
    ['call', call],
  ],
  decisions: [['taskId', text]],
  addTodo: [
    ['taskId', text],
    ['todo', options({ ...session, text, major: optional(flag) })],
    ['call', call],
  ],
  setTodo: [
    ['taskId', text],
    ['todoId', text],
    [
      'change',
      options({
        ...session,
        state: optional(among(todoStates)),
        text: optional(text),
        major: optional(flag),
        expectedVersion: version,
      }),
    ],
    ['call', call],
  ],
  todos: [['taskId', text]],
  addNote: [
    ['taskId', text],
    ['note', options({ ...session, text })],
    ['call', call],
  ],
  setNote: [
    ['taskId', text],
    ['noteId', text],
    ['change', options({ ...session, text, expectedVersion: version })],
    ['call', call],
  ],
  notes: [['taskId', text]],
  addMessage: [
    ['taskId', text],
    ['message', options({ ...session, role: among(messageRoles), text })],
    ['call', call],
  ],
  messages: [
    ['taskId', text],
    ['page', optional(options(page))],
  ],
  search: [
    ['taskId', text],
    ['query', members({ text, kinds: optional(list(among(memoryKinds))), limit: optional(number) })],
  ],
};
