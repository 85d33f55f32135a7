import { defaultAutomatic, defaultRetention } from '@opencode-tools/core';
import { key, userOnly } from './key.ts';
import { byteSize, choice, duration, flag, number } from './value-kind.ts';

const gibibyte = 1024 ** 3;

/** How checkpoints are kept, which of them stay, and when some are taken that nobody asked for. */
export const checkpointKeys = {
  'checkpoints.layers': userOnly(
    key(
      choice('auto', 'off'),
      'auto',
      'Whether volumes are stacks of overlay layers where the engine can do that; otherwise checkpoints copy whole files into the home.',
    ),
  ),
  'checkpoints.maxPerTask': userOnly(
    key(
      number({ min: 0, max: 1_000_000 }, { whole: true }),
      defaultRetention.maxPerTask,
      'Most checkpoints of a task; the oldest go. 0 keeps any number. Tagged and pinned ones, and the one that a task comes back from, always stay.',
    ),
  ),
  'checkpoints.keepDays': userOnly(
    key(
      number({ min: 0, max: 36_500 }, { whole: true }),
      defaultRetention.keepDays,
      'Days after which a checkpoint goes; 0 for never.',
    ),
  ),
  'checkpoints.thinAfterDays': userOnly(
    key(
      number({ min: 0, max: 36_500 }, { whole: true }),
      defaultRetention.thinAfterDays,
      'Days after which only the newest checkpoint of a day stays; 0 for never.',
    ),
  ),
  'checkpoints.budget': userOnly(
    key(
      byteSize({ min: 0, max: 1_048_576 * gibibyte }),
      defaultRetention.budgetBytes,
      'Bytes that the checkpoints of a task may take on disk beside what other tasks need anyway; the oldest go. 0 for any number.',
    ),
  ),
  'checkpoints.homeBudget': userOnly(
    key(
      byteSize({ min: 0, max: 1_048_576 * gibibyte }),
      defaultRetention.homeBudgetBytes,
      'Bytes that the checkpoints of all tasks may take on disk together; the oldest go, of deleted tasks too. 0 for any number.',
    ),
  ),
  'checkpoints.compressAfterDays': userOnly(
    key(
      number({ min: 0, max: 36_500 }, { whole: true }),
      7,
      'Days after which files of checkpoints that no newer checkpoint has are stored in less space; 0 for never.',
    ),
  ),
  'checkpoints.onMajorTodo': key(
    flag(),
    defaultAutomatic.onMajorTodo,
    'Whether a checkpoint is taken when a major todo is done.',
  ),
  'checkpoints.onDetach': key(
    flag(),
    defaultAutomatic.onDetach,
    'Whether a checkpoint is taken when the last agent detaches, before its sandbox is stopped.',
  ),
  'checkpoints.every': key(
    duration({ min: 0, max: 604_800_000 }),
    defaultAutomatic.everyMs,
    'How often a resident process, such as the MCP server, takes a checkpoint of a running sandbox in which something changed; 0 for never.',
  ),
  'checkpoints.debounce': key(
    duration({ min: 0, max: 86_400_000 }),
    defaultAutomatic.debounceMs,
    'None of these is taken within this time of the checkpoint before.',
  ),
};
