import { appendFile, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  type Checkpoint,
  type Decision,
  type JsonObject,
  type JsonValue,
  type StoredRecord,
  type TaskId,
  canonicalJson,
  sha256,
} from '@opencode-tools/core';
import { errnoOf } from '../home/home-file.ts';
import type { StoreContext } from '../write/context.ts';
import { renderDecisions } from './decisions-file.ts';
import { rewindLineFile } from './line-file.ts';
import { type LogSegment, logFile, logSegments, segmentFile } from './log-files.ts';
import { type TaskFacts, readFacts, readRange } from './projection-plans.ts';
import type { ProjectionRight } from './projection-right.ts';
import { type DecisionEdits, readDecisionEdits } from './read-decisions.ts';
import { setAsideOthers } from './set-aside-others.ts';
import { buildState, readAtOnce, readStateFile, replaceFile, writeState } from './state-file.ts';
import type { TaskPaths } from './task-paths.ts';
import { type LineView, lineViews, putsOf } from './views.ts';

export interface Repair {
  readonly file: string;
  readonly fault: string;
  readonly keptAs: string | null;
}

const batchRecords = 1_000;
/** A log is put away as a segment when it has grown past this. */
const rotateBytes = 64 * 1024 ** 2;

/** Writes the files of one task from the registry. The caller holds the right to do so. */
export class Projector {
  readonly #ctx: StoreContext;
  readonly #taskId: TaskId;
  readonly #paths: TaskPaths;
  readonly #right: Pick<ProjectionRight, 'keep'>;
  readonly #rotateBytes: number;
  /** Digest of an edited `decisions.md` whose edits are in the ledger. */
  #takenIn: string | null = null;

  constructor(
    ctx: StoreContext,
    taskId: TaskId,
    paths: TaskPaths,
    right: Pick<ProjectionRight, 'keep'>,
    rotateAtBytes: number = rotateBytes,
  ) {
    this.#ctx = ctx;
    this.#taskId = taskId;
    this.#paths = paths;
    this.#right = right;
    this.#rotateBytes = rotateAtBytes;
  }

  async facts(): Promise<TaskFacts | undefined> {
    return this.#ctx.engine.snapshot(() => readFacts(this.#taskId));
  }

