import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { type JsonObject, canonicalJson } from '@opencode-tools/core';
import { errnoOf } from '../home/home-file.ts';
import { rewindLineFile } from './line-file.ts';
import { logFile, logSegments } from './log-files.ts';
import type { TaskFacts } from './projection-plans.ts';
import { type Projector, type Repair, manifestText } from './projector.ts';
import { setAsideOther, setAsideOthers } from './set-aside-others.ts';
import { faultOf, readStateFile, replaceFile, writeState } from './state-file.ts';
import type { TaskPaths } from './task-paths.ts';
import { type LineView, lineViews } from './views.ts';

/**
 * Compares every file of a task with what the registry says it holds up to the mark, and replaces those that differ. The
 * caller holds the right to write the files.
 */
export async function healFiles(projector: Projector, paths: TaskPaths, facts: TaskFacts): Promise<readonly Repair[]> {
  await mkdir(paths.directory, { recursive: true, mode: 0o700 });
  await removeUnfinished(paths.directory);
  const keepAside = (place: string): Promise<string | null> => projector.keepAside(place);
  const repairs = [...(await setAsideOthers(paths, keepAside))];
  repairs.push(...(await healSegments(projector, paths, facts)));
  for (const view of lineViews) repairs.push(...(await healView(projector, paths, view, facts)));
  repairs.push(...(await healText(projector, paths.decisions, 'decisions.md', projector.decisions(facts))));
  for (const checkpoint of facts.checkpoints) {
    const directory = `checkpoints/${checkpoint.id}`;
    const name = `${directory}/manifest.json`;
    repairs.push(...(await setAsideOther(paths, directory, 'directory', keepAside)));
    await mkdir(paths.file(directory), { recursive: true, mode: 0o700 });
    await removeUnfinished(paths.file(directory));
    repairs.push(...(await setAsideOther(paths, name, 'file', keepAside)));
    repairs.push(...(await healText(projector, paths.manifest(checkpoint.id), name, manifestText(checkpoint))));
  }
  repairs.push(...(await healState(projector, paths, facts)));
  const kept = new Set(repairs.flatMap(({ file, keptAs }) => (keptAs === null ? [] : file)));
  // What was moved aside is missing only then.
  return repairs.filter(({ file, keptAs }) => keptAs !== null || !kept.has(file));
}

/** A process that is killed while it writes a file anew leaves it under another name. */
async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/\.\d+\.tmp$/.test(name)) await rm(`${directory}/${name}`, { force: true });
  }
}

/** Compares the parts of a log that were put away; those that do not go on from each other are kept aside. */
async function healSegments(projector: Projector, paths: TaskPaths, facts: TaskFacts): Promise<readonly Repair[]> {
  const { segments } = projector.logSegments(facts);
  const log = lineViews.find(({ file }) => file === logFile);
  const repairs: Repair[] = [];
  for (const { file, first, last } of logSegments(paths.directory)) {
    const place = paths.file(file);
    if (log === undefined || !segments.some((segment) => segment.file === file)) {
      repairs.push({ file, fault: 'out-of-order', keptAs: await projector.keepAside(place) });
      continue;
    }
    const expected = await projector.renderView(log, facts, last, first - 1);
    const [is, should] = [await printOf(place), await printOf(expected)];
    if (is?.digest === should?.digest) await rm(expected, { force: true });
    else {
      repairs.push({ file, fault: faultBetween(is, should), keptAs: await projector.keepAside(place) });
      await rename(expected, place);
    }
  }
  return repairs;
}

/** Keeps a bad `state.json` before a newer one takes its place. */
export async function setAsideState(projector: Projector, paths: TaskPaths): Promise<readonly Repair[]> {
  const fault = await readStateFile(paths.state).then(() => null, faultOf);
  if (fault === null || fault === 'missing') return [];
  return [{ file: 'state.json', fault, keptAs: await projector.keepAside(paths.state) }];
}

async function healView(
  projector: Projector,
  paths: TaskPaths,
  view: LineView,
  facts: TaskFacts,
): Promise<readonly Repair[]> {
  const file = paths.file(view.file);
  const expected = await projector.renderView(view, facts, facts.extent.projectedSeq);
  try {
    const should = await printOf(expected);
    let is = await printOf(file);
    const found = is;
    if (is !== null && should !== null && is.size > should.size) {
      const { fault } = await rewindLineFile(file, facts.extent.projectedSeq, facts.extent.headSeq);
      if (fault === null) is = await printOf(file);
    }
    if (is?.digest === should?.digest) return [];
    const fault = faultBetween(found, should);
    const keptAs = await projector.keepAside(file);
    await rename(expected, file);
    return [{ file: view.file, fault, keptAs }];
  } finally {
    await rm(expected, { force: true });
  }
}

async function healText(projector: Projector, file: string, name: string, text: string): Promise<readonly Repair[]> {
  const found = await readFile(file, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (found === text) return [];
  const fault = found === null ? 'missing' : nameFault(found.length, text.length);
  const keptAs = await projector.keepAside(file);
  await replaceFile(file, text);
  return [{ file: name, fault, keptAs }];
}

async function healState(projector: Projector, paths: TaskPaths, facts: TaskFacts): Promise<readonly Repair[]> {
  const expected = projector.state(facts);
  const fault = await stateFault(paths.state, expected);
  if (fault === null) return [];
  const keptAs = await projector.keepAside(paths.state);
  await writeState(paths.state, expected);
  return [{ file: 'state.json', fault, keptAs }];
}

async function stateFault(file: string, expected: JsonObject): Promise<string | null> {
  try {
    const state = await readStateFile(file);
    return canonicalJson(comparable(state)) === canonicalJson(comparable(expected)) ? null : 'changed';
  } catch (error) {
    return faultOf(error);
  }
}

/** Without what changes and is not recorded: a lease's renewals, the leap of an epoch, and with them the digest. */
function comparable(state: JsonObject): JsonObject {
  const { digest: _, counters, ...rest } = state;
  const { lastToken: _token, ...counted } = (counters ?? {}) as JsonObject;
  const leases = (Array.isArray(rest['leases']) ? rest['leases'] : []) as readonly JsonObject[];
  return {
    ...rest,
    counters: counted,
    leases: leases.map(({ renewedAt: _renewed, expiresAt: _expires, ...lease }) => lease),
  };
}

interface Print {
  readonly size: number;
  readonly digest: string;
}

async function printOf(file: string): Promise<Print | null> {
  try {
    const { size } = await stat(file);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    return { size, digest: hash.digest('hex') };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function faultBetween(is: Print | null, should: Print | null): string {
  return is === null ? 'missing' : nameFault(is.size, should?.size ?? 0);
}

function nameFault(size: number, expectedSize: number): string {
  if (size === 0) return 'empty';
  return size < expectedSize ? 'truncated' : 'changed';
}
