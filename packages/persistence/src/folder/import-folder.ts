import { type ImportedMemory, OpencodeToolsError, type TaskId, isId } from '@opencode-tools/core';
import { brokenChain } from '../admin/go-on-with.ts';
import { type ReadChain, readOneChain } from '../admin/ledger-transfer.ts';
import { assertOwnRows, foreignRow, putsOf, rowsOfChains } from '../admin/own-rows.ts';
import { placeholders, raw } from '../admin/raw.ts';
import { takeInRecords } from '../admin/take-in-chains.ts';
import type { Engine } from '../query/engine.ts';
import { type Plan, allRows } from '../query/plan.ts';
import type { Traits } from '../query/traits.ts';
import { folderName, oldName } from './folder-files.ts';
import { HeldDirectory } from './held-directory.ts';
import { readSound } from './read-folder.ts';

/**
 * Takes in every task of a folder's `.task-memory`: all are checked before the first is taken in, and each is taken in whole or
 * not at all. Records that are here already are compared.
 */
export async function importFolder(engine: Engine, directory: string): Promise<readonly ImportedMemory[]> {
  const chains = await readChains(directory);
  const imported: ImportedMemory[] = [];
  const rowsOf = chains.map((chain) => [chain, rowsOfChains([chain])] as const);
  for (const [chain, rows] of rowsOf) {
    const taken = await engine.write(function* () {
      yield* assertMayChange(engine.traits, chain);
      yield* assertOwnRows(engine.traits, rows);
      return yield* takeInRecords(engine.traits, chain);
    });
    imported.push({ taskId: chain.stream as TaskId, homeId: chain.homeId, ...taken });
  }
  return imported;
}

async function readChains(directory: string): Promise<readonly ReadChain[]> {
  await using base = await HeldDirectory.open(directory);
  await using folder = await base.find(folderName);
  const chains: ReadChain[] = [];
  for (const [taskId, name] of folder === undefined ? [] : await foldersIn(folder)) {
    await using task = await folder?.find(name);
    if (task === undefined) continue;
    const { manifest, ledger } = await readSound(task, taskId);
    const chain = await readOneChain(ledger.toString('utf8').split('\n'));
    const last = chain.records.at(-1) ?? chain.base;
    const isTold = last.seq === manifest.ledger.seq && last.hash === manifest.ledger.hash;
    if (chain.stream !== taskId || chain.homeId !== manifest.homeId || !isTold) {
      const told = `${manifest.ledger.seq}:${manifest.ledger.hash}`;
      throw brokenChain({
        stream: taskId,
        seq: last.seq,
        fault: 'head-mismatch',
        expected: told,
        found: `${last.seq}:${last.hash}`,
      });
    }
    chains.push(chain);
  }
  if (chains.length > 0) return chains;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${base.path} has no task in ${folderName}`, {
    remedy: 'Name a folder that `opencode-tools task-memory export` wrote into.',
    details: { argument: 'directory', path: base.path },
  });
}

/** Tasks and the names of their folders, in order; of one whose export was cut off the folder before. */
async function foldersIn(folder: HeldDirectory): Promise<readonly (readonly [taskId: TaskId, name: string])[]> {
  const names = new Set(await folder.names());
  const found: [TaskId, string][] = [];
  for (const name of names) {
    const id = /^\.(.+)\.old$/.exec(name)?.[1] ?? name;
    if (isId('task', id) && (id === name || (name === oldName(id) && !names.has(id)))) found.push([id, name]);
  }
  return found.toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** What this registry's own homes work on is theirs to change. */
function* assertMayChange(traits: Traits, chain: ReadChain): Plan<void> {
  const taskId = chain.stream as TaskId;
  const homes = new Set(
    (yield* allRows(raw<{ home_id: string }>('select home_id from homes'))).map((row) => row.home_id),
  );
  const [known] = yield* allRows(
    raw<{ home_id: string; head_seq: number }>(
      `select home_id, head_seq from streams where stream = ${placeholders(traits.engine, 1)}`,
      [taskId],
    ),
  );
  const isOwn = (homeId: string): boolean => homes.has(homeId);
  if (isOwn(chain.homeId) || (known !== undefined && isOwn(known.home_id))) {
    const last = chain.records.at(-1)?.seq ?? chain.base.seq;
    if (known !== undefined && last <= known.head_seq) return;
    throw foreignRow(
      taskId,
      'more than this home knows of its own task',
      `Take ${folderName}/${taskId}/ledger.jsonl in with \`opencode-tools ledger import\` if you know that this home lost it.`,
    );
  }
  for (const put of putsOf(chain)) {
    if (put.noun === 'task' && isOwn(put.value.homeId)) throw foreignRow(taskId, 'a task of this home');
  }
}
