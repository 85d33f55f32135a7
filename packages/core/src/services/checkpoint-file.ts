import type { Checkpoint, SnapshotRef } from '../domain/checkpoint.ts';
import { asJson } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { clip } from './clip.ts';

/** The newest version of the form; a reader takes its own and older ones. What has no root file system is written in the first. */
const formatVersion = 2;
const format = 'opencode-tools checkpoint';
/** The root file system is an image, as the engine saves it; it came with the second version. */
const treeNames = ['workspace', 'home', 'root'] as const;
type TreeName = (typeof treeNames)[number];

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The head of an exported checkpoint, as it was read. Everything in it is what a stranger may have written. */
export interface CheckpointHead {
  readonly name: string;
  readonly reason: string;
  /** Of the checkpoint and the task that it was exported from. */
  readonly id: string;
  readonly taskId: string;
  /** Whom the files of the exported task belonged to. */
  readonly owner: Owner;
  /** How many paths of the root file system a program of the task changed last. */
  readonly rootChangedPaths: number;
  readonly trees: ReadonlyMap<TreeName, string>;
}

export function encodeHead(task: Task, checkpoint: Checkpoint, refs: ReadonlyMap<string, SnapshotRef>): Uint8Array {
  const { id, taskId, parentId, name, reason, agent, createdAt, manifestDigest, root, sandboxSpec } = checkpoint;
  const trees = Object.fromEntries(
    [...refs].map(([part, { digest, entries, bytes }]) => [part, { digest, entries, bytes }]),
  );
  const head = {
    format,
    version: refs.has('root') ? 2 : 1,
    task: { id: task.id, title: task.title },
    checkpoint: { id, taskId, parentId, name, reason, agent, createdAt, manifestDigest },
    owner: sandboxSpec.user,
    rootChangedPaths: root?.changedPaths ?? 0,
    trees,
  };
  return new TextEncoder().encode(`${canonicalJson(asJson(head))}\n`);
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_SCHEMA_TOO_NEW` */
export function decodeHead(bytes: Uint8Array): CheckpointHead {
  const head = parse(bytes);
  if (head['format'] !== format) throw refused('it is not an exported checkpoint');
  const { version } = head;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) throw refused('its version is none');
  if (version > formatVersion) {
    throw new OpencodeToolsError(
      'OCT_SCHEMA_TOO_NEW',
      `The exported checkpoint has form ${version}; this version reads forms up to ${formatVersion}`,
      { remedy: 'Update opencode-tools on this machine.', details: { found: version, supported: formatVersion } },
    );
  }
  const [checkpoint, task, owner, trees] = ['checkpoint', 'task', 'owner', 'trees'].map((part) =>
    objectIn(head, part),
  ) as [Loose, Loose, Loose, Loose];
  return {
    name: textIn(checkpoint, 'name', 100),
    reason: textIn(checkpoint, 'reason', 2_000),
    id: textIn(checkpoint, 'id', 60),
    taskId: textIn(task, 'id', 60),
    owner: { uid: idIn(owner, 'uid'), gid: idIn(owner, 'gid') },
    rootChangedPaths: idIn(head, 'rootChangedPaths'),
    trees: treesIn(trees),
  };
}

type Loose = Readonly<Record<string, unknown>>;

function parse(bytes: Uint8Array): Loose {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Loose;
  } catch (error) {
    throw refused('its description is no JSON', error);
  }
  throw refused('its description is no object');
}

function objectIn(from: Loose, name: string): Loose {
  const value = from[name];
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Loose;
  throw refused(`its description lacks ${name}`);
}

function textIn(from: Loose, name: string, most: number): string {
  const value = from[name];
  if (typeof value === 'string') return clip(value, most);
  throw refused(`its description lacks ${name}`);
}

function idIn(from: Loose, name: string): number {
  const value = from[name];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
  throw refused(`its description lacks ${name}`);
}

function treesIn(from: Loose): ReadonlyMap<TreeName, string> {
  const trees = new Map<TreeName, string>();
  for (const name of Object.keys(from)) {
    const known = treeNames.find((one) => one === name);
    if (known === undefined) throw refused('its description names a tree that no checkpoint has');
    const digest = textIn(objectIn(from, name), 'digest', 64);
    if (!/^[0-9a-f]{64}$/.test(digest)) throw refused(`the digest of its ${known} is none`);
    trees.set(known, digest);
  }
  return trees;
}

function refused(why: string, cause?: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The exported checkpoint is refused: ${why}`, {
    remedy: 'Name a file that `opencode-tools checkpoints export` wrote.',
    details: { argument: 'file' },
    ...(cause === undefined ? {} : { cause }),
  });
}
