/** Families of failure; each has one process exit code. */
export const errorFamilies = {
  input: { exitCode: 2 },
  'not-found': { exitCode: 3 },
  conflict: { exitCode: 4 },
  policy: { exitCode: 5 },
  unavailable: { exitCode: 6 },
  limit: { exitCode: 7 },
  integrity: { exitCode: 8 },
  internal: { exitCode: 70 },
} as const satisfies Record<string, { readonly exitCode: number }>;

export type ErrorFamily = keyof typeof errorFamilies;

interface CatalogueEntry {
  readonly family: ErrorFamily;
  /** True when the same call may succeed later without any change by the caller. */
  readonly retryable: boolean;
  /** Heading in docs/errors.md, in lower case with dashes. */
  readonly heading: string;
  /** What to do when the place that raises the error knows nothing better. */
  readonly remedy: string;
}

/**
 * Every error code of the project. A new code does not compile until each column is filled in; docs/errors.md is
 * generated from this table.
 */
export const errorCatalogue = {
  OCT_INVALID_ARGUMENT: entry('input', false, 'Correct the named argument and call again.'),
  OCT_INVALID_CONFIG: entry('input', false, 'Correct the named key in the named file.'),
  OCT_PATH_OUTSIDE_WORKSPACE: entry('input', false, 'Name a path inside the workspace.'),
  OCT_TASK_NOT_FOUND: entry('not-found', false, 'List the tasks with `opencode-tools list-tasks`.'),
  OCT_SESSION_NOT_FOUND: entry('not-found', false, 'Attach to the task to get a session id.'),
  OCT_SANDBOX_NOT_FOUND: entry('not-found', false, 'Run a command in the task; a missing sandbox is made again.'),
  OCT_CHECKPOINT_NOT_FOUND: entry(
    'not-found',
    false,
    'List the checkpoints with `opencode-tools checkpoints list <task>`.',
  ),
  OCT_IMAGE_NOT_FOUND: entry('not-found', false, 'Build it with `opencode-tools images build`, or pull it.'),
  OCT_EXECUTION_NOT_FOUND: entry(
    'not-found',
    false,
    'List the executions with `opencode-tools task-executions <task>`.',
  ),
  OCT_SHELL_ENDED: entry('not-found', false, 'Begin a new shell: directory, variables and functions are lost.'),
  OCT_FILE_NOT_FOUND: entry('not-found', false, 'List the directory to see what is there.'),
  OCT_TASK_EXISTS: entry('conflict', false, 'Use the task that exists, or another id.'),
  OCT_INVALID_TRANSITION: entry('conflict', false, 'Bring the task into a status from which the move is allowed.'),
  OCT_VERSION_CONFLICT: entry('conflict', true, 'Read the current version and try again.'),
  OCT_LEASE_HELD: entry('conflict', true, 'Wait for the holder to detach, or take over explicitly.'),
  OCT_LEASE_LOST: entry(
    'conflict',
    false,
    'Attach to the task again: it was put away, or another session has taken it over.',
  ),
  OCT_STALE_FENCING_TOKEN: entry('conflict', false, 'Attach to the task again; a newer session owns the sandbox.'),
  OCT_CLAIM_OVERLAP: entry('conflict', true, 'Claim other paths, or wait for the other agent.'),
  OCT_IDEMPOTENCY_MISMATCH: entry('conflict', false, 'Use a new idempotency key for different arguments.'),
  OCT_EGRESS_DENIED: entry('policy', false, 'Ask for the host to be allowed in the egress policy of the task.'),
  OCT_HOOK_REJECTED: entry('policy', false, 'Meet the condition that the hook names.'),
  OCT_POLICY_DENIED: entry('policy', false, 'Ask whoever owns the policy for the named permission.'),
  OCT_FILE_REFUSED: entry('policy', false, "Name a path that the sandbox's user may use in this way."),
  OCT_CAPABILITY_UNSUPPORTED: entry('policy', false, 'Run `opencode-tools doctor` to see what this engine can do.'),
  OCT_ENGINE_UNAVAILABLE: entry('unavailable', true, 'Start the Docker Engine, or point DOCKER_HOST at one.'),
  OCT_ENGINE_FAILED: entry(
    'unavailable',
    true,
    "Try again; when it goes on, read the engine's log (`journalctl -u docker`) and restart the engine.",
  ),
  OCT_STORE_UNAVAILABLE: entry('unavailable', true, 'Check that the home directory can be written, then try again.'),
  OCT_STORE_READ_ONLY: entry('unavailable', false, 'Make the home directory writable, or choose another one.'),
  OCT_IMAGE_PULL_FAILED: entry('unavailable', true, 'Check the registry, or build the image locally.'),
  OCT_SCHEMA_TOO_NEW: entry(
    'unavailable',
    false,
    'Upgrade opencode-tools; the database was written by a newer version.',
  ),
  OCT_TASK_ON_OTHER_HOST: entry('unavailable', false, 'Run the command on the host that has the sandbox.'),
  OCT_RESOURCE_LIMIT: entry('limit', false, 'Raise the named limit of the task, or do less at once.'),
  OCT_TIMEOUT: entry('limit', true, 'Raise the named time limit.'),
  OCT_STATE_CORRUPT: entry('integrity', false, 'Run `opencode-tools doctor`; the bad file is kept aside.'),
  OCT_LEDGER_BROKEN: entry('integrity', false, 'Run `opencode-tools verify` and compare with a head kept elsewhere.'),
  OCT_CHECKPOINT_CORRUPT: entry(
    'integrity',
    false,
    'Restore another checkpoint of the task: `opencode-tools checkpoints verify <task>` says which are sound.',
  ),
  OCT_WORKSPACE_LOST: entry(
    'integrity',
    false,
    'Restore a sound checkpoint of the task: `opencode-tools checkpoints verify <task>` says which are; or delete the task with `--force`.',
  ),
  OCT_CANCELLED: entry('limit', false, 'Call again when you want the work done after all.'),
  OCT_INTERNAL: entry('internal', false, 'Report it with the output of `opencode-tools doctor --json`.'),
} as const satisfies Record<`OCT_${string}`, Omit<CatalogueEntry, 'heading'>>;

export type ErrorCode = keyof typeof errorCatalogue;

/** Looks a code up, with the documentation heading derived from it. */
export function describeError(code: ErrorCode): CatalogueEntry {
  return { ...errorCatalogue[code], heading: code.slice('OCT_'.length).toLowerCase().replaceAll('_', '-') };
}

/** The process exit code for a code's family. */
export function exitCodeFor(code: ErrorCode): number {
  return errorFamilies[errorCatalogue[code].family].exitCode;
}

function entry(family: ErrorFamily, retryable: boolean, remedy: string): Omit<CatalogueEntry, 'heading'> {
  return { family, retryable, remedy };
}
