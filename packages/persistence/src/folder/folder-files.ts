import { type ChainHead, type Execution, type HomeId, type TaskId, canonicalJson } from '@opencode-tools/core';
import { renderDecisions } from '../memory/decisions-file.ts';
import type { TaskFacts } from '../memory/projection-plans.ts';

export const folderName = '.task-memory';
export const manifestName = 'manifest.json';
export const ledgerName = 'ledger.jsonl';
const format = 'opencode-tools-task-memory';
export const folderVersion = 1;

/** Every file of a task's folder besides the manifest. */
export const folderFiles = [
  ledgerName,
  'state.json',
  'todos.jsonl',
  'decisions.md',
  'notes.jsonl',
  'executions.jsonl',
] as const;
export type FolderFile = (typeof folderFiles)[number];

/** What a folder says of itself: whose it is, up to which record, and the digest of each file. */
export interface FolderManifest {
  readonly format: typeof format;
  readonly v: number;
  readonly taskId: TaskId;
  readonly homeId: HomeId;
  readonly ledger: ChainHead;
  readonly files: Readonly<Record<FolderFile, string>>;
}

/** The files that people read, one fact a line and in one order, so that the same state gives the same bytes. */
export function composeFiles(
  facts: TaskFacts & { readonly taskId: TaskId; readonly all: readonly Execution[] },
): Readonly<Record<Exclude<FolderFile, typeof ledgerName>, string>> {
  const { taskId, task, receipt, extent, todos, notes, decisions } = facts;
  const state = {
    taskId,
    homeId: extent.homeId,
    task,
    receipt,
    ledger: { seq: extent.headSeq, hash: extent.headHash },
  };
  return {
    'state.json': pretty(state),
    'todos.jsonl': linesOf(todos),
    'decisions.md': renderDecisions(task?.title ?? receipt?.title ?? taskId, decisions, { links: false }),
    'notes.jsonl': linesOf(notes),
    'executions.jsonl': linesOf(facts.all.map(summaryOf)),
  };
}

export function renderManifest(manifest: Omit<FolderManifest, 'format' | 'v'>): string {
  return pretty({ ...manifest, format, v: folderVersion });
}

/** Where the folder of a task lies for the moment in which a new one takes its place. */
export function oldName(taskId: TaskId): string {
  return `.${taskId}.old`;
}

/** Undefined for text that is no manifest; one of a newer version may lack what this version knows. */
export function parseManifest(text: string): Partial<FolderManifest> | undefined {
  try {
    const parsed = JSON.parse(text) as Partial<FolderManifest> | null;
    return parsed?.format === format && typeof parsed.v === 'number' ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** How a command ended; its outputs by digest. */
function summaryOf(execution: Execution): object {
  const { taskId: _task, operationId: _operation, sessionId: _session, ...summary } = execution;
  return summary;
}

function linesOf(values: readonly object[]): string {
  return values.map((value) => `${canonicalJson(value as never)}\n`).join('');
}

function pretty(value: object): string {
  return `${JSON.stringify(JSON.parse(canonicalJson(JSON.parse(JSON.stringify(value)) as never)), null, 2)}\n`;
}
