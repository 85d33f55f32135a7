import { constants } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { type JsonObject, OpencodeToolsError, canonicalJson, sha256 } from '@opencode-tools/core';
import { errnoOf } from '../home/home-file.ts';
import type { TaskFacts } from './projection-plans.ts';

const stateVersion = 1;

/** A pipe that stands in the place of a file is read as empty: without this, opening it waits for whoever writes into it. */
export const readAtOnce = constants.O_RDONLY | constants.O_NONBLOCK;

/** Builds what `state.json` says, with its own digest. */
export function buildState(facts: TaskFacts, files: Readonly<Record<string, string>>): JsonObject {
  const { extent, task, receipt, sandbox, leases, todos, notes } = facts;
  const state = {
    v: stateVersion,
    taskId: task?.id ?? receipt?.taskId ?? null,
    task,
    receipt,
    sandbox,
    sessions: facts.sessions,
    leases,
    todos,
    notes,
    counters: {
      decisions: facts.decisions.length,
      checkpoints: facts.checkpoints.length,
      executions: facts.executions,
      sessions: facts.sessionCount,
      lastToken: extent.lastToken,
    },
    ledger: { seq: extent.headSeq, hash: extent.headHash },
    files,
  } as unknown as JsonObject;
  return { ...state, digest: digestOf(state) };
}

export async function writeState(file: string, state: JsonObject): Promise<void> {
  await replaceFile(file, `${JSON.stringify(state, null, 2)}\n`);
}

/**
 * Reads and checks a state file.
 *
 * @throws OpencodeToolsError `OCT_STATE_CORRUPT` saying what is wrong; `OCT_SCHEMA_TOO_NEW`
 */
export async function readStateFile(file: string): Promise<JsonObject> {
  let text: string;
  try {
    text = await readFile(file, { encoding: 'utf8', flag: readAtOnce });
  } catch (error) {
    throw errnoOf(error) === 'ENOENT' ? corrupt(file, 'missing') : error;
  }
  if (text.length === 0) throw corrupt(file, 'empty');
  const state = parse(file, text);
  if (typeof state['v'] === 'number' && state['v'] > stateVersion) {
    throw new OpencodeToolsError('OCT_SCHEMA_TOO_NEW', `${file} has version ${state['v']}; ${stateVersion} is known`, {
      details: { file, fault: 'newer-schema' },
    });
  }
  if (state['v'] !== stateVersion || state['digest'] !== digestOf(state)) throw corrupt(file, 'changed');
  return state;
}

/** What was wrong, for an error that `readStateFile` threw. */
export function faultOf(error: unknown): string {
  const fault = error instanceof OpencodeToolsError ? error.details['fault'] : undefined;
  return typeof fault === 'string' ? fault : 'unreadable';
}

/** Replaces a file as a whole: whoever reads sees the old or the new. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, text, { mode: 0o600 });
  await rename(temporary, file);
}

function digestOf(state: JsonObject): string {
  const { digest: _, ...rest } = state;
  return sha256(canonicalJson(rest));
}

function parse(file: string, text: string): JsonObject {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as JsonObject;
  } catch {
    // Answered below like any other content that is no state.
  }
  throw corrupt(file, 'unparsable');
}

function corrupt(file: string, fault: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STATE_CORRUPT', `${file} is not as it was written: ${fault}`, {
    remedy: 'Run `opencode-tools doctor`: it rebuilds the file from the ledger and keeps the bad one.',
    details: { file, fault },
  });
}
