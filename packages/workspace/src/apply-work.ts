import { readdirSync } from 'node:fs';
import type { AppliedWork, ApplyWork, OperationId } from '@opencode-tools/core';
import type { BlobReader } from './blob-reader.ts';
import { type BytePath, toBytePath, toFs, toText } from './byte-path.ts';
import { errnoOf, invalid } from './failures.ts';
import type { Versions } from './merge-lines.ts';
import { type Decision, decideAll } from './plan-work.ts';
import { type WorkChange, reviewWork } from './review-work.ts';
import { findNode } from './scan-directory.ts';
import { settleJournal } from './settle-work.ts';
import type { WorkJournal, WorkJournals } from './work-journal.ts';
import { type Staging, doStep, makeReady, makeStaging, removeStaging, stagingPrefix } from './work-staging.ts';
import { type WorkStep, planSteps } from './work-steps.ts';

export interface ApplyTools {
  readonly blobs: BlobReader;
  readonly journals: WorkJournals;
  readonly merge: (versions: Versions) => Promise<Buffer | undefined>;
}

type Decided = Extract<Decision, { readonly kind: 'change' }> & { readonly after: WorkChange['after'] };

/** Decides every path first; changes nothing unless all of them can be done and no tripwire is left. */
export async function applyWork(
  { directory, accept, threeWay, operationId, confirm }: ApplyWork,
  changes: readonly WorkChange[],
  { blobs, journals, merge }: ApplyTools,
): Promise<AppliedWork> {
  const root = toBytePath(directory);
  const review = reviewWork(changes, blobs);
  const decisions = await decideAll({ root, changes, blobs, merge: threeWay ? merge : undefined });
  const pathsOf = (wanted: (decision: Decision) => boolean): readonly string[] =>
    changes.filter((_, index) => wanted(decisions[index] as Decision)).map(({ path }) => toText(path));
  const present = pathsOf(({ kind }) => kind === 'present');
  const kept = pathsOf(({ kind }) => kind === 'kept');
  const settled = new Set([...accept, ...present, ...kept]);
  const refused = review.tripwires.filter(({ path }) => !settled.has(path));
  const conflicts = changes.flatMap(({ path }, index) => {
    const decision = decisions[index];
    return decision?.kind === 'conflict' ? [{ path: toText(path), reason: decision.reason }] : [];
  });
  const todo = changes.flatMap(({ after }, index) => {
    const decision = decisions[index];
    return decision?.kind === 'change' ? [{ ...decision, after }] : [];
  });
  const applied = conflicts.length === 0 && refused.length === 0 && operationId !== null;
  if (applied && todo.length > 0) await carryOut(root, operationId, todo, { blobs, journals, confirm });
  const changed = pathsOf(({ kind }) => kind === 'change');
  const merged = pathsOf((decision) => decision.kind === 'change' && decision.merged !== undefined);
  return {
    ...review,
    applied,
    changed,
    merged,
    present,
    kept,
    conflicts,
    refused,
  };
}

/**
 * Notes durably what is to be done, makes new files ready beside the old ones, then does step after step. From the moment that the
 * end of the last is noted as durably nothing is undone any more.
 */
async function carryOut(
  root: BytePath,
  operationId: OperationId,
  todo: readonly Decided[],
  { blobs, journals, confirm }: Omit<ApplyTools, 'merge'> & { readonly confirm: ApplyWork['confirm'] | undefined },
): Promise<void> {
  refuseOther(root, operationId);
  const steps = planSteps(
    root,
    todo.map(({ change }) => change),
  );
  const staging = { root, name: `${stagingPrefix}${operationId}` };
  const journal: WorkJournal = { operationId, root, staging: staging.name, steps, done: false };
  await journals.write(journal);
  try {
    makeStaging(staging);
    // Of two that both saw none before, each sees the other now.
    refuseOther(root, operationId);
    for (const step of steps) if (step.does === 'put') makeOneReady(staging, step, todo[step.number], blobs);
    await confirm?.();
    for (const step of steps) take(staging, step);
    await journals.write({ ...journal, done: true });
  } catch (error) {
    settleJournal(journal);
    throw error;
  }
  removeStaging(staging);
}

function makeOneReady(
  staging: Staging,
  { path, shape, number }: WorkStep & { readonly does: 'put' },
  decided: Decided | undefined,
  blobs: BlobReader,
): void {
  if (shape.type === 'symlink' || decided === undefined) return;
  const { merged, after } = decided;
  const chunks = merged === undefined ? (after === undefined || after.size === 0 ? [] : blobs.chunks(after)) : [merged];
  const here = findNode(staging.root, path);
  const widest = (after?.mode ?? 0o777) & (here?.type === 'file' ? here.mode : 0o777);
  makeReady(staging, { number, shape, widest }, chunks);
}

function take(staging: Staging, step: WorkStep): void {
  try {
    doStep(staging, step);
  } catch (error) {
    if (!['EEXIST', 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EISDIR'].includes(errnoOf(error) ?? '')) throw error;
    throw invalid(`Changed while work was brought in: ${toText(step.path)}`, 'Nothing was applied; try again.', {
      path: toText(step.path),
    });
  }
}

/** Two changes that wait in one directory could not be told apart if one had to be undone. */
function refuseOther(root: BytePath, operationId: OperationId): void {
  const own = `${stagingPrefix}${operationId}`;
  const names = readdirSync(toFs(root), { encoding: 'latin1' });
  const other = names.find((name) => name.startsWith(stagingPrefix) && name !== own);
  if (other === undefined) return;
  throw invalid(
    `Another change of ${toText(root)} is under way or broke off: ${other}`,
    'Wait for it; one that broke off is undone by the next command with the home of its task. Remove it yourself only when that home is gone.',
    { directory: toText(root), staging: other },
  );
}