  /** Brings every file from the mark to the head that the facts were read at. */
  async advance(facts: TaskFacts): Promise<readonly Repair[]> {
    await mkdir(this.#paths.directory, { recursive: true, mode: 0o700 });
    const repairs = [...(await setAsideOthers(this.#paths, (place) => this.keepAside(place)))];
    for (const view of lineViews) repairs.push(...(await this.#prepareView(view, facts)));
    const { projectedSeq, headSeq } = facts.extent;
    let decided = projectedSeq === 0;
    for await (const records of this.batches(projectedSeq, headSeq)) {
      for (const view of lineViews) await this.#append(view, records);
      const puts = records.flatMap((record) => putsOf(record));
      for (const put of puts) {
        if (put.noun === 'checkpoint') await this.writeManifest(put.value);
        if (put.noun === 'checkpointRemoval')
          await rm(this.#paths.checkpointDirectory(put.value.id), { recursive: true, force: true });
      }
      decided ||= puts.some((put) => put.noun === 'decision');
    }
    if (decided) repairs.push(...(await this.#writeDecisions(facts)));
    await this.#right.keep();
    await writeState(this.#paths.state, this.state(facts));
    return repairs;
  }

  /** What `state.json` should say. */
  state(facts: TaskFacts): JsonObject {
    return buildState(facts, { 'decisions.md': sha256(this.decisions(facts)) });
  }

  /** What `decisions.md` should say. */
  decisions(facts: TaskFacts): string {
    return renderDecisions(titleOf(facts, this.#taskId), facts.decisions);
  }

  /** Records in order; the right is kept while whoever asks for them goes on. */
  async *batches(afterSeq: number, lastSeq: number): AsyncGenerator<readonly StoredRecord[]> {
    for (let from = afterSeq; from < lastSeq;) {
      await this.#right.keep();
      const records = await this.#ctx.engine.read(() => readRange(this.#taskId, from, lastSeq, batchRecords));
      const last = records.at(-1);
      if (last === undefined) return;
      yield records;
      from = last.seq;
    }
  }

  /**
   * What a person changed in `decisions.md` since it was written; null when nothing, or nothing that can be told. The
   * page is then replaced without being kept, once the edits are in the ledger.
   */
  async decisionEdits(facts: TaskFacts): Promise<DecisionEdits | null> {
    const found = await readFile(this.#paths.decisions, { flag: readAtOnce }).catch(() => null);
    if (found === null || facts.extent.projectedSeq === 0) return null;
    const digest = sha256(found);
    const recorded = await this.#recordedDigest('decisions.md');
    if (typeof recorded !== 'string' || digest === recorded || digest === sha256(this.decisions(facts))) return null;
    const edits = readDecisionEdits(found, titleOf(facts, this.#taskId), await this.#decisionsShown(facts));
    if (edits === null) return null;
    this.#takenIn = digest;
    return edits.changed.length + edits.added.length === 0 ? null : edits;
  }

  /** The decisions that the page was written with; what was decided or changed since is in none of its lines. */
  async #decisionsShown({ decisions, extent }: TaskFacts): Promise<readonly Decision[]> {
    const since = new Set<string>();
    for await (const records of this.batches(extent.projectedSeq, extent.headSeq)) {
      for (const put of records.flatMap(putsOf)) if (put.noun === 'decision') since.add(put.value.id);
    }
    return decisions.filter(({ id }) => !since.has(id));
  }

  /** The segments of the log that go on from each other, and the record that the newest of them ends with. */
  logSegments(facts: TaskFacts): { readonly segments: readonly LogSegment[]; readonly endSeq: number } {
    const segments: LogSegment[] = [];
    let endSeq = facts.extent.baseSeq;
    for (const segment of logSegments(this.#paths.directory)) {
      if (segment.first !== endSeq + 1 || segment.last > facts.extent.projectedSeq) break;
      segments.push(segment);
      endSeq = segment.last;
    }
    return { segments, endSeq };
  }

  /** Where a view's file starts: after the segments of the log, else after what was pruned. */
  startOf(view: LineView, facts: TaskFacts): number {
    return view.file === logFile ? this.logSegments(facts).endSeq : facts.extent.baseSeq;
  }

  /** Writes a view anew, up to a record, beside the file it may replace. */
  async renderView(
    view: LineView,
    facts: TaskFacts,
    lastSeq: number,
    afterSeq: number = this.startOf(view, facts),
  ): Promise<string> {
    const temporary = this.#paths.file(`.${view.file}.${process.pid}.tmp`);
    await rm(temporary, { force: true });
    await appendFile(temporary, '', { mode: 0o600 });
    for await (const records of this.batches(afterSeq, lastSeq)) {
      const text = textOf(view, records);
      if (text !== '') await appendFile(temporary, text);
    }
    return temporary;
  }

  /** Writes the views anew from what the ledger holds now, and drops the segments that held more. */
  async rewriteViews(facts: TaskFacts): Promise<void> {
    const { baseSeq, projectedSeq } = facts.extent;
    for (const view of lineViews) {
      const rendered = await this.renderView(view, facts, projectedSeq, baseSeq);
      await this.#right.keep();
      await rename(rendered, this.#paths.file(view.file));
    }
    for (const { file } of logSegments(this.#paths.directory)) await rm(this.#paths.file(file), { force: true });
  }

  async writeManifest(checkpoint: Checkpoint): Promise<void> {
    const file = this.#paths.manifest(checkpoint.id);
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await replaceFile(file, manifestText(checkpoint));
  }

  /** Moves a bad file out of the way, under a name that says when; null when there is none. */
  async keepAside(file: string): Promise<string | null> {
    const kept = `${file}.bad-${new Date(this.#ctx.clock.nowMs()).toISOString().replaceAll(':', '-')}`;
    try {
      await rename(file, kept);
      return path.relative(this.#paths.directory, kept);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  async #append(view: LineView, records: readonly StoredRecord[]): Promise<void> {
    const text = textOf(view, records);
    if (text !== '') await appendFile(this.#paths.file(view.file), text, { mode: 0o600 });
  }

  /** Makes a view end exactly at the mark; a view that does not continue the ledger is written anew. */
  async #prepareView(view: LineView, facts: TaskFacts): Promise<readonly Repair[]> {
    const { projectedSeq, headSeq } = facts.extent;
    const file = this.#paths.file(view.file);
    const startSeq = this.startOf(view, facts);
    const tail = view.file === logFile && projectedSeq > startSeq ? await this.#logTail(projectedSeq) : null;
    const end = await rewindLineFile(file, projectedSeq, headSeq);
    if (end.fault === 'missing' && projectedSeq === startSeq) {
      await appendFile(file, '', { mode: 0o600 });
      return [];
    }
    const fault = end.fault ?? tailFault(end.lastLine, tail, view);
    if (fault === null) {
      if (view.file === logFile && projectedSeq > startSeq) await this.#rotate(file, startSeq, projectedSeq);
      return [];
    }
    const keptAs = fault === 'missing' ? null : await this.keepAside(file);
    await rename(await this.renderView(view, facts, projectedSeq), file);
    return [{ file: view.file, fault, keptAs }];
  }

  /** Puts a large log away under the numbers that it holds. The mark has passed them, so they are never written again. */
  async #rotate(file: string, startSeq: number, projectedSeq: number): Promise<void> {
    const { size } = await stat(file);
    if (size < this.#rotateBytes) return;
    await rename(file, this.#paths.file(segmentFile(startSeq + 1, projectedSeq)));
    await appendFile(file, '', { mode: 0o600 });
  }

  async #logTail(projectedSeq: number): Promise<{ readonly seq: number; readonly hash: string } | null> {
    const [record] = await this.#ctx.engine.read(() => readRange(this.#taskId, projectedSeq - 1, projectedSeq, 1));
    return record === undefined ? null : { seq: record.seq, hash: record.hash };
  }

  /** Replaces `decisions.md`; one that somebody has edited is kept beside it. */
  async #writeDecisions(facts: TaskFacts): Promise<readonly Repair[]> {
    const text = this.decisions(facts);
    const found = await readFile(this.#paths.decisions, { flag: readAtOnce }).catch(() => null);
    const digest = found === null ? null : sha256(found);
    if (digest === sha256(text)) return [];
    const edited =
      digest !== null && digest !== this.#takenIn && digest !== (await this.#recordedDigest('decisions.md'));
    const keptAs = edited ? await this.keepAside(this.#paths.decisions) : null;
    await replaceFile(this.#paths.decisions, text);
    return edited ? [{ file: 'decisions.md', fault: 'changed', keptAs }] : [];
  }

  async #recordedDigest(file: string): Promise<unknown> {
    const state = await readStateFile(this.#paths.state).catch(() => null);
    return (state?.['files'] as JsonObject | undefined)?.[file];
  }
}

/** In the order of canonical JSON, so that row and record give the same text. */
export function manifestText(checkpoint: Checkpoint): string {
  const ordered: unknown = JSON.parse(canonicalJson(checkpoint as unknown as JsonValue));
  return `${JSON.stringify(ordered, null, 2)}\n`;
}

function titleOf(facts: TaskFacts, taskId: TaskId): string {
  return facts.task?.title ?? facts.receipt?.title ?? taskId;
}

function textOf(view: LineView, records: readonly StoredRecord[]): string {
  return records.flatMap((record) => view.lines(record).map((line) => `${line}\n`)).join('');
}

function tailFault(
  line: { readonly seq: number; readonly hash: string | null } | null,
  tail: { readonly seq: number; readonly hash: string } | null,
  view: LineView,
): string | null {
  if (view.file !== logFile) return null;
  if (line === null) return tail === null ? null : 'truncated';
  if (tail === null || line.seq < tail.seq) return tail === null ? 'changed' : 'truncated';
  return line.hash === tail.hash ? null : 'changed';
}
